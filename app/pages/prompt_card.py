"""The system prompt card: choose a name and version, or none; edit; save as a new version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from app.controls import Controls, control, from_lines, rows, to_lines
from app.notices import done
from app.parts import choice, html, when
from app.studio import Studio
from core.errors import StudioError
from core.placeholders import blanks_in
from core.settings import RunSettings
from core.settings.groups import PromptSettings
from core.wording import Translator

NEWEST = ""  # the choice of whatever version is the newest


@dataclass(frozen=True)
class PromptCard:
    name: Any
    version: Any
    blanks: Any
    text: Any
    save_as: Any
    save: Any
    notice: Any


def build(studio: Studio, controls: Controls, settings: RunSettings, t: Translator) -> PromptCard:
    """Lay out and wire the card, and add its settings to `controls`."""
    with gr.Row():
        name = choice(names(studio), value=settings.prompt.name, label=t("setting.prompt.name.label"), elem_id="prompt.name",
                      info=t("setting.prompt.name.help"), min_width=140, scale=2)  # fmt: skip
        version = choice([(t("prompt.newest"), NEWEST)], value=NEWEST, label=t("setting.prompt.version.label"),
                         elem_id="prompt.version", min_width=90, scale=1)  # fmt: skip
    text = gr.Textbox(
        label=t("prompt.text"), placeholder=t("prompt.empty"), lines=3, max_lines=10, elem_id="prompt-text"
    )
    blanks = control("prompt.blanks", settings, t, visible=False)
    with gr.Row(elem_classes="save"):
        save_as = gr.Textbox(label=t("prompt.save_as"), elem_id="prompt-save-as", min_width=120, scale=2)
        save = gr.Button(t("prompt.save"), elem_id="prompt-save", size="sm", min_width=100, scale=1)
    card = PromptCard(name, version, blanks, text, save_as, save, html("prompt-notice"))
    controls |= {"prompt.name": name, "prompt.version": version, "prompt.blanks": blanks}
    assert rows()["prompt.version"].optional  # the choice of the newest is the empty value
    _wire(studio, card, t)
    return card


def names(studio: Studio) -> list[str]:
    return studio.prompts.names()


def fill(studio: Studio, card: PromptCard, settings: PromptSettings, t: Translator) -> dict[Any, Any]:
    """Return the updates that choose a prompt in one of its versions, with its blanks filled.

    Raises:
        SettingsError: if there is no such prompt or version.
    """
    version = NEWEST if settings.version is None else str(settings.version)
    shown = _show(studio, card, settings.name, version, to_lines(settings.blanks), t)
    return {card.name: gr.update(choices=names(studio), value=settings.name), **shown}


def edited(studio: Studio, card: PromptCard, values: Mapping[Any, Any]) -> bool:
    """Tell whether the text differs from the version that is chosen, which is what would be trained."""
    try:
        stored = studio.prompts.raw(values[card.name] or "none", _number(values[card.version])).text
    except StudioError:
        return False  # the plan says what is wrong
    return (values[card.text] or "").strip() != (stored or "").strip()


def chosen(studio: Studio, card: PromptCard, values: Mapping[Any, Any]) -> str | None:
    """Return the text of the chosen prompt with its blanks filled as far as they are."""
    blanks = from_lines(values[card.blanks] or "")
    raw = studio.prompts.raw(values[card.name] or "none", _number(values[card.version]))
    if raw.text is None or any(not blanks.get(each) for each in blanks_in(raw.text)):
        return raw.text
    return studio.prompts.get(raw.name, raw.version, blanks).text


def _wire(studio: Studio, card: PromptCard, t: Translator) -> None:
    shown = [card.version, card.text, card.blanks, card.save_as]

    def choose(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return _show(studio, card, values[card.name] or "none", NEWEST, values[card.blanks], t)

    def choose_version(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return _show(studio, card, values[card.name] or "none", values[card.version] or NEWEST, values[card.blanks], t)

    def save(values: Mapping[Any, Any]) -> dict[Any, Any]:
        saved = studio.prompts.save(values[card.save_as] or "", values[card.text] or "")
        done(t("prompt.saved", name=saved.name, version=saved.version), t("language.code"))
        shown_now = _show(studio, card, saved.name, NEWEST, values[card.blanks], t)
        return {card.name: gr.update(choices=names(studio), value=saved.name), **shown_now}

    inputs = {card.name, card.version, card.blanks}
    when(card.name.input, choose, inputs, shown, card.notice, t)
    when(card.version.input, choose_version, inputs, shown, card.notice, t)
    when(card.save.click, save, {card.save_as, card.text, card.blanks}, [card.name, *shown], card.notice, t)


def _show(studio: Studio, card: PromptCard, name: str, version: Any, blanks: str, t: Translator) -> dict[Any, Any]:
    raw = studio.prompts.raw(name, _number(version))
    wanted = blanks_in(raw.text or "")
    given = from_lines(blanks or "")
    numbers = [(t("prompt.newest"), NEWEST), *((str(each), each) for each in studio.prompts.versions(name))]
    return {
        card.version: gr.update(choices=numbers, value=version),
        card.text: raw.text or "",
        card.save_as: "" if name == "none" else name,
        card.blanks: gr.update(
            visible=bool(wanted), value="\n".join(f"{each} = {given.get(each, '')}" for each in sorted(wanted))
        ),
    }


def _number(version: Any) -> int | None:
    """Return the version as a number; the newest, and what a browser made up, as None."""
    return int(version) if str(version or "").isdigit() else None
