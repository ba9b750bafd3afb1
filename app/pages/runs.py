"""Runs: the list of everything that was trained, with its scores; stop one, or delete one to the trash."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import jobs
from app.notices import done
from app.parts import empty, facts, html, pick, picking, pill, table, when
from app.studio import Studio
from core.evaluate.scores import read
from core.runs import events, process
from core.runs.directory import Run, delete
from core.settings import to_yaml
from core.wording import Translator


@dataclass(frozen=True)
class RunsPage:
    listed: Any
    chosen: Any
    about: Any
    show: Any
    stop: Any
    delete: Any
    confirm: Any
    confirm_text: Any
    yes: Any
    no: Any
    notice: Any
    seen: Any
    timer: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.listed, self.chosen, self.about, self.show, self.stop, self.delete, self.confirm, self.confirm_text,
                self.seen]  # fmt: skip


def build(studio: Studio, t: Translator) -> RunsPage:
    """Lay out and wire the page."""
    page = _lay_out(t)

    def tick(values: Mapping[Any, Any]) -> Any:
        return listing(studio, page, values[page.chosen], values[page.seen], t)

    def choose(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        return {**listing(studio, page, event.pick, None, t), page.confirm: gr.update(visible=False)}

    def stop(values: Mapping[Any, Any]) -> Any:
        run = studio.run(values[page.chosen] or "")
        process.ask_to_stop(run.path)
        done(t("run.stop_asked", name=run.name), t("language.code"))
        return listing(studio, page, run.name, None, t)

    def ask(values: Mapping[Any, Any]) -> Any:
        name = studio.run(values[page.chosen] or "").name
        text = f"<p>{escape(t('runs.really', name=name))}</p>"
        return {page.confirm: gr.update(visible=True), page.confirm_text: text}

    def no(values: Mapping[Any, Any]) -> Any:
        return {page.confirm: gr.update(visible=False)}

    def yes(values: Mapping[Any, Any]) -> Any:
        run = studio.run(values[page.chosen] or "")
        delete(studio.workspace, run)
        done(t("runs.deleted", name=run.name), t("language.code"))
        return {**listing(studio, page, None, None, t), page.confirm: gr.update(visible=False)}

    for event, handler in (
        (page.timer.tick, tick),
        (page.listed.click, choose),
        (page.stop.click, stop),
        (page.delete.click, ask),
        (page.yes.click, yes),
        (page.no.click, no),
    ):
        when(event, handler, {page.chosen, page.seen}, page.outputs, page.notice, t, toast=handler is not tick)
    return page


def listing(studio: Studio, page: RunsPage, chosen: str | None, before: Any, t: Translator) -> Any:
    """Return the updates of the list and of the chosen run, or a skip when nothing has changed."""
    runs = studio.runs()
    seen = {run.name: jobs.look(studio, run.path) for run in runs}
    stamps = tuple((name, each.stamp, _evaluated(each)) for name, each in seen.items())
    chosen = chosen if chosen in seen else None
    state = (stamps, chosen)
    if state == before:
        return gr.skip()
    updates: dict[Any, Any] = {
        page.seen: state,
        page.chosen: chosen,
        page.listed: _table(studio, runs, seen, chosen, t),
    }
    if chosen is None:
        about = "" if not runs else f'<p class="waiting">{escape(t("runs.choose"))}</p>'
        hidden = dict.fromkeys((page.show, page.stop, page.delete), gr.update(visible=False))
        return {**updates, page.about: about, **hidden}
    run = next(each for each in runs if each.name == chosen)
    active = seen[chosen].active
    return {
        **updates,
        page.about: _about(run, seen[chosen], t),
        page.show: gr.update(visible=True),
        page.stop: gr.update(visible=active),
        page.delete: gr.update(visible=not active),
    }


def _lay_out(t: Translator) -> RunsPage:
    with gr.Column(elem_classes="card"):
        listed = picking("runs-table")
    with gr.Column(elem_classes="card"):
        about = html("run-about")
        with gr.Row(elem_classes="actions"):
            show = gr.Button(t("runs.show"), visible=False, elem_id="runs-show")
            stop = gr.Button(t("run.stop"), visible=False, elem_id="runs-stop", variant="stop")
            remove = gr.Button(t("runs.delete"), visible=False, elem_id="runs-delete")
        with gr.Group(visible=False, elem_id="runs-confirm", elem_classes="confirm") as confirm:
            text = html("runs-confirm-text")
            with gr.Row(elem_classes="actions"):
                yes = gr.Button(t("runs.yes"), variant="stop", elem_id="runs-yes")
                no = gr.Button(t("runs.no"), elem_id="runs-no")
        notice = html("runs-notice")
    return RunsPage(listed, gr.State(None), about, show, stop, remove, confirm, text, yes, no, notice, gr.State(None),
                    gr.Timer(2.0, active=False))  # fmt: skip


def _evaluated(seen: jobs.Seen) -> int:
    return sum(1 for _ in seen.job.glob("scores/*.json"))


def _table(studio: Studio, runs: list[Run], seen: Mapping[str, jobs.Seen], chosen: str | None, t: Translator) -> str:
    if not runs:
        return empty(t("runs.none"))
    headers = [t(f"runs.{name}") for name in ("name", "status", "data", "steps", "loss", "scores")]
    rows = [
        [
            pick(run.name, run.name == chosen),
            pill(seen[run.name].status, t),
            escape(", ".join(run.settings.data.train)),
            _steps(seen[run.name]),
            _loss(seen[run.name]),
            escape(_scores(run, t)),
        ]
        for run in runs
    ]
    return table(headers, rows, caption=t("tab.runs"), numbers=(3, 4))


def _steps(seen: jobs.Seen) -> str:
    last = _last_step(seen)
    return f"{last.step:,} / {seen.total_steps:,}" if last else "–"


def _loss(seen: jobs.Seen) -> str:
    last = _last_step(seen)
    return f"{last.loss:.3f}" if last else "–"


def _last_step(seen: jobs.Seen) -> events.StepFinished | None:
    return next((each for each in reversed(seen.events) if isinstance(each, events.StepFinished)), None)


def _scores(run: Run, t: Translator) -> str:
    """Return the newest evaluation in a line: right answers of base and tuned for each test set."""
    found = read(run)
    if not found:
        return t("runs.not_evaluated")
    return "; ".join(
        f"{name} {values['base']['right']:.0f} → {values['tuned']['right']:.0f} %"
        for name, values in found[-1]["datasets"].items()
    )


def _about(run: Run, seen: jobs.Seen, t: Translator) -> str:
    config = run.config
    prompt = config["prompt"]
    named = (
        t("runs.no_prompt") if prompt["text"] is None else f"{prompt['name']} v{prompt['version']}: {prompt['text']}"
    )
    pairs = [
        (t("runs.model"), config["model"]["path"]),
        (t("train.prompt"), named),
        (t("runs.created"), str(config["created"]).replace("T", " ")[:19]),
        (t("runs.folder"), str(run.path)),
    ]
    recipe = to_yaml(run.settings)
    copied = f'data-copied="{escape(t("notice.copied"))}"'
    return (
        f"<h3>{escape(run.name)} {pill(seen.status, t)}</h3>{jobs.ending(seen, t)}{jobs.outcome(seen, t)}{facts(pairs)}"
        f'<details><summary>{escape(t("runs.recipe"))}</summary><pre class="code">{escape(recipe)}</pre>'
        f'<button type="button" class="small" data-copy="{escape(recipe)}" {copied}>{escape(t("notice.copy"))}</button>'
        "</details>"
    )
