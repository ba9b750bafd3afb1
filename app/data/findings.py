"""Findings: what the doctor found in the chosen set, with a fix, an acceptance, and a closer look with a model's tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app import findings
from app.controls import optional_number
from app.data.stage import Stage
from app.datasets import checked, kept, quick
from app.parts import choice, picking, when
from core.data.registry import DatasetEntry
from core.doctor.codes import CODES, is_acceptance
from core.errors import DataError, problem


@dataclass(frozen=True)
class FindingsSection:
    shown: Any
    check: Any
    model: Any
    cutoff: Any
    against: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.shown, self.check, self.model, self.against]

    @property
    def closer(self) -> set[Any]:
        return {self.model, self.cutoff, self.against}


def build(stage: Stage) -> FindingsSection:
    """Lay out the section."""
    t = stage.t
    shown = picking("findings")
    with gr.Accordion(t("findings.closer"), open=False, elem_id="findings-closer"):
        with gr.Row(elem_classes="fields"):
            model = choice([], label=t("findings.model"), info=t("findings.model_help"), elem_id="check-model",
                           min_width=180)  # fmt: skip
            cutoff = optional_number(t("findings.no_cutoff"), None, label=t("findings.cutoff"), elem_id="check-cutoff",
                                     info=t("findings.cutoff_help"), min_width=140)  # fmt: skip
        against = choice([], multiselect=True, label=t("findings.against"), info=t("findings.against_help"), value=[],
                         elem_id="check-against")  # fmt: skip
    with gr.Row(elem_classes="actions"):
        check = gr.Button(t("findings.check"), elem_id="check")
    return FindingsSection(shown, check, model, cutoff, against)


def wire(stage: Stage, section: FindingsSection) -> None:
    """Wire the section."""
    t, registry = stage.t, stage.studio.registry

    def asked(values: Mapping[Any, Any]) -> dict[str, Any]:
        """Return what the fields say; an empty one says nothing."""
        against = [registry.get(name).name for name in values[section.against] or []]
        given = {"model": values[section.model], "cutoff_len": _cutoff(values[section.cutoff]), "against": against}
        return {key: each for key, each in given.items() if each}

    def check(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return stage.start("check", name=stage.entry(values).name, **asked(values))

    def act(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        kind, _, named = str(event.pick).partition(":")
        entry = stage.entry(values)
        codes = [each for each in named.split(",") if is_acceptance(each)]
        if kind == "fix":
            return stage.start("fix", name=entry.name, codes=codes, **asked(values))
        registry.accept_findings(entry.name, [each for each in codes if CODES[each.partition("=")[0]][0] != "error"])
        return stage.finish(values, entry.name, t("findings.accepted_done", name=entry.name))

    inputs = {*stage.inputs, *section.closer}
    when(section.check.click, check, inputs, stage.work.outputs, stage.notice, t)
    when(section.shown.click, act, inputs, [*stage.outputs, *stage.work.outputs], stage.notice, t)


def show(stage: Stage, section: FindingsSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    t = stage.t
    found = checked(stage.studio, entry) or quick(stage.studio, entry)
    may_fix = not entry.sample
    told = findings.report(found, entry.accepted, t, may_fix=may_fix) if found else findings.not_checked(t)
    others = [name for name in stage.studio.registry.names() if name != entry.name]
    return {
        section.shown: told,
        section.check: gr.update(value=t("findings.check_again" if found else "findings.check")),
        section.model: gr.update(choices=stage.studio.models()),
        section.against: gr.update(choices=others),
    }


def examined(stage: Stage, section: FindingsSection, asked: Mapping[str, Any]) -> dict[Any, Any]:
    """Return the update that shows the report of a check that has just ended, with everything it was asked for."""
    entry = stage.studio.registry.get(str(asked["name"]))
    found = kept(stage.studio, entry, asked)
    return {section.shown: findings.report(found, entry.accepted, stage.t, may_fix=not entry.sample)} if found else {}


def _cutoff(text: str | None) -> int | None:
    """Return the cutoff that was typed, None for an empty field.

    Raises:
        DataError: if it is no whole number of tokens.
    """
    given = (text or "").strip()
    if not given:
        return None
    if not given.isdecimal() or int(given) < 1:
        raise DataError(problem("findings.cutoff", "", value=given))
    return int(given)
