"""Put the settings of a run into the controls of the Train form: to run it again, to go on from it, or to edit it."""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.controls import Controls, rows, value_of
from app.notices import warnings
from app.pages import prompt_card
from app.pages.prompt_card import PromptCard
from app.preset_chooser import PresetChooser
from app.studio import Studio
from core.errors import Problem
from core.settings import RunSettings
from core.wording import Translator

_CHOICES = ("model.path", "data.train", "data.test")  # dropdowns whose choices are what the disk has


@dataclass(frozen=True)
class Filling:
    """What is filled. `told` is the line above the form that says from where it was filled.

    `editing` holds the name of a waiting run whose place the next one takes, "" when the form starts a run of its own. The
    page has it, not the server, as it has the line: what is filled outlives a restart.
    """

    controls: Controls
    prompt: PromptCard
    chooser: PresetChooser
    told: Any
    editing: Any

    @property
    def outputs(self) -> list[Any]:
        card = self.prompt
        parts = [card.text, card.save_as, self.chooser.choice, self.chooser.why, self.chooser.before, self.chooser.undo]
        return [*self.controls.values(), *parts, self.told, self.editing]


def fill(
    studio: Studio, filling: Filling, settings: RunSettings, t: Translator, said: str = "", minded: Iterable[Problem] = (),
    editing: str = "",
) -> dict[Any, Any]:  # fmt: skip
    """Return the updates that make the form show these settings.

    Args:
        said: a line that stands above the form, such as where the settings are from.
        minded: what to mind about them, told under that line.
        editing: the waiting run that they are from, which a start replaces.
    """
    controls = filling.controls
    updates = {component: gr.update(value=shown(settings, path)) for path, component in controls.items()}
    for path in _CHOICES:
        known = studio.models() if path == "model.path" else studio.registry.names()
        updates[controls[path]] = gr.update(choices=known, value=shown(settings, path))
    noted = warnings(list(minded), t("language.code"))
    line = f'<div class="filled" role="status"><p>{escape(said)}</p>{noted}</div>' if said or noted else ""
    return {
        **updates,
        **prompt_card.fill(studio, filling.prompt, settings.prompt, t),
        **_no_preset(filling.chooser),
        filling.told: line,
        filling.editing: editing,
    }


def shown(settings: RunSettings, path: str) -> Any:
    """Return what the control of a setting has when it shows the value that the settings give it."""
    value, row = value_of(settings, path), rows()[path]
    if row.kind in ("int", "float") and row.optional:
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return value


def _no_preset(chooser: PresetChooser) -> dict[Any, Any]:
    """Forget which preset was chosen: its Undo would put back what the form had before it was filled."""
    return {
        chooser.choice: gr.update(value=""),
        chooser.why: "",
        chooser.before: {},
        chooser.undo: gr.update(visible=False),
    }
