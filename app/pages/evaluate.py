"""Evaluate: did it work, how sure is that, what to do next; then every answer, searchable, and what to take along."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from app import jobs, turns, watching
from app.evaluate import findings, form, reading, taking, verdicts, voting
from app.evaluate.layout import EvaluatePage, lay_out
from app.notices import done
from app.parts import empty, when
from app.pulse import PULSED
from app.studio import Studio
from core.diagnose.finding import Finding
from core.diagnose.rules import diagnose
from core.errors import RunError, problem
from core.evaluate import scores, votes
from core.evaluate.rows import rows
from core.runs.directory import Run, read_config
from core.wording import Translator

_BROKEN_OFF = ("stopped", "failed", "lost")  # an evaluation that can go on where it was

__all__ = ["EvaluatePage", "build", "chosen_finding", "refresh"]


def build(studio: Studio, t: Translator) -> EvaluatePage:
    """Lay out and wire the page."""
    page = lay_out(studio.registry.names(), form.judges(studio, t), t)
    _wire_form(studio, page, t)
    _wire_result(studio, page, t)
    _wire_reading(studio, page, t)
    _wire_votes(studio, page, t)
    return page


def refresh(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown: runs, test sets, prompts and judges as they are on disk now."""
    part = page.form
    chosen = watching.run_choices(studio, page.run, values)
    hint = {} if watching.usable(studio) else {page.result.headline: empty(t("evaluate.no_runs"))}
    return {
        **chosen,
        part.tests: gr.update(choices=studio.registry.names()),
        part.prompt: gr.update(choices=form.prompts(studio, t)),
        part.judge: gr.update(choices=[(t("evaluate.no_judge"), ""), *form.judges(studio, t)]),
        **hint,
    }


def refreshed(page: EvaluatePage) -> list[Any]:
    """Return what `refresh` updates."""
    return [page.run, page.form.tests, page.form.prompt, page.form.judge, page.result.headline]


def chosen_finding(
    studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], pick: str
) -> tuple[Run, str, Finding]:
    """Return the run, the action and the finding of a button in the diagnosis."""
    run, job = _chosen(studio, page, values)
    return (run, *findings.picked(run, _findings(studio, run, job), pick))


def _wire_form(studio: Studio, page: EvaluatePage, t: Translator) -> None:
    part = page.form

    def choose_run(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**form.for_run(studio, page, values, t), **_watch(studio, page, values, None, t)}

    def note(values: Mapping[Any, Any]) -> dict[Any, Any]:
        told = form.note(studio, values[page.run], values[part.prompt], t)
        return {part.prompt_note: told, part.start: form.ready(page, values, t)}

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        job = form.prepared(studio, page, values)
        turns.submit(studio, job, "core.evaluate.worker")
        done(t("evaluate.started"), t("language.code"))
        return _watch(studio, page, {**values, page.result.job: job.name}, None, t)

    def pattern(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {
            part.pattern: form.patterned(values[part.check], t),
            part.rubric: gr.update(visible=bool(values[part.judge])),
        }

    shown = [part.tests, part.others, part.prompt_note, part.start]
    when(
        page.run.change,
        choose_run,
        {*page.looked_at, part.prompt, part.probes},
        [*shown, *page.watched],
        page.notice,
        t,
    )
    when([part.prompt.change, part.tests.change, part.probes.change], note, {page.run, part.prompt, part.tests, part.probes},
         [part.prompt_note, part.start], page.notice, t)  # fmt: skip
    when(
        [part.check.change, part.judge.change],
        pattern,
        {part.check, part.judge},
        [part.pattern, part.rubric],
        page.notice,
        t,
    )
    when(part.start.click, start, {*part.asked, *page.looked_at}, page.watched, page.notice, t)


def _wire_result(studio: Studio, page: EvaluatePage, t: Translator) -> None:
    part = page.result

    def tick(values: Mapping[Any, Any]) -> Any:
        if not values[page.run]:  # one that was on its way while a run was chosen would take away what that shows
            return gr.skip()
        return _watch(studio, page, values, values[page.seen], t)

    def choose_job(values: Mapping[Any, Any]) -> Any:
        return _watch(studio, page, values, None, t, chosen=True)

    def stop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        _, job = _chosen(studio, page, values)
        turns.stop(studio, job)
        return {part.stop: gr.update(interactive=False)}

    def again(values: Mapping[Any, Any]) -> Any:
        _, job = _chosen(studio, page, values)
        turns.go_on_evaluating(studio, job)
        done(t("evaluate.goes_on"), t("language.code"))
        return _watch(studio, page, values, None, t, chosen=True)

    when(part.again.click, again, page.looked_at, page.watched, page.notice, t)
    when(part.stop.click, stop, {page.run, part.job}, [part.stop], page.notice, t)
    when(part.job.input, choose_job, page.looked_at, page.watched, page.notice, t)
    when(page.pulse.click, tick, page.looked_at, page.watched, page.notice, t, **PULSED)


def _wire_reading(studio: Studio, page: EvaluatePage, t: Translator) -> None:
    part = page.reading

    def read(values: Mapping[Any, Any], by: int | None) -> dict[Any, Any]:
        first = 0 if by is None else int(values[part.first] or 0) + by
        return reading.updates(page, _job(studio, page, values), values, t, first)

    def report(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {part.file: taking.report(*_finished(studio, page, values), t)}

    def csv(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {part.file: taking.csv(*_chosen(studio, page, values), t)}

    inputs, here = {page.run, page.result.job, part.first, *part.filters}, part.shown
    changed = [part.view.input, part.source.input, part.who.input, part.words.submit, part.words.blur]
    when(changed, lambda values: read(values, None), inputs, here, page.notice, t, reads=True)
    when(part.back.click, lambda values: read(values, -reading.PAGE), inputs, here, page.notice, t, reads=True)
    when(part.onward.click, lambda values: read(values, reading.PAGE), inputs, here, page.notice, t, reads=True)
    asked = {page.run, page.result.job}
    when(part.make_report.click, report, asked, [part.file], page.notice, t, show_progress="minimal", reads=True)
    when(part.make_csv.click, csv, asked, [part.file], page.notice, t, show_progress="minimal", reads=True)


def _wire_votes(studio: Studio, page: EvaluatePage, t: Translator) -> None:
    part = page.votes
    asked = {page.run, page.result.job, part.item}
    for button, choice in ((part.left, "left"), (part.right, "right"), (part.tie, "tie"), (part.bad, "both_bad")):

        def cast(values: Mapping[Any, Any], choice: Any = choice) -> dict[Any, Any]:
            _, job = _chosen(studio, page, values)
            voting.vote(job, values[part.item] or "", choice)
            return voting.updates(page, job, t)

        when(button.click, _one(cast), asked, part.shown, page.notice, t)

    def undo(values: Mapping[Any, Any]) -> dict[Any, Any]:
        _, job = _chosen(studio, page, values)
        votes.undo(job)
        return voting.updates(page, job, t)

    when(part.undo.click, undo, asked, part.shown, page.notice, t)


def _one(function: Any) -> Any:
    """Hide the defaults of a handler: Gradio would take each parameter for an input."""
    return lambda values: function(values)


def _watch(
    studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], before: Any, t: Translator, chosen: bool = False
) -> Any:  # fmt: skip
    part = page.result
    run = studio.run(values[page.run]) if values[page.run] else None
    same_run = before is not None and run is not None and before[0] == run.name
    names, job = watching.shown_job(run, "evaluations", values[part.job], before if same_run else None, chosen)
    seen = jobs.look(studio, job) if job else None
    state = watching.state_of(run, names, seen)
    if state == before:
        return gr.skip()
    if run is None or job is None or seen is None:
        hint = t("evaluate.none" if run else "evaluate.no_runs")
        nothing = dict.fromkeys(
            (part.status, part.progress, part.ending, part.verdicts, part.findings, part.figures), ""
        )
        return {
            page.seen: state,
            part.job: gr.update(choices=[], value=None),
            part.headline: empty(hint),
            part.stop: gr.update(visible=False),
            part.again: gr.update(visible=False),
            part.box: gr.update(visible=False),
            **nothing,
            **reading.updates(page, None, values, t),
            **voting.updates(page, None, t),
        }
    score = scores.of(run, job)
    same = same_run and before[1] == names  # the answers stay where they were turned to
    return {
        page.seen: state,
        part.job: gr.update(choices=names, value=job.name),
        part.status: jobs.status_line(seen, t),
        part.progress: jobs.progress_bar(seen, t) if seen.status != "finished" else "",
        part.ending: jobs.ending(seen, t) + verdicts.asked_otherwise(job, t),
        part.headline: verdicts.headline(score, t) if score else "",
        part.verdicts: verdicts.cards(score, t) if score else "",
        part.findings: _advice(studio, run, job, score, t) if score else "",
        part.box: gr.update(visible=score is not None),
        part.figures: verdicts.figures(job, score, t) if score else "",
        part.stop: gr.update(visible=seen.active, interactive=not (job / "stop").exists()),
        part.again: gr.update(visible=seen.status in _BROKEN_OFF and "options" in (read_config(job) or {})),
        **reading.updates(page, job, values, t, int(values[page.reading.first] or 0) if same else 0),
        **voting.updates(page, job if score else None, t),
    }


def _advice(studio: Studio, run: Run, job: Path, score: Mapping[str, Any], t: Translator) -> str:
    asked = [each.get("saved", "") for each in score.get("who", ())]
    return findings.shown(_findings(studio, run, job), asked, t)


def _findings(studio: Studio, run: Run, job: Path) -> list[Finding]:
    score = scores.of(run, job)
    return diagnose(studio.workspace, run, score, rows(job)) if score else []


def _job(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any]) -> Path | None:
    """Return the evaluation that is shown, None where there is none."""
    run = studio.run(values[page.run]) if values[page.run] else None
    return next((job for job in run.jobs("evaluations") if job.name == values[page.result.job]), None) if run else None


def _chosen(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any]) -> tuple[Run, Path]:
    """Return the run and its evaluation that is shown.

    Raises:
        RunError: if none is, or it was deleted meanwhile.
    """
    job = _job(studio, page, values)
    if job is None:
        raise RunError(
            problem("evaluate.no_evaluation", values[page.run] or "", name=values[page.result.job] or "-", known="-")
        )
    return studio.run(values[page.run]), job


def _finished(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any]) -> tuple[Run, Path]:
    run, job = _chosen(studio, page, values)
    if scores.of(run, job) is None:
        raise RunError(problem("evaluate.not_finished", job.name))
    return run, job
