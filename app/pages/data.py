"""Data: the sets there are and a way to add one on the left; on the right the chosen one, in sections.

The list is made of the registry and of kept reports and never reads a data file. Whatever may take over a second is a job
that one pulse watches; a second tab, a reload and the command line see the same jobs and the same registry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import ModuleType
from typing import Any

import gradio as gr

from app import identity, jobs
from app.data import (
    about as data_about,
    add as data_add,
    augment as data_augment,
    columns as data_columns,
    download as data_download,
    findings as data_findings,
    jobs as data_jobs,
    listing as data_list,
    records as data_records,
    split as data_split,
    versions as data_versions,
    xray as data_xray,
)
from app.data.add import AddPanel
from app.data.stage import Stage
from app.datasets import Described, describe
from app.notices import done, notice
from app.parts import empty, html, picking, when
from app.pulse import PULSED, pulse
from app.studio import Studio
from core.data.registry import DatasetEntry
from core.errors import StudioError
from core.wording import Translator

SECTIONS: dict[str, ModuleType] = {
    "findings": data_findings,
    "records": data_records,
    "xray": data_xray,
    "columns": data_columns,
    "split": data_split,
    "augment": data_augment,
    "versions": data_versions,
    "download": data_download,
    "about": data_about,
}
FIRST = "findings"
_OF_ALL = "about"  # the section that also a set has which cannot be used: there it can be removed
WORK = ("check", "fix", "split", "augment", "export")


@dataclass(frozen=True)
class DataPage:
    """`seen` remembers, for one browser tab, what it shows, so that a tick without news sends nothing."""

    stage: Stage
    listed: Any
    add: AddPanel
    trash: Any
    emptying: Any  # whether the trash asks if it is to be emptied
    head: Any
    form: identity.IdentityForm
    accept: Any
    undo: Any
    box: Any
    tabs: Any
    shown: dict[str, Any]  # the tabs
    sections: dict[str, Any]
    seen: Any
    pulse: Any

    @property
    def chosen(self) -> Any:
        return self.stage.chosen

    @property
    def outputs(self) -> list[Any]:
        inside = [each for section in self.sections.values() for each in section.outputs]
        return [self.listed, self.trash, self.emptying, self.chosen, self.stage.section, self.head, *self.form.outputs,
                self.accept, self.undo, self.box, self.tabs, *inside]  # fmt: skip

    @property
    def refreshed(self) -> list[Any]:
        return [*self.outputs, self.stage.notice]

    @property
    def watched(self) -> list[Any]:
        return [*self.outputs, *self.stage.work.outputs, *self.add.outputs, self.seen]


def build(studio: Studio, t: Translator) -> DataPage:
    """Lay out and wire the page."""
    page = _lay_out(studio, t)
    page.stage.outputs = page.outputs
    page.stage.show = lambda name, section: show(studio, page, name, section, t)
    data_add.wire(studio, page.add, t)
    for name, module in SECTIONS.items():
        module.wire(page.stage, page.sections[name])
    data_versions.wire_undo(page.stage, page.undo)
    _wire(studio, page, t)
    return page


def show(studio: Studio, page: DataPage, chosen: str | None, section: str, t: Translator) -> dict[Any, Any]:
    """Return the updates of the list, of the chosen set's head and of the open section."""
    entries = studio.registry.entries()
    entry = entries.get(chosen or "")
    inside: dict[Any, Any] = {}
    if entry is not None and (entry.problem is not None or not entry.file.is_file()):
        section = _OF_ALL
        inside = {page.tabs: gr.Tabs(selected=section), page.stage.section: section}
    if entry is not None:
        try:
            inside |= SECTIONS[section].show(page.stage, page.sections[section], entry)
        except StudioError as error:
            inside[page.stage.notice] = notice(error.problems, t("language.code"))
    # After the section, which may have checked the set.
    described = {name: describe(studio, each) for name, each in entries.items()}
    updates: dict[Any, Any] = {
        page.listed: data_list.sets(entries, described, entry.name if entry else None, t),
        page.trash: data_list.trashed(studio.registry.trash(), t),
        page.emptying: False,
        page.chosen: entry.name if entry else None,
        page.box: gr.update(visible=entry is not None),
    }
    if entry is None:
        hidden = dict.fromkeys((page.accept, page.undo), gr.update(visible=False))
        return {**updates, **hidden, **identity.show(page.form, {}, t), page.head: empty(t("data.choose"))}
    found = described[entry.name]
    return {
        **updates,
        page.head: _head(entry, found, t),
        **identity.show(page.form, {entry.name: found.blanks} if found.blanks else {}, t),
        page.accept: gr.update(visible=found.state == "changed" and not entry.sample),
        page.undo: gr.update(visible=bool(entry.versions)),
        **inside,
    }


def refresh(studio: Studio, page: DataPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown again."""
    return show(studio, page, values[page.chosen], values[page.stage.section] or FIRST, t)


def _lay_out(studio: Studio, t: Translator) -> DataPage:
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=5, min_width=320, elem_classes="card"):
            add = data_add.build(studio, t)
            listed = picking("data-table")
            with gr.Accordion(t("trash.title"), open=False, elem_id="data-trash-box"):
                trash = picking("data-trash")
        with gr.Column(scale=8, min_width=340, elem_classes="card"):
            notice_panel = html("data-notice")
            head = html("data-about")
            with gr.Row(elem_classes="actions"):
                accept = gr.Button(t("data.accept"), visible=False, elem_id="data-accept")
                undo = gr.Button(t("versions.undo"), visible=False, elem_id="data-undo", size="sm")
            work = data_jobs.build(studio, "data-work", WORK, notice_panel, t)
            stage = Stage(studio, t, gr.State(None), gr.State(FIRST), notice_panel, work)
            form = identity.build("data", t)
            shown: dict[str, Any] = {}
            sections: dict[str, Any] = {}
            with (
                gr.Column(visible=False, elem_id="data-sections") as box,
                gr.Tabs(selected=FIRST, elem_id="data-tabs", overflow_behavior="wrap") as tabs,
            ):
                for name, module in SECTIONS.items():
                    with gr.Tab(t(f"section.{name}"), id=name, elem_id=f"data-{name}-tab") as shown[name]:
                        sections[name] = module.build(stage)
    return DataPage(stage, listed, add, trash, gr.State(False), head, form, accept, undo, box, tabs, shown, sections,
                    gr.State(None), pulse("data"))  # fmt: skip


def _wire(studio: Studio, page: DataPage, t: Translator) -> None:
    stage = page.stage

    def choose(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        return {**show(studio, page, event.pick, values[stage.section], t), stage.work.ending: ""}

    def fill(values: Mapping[Any, Any]) -> dict[Any, Any]:
        made = identity.register(studio, page.form, values, [values[page.chosen]])
        return stage.finish(values, made[0].name, t("identity.done", names=", ".join(entry.name for entry in made)))

    def accept(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = studio.registry.accept(values[page.chosen] or "")
        return stage.finish(values, entry.name, t("data.accepted", name=entry.name))

    def tidy(values: Mapping[Any, Any], event: gr.EventData) -> dict[Any, Any]:
        if event.pick in (data_list.EMPTY, data_list.KEEP):
            asking = event.pick == data_list.EMPTY
            return {page.trash: data_list.trashed(studio.registry.trash(), t, asking), page.emptying: asking}
        if event.pick == data_list.REALLY:
            count = studio.registry.empty_trash()
            return stage.finish(values, values[page.chosen], t("trash.emptied", n=count))
        entry = studio.registry.restore(str(event.pick))
        return stage.finish(values, entry.name, t("trash.restored", name=entry.name))

    def tick(values: Mapping[Any, Any]) -> Any:
        return _news(studio, page, values, t)

    shown = [*page.outputs, stage.work.ending]
    when(page.listed.click, choose, stage.inputs, shown, stage.notice, t, reads=True)
    when(page.trash.click, tidy, stage.inputs, page.outputs, stage.notice, t)
    when(page.form.button.click, fill, {*stage.inputs, *page.form.inputs}, page.outputs, stage.notice, t)
    when(page.accept.click, accept, stage.inputs, page.outputs, stage.notice, t)
    watched = {*stage.inputs, page.seen, page.emptying, stage.work.job, page.add.job.job}
    when(page.pulse.click, tick, watched, page.watched, stage.notice, t, **PULSED)
    for name, tab in page.shown.items():
        when(tab.select, _opening(studio, page, name, t), stage.inputs, page.outputs, stage.notice, t)


def _opening(studio: Studio, page: DataPage, section: str, t: Translator) -> Any:
    """Return the handler that fills a section when its tab is opened."""

    def open_section(values: Mapping[Any, Any]) -> dict[Any, Any]:
        updates: dict[Any, Any] = {page.stage.section: section}
        entry = studio.registry.entries().get(values[page.chosen] or "")
        if entry is not None and section != _OF_ALL:
            entry = page.stage.entry(values)  # raises in words when it cannot be used
        if entry is not None:
            updates |= SECTIONS[section].show(page.stage, page.sections[section], entry)
        return updates

    return open_section


def _news(studio: Studio, page: DataPage, values: Mapping[Any, Any], t: Translator) -> Any:
    """Return what has changed since the last tick: the two jobs, and the registry, which others write too."""
    adding = data_jobs.look(studio, page.add.job, values[page.add.job.job], t)
    working = data_jobs.look(studio, page.stage.work, values[page.stage.work.job], t)
    before = values[page.seen]
    chosen, section = values[page.chosen], values[page.stage.section]
    gone = chosen if chosen and chosen not in studio.registry.names() else None
    state = (adding.stamp, working.stamp, studio.registry.stamp(), gone)
    ended = adding.ended is not None or working.ended is not None
    if state == before and gone is None and not ended:
        return gr.skip()
    updates: dict[Any, Any] = {page.seen: state, **adding.updates, **working.updates}
    if gone and not ended and (before is None or before[3] != gone):
        return updates  # this tab may be renaming it just now, and then has chosen the new name at the next tick
    if adding.ended is not None:
        updates |= data_add.ended(studio, page.add, adding.ended, t)
        chosen, section = _outcome(adding.ended, chosen, section, t)
    if working.ended is not None:
        chosen, section = _outcome(working.ended, chosen, section, t)
    registry_changed = before is None or state[2] != before[2]
    if ended or registry_changed or gone:
        fresh = show(studio, page, chosen, section, t)
        if not ended and chosen == values[page.chosen]:
            asked = (page.trash, page.emptying) if values[page.emptying] else ()
            for typed in (*asked, *getattr(page.sections.get(section), "typed", ())):
                fresh.pop(typed, None)
        updates |= fresh
        if section != values[page.stage.section]:
            updates |= {page.tabs: gr.Tabs(selected=section), page.stage.section: section}
    if working.ended is not None and working.ended.status == "finished":
        updates |= _after(page, working.ended)
    return updates


def _outcome(seen: jobs.Seen, chosen: str | None, section: str, t: Translator) -> tuple[str | None, str]:
    """Say that a job has done its work, and return which set and section to show."""
    if seen.status != "finished":
        return chosen, section
    task, result = data_jobs.task_of(seen.job), seen.result
    done(data_jobs.told(task, result, t), t("language.code"))
    if task == "add":
        return str(result["name"]), FIRST
    if task == "folder":
        added = result.get("datasets")
        return (str(added[0]["name"]), FIRST) if isinstance(added, list) and added else (chosen, section)
    return str(result.get("name") or chosen), section


def _after(page: DataPage, seen: jobs.Seen) -> dict[Any, Any]:
    """Return what a finished job has to hand over besides the set as it is now."""
    match data_jobs.task_of(seen.job):
        case "export":
            return data_download.ready(page.stage, page.sections["download"], seen.result)
        case "check":
            return data_findings.examined(page.stage, page.sections["findings"], data_jobs.values_of(seen.job))
        case _:
            return {}


def _head(entry: DatasetEntry, found: Described, t: Translator) -> str:
    told = notice(found.problems, t("language.code")) if found.problems else ""
    about = f'<p class="small">{escape(entry.description)}</p>' if entry.description else ""
    made = ""
    if entry.versions:
        text = t("data.version", number=len(entry.versions) + 1, made_by=data_versions.made_by(entry.made_by, t))
        made = f'<p class="small">{escape(text)}</p>'
    rows = t("findings.rows", n=f"{found.rows:,}") if found.rows else ""
    return (
        f'<h3>{escape(entry.name)} {data_list.state(found, t)} <span class="small">{escape(rows)}</span></h3>'
        f"{about}{made}{told}"
    )
