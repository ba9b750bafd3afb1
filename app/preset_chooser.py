"""The presets above the settings: choosing one fills the controls that it names; Undo puts back what they had."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.controls import Controls, rows
from app.parts import html, when
from core.settings.presets import preset, presets
from core.wording import Translator


@dataclass(frozen=True)
class PresetChooser:
    """`before` holds, for one browser tab, what the controls had before the preset was chosen: path -> value."""

    choice: Any
    why: Any
    undo: Any
    before: Any
    notice: Any


def build(t: Translator) -> PresetChooser:
    """Lay the chooser out."""
    named = [(t("preset.none"), ""), *((t(f"preset.{name}.label"), name) for name in presets())]
    with gr.Row(elem_classes="fields"):
        chosen = gr.Dropdown(named, value="", label=t("preset.title"), info=t("preset.help"), elem_id="preset", scale=4,
                             allow_custom_value=True)  # fmt: skip
        undo = gr.Button(t("preset.undo"), visible=False, elem_id="preset-undo", size="sm", scale=0, min_width=120)
    return PresetChooser(chosen, html("preset-why"), undo, gr.State({}), html("preset-notice"))


def wire(chooser: PresetChooser, controls: Controls, t: Translator) -> None:
    """Let the chooser fill the controls."""

    def choose(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name, before = values[chooser.choice] or "", values[chooser.before]
        back = {controls[path]: gr.update(value=value) for path, value in before.items()}
        if not name:
            return {**back, chooser.why: "", chooser.before: {}, chooser.undo: gr.update(visible=False)}
        now = {path: before.get(path, values[component]) for path, component in controls.items()}
        changed = {
            path: value for path, setting in preset(name).items() if (value := _shown(path, setting)) != now[path]
        }
        key = "preset.applied" if changed else "preset.same"
        told = t(key, **({"n": len(changed)} if changed else {}), name=t(f"preset.{name}.label"))
        return {
            **back,
            **{controls[path]: gr.update(value=value) for path, value in changed.items()},
            chooser.why: f'<p class="note">{escape(t(f"preset.{name}.why"))} {escape(told)}</p>',
            chooser.before: {path: now[path] for path in changed},
            chooser.undo: gr.update(visible=bool(changed)),
        }

    def undo(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {chooser.choice: gr.update(value=""), **choose({**values, chooser.choice: ""})}

    inputs = {chooser.choice, chooser.before, *controls.values()}
    outputs = [chooser.why, chooser.before, chooser.undo, *controls.values()]
    # An input event comes twice, on choosing and on leaving: the second would take filled-in values for the person's own.
    when(chooser.choice.select, choose, inputs, outputs, chooser.notice, t)
    when(chooser.undo.click, undo, inputs, [chooser.choice, *outputs], chooser.notice, t, reads=True)


def _shown(path: str, setting: Any) -> Any:
    """Return what the control of a setting has when it shows this value."""
    row = rows()[path]
    if row.kind in ("int", "float") and row.optional:
        return "" if setting is None else f"{setting:g}"
    return setting
