"""The form that fills the blanks of a data set: who the model is to be, and in which languages it is asked.

It stands on the Data and on the Train page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.controls import from_lines
from app.datasets import quick
from app.parts import html
from app.studio import Studio
from core.data.blanks import fill
from core.data.identity_sets import LANGUAGES, PROBES, SAMPLE, identity_sets
from core.data.registry import DatasetEntry
from core.wording import Translator

_OWN_FIELDS = ("name", "author")


@dataclass(frozen=True)
class IdentityForm:
    group: Any
    text: Any
    name: Any
    author: Any
    languages: Any
    others: Any
    button: Any

    @property
    def inputs(self) -> set[Any]:
        return {self.name, self.author, self.languages, self.others}

    @property
    def outputs(self) -> list[Any]:
        return [self.group, self.text, self.languages, self.others]


def build(place: str, t: Translator) -> IdentityForm:
    """Lay the form out, hidden; `place` leads its ids."""
    with gr.Column(visible=False, elem_id=f"{place}-identity", elem_classes="identity") as group:
        text = html(f"{place}-identity-text")
        with gr.Row():
            name = gr.Textbox(
                label=t("identity.name"), placeholder="Lumen", elem_id=f"{place}-identity-name", min_width=120
            )
            author = gr.Textbox(
                label=t("identity.author"), placeholder="Aurora Labs", elem_id=f"{place}-identity-author", min_width=120
            )
        choices = [(t(f"identity.language.{each}"), each) for each in LANGUAGES]
        languages = gr.CheckboxGroup(choices, value=list(LANGUAGES), label=t("identity.languages"),
                                     elem_id=f"{place}-identity-languages")  # fmt: skip
        others = gr.Textbox(label=t("identity.others"), info=t("identity.others_help"), lines=2, visible=False,
                            elem_id=f"{place}-identity-others")  # fmt: skip
        button = gr.Button(t("identity.fill"), elem_id=f"{place}-identity-fill", size="sm")
    return IdentityForm(group, text, name, author, languages, others, button)


def show(form: IdentityForm, unfilled: Mapping[str, frozenset[str]], t: Translator) -> dict[Any, Any]:
    """Return the updates that show the form for sets with blanks, or hide it."""
    more = sorted(set().union(*unfilled.values()) - set(_OWN_FIELDS)) if unfilled else []
    text = t("identity.needed", names=", ".join(unfilled)) if unfilled else ""
    updates: dict[Any, Any] = {form.group: gr.update(visible=bool(unfilled)), form.text: f"<p>{escape(text)}</p>"}
    updates[form.languages] = gr.update(visible=bool({SAMPLE, PROBES} & set(unfilled)))
    if more:
        updates[form.others] = gr.update(visible=True, value="\n".join(f"{each} = " for each in more))
    else:
        updates[form.others] = gr.update(visible=False)
    return updates


def register(studio: Studio, form: IdentityForm, values: Mapping[Any, Any], names: list[str]) -> list[DatasetEntry]:
    """Fill each of the sets (and its test set) and return the new entries.

    The studio's own identity comes in the languages that are chosen; a person's set is filled as it is.

    Raises:
        DataError: if a blank is missing, or no language is chosen.
    """
    given = {
        "name": values[form.name] or "",
        "author": values[form.author] or "",
        **from_lines(values[form.others] or ""),
    }
    made: dict[str, DatasetEntry] = {}
    for name in names:
        if name.endswith("_test") and name.removesuffix("_test") in names:
            continue  # filled together with its training set
        if name in (SAMPLE, PROBES):
            sets = identity_sets(studio.registry, given["name"], given["author"], values[form.languages] or ())
        else:
            sets = fill(studio.registry, name, given)
        made |= {entry.name: entry for entry in sets}
    for entry in made.values():
        quick(studio, entry)  # its state stands in the list from the start
    return list(made.values())


def filled_of(studio: Studio, name: str) -> str | None:
    """Return the newest own set that was filled from `name`: `identity` -> `identity_lumen`, `identity_test` likewise."""
    stem, suffix = (name.removesuffix("_test"), "_test") if name.endswith("_test") else (name, "")
    own = [
        entry
        for entry in studio.registry.entries().values()
        if not entry.sample
        and entry.name.startswith(f"{stem}_")
        and entry.name.endswith("_test") == bool(suffix)
        and entry.file.is_file()
    ]
    return max(own, key=lambda entry: entry.file.stat().st_mtime).name if own else None
