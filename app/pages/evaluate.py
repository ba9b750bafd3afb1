"""Evaluate: base and tuned on the same questions, the difference as the headline, then every answer, searchable."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import jobs, turns, watching
from app.controls import optional_number
from app.notices import done
from app.parts import choice, empty, html, table, when
from app.pulse import PULSED, pulse
from app.studio import Studio
from core.evaluate import prepare as evaluation
from core.evaluate.scores import answers, read
from core.prompts.store import SystemPrompt
from core.runs.directory import Run, read_config
from core.wording import Translator

METRICS = ("right", "exact", "bleu", "rouge1", "rouge2", "rougeL")
TRAINED = ""  # the choice of the prompt that was trained
_MOST_ANSWERS = 2000  # rows sent to the browser; chosen by us: the file has all of them


@dataclass(frozen=True)
class EvaluatePage:
    run: Any
    tests: Any
    prompt: Any
    prompt_note: Any
    limit: Any
    longest: Any
    start: Any
    stop: Any
    job: Any
    status: Any
    progress: Any
    ending: Any
    headline: Any
    answers: Any
    notice: Any
    seen: Any
    pulse: Any

    @property
    def watched(self) -> list[Any]:
        return [self.job, self.status, self.progress, self.ending, self.headline, self.answers, self.stop, self.seen]

    @property
    def form(self) -> list[Any]:
        return [self.tests, self.prompt, self.prompt_note, self.start]


def build(studio: Studio, t: Translator) -> EvaluatePage:
    """Lay out and wire the page."""
    page = _lay_out(studio, t)

    def choose_run(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**_form_for(studio, page, values, t), **_watch(studio, page, values, None, t)}

    def note(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {
            page.prompt_note: _note(studio, values[page.run], values[page.prompt], t),
            page.start: _ready(page, values, t),
        }

    def start(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = studio.run(values[page.run] or "")
        job = evaluation.prepare(
            studio.workspace,
            run,
            values[page.tests] or [],
            prompt=_prompt(studio, values[page.prompt]),
            max_new_tokens=_whole(values[page.longest], 64) or 0,
            limit=_whole(values[page.limit], None),
        )
        turns.submit(studio, job, "core.evaluate.worker")
        done(t("evaluate.started"), t("language.code"))
        return _watch(studio, page, {**values, page.job: job.name}, None, t)

    def tick(values: Mapping[Any, Any]) -> Any:
        return _watch(studio, page, values, values[page.seen], t)

    def choose_job(values: Mapping[Any, Any]) -> Any:
        return _watch(studio, page, values, None, t, chosen=True)

    def stop(values: Mapping[Any, Any]) -> dict[Any, Any]:
        run = studio.run(values[page.run] or "")
        for job in run.jobs("evaluations"):
            if job.name == values[page.job]:
                turns.stop(studio, job)
        return {page.stop: gr.update(interactive=False)}

    looked_at = {page.run, page.job, page.seen}
    everything = {*looked_at, page.tests, page.prompt, page.limit, page.longest}
    when(page.run.change, choose_run, {*looked_at, page.prompt}, [*page.form, *page.watched], page.notice, t)
    when([page.prompt.change, page.tests.change], note, {page.run, page.prompt, page.tests}, page.form, page.notice, t)
    when(page.start.click, start, everything, page.watched, page.notice, t)
    when(page.stop.click, stop, {page.run, page.job}, [page.stop], page.notice, t)
    when(page.job.input, choose_job, looked_at, page.watched, page.notice, t)
    when(page.pulse.click, tick, looked_at, page.watched, page.notice, t, **PULSED)
    return page


def refresh(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown: runs, test sets and prompts as they are on disk now."""
    chosen = watching.run_choices(studio, page.run, values)
    names = studio.registry.names()
    prompts = [(t("evaluate.trained_prompt"), TRAINED), *((name, name) for name in studio.prompts.names())]
    hint = {} if watching.usable(studio) else {page.headline: empty(t("evaluate.no_runs"))}
    return {**chosen, page.tests: gr.update(choices=names), page.prompt: gr.update(choices=prompts), **hint}


def _lay_out(studio: Studio, t: Translator) -> EvaluatePage:
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=4, min_width=300, elem_classes="card"):
            run = choice([], label=t("evaluate.run"), info=t("evaluate.run_help"), elem_id="evaluate-run")
            tests = choice(studio.registry.names(), multiselect=True, label=t("evaluate.tests"), value=[],
                           info=t("evaluate.tests_help"), elem_id="evaluate-tests")  # fmt: skip
            prompt = choice([(t("evaluate.trained_prompt"), TRAINED)], value=TRAINED, label=t("evaluate.prompt"),
                            info=t("evaluate.prompt_help"), elem_id="evaluate-prompt")  # fmt: skip
            prompt_note = html("evaluate-prompt-note")
            with gr.Row(elem_classes="fields"):
                longest = gr.Number(64, label=t("evaluate.longest"), info=t("evaluate.longest_help"), min_width=130,
                                    elem_id="evaluate-longest")  # fmt: skip
                limit = optional_number(t("evaluate.all"), None, label=t("evaluate.limit"), info=t("evaluate.limit_help"),
                                        min_width=130, elem_id="evaluate-limit")  # fmt: skip
            start = gr.Button(t("evaluate.choose_run"), variant="primary", interactive=False, elem_id="evaluate-start",
                              size="lg")  # fmt: skip
            notice = html("evaluate-notice")
        with gr.Column(scale=7, min_width=340, elem_classes="card"):
            job = choice([], label=t("evaluate.job"), elem_id="evaluate-job")
            status, progress, ending = html("evaluate-status"), html("evaluate-progress"), html("evaluate-ending")
            headline = html("headline", empty(t("evaluate.none")))
            with gr.Row(elem_classes="actions"):
                stop = gr.Button(t("evaluate.stop"), visible=False, elem_id="evaluate-stop", variant="stop")
    with gr.Column(elem_classes="card"):
        listed = gr.Dataframe(
            headers=[t(f"answers.{name}") for name in ("set", "question", "expected", "base", "tuned", "right")],
            value=[],
            type="array",
            datatype="str",
            interactive=False,
            wrap=True,
            show_search="search",
            max_height=480,
            label=t("answers.title"),
            elem_id="answers",
            column_widths=["130px", "290px", "240px", "220px", "220px", "90px"],
            buttons=[],
        )
    return EvaluatePage(run, tests, prompt, prompt_note, limit, longest, start, stop, job, status, progress, ending, headline,
                        listed, notice, gr.State(None), pulse("evaluations"))  # fmt: skip


def _form_for(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    name = values[page.run]
    tests = studio.run(name).settings.data.test if name else []
    known = studio.registry.names()
    kept = [each for each in tests if each in known]
    return {
        page.tests: gr.update(choices=known, value=kept),
        page.prompt_note: _note(studio, name, values[page.prompt], t),
        page.start: _ready(page, {page.run: name, page.tests: kept}, t),
    }


def _ready(page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[str, Any]:
    missing = "choose_run" if not values[page.run] else "" if values[page.tests] else "choose_tests"
    return gr.update(value=t(f"evaluate.{missing or 'start'}"), interactive=not missing)


def _prompt(studio: Studio, name: str | None) -> SystemPrompt | None:
    return studio.prompts.get(name) if name else None


def _note(studio: Studio, run: str | None, name: str | None, t: Translator) -> str:
    """Return under which prompt the questions are asked, plainly when it is not the trained one."""
    if not run:
        return ""
    learnt = studio.run(run).config["prompt"]
    if not name:
        text = learnt["text"]
        return f'<p class="note">{escape(t("prompt_note.trained", text=text) if text else t("prompt_note.trained_none"))}</p>'
    text = studio.prompts.get(name).text
    same = (text or "") == (learnt["text"] or "")
    words = t("prompt_note.same") if same else t("prompt_note.other", trained=learnt["text"] or "–", chosen=text or "–")
    return f'<p class="note {"" if same else "different"}">{escape(words)}</p>'


def _watch(
    studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], before: Any, t: Translator, chosen: bool = False
) -> Any:  # fmt: skip
    run = studio.run(values[page.run]) if values[page.run] else None
    same_run = before is not None and run is not None and before[0] == run.name
    names, job = watching.shown_job(run, "evaluations", values[page.job], before if same_run else None, chosen)
    seen = jobs.look(studio, job) if job else None
    answered = (job / "answers.jsonl").stat().st_size if job and (job / "answers.jsonl").exists() else 0
    state = watching.state_of(run, names, seen, answered)
    if state == before:
        return gr.skip()
    if run is None or job is None or seen is None:
        hint = t("evaluate.none" if run else "evaluate.no_runs")
        nothing = dict.fromkeys((page.status, page.progress, page.ending), "")
        return {page.seen: state, page.job: gr.update(choices=[], value=None), page.headline: empty(hint), page.answers: [],
                page.stop: gr.update(visible=False), **nothing}  # fmt: skip
    return {
        page.seen: state,
        page.job: gr.update(choices=names, value=job.name),
        page.status: jobs.status_line(seen, t),
        page.progress: jobs.progress_bar(seen, t) if seen.status != "finished" else "",
        page.ending: jobs.ending(seen, t) + _run_asked(job, t),
        page.headline: _headline(run, job.name, t),
        page.answers: _rows(answers(job)[0], t),
        page.stop: gr.update(visible=seen.active, interactive=not (job / "stop").exists()),
    }


def _run_asked(job: Any, t: Translator) -> str:
    """Return, for a job that asked under another prompt than the trained one, that it did."""
    prompt = read_config(job)["prompt"]
    if prompt.get("same_as_trained", True):
        return ""
    return f'<p class="note different">{escape(t("prompt_note.was_other", chosen=prompt["text"] or "–"))}</p>'


def _headline(run: Run, job: str, t: Translator) -> str:
    score = next((each for each in read(run) if each["job"] == job), None)
    if score is None:
        return ""
    headers = ["", t("chat.base"), t("chat.tuned"), t("evaluate.difference")]
    parts = []
    for name, values in score["datasets"].items():
        rows = []
        for metric in METRICS:
            base, tuned = values["base"].get(metric), values["tuned"].get(metric)
            if base is None or tuned is None:
                continue
            difference = tuned - base
            side = "better" if difference > 0.05 else "worse" if difference < -0.05 else "same"
            shown = f'<span class="difference {side}">{difference:+.1f}</span>'
            rows.append([escape(t(f"metric.{metric}")), f"{base:.1f}", f"{tuned:.1f}", shown])
        title = escape(t("evaluate.of", name=name, n=f"{values['n']:,}"))
        parts.append(f"<section><h4>{title}</h4>{table(headers, rows, caption=name, numbers=(1, 2, 3))}</section>")
    return f'<div class="scores" id="scores">{"".join(parts)}</div><p class="small">{escape(t("evaluate.reading"))}</p>'


def _rows(found: list[dict[str, Any]], t: Translator) -> list[list[str]]:
    """Return the newest answers as table rows. The last column tells who was right, in words."""
    newest = found[-_MOST_ANSWERS:]
    return [[each["dataset"], _asked(each["question"]), str(each["expected"]), str(each["base"]), str(each["tuned"]),
             t(f"answers.{_who(each)}")] for each in newest]  # fmt: skip


def _asked(question: Any) -> str:
    if isinstance(question, str):
        return question
    return "\n".join(str(each.get("content", each)) if isinstance(each, dict) else str(each) for each in question)


def _who(answer: Mapping[str, Any]) -> str:
    match bool(answer["base_right"]), bool(answer["tuned_right"]):
        case True, True:
            return "both"
        case False, True:
            return "only_tuned"
        case True, False:
            return "only_base"
        case _:
            return "neither"


def _whole(value: Any, default: int | None) -> int | None:
    """Return a field's value as a whole number; what is not one becomes 0, which the checks refuse in words."""
    if value is None or value == "":
        return default
    try:
        return int(float(value)) if float(value).is_integer() else 0
    except (ValueError, OverflowError):
        return 0
