"""The card of experiments at the end of the Evaluate tab: plan, start, follow, stop, go on, read."""

import shutil
from collections.abc import Mapping
from typing import Any

import gradio as gr

from app import jobs, turns
from app.experiments import form, report, standing
from app.experiments.layout import ExperimentsPage, lay_out
from app.experiments.looking import DRAFT, Look, chosen_one, look, state_of
from app.notices import done, warnings
from app.pages.run_panel import update
from app.parts import when
from app.pulse import PULSED
from app.studio import Studio
from core.errors import RunError, problem
from core.experiments.directory import Experiment, require_unfinished
from core.runs import ending
from core.runs.directory import Run
from core.settings import from_dict
from core.wording import Translator

_WORKER = "core.experiments.worker"


def build(studio: Studio, t: Translator) -> ExperimentsPage:
    """Lay out and wire the card."""
    page = lay_out(t)
    _wire_form(studio, page, t)
    _wire_chosen(studio, page, t)
    return page


def wire_onward(studio: Studio, page: ExperimentsPage, tab: Any, tabs: Any, train: Any, t: Translator) -> None:
    """Bring the card up to date when its tab is shown, and carry runs and settings from it to the Train tab."""

    def refresh(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**form.refreshed(studio, page, values, t), **_news(studio, page, values, t)}

    def show(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        run = studio.run(str(event.pick).removeprefix("run "))
        return {tabs: gr.Tabs(selected="train"), **update(studio, train.panel, run.name, None, t, chosen=True)}

    def fill(values: Mapping[Any, Any]) -> dict[Any, Any]:
        found = chosen_one(studio, values[page.chosen])
        settings = from_dict(found.config["settings"], _best(found))
        said = t("experiments.filled", name=standing.title(found, t))
        return {tabs: gr.Tabs(selected="train"), **train.fill(settings, said)}

    inputs, outputs = {*page.form.inputs, *page.looked_at}, [*page.form.of_run, *page.watched]
    when(tab.select, refresh, inputs, outputs, page.trouble, t)
    when(page.report.click, show, set(), [tabs, *train.panel.outputs], page.notice, t, reads=True)
    when(page.fill.click, fill, {page.chosen}, [tabs, *train.filling.outputs], page.notice, t)


def _wire_form(studio: Studio, page: ExperimentsPage, t: Translator) -> None:
    part = page.form

    def choose_run(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return form.for_run(studio, page, values, t)

    def shape(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return form.shape(page, values, t)

    def choose(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {part.plan: form.ready(page, values, t)}

    def plan(values: Mapping[Any, Any]) -> dict[Any, Any]:
        job, minded = form.prepared(studio, page, values)
        remove_draft(studio, values[page.chosen])
        noted = {page.notice: warnings(minded, t("language.code"))}
        return {**noted, **_watch(studio, page, job.name, t)}

    needed = {part.kind, part.run, part.change, part.data, part.prompt, part.tests}
    when(part.run.input, choose_run, part.inputs, part.of_run, page.notice, t)
    shapes = [part.arms, part.space, part.replaced, part.data, part.prompt, part.plan]
    when([part.kind.change, part.change.change], shape, needed, shapes, page.notice, t)
    when([part.data.change, part.prompt.change, part.tests.change], choose, needed, [part.plan], page.notice, t)
    when(part.plan.click, plan, {*part.inputs, *page.looked_at}, page.watched, page.notice, t, show_progress="minimal")


def _wire_chosen(studio: Studio, page: ExperimentsPage, t: Translator) -> None:
    def pressed(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        return _watch(studio, page, str(event.pick), t)

    def tick(values: Mapping[Any, Any]) -> Any:
        return _news(studio, page, values, t) or gr.skip()

    def go(values: Mapping[Any, Any]) -> Any:
        found = chosen_one(studio, values[page.chosen])
        require_unfinished(found)
        if state_of(found) != DRAFT:
            ending.settle(Run(found.path))
        (found.path / "stop").unlink(missing_ok=True)
        turns.submit(studio, found.path, _WORKER)
        done(t("experiments.started"), t("language.code"))
        return _watch(studio, page, found.name, t)

    def stop(values: Mapping[Any, Any]) -> Any:
        turns.stop(studio, chosen_one(studio, values[page.chosen]).path)
        return _watch(studio, page, values[page.chosen], t)

    def discard(values: Mapping[Any, Any]) -> Any:
        if not remove_draft(studio, values[page.chosen]):
            raise RunError(problem("experiment.started", values[page.chosen] or ""))
        return _watch(studio, page, "", t)

    seen, watched = page.looked_at, page.watched
    when(page.listed.click, pressed, set(), watched, page.notice, t, reads=True)
    when(page.pulse.click, tick, seen, watched, page.trouble, t, **PULSED)
    when(page.go.click, go, seen, watched, page.notice, t)
    when(page.stop.click, stop, seen, watched, page.notice, t)
    when(page.discard.click, discard, seen, watched, page.notice, t)


def _news(studio: Studio, page: ExperimentsPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return what has changed since the last look.

    The look tells which one is shown: this event may have been on its way when another was chosen, and carry the old name.
    The page's own word counts where there was no look, as after a restart.
    """
    before = values[page.seen]
    now = look(studio, before[1] if before else values[page.chosen] or "", before)
    return {} if now.stamp == before else _drawn(studio, page, now, t)


def _watch(studio: Studio, page: ExperimentsPage, name: str | None, t: Translator) -> dict[Any, Any]:
    """Return everything of an experiment."""
    return _drawn(studio, page, look(studio, name or "", None), t)


def _drawn(studio: Studio, page: ExperimentsPage, now: Look, t: Translator) -> dict[Any, Any]:
    seen, shown = now.seen, now.shown
    result = shown.result() if shown and now.state == "finished" else None
    ended = now.state in ("stopped", "failed", "lost")
    go = t("experiments.go_on" if ended else "experiments.start")
    told = report.shown(studio, result, t) if result else standing.so_far(studio, now, t)
    return {
        page.seen: now.stamp,
        page.chosen: shown.name if shown else "",
        page.listed: standing.listed(now, t),
        page.status: standing.status(now, t),
        page.progress: standing.progress(now, t),
        page.ending: standing.ending(seen, t) if seen else "",
        page.planned: standing.planned(now, t),
        page.go: gr.update(value=go, visible=ended or now.state == DRAFT),
        page.stop: gr.update(visible=now.state in jobs.ACTIVE, interactive=not (shown and shown.stopped)),
        page.discard: gr.update(visible=now.state == DRAFT),
        page.report: told,
        page.fill: gr.update(visible=bool(result and result.get("changes"))),
    }


def _best(experiment: Experiment) -> dict[str, Any]:
    """Return the settings of a sweep's best trial that the recipe has otherwise.

    Raises:
        RunError: if it names none.
    """
    found: dict[str, Any] = (experiment.result() or {}).get("changes") or {}
    if not found:
        raise RunError(problem("experiment.no_best", experiment.name))
    return found


def remove_draft(studio: Studio, name: str | None) -> bool:
    """Remove an experiment that was planned and not started; return whether it was one."""
    path = studio.workspace.experiments / name if name and name in _names(studio) else None
    if path is None or state_of(Experiment(path)) != DRAFT:
        return False
    shutil.rmtree(path)
    return True


def _names(studio: Studio) -> list[str]:
    folder = studio.workspace.experiments
    return [each.name for each in folder.iterdir()] if folder.is_dir() else []
