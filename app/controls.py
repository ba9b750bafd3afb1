"""Settings as controls, and values of controls as settings. Nothing about a setting is written here.

A control's id is the setting's dotted path; its label and help are `setting.<path>.label` and `.help`. Bounds are left to
`core.settings`, which tells all problems at once and in words, where Gradio would stop at the first one in English.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import gradio as gr

from app.parts import choice
from core.settings import RunSettings, SettingField, fields, from_dict
from core.wording import Translator, has

Controls = dict[str, Any]  # dotted path -> component


def rows(level: str | None = None) -> dict[str, SettingField]:
    """Return the settings by path, in the order of declaration; of one level when asked."""
    return {row.path: row for row in fields() if level in (None, row.level)}


def value_of(settings: RunSettings, path: str) -> Any:
    """Return what a control shows for a setting."""
    value: Any = settings
    for part in path.split("."):
        value = getattr(value, part)
    if rows()[path].kind == "choice":
        return "" if value is None else str(value)
    return to_lines(value) if isinstance(value, Mapping) else value


def control(path: str, settings: RunSettings, t: Translator, choices: Sequence[Any] = (), **options: Any) -> Any:
    """Return the control of a setting, showing its value in `settings`."""
    row = rows()[path]
    unit = f" ({t('unit.' + row.unit)})" if row.unit else ""
    common = {
        "value": value_of(settings, path),
        "label": t(f"setting.{path}.label") + unit,
        "info": t(f"setting.{path}.help"),
        "elem_id": path,
        **options,
    }
    match row.kind:
        case "int" | "float" if row.optional:
            return optional_number(t("setting.found_by_the_studio"), **common)
        case "int" | "float":
            return gr.Number(step=_step(row), **common)
        case "bool":
            return gr.Checkbox(**common)
        case "choice":
            named = [(t(key) if has(key := f"setting.{path}.choice.{name}") else name, name) for name in row.choices]
            return choice([(t("setting.found_by_the_studio"), "")] * row.optional + named, **common)
        case "list":
            return choice(choices or row.choices, multiselect=True, **common)
        case "dict":
            return gr.Textbox(lines=2, **common)
        case _ if choices:
            return choice(choices, **common)
        case _:
            return gr.Textbox(**common)


def optional_number(placeholder: str, value: float | None, **options: Any) -> gr.Textbox:
    """Return a field for a number that may be left empty, which Gradio's own turns into 0."""
    shown = "" if value is None else f"{value:g}"
    return gr.Textbox(shown, placeholder=placeholder, max_lines=1, **options)


def advanced(settings: RunSettings, t: Translator, skip: Sequence[str] = ()) -> Controls:
    """Lay out every advanced setting, by group, and return the controls."""
    made: Controls = {}
    chosen = [row for row in rows("advanced").values() if row.path not in skip]
    grouped = groupby(chosen, key=lambda row: row.path.partition(".")[0] if "." in row.path else "run")
    for group, members in grouped:
        gr.HTML(f"<h4>{t('group.' + group)}</h4>", js_on_load=None)
        with gr.Row(elem_classes="fields"):
            for row in members:
                made[row.path] = control(row.path, settings, t, min_width=200)
    return made


def settings_from(values: Mapping[Any, Any], controls: Controls) -> RunSettings:
    """Return the settings that the controls show.

    Raises:
        SettingsError: with every problem.
    """
    given = {path: values[component] for path, component in controls.items()}
    for path, value in given.items():
        if isinstance(value, str) and rows()[path].kind == "dict":
            given[path] = from_lines(value)
        if value is None and rows()[path].kind == "text":
            given[path] = ""
        if value == "" and rows()[path].optional:
            given[path] = None
    return from_dict({}, given)


def to_lines(values: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in values.items())


def from_lines(text: str) -> dict[str, str]:
    """Return `name = value` lines as a dict; lines without `=` are names without a value."""
    pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
    return {name.strip(): value.strip() for name, _, value in pairs}


def _step(row: SettingField) -> float:
    """Return what an arrow key adds: 1, or for fractions a tenth of the default's size."""
    if row.kind == "int":
        return 1
    return 10.0 ** (math.floor(math.log10(row.default)) - 1) if row.default else 0.01
