"""Data: the registered sets, what was found in the chosen one, adding a file, and filling in who the model is to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app import identity
from app.datasets import Described, describe
from app.notices import done, notice, warnings
from app.parts import empty, facts, html, pick, picking, table, when
from app.preview import nth
from app.studio import Studio
from core.data.registry import DatasetEntry
from core.errors import StudioError
from core.records import Conversation
from core.wording import Translator

FILE_TYPES = [".json", ".jsonl", ".csv"]
_SHOWN = 3  # first records in the preview


@dataclass(frozen=True)
class DataPage:
    listed: Any
    chosen: Any
    about: Any
    form: identity.IdentityForm
    accept: Any
    remove: Any
    notice: Any
    upload: Any
    name: Any
    add_notice: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.listed, self.chosen, self.about, *self.form.outputs, self.accept, self.remove]


def build(studio: Studio, t: Translator) -> DataPage:
    """Lay out and wire the page."""
    page = _lay_out(t)

    def choose(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        return show(studio, page, event.pick, t)

    def add(values: Mapping[Any, Any]) -> dict[Any, Any]:
        file = Path(values[page.upload])
        name = (values[page.name] or "").strip() or None
        entry = studio.registry.add(file, name)
        file.unlink(missing_ok=True)  # the workspace has its copy
        done(t("data.added", name=entry.name, rows=describe(studio, entry).rows), t("language.code"))
        return {page.name: "", **show(studio, page, entry.name, t)}

    def fill(values: Mapping[Any, Any]) -> dict[Any, Any]:
        made = identity.register(studio, page.form, values, [values[page.chosen]])
        done(t("identity.done", names=", ".join(entry.name for entry in made)), t("language.code"))
        return show(studio, page, made[0].name, t)

    def accept(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = studio.registry.accept(values[page.chosen] or "")
        done(t("data.accepted", name=entry.name), t("language.code"))
        return show(studio, page, entry.name, t)

    def remove(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name = values[page.chosen] or ""
        studio.registry.remove(name)
        done(t("data.removed", name=name), t("language.code"))
        return show(studio, page, None, t)

    when(page.listed.click, choose, {page.chosen}, page.outputs, page.notice, t)
    when(page.upload.upload, add, {page.upload, page.name}, [page.name, *page.outputs], page.add_notice, t,
         show_progress="minimal")  # fmt: skip
    when(page.form.button.click, fill, {page.chosen, *page.form.inputs}, page.outputs, page.notice, t)
    when(page.accept.click, accept, {page.chosen}, page.outputs, page.notice, t)
    when(page.remove.click, remove, {page.chosen}, page.outputs, page.notice, t)
    return page


def show(studio: Studio, page: DataPage, chosen: str | None, t: Translator) -> dict[Any, Any]:
    """Return the updates of the list and of the chosen set."""
    entries = studio.registry.entries()
    described = {name: describe(studio, entry) for name, entry in entries.items()}
    chosen = chosen if chosen in entries else None
    updates: dict[Any, Any] = {page.listed: _table(entries, described, chosen, t), page.chosen: chosen}
    if chosen is None:
        hidden = dict.fromkeys((page.accept, page.remove), gr.update(visible=False))
        return {**updates, **hidden, **identity.show(page.form, {}, t), page.about: empty(t("data.choose"))}
    entry, found = entries[chosen], described[chosen]
    return {
        **updates,
        page.about: _about(studio, entry, found, t),
        **identity.show(page.form, {chosen: found.blanks} if found.blanks else {}, t),
        page.accept: gr.update(visible=found.state == "changed" and not entry.sample),
        page.remove: gr.update(visible=not entry.sample),
    }


def _lay_out(t: Translator) -> DataPage:
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=6, min_width=340, elem_classes="card"):
            listed = picking("data-table")
            gr.HTML(
                f'<h4>{escape(t("data.add"))}</h4><p class="small">{escape(t("data.add_help"))}</p>', js_on_load=None
            )
            with gr.Row(elem_classes="save"):
                name = gr.Textbox(label=t("data.name"), placeholder=t("data.name_empty"), elem_id="data-name", scale=2,
                                  min_width=140)  # fmt: skip
                upload = gr.UploadButton(t("data.upload"), file_types=FILE_TYPES, elem_id="data-upload", scale=1,
                                         variant="primary", min_width=120, size="md")  # fmt: skip
            add_notice = html("data-add-notice")
        with gr.Column(scale=5, min_width=340, elem_classes="card"):
            notice_panel = html("data-notice")
            about = html("data-about")
            form = identity.build("data", t)
            with gr.Row(elem_classes="actions"):
                accept = gr.Button(t("data.accept"), visible=False, elem_id="data-accept")
                remove = gr.Button(t("data.remove"), visible=False, elem_id="data-remove")
    return DataPage(listed, gr.State(None), about, form, accept, remove, notice_panel, upload, name, add_notice)


def _table(
    entries: Mapping[str, DatasetEntry], described: Mapping[str, Described], chosen: str | None, t: Translator
) -> str:  # fmt: skip
    headers = [t(f"data.{name}") for name in ("set", "rows", "format", "state", "description")]
    rows = [
        [
            pick(name, name == chosen),
            f"{described[name].rows:,}",
            escape(entry.formatting),
            _state(described[name].state, t),
            f'<span class="small">{escape(entry.description or t("data.own" if not entry.sample else "data.sample"))}</span>',
        ]
        for name, entry in entries.items()
    ]
    return table(headers, rows, caption=t("tab.data"), numbers=(1,))


def _state(state: str, t: Translator) -> str:
    return f'<span class="pill data-{state}">{escape(t("data.state." + state))}</span>'


def _about(studio: Studio, entry: DatasetEntry, found: Described, t: Translator) -> str:
    language = t("language.code")
    pairs = [
        (t("data.rows"), f"{found.rows:,}"),
        (t("data.format"), entry.formatting),
        ("SHA-1", entry.sha1 or "–"),
        (t("data.file"), entry.file.name),
    ]
    harmless = found.state in ("ready", "blanks")
    told = warnings(found.problems, language) if harmless else notice(found.problems, language)
    fine = f'<p class="good">{escape(t("data.fine"))}</p>' if not found.problems else ""
    head = f"<h3>{escape(entry.name)} {_state(found.state, t)}</h3>"
    return head + told + fine + facts(pairs) + _first_records(studio, entry.name, found.rows, t)


def _first_records(studio: Studio, name: str, rows: int, t: Translator) -> str:
    try:
        shown = [nth(studio, name, number, allow_blanks=True)[0] for number in range(min(_SHOWN, rows))]
    except StudioError:
        return ""  # the panel above says what is wrong
    return f"<h4>{escape(t('data.first'))}</h4>" + "".join(_record(each, t) for each in shown)


def _record(conversation: Conversation, t: Translator) -> str:
    turns = "".join(
        f'<div class="turn {message.role}"><span>{escape(t("role." + message.role))}</span>'
        f"<p>{escape(message.content[:2000])}</p></div>"
        for message in conversation.messages
    )
    keywords = ""
    if conversation.keywords:
        keywords = f'<p class="small">{escape(t("data.keywords", words=", ".join(conversation.keywords)))}</p>'
    return f'<div class="record">{turns}{keywords}</div>'
