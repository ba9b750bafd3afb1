"""The plan on the Train page: one sentence, the mixture, what the check of the data found, and whether Start is free."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import mixture
from app.data import jobs as data_jobs
from app.notices import notice, sentences, warnings
from app.parts import facts, html
from app.studio import Studio
from core.amounts import bytes_of
from core.duration import spoken
from core.errors import SettingsError
from core.progress import Progress
from core.runs import supervisor
from core.settings import RunSettings
from core.train import gate, in_words, measuring
from core.train.gate import Checked
from core.train.measuring import TASK
from core.train.plan import Plan, plan
from core.wording import Translator


@dataclass(frozen=True)
class PlanCard:
    """`measured` counts, for one browser tab, the measurings that have ended; `stamp` is what the last look at one saw."""

    sentence: Any
    details_box: Any
    details: Any
    measure: Any
    job: data_jobs.JobPanel
    stamp: Any
    measured: Any
    mixture: Any
    findings: Any
    accept: Any
    notice: Any
    start: Any
    start_notice: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.sentence, self.details_box, self.details, self.measure, self.mixture, self.findings, self.accept,
                self.start]  # fmt: skip


def build(studio: Studio, t: Translator) -> PlanCard:
    """Lay the card out."""
    sentence = html("plan")
    panel = html("plan-notice")
    with gr.Accordion(t("plan.details"), open=False, visible=False, elem_id="plan-details-box") as box:
        details = html("plan-details")
    measure = gr.Button("", visible=False, elem_id="plan-measure", size="sm")
    job = data_jobs.build(studio, "plan", (TASK,), panel, t)
    findings = html("train-findings")
    accept = gr.Button(t("train.accept"), visible=False, elem_id="train-accept", size="sm")
    mixed = mixture.build("mixture")
    start = gr.Button(t("start.wait"), variant="primary", interactive=False, elem_id="start", size="lg")
    start_notice = html("start-notice")
    return PlanCard(sentence, box, details, measure, job, gr.State(()), gr.State(0), mixed, findings, accept, panel, start,
                    start_notice)  # fmt: skip


def waiting(card: PlanCard, missing: str, t: Translator, told: str = "") -> dict[Any, Any]:
    """Return the updates while something is still to be done: `missing` names it, "" when that is known only later.

    `told` says in place of the usual sentence how far it is.
    """
    text = waiting_words(told or t("plan.missing." + missing)) if missing else ""
    return {
        card.sentence: text,
        card.details_box: gr.update(visible=False),
        card.details: "",
        card.measure: gr.update(visible=False),
        card.mixture: "",
        card.findings: "",
        card.accept: gr.update(visible=False),
        card.start: gr.update(value=t(f"start.{missing or 'go'}"), interactive=not missing),
    }


def waiting_words(text: str) -> str:
    """Return what stands in place of the sentence while there is none."""
    return f'<p class="plan waiting">{escape(text)}</p>'


def show(
    studio: Studio, card: PlanCard, settings: RunSettings, t: Translator, progress: Progress
) -> tuple[Plan, dict[Any, Any]]:
    """Work the plan out and return it with the updates that show it. `progress` is told how much of the data is tokenised.

    Raises:
        StudioError: if the model, the data or the prompt cannot be used.
    """
    language = t("language.code")
    found = plan(studio.workspace, settings, progress)
    checked = gate.look(studio.workspace, settings, progress)
    missing = "mend_settings" if found.problems else _missing(checked, settings)
    told = any(each.code == "truncated" for one in checked for each in one.open)  # with more about it than the plan has
    advice = warnings([each for each in found.warnings if not (told and each.code == "plan.dropped")], language)
    time = spoken(measuring.expected_seconds(settings, found), t)
    return found, {
        card.sentence: f'<p class="plan {found.verdict}">{escape(sentence(found, t))}</p>{advice}',
        card.details_box: gr.update(visible=True),
        card.details: details(found, t),
        card.measure: gr.update(value=t("plan.measure", time=time), visible=found.speed.basis != "probe"),
        card.notice: notice(found.problems, language),
        card.mixture: mixture.shown(found.sources, settings.data.weights, t),
        card.findings: findings(checked, t),
        card.accept: gr.update(visible=missing == "accept_warnings"),
        card.start: gr.update(value=t(f"start.{missing or 'go'}"), interactive=not missing),
    }


def sentence(found: Plan, t: Translator) -> str:
    """Return the plan in one sentence."""
    return t(
        "plan.sentence",
        examples=f"{found.examples:,}",
        learnt=f"{found.learnt_tokens:,}",
        steps=f"{found.steps:,}",
        time=spoken(found.seconds, t),
        basis=in_words.basis(found, t),
        memory=in_words.gigabytes(found.memory_bytes),
        total=f"{found.memory_total / 1e9:.0f}",
        verdict=t("plan." + found.verdict),
    )


def details(found: Plan, t: Translator) -> str:
    """Return the plan as a table, what its memory is for, and what would need less."""
    parts = in_words.memory_parts(found, t)
    largest = max(bytes for _, bytes in parts)
    bars = "".join(
        f'<div><dt>{escape(name)}</dt><dd style="--share:{100 * bytes / largest:.1f}%">'
        f"{escape(bytes_of(bytes))}</dd></div>"
        for name, bytes in parts
    )
    smaller = "".join(f"<li>{escape(in_words.change(each, t))}</li>" for each in found.changes)
    smaller = f'<h4>{escape(t("plan.smaller"))}</h4><ul class="changes">{smaller}</ul>' if smaller else ""
    return f'{facts(in_words.rows(found, t))}<h4>{escape(t("plan.parts"))}</h4><dl class="memory-parts">{bars}</dl>{smaller}'


def measure(studio: Studio, card: PlanCard, settings: RunSettings, t: Translator) -> dict[Any, Any]:
    """Start measuring a run, and return the updates that show it.

    Raises:
        StudioError: if the run could not start either.
    """
    expected = plan(studio.workspace, settings)
    if expected.problems:
        raise SettingsError(*expected.problems)
    job = measuring.submit(studio.workspace, settings, expected)
    supervisor.launch(job, "core.train.probe")
    shown = data_jobs.followed(studio, card.job, job.name, t)
    return {**shown.updates, card.stamp: shown.stamp, card.measure: gr.update(visible=False)}


def tick(studio: Studio, card: PlanCard, values: Mapping[Any, Any], t: Translator) -> Any:
    """Return what is new about the measuring that this tab follows, or that runs."""
    news = data_jobs.look(studio, card.job, values[card.job.job], t)
    if news.stamp == values[card.stamp] and not news.ended:
        return gr.skip()
    ended = {card.measured: values[card.measured] + 1} if news.ended else {}
    return {**news.updates, card.stamp: () if news.ended else news.stamp, **ended}


def findings(checked: Sequence[Checked], t: Translator) -> str:
    """Return the errors and the open warnings of the training sets, "" where there are none."""
    language = t("language.code")
    lines = []
    for each in checked:
        for finding in (*each.errors, *each.open):
            told = sentences(finding.problem(each.name), language, f"{each.name}: ")
            severity = f'<span class="pill {finding.severity}">{escape(t(f"train.{finding.severity}"))}</span>'
            places = t("train.lines", lines=", ".join(finding.lines[:5])) if finding.lines else ""
            lines.append(f'<li data-code="{escape(finding.code)}">{severity} {told} {escape(places)}</li>')
    if not lines:
        return ""
    return f'<ul class="warnings" role="status" aria-label="{escape(t("train.findings"))}">{"".join(lines)}</ul>'


def accept(studio: Studio, settings: RunSettings) -> None:
    """Record that the open warnings of the training sets are known."""
    gate.accept(studio.workspace, gate.look(studio.workspace, settings))


def _missing(checked: Sequence[Checked], settings: RunSettings) -> str:
    """Return what keeps the run from starting, "" when nothing does."""
    if any(each.errors for each in checked):
        return "mend_data"
    if any(each.open for each in checked) and not settings.data.accept_warnings:
        return "accept_warnings"
    return ""


def sources(found: Plan, t: Translator) -> list[tuple[str, str]]:
    """Return what each set brings, for the card of the data."""
    return [
        (source.name, t("plan.source", examples=f"{source.examples:,}", learnt=f"{source.learnt_tokens:,}"))
        for source in found.sources
    ]
