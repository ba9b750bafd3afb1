"""The run beside the training form: state, progress, alerts, curves, log, and what can be done with it.

What is drawn comes from `app.live`, which the page's script asks; this file lays out the places, and does what is pressed.
Nothing is held in the page: a reload, a second tab and a restarted server read the same directory.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import turns
from app.live import names_stamp
from app.notices import done, notice
from app.parts import choice, html, when
from app.pulse import pulse
from app.studio import Studio
from core.errors import problem
from core.runs import ending
from core.runs.directory import Run
from core.train import resume
from core.wording import Translator

_PLACE = "<div data-live></div>"  # the script draws inside of it
_NOTHING = ("", "")  # what was asked, and of which run; all that a server knows that began after the question


@dataclass(frozen=True)
class RunPanel:
    """The components. `shown` carries the name of the run to the page's script."""

    run: Any
    shown: Any
    notice: Any
    stop: Any
    end: Any
    discard: Any
    resume: Any
    evaluate: Any
    chat: Any
    merge: Any
    asking: Any
    question: Any
    yes: Any
    no: Any
    asked: Any
    follow: Any
    pulse: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.run, self.shown, self.asking]


def build(studio: Studio, t: Translator) -> RunPanel:
    """Lay out and wire the panel."""
    panel = _lay_out(t)

    def choose(values: Mapping[Any, Any]) -> Any:
        return update(studio, panel, values[panel.run], None, t, chosen=True)

    def follow_newest(values: Mapping[Any, Any]) -> Any:
        return update(studio, panel, values[panel.run], _listed(values[panel.shown]), t)

    when(panel.run.input, choose, {panel.run}, panel.outputs, panel.notice, t)
    when(
        panel.follow.click,
        follow_newest,
        {panel.run, panel.shown},
        panel.outputs,
        panel.notice,
        t,
        reads=True,
        toast=False,
    )
    _wire_actions(studio, panel, t)
    return panel


def update(
    studio: Studio, panel: RunPanel, shown: str | None, before: list[str] | None, t: Translator, chosen: bool = False
) -> dict[Any, Any]:
    """Return the updates that show a run: `shown`, or the newest if that was shown `before`, when these were all runs.

    A tab that shows the newest run follows to a newer one; a tab where an older one was chosen stays with it.
    """
    names = [run.name for run in studio.runs()]
    name = follow(names, shown, before, chosen)
    return {
        panel.run: gr.update(choices=names, value=name),
        panel.shown: _mark(name or "", names),
        panel.asking: gr.update(visible=False),
    }


def follow(names: list[str], shown: str | None, before: list[str] | None, chosen: bool = False) -> str | None:
    """Return which of the runs (newest first) to show: `shown`, or the newest if the newest was shown before."""
    if not names:
        return None
    was_newest = before is None or not before or shown == before[0]
    if shown in names and (chosen or not was_newest):
        return shown
    return names[0]


def _mark(name: str, names: list[str]) -> str:
    """Return what tells the script which run to show. The time makes it ask at once, also for the same run."""
    stamp = escape(names_stamp(names))
    return f'<div data-run="{escape(name)}" data-names="{stamp}" data-at="{time.time()}" hidden></div>'


def _listed(mark: str | None) -> list[str]:
    """Return the newest run of those that were there when a mark was made; it is all that `follow` looks at."""
    _, _, rest = (mark or "").partition('data-names="')
    return [rest.partition('"')[0].partition(" ")[2]]


def _lay_out(t: Translator) -> RunPanel:
    with gr.Column(elem_id="run-panel"):
        run = choice([], label=t("run.choose"), elem_id="run")
        shown = html("run-shown", _mark("", []))
        for part in ("run-status", "run-progress", "run-ending"):
            html(part, _PLACE)
        panel_notice = html("run-notice")
        buttons = _actions(t)
        for part in ("run-alerts", "loss-chart"):
            html(part, _PLACE)
        with gr.Row(elem_classes="pair"):
            for part in ("rate-chart", "speed-chart", "norm-chart"):
                html(part, _PLACE)
        html("run-log", f"<details><summary>{escape(t('run.log'))}</summary><pre data-log></pre></details>")
        unseen = {"follow": pulse("runs"), "pulse": pulse("jobs")}
    return RunPanel(run=run, shown=shown, notice=panel_notice, asked=gr.State(_NOTHING), **buttons, **unseen)


def _actions(t: Translator) -> dict[str, Any]:
    """Lay out the buttons. All are there; the style sheet shows those that the script names."""
    made: dict[str, Any] = {}
    with gr.Row(elem_classes="actions"):
        for name, variant in (("stop", "stop"), ("end", "stop"), ("resume", "primary"), ("discard", "secondary")):
            made[name] = gr.Button(t(f"run.{name}"), elem_id=name, variant=variant, elem_classes=f"can can-{name}")
        for name in ("evaluate", "chat", "merge"):
            made[name] = gr.Button(t(f"run.{name}"), elem_id=f"go-{name}", elem_classes="can can-onward")
    with gr.Column(visible=False, elem_id="run-asking", elem_classes="confirm") as made["asking"]:
        made["question"] = html("run-question")
        with gr.Row(elem_classes="actions"):
            made["yes"] = gr.Button(t("run.yes"), variant="stop", elem_id="run-yes")
            made["no"] = gr.Button(t("run.no"), elem_id="run-no")
    return made


def _wire_actions(studio: Studio, panel: RunPanel, t: Translator) -> None:
    language = t("language.code")
    asking = [panel.asking, panel.question, panel.asked, panel.yes]

    def again(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return update(studio, panel, values[panel.run], None, t, chosen=True)

    def stop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = _chosen(studio, panel, values)
        ending.ask(run)
        done(t("run.stop_asked", name=run.name), language)
        return again(values)

    def ask(what: str, run: Run, text: str, label: str) -> dict[Any, Any]:
        asked = (what, run.name)
        return {panel.asking: gr.update(visible=True), panel.question: text, panel.asked: asked, panel.yes: label}

    def end(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = _chosen(studio, panel, values)
        step = ending.saved_step(run)
        text = t("run.end_question", step=step) if step else t("run.end_question_nothing")
        return ask("end", run, f"<p>{escape(text)}</p>", t("run.end"))

    def discard(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = _chosen(studio, panel, values)
        return ask("discard", run, f"<p>{escape(t('run.discard_question', name=run.name))}</p>", t("run.discard"))

    def resume_run(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = _chosen(studio, panel, values)
        resume.require_resumable(run)
        differs = resume.check(studio.workspace, run)
        if not differs:
            return go_on(run)
        return ask("resume", run, notice(differs, language, "warning"), t("run.resume_anyway"))

    def go_on(run: Run) -> dict[Any, Any]:
        step = resume.resumable(run)
        turns.go_on(studio, run)
        done(t("run.resumes", name=run.name, step=step) if step else t("run.starts_over", name=run.name), language)
        return update(studio, panel, run.name, None, t, chosen=True)

    def really(values: Mapping[Any, Any]) -> dict[Any, Any]:
        """Do what was asked, to the run that it was asked of, whichever is shown now; nothing where that is not known."""
        what, name = values[panel.asked] or _NOTHING
        answered = {panel.asked: _NOTHING}
        if what == "resume":
            return {**go_on(studio.run(name)), **answered}
        if what == "end":
            run = studio.run(name)
            step = ending.at_once(run)
            done(t("run.ended", step=step) if step else t("run.ended_nothing"), language)
            return {**update(studio, panel, name, None, t, chosen=True), **answered}
        if what == "discard":
            ending.discard(studio.workspace, studio.run(name))
            done(t("run.discarded", name=name), language)
            return {**update(studio, panel, None, None, t), **answered}
        forgotten = notice([problem("run.question_forgotten")], language)
        return {panel.notice: forgotten, panel.asking: gr.update(visible=False)}

    chosen = {panel.run}
    for button, handler in ((panel.stop, stop), (panel.end, end), (panel.discard, discard), (panel.resume, resume_run)):
        when(button.click, handler, chosen, [*panel.outputs, *asking[1:]], panel.notice, t)
    when(panel.yes.click, really, {panel.asked}, [*panel.outputs, panel.asked], panel.notice, t)
    when(panel.no.click, lambda values: {panel.asking: gr.update(visible=False)}, set(), [panel.asking], panel.notice, t,
         reads=True)  # fmt: skip


def _chosen(studio: Studio, panel: RunPanel, values: Mapping[Any, Any]) -> Run:
    return studio.run(values[panel.run] or "")
