"""The plan on the Train page: one sentence, the mixture, what the check of the data found, and whether Start is free."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import mixture
from app.notices import sentences, warnings
from app.parts import html
from app.studio import Studio
from core.duration import spoken
from core.settings import RunSettings
from core.train import gate
from core.train.gate import Checked
from core.train.plan import Plan, plan
from core.wording import Translator


@dataclass(frozen=True)
class PlanCard:
    sentence: Any
    mixture: Any
    findings: Any
    accept: Any
    notice: Any
    start: Any
    start_notice: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.sentence, self.mixture, self.findings, self.accept, self.start]


def build(t: Translator) -> PlanCard:
    """Lay the card out."""
    sentence = html("plan")
    notice = html("plan-notice")
    findings = html("train-findings")
    accept = gr.Button(t("train.accept"), visible=False, elem_id="train-accept", size="sm")
    mixed = mixture.build("mixture")
    start = gr.Button(t("start.wait"), variant="primary", interactive=False, elem_id="start", size="lg")
    start_notice = html("start-notice")
    return PlanCard(sentence, mixed, findings, accept, notice, start, start_notice)


def waiting(card: PlanCard, missing: str, t: Translator) -> dict[Any, Any]:
    """Return the updates while something is still to be done: `missing` names it, "" when that is known only later."""
    text = f'<p class="plan waiting">{escape(t("plan.missing." + missing))}</p>' if missing else ""
    return {
        card.sentence: text,
        card.mixture: "",
        card.findings: "",
        card.accept: gr.update(visible=False),
        card.start: gr.update(value=t(f"start.{missing or 'go'}"), interactive=not missing),
    }


def show(studio: Studio, card: PlanCard, settings: RunSettings, t: Translator) -> tuple[Plan, dict[Any, Any]]:
    """Work the plan out and return it with the updates that show it.

    Raises:
        StudioError: if the model, the data or the prompt cannot be used.
    """
    language = t("language.code")
    found = plan(studio.workspace, settings)
    checked = gate.look(studio.workspace, settings)
    missing = _missing(checked, settings)
    told = any(each.code == "truncated" for one in checked for each in one.open)  # with more about it than the plan has
    advice = warnings([each for each in found.warnings if not (told and each.code == "plan.dropped")], language)
    return found, {
        card.sentence: f'<p class="plan">{escape(sentence(found, t))}</p>{advice}',
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
        basis=t("plan.measured" if found.measured else "plan.estimated"),
        memory=f"{found.memory_bytes / 1e9:.1f}",
        total=f"{found.memory_total / 1e9:.0f}",
        fits=t("plan.fits" if found.fits else "plan.does_not_fit"),
    )


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
