"""The diagnosis on the page: each finding with its numbers, and a button that does what it advises."""

import json
from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

from app.evaluate.layout import EvaluatePage
from app.parts import pick
from app.runs import rerun
from app.studio import Studio
from core.diagnose.finding import Finding
from core.errors import Problem, RunError, problem
from core.runs.directory import Run
from core.settings import RunSettings, from_dict
from core.wording import Translator

_ACTIONS = ("train", "ask", "checkpoint")


def shown(found: Sequence[Finding], asked: Collection[str], t: Translator) -> str:
    """Return the findings as HTML; a line that nothing was found where there is none. `asked` are saved states that were."""
    if not found:
        return f'<p class="good" id="healthy">{escape(t("advised.none"))}</p>'
    items = "".join(_one(each, asked, t) for each in found)
    return f'<h4>{escape(t("advised.title"))}</h4><ul class="findings">{items}</ul>'


def picked(run: Run, found: Sequence[Finding], pick: str) -> tuple[str, Finding]:
    """Return what a button does and for which finding; the page may have shown it a while ago.

    Raises:
        RunError: if the finding is none of this evaluation.
    """
    action, _, code = pick.partition(" ")
    finding = next((each for each in found if each.code == code), None)
    if finding is None or action not in _ACTIONS:
        raise RunError(problem("evaluate.no_finding", run.name))
    return action, finding


def next_run(studio: Studio, run: Run, finding: Finding) -> tuple[RunSettings, list[Problem]]:
    """Return the settings of a run that follows the advice, and what to mind about its data and prompt."""
    settings, minded = rerun.settings_of(studio, run)
    changes = dict(finding.changes)
    if finding.prompt is not None:
        changes |= {"prompt.name": finding.prompt, "prompt.version": None}
    return from_dict(settings.model_dump(mode="json"), changes), minded


def _one(finding: Finding, asked: Collection[str], t: Translator) -> str:
    claim, evidence, action = finding.sentences(t)
    buttons = []
    if finding.changes or finding.prompt is not None:
        buttons.append(pick(f"train {finding.code}", text=t("advised.fill_train")))
    if finding.ask:
        buttons.append(pick(f"ask {finding.code}", text=t("advised.fill_evaluate")))
    if finding.adapter and finding.adapter not in asked:
        buttons.append(pick(f"checkpoint {finding.code}", text=t("advised.ask_checkpoint")))
    changed = "".join(
        f"<code>{escape(path)} = {escape(_value(value))}</code> " for path, value in finding.changes.items()
    )
    says = f'<strong>{escape(claim)}</strong> {escape(evidence)} <span class="action">{escape(action)}</span>'
    offers = f'{changed}<span class="buttons">{" ".join(buttons)}</span>'
    return f'<li class="{finding.severity}" data-code="{escape(finding.code)}">{says} {offers}</li>'


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def filled(page: EvaluatePage, run: Run, values: Mapping[Any, Any], action: str, finding: Finding) -> dict[Any, Any]:
    """Return the updates of the Evaluate form that a finding asks for: other options, or a checkpoint to ask as well."""
    if action == "checkpoint":
        wanted = f"{run.name}\n{finding.adapter}"
        return {page.form.others: list(dict.fromkeys([*(values[page.form.others] or []), wanted]))}
    controls = _controls(page)
    return {controls[name]: value for name, value in finding.ask.items() if name in controls}


def fields(page: EvaluatePage) -> list[Any]:
    """Return what `filled` updates."""
    return [page.form.others, *_controls(page).values()]


def _controls(page: EvaluatePage) -> dict[str, Any]:
    form = page.form
    return {"max_new_tokens": form.longest, "temperature": form.temperature, "repetition_penalty": form.penalty}
