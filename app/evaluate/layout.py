"""What the Evaluate tab is made of, laid out: whom to ask what on the left, what came out on the right, answers below."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.controls import optional_number
from app.parts import choice, empty, html, picking
from app.pulse import pulse
from core.evaluate.metrics.check import KINDS
from core.evaluate.reading import VIEWS
from core.wording import Translator

TRAINED = ""  # the choice of the prompt that was trained
AUTO = "auto"  # the check that the data asks for
NOBODY = ""  # the judge that nobody is


@dataclass(frozen=True)
class Form:
    """Whom to ask, and what."""

    run: Any
    tests: Any
    others: Any
    prompt: Any
    prompt_note: Any
    longest: Any
    limit: Any
    temperature: Any
    penalty: Any
    check: Any
    pattern: Any
    probes: Any
    name: Any
    maker: Any
    judge: Any
    rubric: Any
    start: Any

    @property
    def asked(self) -> set[Any]:
        """The components whose values make an evaluation."""
        return {
            self.run, self.tests, self.others, self.prompt, self.longest, self.limit, self.temperature, self.penalty,
            self.check, self.pattern, self.probes, self.name, self.maker, self.judge, self.rubric,
        }  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One evaluation: how it stands, and what it says."""

    job: Any
    status: Any
    progress: Any
    ending: Any
    headline: Any
    verdicts: Any
    findings: Any
    stop: Any
    again: Any
    box: Any  # of the figures
    figures: Any

    @property
    def shown(self) -> list[Any]:
        return [self.job, self.status, self.progress, self.ending, self.headline, self.verdicts, self.findings, self.stop,
                self.again,
                self.box, self.figures]  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """The answers: which, in which order, and a page of them."""

    view: Any
    source: Any
    who: Any
    words: Any
    listed: Any
    place: Any
    back: Any
    onward: Any
    first: Any  # State: the number of the first row on the page, counted from 0
    make_report: Any
    make_csv: Any
    file: Any

    @property
    def filters(self) -> set[Any]:
        return {self.view, self.source, self.who, self.words}

    @property
    def shown(self) -> list[Any]:
        return [
            self.view,
            self.source,
            self.who,
            self.listed,
            self.place,
            self.back,
            self.onward,
            self.first,
            self.file,
        ]


@dataclass(frozen=True)
class Votes:
    """Two answers to one question, without names."""

    box: Any
    item: Any  # State: the item whose answers are shown
    pair: Any
    left: Any
    right: Any
    tie: Any
    bad: Any
    undo: Any
    told: Any

    @property
    def shown(self) -> list[Any]:
        return [self.box, self.item, self.pair, self.left, self.right, self.tie, self.bad, self.undo, self.told]


@dataclass(frozen=True)
class EvaluatePage:
    form: Form
    result: Result
    reading: Reading
    votes: Votes
    notice: Any
    seen: Any  # State: what the last look saw
    pulse: Any

    @property
    def run(self) -> Any:
        return self.form.run

    @property
    def watched(self) -> list[Any]:
        return [*self.result.shown, *self.reading.shown, *self.votes.shown, self.seen]

    @property
    def looked_at(self) -> set[Any]:
        return {self.form.run, self.result.job, self.seen, self.reading.first, *self.reading.filters}


def lay_out(tests: list[str], judges: list[tuple[str, str]], t: Translator) -> EvaluatePage:
    """Return the tab; `tests` are the names of data sets, `judges` (label, value) of those that can be asked."""
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=4, min_width=300, elem_classes="card"):
            form = _form(tests, judges, t)
            notice = html("evaluate-notice")
        with gr.Column(scale=7, min_width=340, elem_classes="card"):
            told = _told(t)
    with gr.Column(elem_classes="card", visible=False) as box:
        result = Result(*told, box, html("figures"))
    with gr.Column(elem_classes="card"):
        reading = _reading(t)
        votes = _votes(t)
    return EvaluatePage(form, result, reading, votes, notice, gr.State(None), pulse("evaluations"))


def _form(tests: list[str], judges: list[tuple[str, str]], t: Translator) -> Form:
    run = choice([], label=t("evaluate.run"), info=t("evaluate.run_help"), elem_id="evaluate-run")
    asked = choice(tests, multiselect=True, label=t("evaluate.tests"), value=[], info=t("evaluate.tests_help"),
                   elem_id="evaluate-tests")  # fmt: skip
    others = choice([], multiselect=True, label=t("evaluate.others"), value=[], info=t("evaluate.others_help"),
                    elem_id="evaluate-others")  # fmt: skip
    prompt = choice([(t("evaluate.trained_prompt"), TRAINED)], value=TRAINED, label=t("evaluate.prompt"),
                    info=t("evaluate.prompt_help"), elem_id="evaluate-prompt")  # fmt: skip
    note = html("evaluate-prompt-note")
    with gr.Row(elem_classes="fields"):
        longest = gr.Number(64, label=t("evaluate.longest"), info=t("evaluate.longest_help"), min_width=130,
                            elem_id="evaluate-longest")  # fmt: skip
        limit = optional_number(t("evaluate.all"), None, label=t("evaluate.limit"), info=t("evaluate.limit_help"),
                                min_width=130, elem_id="evaluate-limit")  # fmt: skip
    with gr.Accordion(t("evaluate.more"), open=False, elem_id="evaluate-more"):
        kinds = [(t(f"check.{kind}"), kind) for kind in (AUTO, *KINDS)]
        check = choice(
            kinds, value=AUTO, label=t("evaluate.check"), info=t("evaluate.check_help"), elem_id="evaluate-check"
        )
        pattern = gr.Textbox(label=t("evaluate.pattern"), info=t("evaluate.pattern_help"), elem_id="evaluate-pattern",
                             max_lines=6, visible=False)  # fmt: skip
        probes = gr.Checkbox(
            True, label=t("evaluate.probes"), info=t("evaluate.probes_help"), elem_id="evaluate-probes"
        )
        with gr.Row(elem_classes="fields"):
            name = gr.Textbox(label=t("evaluate.name"), placeholder=t("evaluate.found_out"), max_lines=1,
                              elem_id="evaluate-name", min_width=130)  # fmt: skip
            maker = gr.Textbox(label=t("evaluate.maker"), placeholder=t("evaluate.found_out"), max_lines=1,
                               elem_id="evaluate-maker", min_width=130)  # fmt: skip
        with gr.Row(elem_classes="fields"):
            temperature = gr.Number(0, step=0.1, label=t("evaluate.temperature"), info=t("evaluate.temperature_help"),
                                    elem_id="evaluate-temperature", min_width=130)  # fmt: skip
            penalty = gr.Number(1, step=0.05, label=t("evaluate.penalty"), info=t("evaluate.penalty_help"),
                                elem_id="evaluate-penalty", min_width=130)  # fmt: skip
        judge = choice([(t("evaluate.no_judge"), NOBODY), *judges], value=NOBODY, label=t("evaluate.judge"),
                       info=t("evaluate.judge_help"), elem_id="evaluate-judge")  # fmt: skip
        rubric = gr.Textbox(label=t("evaluate.rubric"), info=t("evaluate.rubric_help"), lines=3, visible=False,
                            elem_id="evaluate-rubric")  # fmt: skip
    start = gr.Button(
        t("evaluate.choose_run"), variant="primary", interactive=False, elem_id="evaluate-start", size="lg"
    )
    return Form(run, asked, others, prompt, note, longest, limit, temperature, penalty, check, pattern, probes, name, maker,
                judge, rubric, start)  # fmt: skip


def _told(t: Translator) -> tuple[Any, Any, Any, Any, Any, Any, Any, Any, Any]:
    """Return what tells how an evaluation stands, in the order of `Result`."""
    job = choice([], label=t("evaluate.job"), elem_id="evaluate-job")
    status, progress, ending = html("evaluate-status"), html("evaluate-progress"), html("evaluate-ending")
    headline = html("headline", empty(t("evaluate.none")))
    verdicts, findings = html("verdicts"), picking("evaluate-findings")
    with gr.Row(elem_classes="actions"):
        stop = gr.Button(t("evaluate.stop"), visible=False, elem_id="evaluate-stop", variant="stop")
        again = gr.Button(t("evaluate.again"), visible=False, elem_id="evaluate-again")
    return job, status, progress, ending, headline, verdicts, findings, stop, again


def _reading(t: Translator) -> Reading:
    gr.HTML(f"<h3>{t('answers.title')}</h3>", js_on_load=None)
    with gr.Row(elem_classes="fields"):
        view = choice([(t(f"view.{name}"), name) for name in VIEWS], value="all", label=t("answers.view"),
                      elem_id="answers-view", min_width=170)  # fmt: skip
        source = choice(
            [(t("answers.everything"), "")], value="", label=t("answers.set"), elem_id="answers-set", min_width=150
        )
        who = choice([], label=t("answers.who"), elem_id="answers-who", min_width=150, visible=False)
        words = gr.Textbox(label=t("answers.search"), placeholder=t("answers.search_help"), max_lines=1,
                           elem_id="answers-search", min_width=150)  # fmt: skip
    listed = html("answers")
    with gr.Row(elem_classes="pager"):
        back = gr.Button(t("records.back"), elem_id="answers-back", size="sm", min_width=90, interactive=False)
        place = html("answers-place")
        onward = gr.Button(t("records.onward"), elem_id="answers-onward", size="sm", min_width=90, interactive=False)
    with gr.Row(elem_classes="actions"):
        report = gr.Button(t("evaluate.make_report"), elem_id="evaluate-report", size="sm")
        csv = gr.Button(t("evaluate.make_csv"), elem_id="evaluate-csv", size="sm")
        file = gr.DownloadButton(t("evaluate.download"), visible=False, size="sm", elem_id="evaluate-file")
    gr.HTML(f'<p class="small">{t("export.csv_note")}</p>', js_on_load=None)
    return Reading(view, source, who, words, listed, place, back, onward, gr.State(0), report, csv, file)


def _votes(t: Translator) -> Votes:
    with gr.Accordion(t("votes.title"), open=False, elem_id="votes", visible=False) as box:
        gr.HTML(f'<p class="note">{t("votes.help")}</p>', js_on_load=None)
        pair = html("votes-pair")
        with gr.Row(elem_classes="actions"):
            left = gr.Button(t("votes.left"), elem_id="votes-left", size="sm")
            right = gr.Button(t("votes.right"), elem_id="votes-right", size="sm")
            tie = gr.Button(t("votes.tie"), elem_id="votes-tie", size="sm")
            bad = gr.Button(t("votes.both_bad"), elem_id="votes-bad", size="sm")
            undo = gr.Button(t("votes.undo"), elem_id="votes-undo", size="sm")
        told = html("votes-told")
    return Votes(box, gr.State(""), pair, left, right, tie, bad, undo, told)
