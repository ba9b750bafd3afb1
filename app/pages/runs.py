"""Runs: everything that was trained. Find it, compare it, write about it, run it again, take it along, clean up after it."""

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from app import turns
from app.notices import done, success, warnings
from app.parts import when
from app.pulse import PULSED
from app.runs import keeping, sharing, shown
from app.runs.layout import RunsPage, lay_out
from app.runs.listing import PAGE
from app.runs.shown import View
from app.studio import Studio
from core.amounts import bytes_of
from core.errors import RunError, problem
from core.runs import process, queue, space, trash
from core.runs.directory import Run, delete
from core.train import resume
from core.wording import Translator

__all__ = ["RunsPage", "build", "refresh"]


def build(studio: Studio, t: Translator) -> RunsPage:
    """Lay out and wire the page."""
    page = lay_out(t)
    _wire_list(studio, page, t)
    _wire_comparing(studio, page, t)
    _wire_chosen(studio, page, t)
    _wire_asking(studio, page, t)
    _wire_trash(studio, page, t)
    return page


def refresh(studio: Studio, page: RunsPage, values: Mapping[Any, Any], t: Translator, **changed: Any) -> dict[Any, Any]:
    """Return the updates after something was done, with some of what the tab wants to see changed; questions are over."""
    view = View(**{**vars(View.of(page, values)), **changed})
    wanted = {page.chosen: view.chosen} if "chosen" in changed else {}
    return {**wanted, **_again(studio, page, values, view, t), **_unasked(page)}


def _again(studio: Studio, page: RunsPage, values: Mapping[Any, Any], view: View, t: Translator) -> dict[Any, Any]:
    """Return the list anew and whatever else has changed: what is typed or unfolded beside it stays."""
    before = {**(values[page.seen] or {}), "rows": None}
    return {page.listed.count: view.count, **shown.updates(studio, page, view, before, t)}


def _wire_list(studio: Studio, page: RunsPage, t: Translator) -> None:
    listed = page.listed

    def tick(values: Mapping[Any, Any]) -> Any:
        return shown.updates(studio, page, View.of(page, values), values[page.seen], t)

    def search(values: Mapping[Any, Any]) -> Any:
        view = View(**{**vars(View.of(page, values)), "count": PAGE})
        return _again(studio, page, values, view, t)

    def more(values: Mapping[Any, Any]) -> Any:
        view = View(**{**vars(View.of(page, values)), "count": int(values[listed.count]) + PAGE})
        return _again(studio, page, values, view, t)

    def pressed(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        name = getattr(event, "pick", None)
        if name is not None:
            return refresh(studio, page, values, t, chosen=str(name))
        here, now = _names(event, "listed"), _names(event, "ticked")
        ticked = tuple(dict.fromkeys((*(each for each in values[listed.ticked] or () if each not in here), *now)))
        few = {} if len(ticked) > 1 else {page.compared.box: gr.update(visible=False)}
        return {listed.ticked: ticked, listed.compare: shown.compare_button(ticked, t), **few}

    def related(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        return refresh(studio, page, values, t, chosen=str(event.pick))

    def open_bundle(values: Mapping[Any, Any]) -> Any:
        run = sharing.opened(studio, values[listed.open])
        done(t("bundle.opened", name=run.name), t("language.code"))
        return refresh(studio, page, values, t, chosen=run.name)

    outputs, seen = page.outputs, page.inputs
    when(page.pulse.click, tick, seen, outputs, page.notice, t, **PULSED)
    # Not its input event: what is pasted raises that one too early, with the text of before.
    when(
        [listed.search.change, listed.filter.change], search, seen, outputs, page.notice, t, trigger_mode="always_last"
    )
    when(listed.more.click, more, seen, outputs, page.notice, t, reads=True)
    when(listed.rows.click, pressed, seen, outputs, page.notice, t, trigger_mode="multiple", reads=True)
    when(page.run.body.click, related, seen, outputs, page.notice, t, reads=True)
    when(listed.open.upload, open_bundle, {*seen, listed.open}, outputs, page.notice, t, show_progress="minimal")


def _wire_comparing(studio: Studio, page: RunsPage, t: Translator) -> None:
    def compare(values: Mapping[Any, Any]) -> Any:
        names = values[page.listed.ticked] or ()
        if len(names) < 2:
            raise RunError(problem("runs.compare_two"))
        return shown.comparison(studio, page, names, t)

    def close(values: Mapping[Any, Any]) -> Any:
        return {page.compared.box: gr.update(visible=False)}

    parts = [page.compared.box, page.compared.shown]
    when(page.listed.compare.click, compare, {page.listed.ticked}, parts, page.notice, t, reads=True)
    when(page.compared.close.click, close, set(), parts, page.notice, t, reads=True)


def _wire_chosen(studio: Studio, page: RunsPage, t: Translator) -> None:
    part = page.run

    def chosen(values: Mapping[Any, Any]) -> Run:
        return studio.run(values[page.chosen] or "")

    def stop(values: Mapping[Any, Any]) -> Any:
        run = chosen(values)
        process.ask_to_stop(run.path)
        done(t("run.stop_asked", name=run.name), t("language.code"))
        return {part.stop: gr.update(interactive=False)}

    def write(values: Mapping[Any, Any]) -> Any:
        run = chosen(values)
        keeping.save(part.notes, run, values)
        done(t("runs.noted", name=run.name), t("language.code"))
        return refresh(studio, page, values, t)

    def archive(values: Mapping[Any, Any]) -> Any:
        run = chosen(values)
        away = keeping.archive(run)
        done(t("runs.archived" if away else "runs.unarchived", name=run.name), t("language.code"))
        return refresh(studio, page, values, t)

    def remove(values: Mapping[Any, Any]) -> Any:
        run = chosen(values)
        lies = queue.cancel(studio.workspace, run.path) if queue.place(studio.workspace, run.path) else None
        lies = lies or delete(studio.workspace, run)
        told = success(t("runs.deleted", name=run.name))
        undo = {page.undo.box: gr.update(visible=True), page.undo.told: told, page.undo.name: lies.name}
        return {**refresh(studio, page, values, t, chosen=None), **undo}

    def bundle(values: Mapping[Any, Any]) -> Any:
        return {part.file: sharing.offered(studio, chosen(values), t)}

    inputs, outputs = page.inputs, page.outputs
    form = {part.notes.note, part.notes.tags}
    when(part.stop.click, stop, inputs, outputs, page.notice, t)
    when([part.notes.save.click, part.notes.tags.submit], write, {*inputs, *form}, outputs, page.notice, t)
    when(part.archive.click, archive, inputs, outputs, page.notice, t)
    when(part.delete.click, remove, inputs, outputs, page.notice, t)
    when(part.bundle.click, bundle, {page.chosen}, [part.file], page.notice, t, show_progress="minimal", reads=True)


def _wire_asking(studio: Studio, page: RunsPage, t: Translator) -> None:
    """Wire what is done only after a question: clean up, empty the trash, go on with a run that would differ."""
    asking = page.confirm

    def ask_to_clean(values: Mapping[Any, Any]) -> Any:
        run = studio.run(values[page.chosen] or "")
        old = space.unneeded(run)
        size = bytes_of(sum(space.size(each) for each in old))
        return _ask(page, "clean", run.name, f"<p>{escape(t('runs.really_clean', n=len(old), size=size))}</p>")

    def ask_to_empty(values: Mapping[Any, Any]) -> Any:
        found = trash.listing(studio.workspace)
        size = bytes_of(sum(each.bytes for each in found))
        return _ask(page, "empty", "", f"<p>{escape(t('runs.really_empty', n=len(found), size=size))}</p>")

    def go_on(values: Mapping[Any, Any]) -> Any:
        run = studio.run(values[page.chosen] or "")
        _require_own(run)
        resume.require_resumable(run)
        differs = resume.check(studio.workspace, run)
        if differs:
            text = f"<p>{escape(t('runs.really_resume', name=run.name))}</p>{warnings(differs, t('language.code'))}"
            return _ask(page, "resume", run.name, text)
        return _begun(studio, page, run, values, t)

    def yes(values: Mapping[Any, Any]) -> Any:
        what, name = values[asking.asked] or ("", "")
        if what == "empty":
            count, freed = trash.empty(studio.workspace)
            done(t("runs.emptied", n=count, size=bytes_of(freed)), t("language.code"))
            return {**refresh(studio, page, values, t), page.undo.box: gr.update(visible=False)}
        run = studio.run(name)
        if what == "clean":
            done(t("runs.cleaned", size=bytes_of(space.clean(run))), t("language.code"))
            return refresh(studio, page, values, t)
        return _begun(studio, page, run, values, t)

    def no(values: Mapping[Any, Any]) -> Any:
        return _unasked(page)

    inputs, outputs = page.inputs, page.outputs
    when(page.run.clean.click, ask_to_clean, inputs, outputs, page.notice, t)
    when(page.trash.empty.click, ask_to_empty, inputs, outputs, page.notice, t)
    when(page.run.resume.click, go_on, inputs, outputs, page.notice, t)
    when(asking.yes.click, yes, {*inputs, asking.asked}, outputs, page.notice, t)
    when(asking.no.click, no, set(), outputs, page.notice, t, reads=True)


def _wire_trash(studio: Studio, page: RunsPage, t: Translator) -> None:
    def back(values: Mapping[Any, Any], name: str) -> Any:
        run = trash.restore(studio.workspace, name)
        done(t("runs.restored", name=run.name), t("language.code"))
        hidden = {page.undo.box: gr.update(visible=False), page.undo.name: None}
        return {**refresh(studio, page, values, t, chosen=run.name), **hidden}

    def restore(values: Mapping[Any, Any], event: gr.EventData) -> Any:
        return back(values, str(event.pick))

    def undo(values: Mapping[Any, Any]) -> Any:
        return back(values, str(values[page.undo.name] or ""))

    when(page.trash.listed.click, restore, page.inputs, page.outputs, page.notice, t)
    when(page.undo.button.click, undo, {*page.inputs, page.undo.name}, page.outputs, page.notice, t)


def _begun(studio: Studio, page: RunsPage, run: Run, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Let a run go on as soon as its device is free, and return the updates."""
    turns.go_on(studio, run)
    place = queue.place(studio.workspace, run.path)
    done(t("runs.waits" if place else "runs.goes_on", name=run.name), t("language.code"))
    return refresh(studio, page, values, t)


def _require_own(run: Run) -> None:
    if run.config.get("elsewhere"):
        raise RunError(problem("runs.elsewhere", run.name))


def _ask(page: RunsPage, what: str, name: str, text: str) -> dict[Any, Any]:
    asking = page.confirm
    return {asking.box: gr.update(visible=True), asking.text: text, asking.asked: (what, name)}


def _unasked(page: RunsPage) -> dict[Any, Any]:
    return {page.confirm.box: gr.update(visible=False), page.confirm.asked: None}


def _names(event: gr.EventData, key: str) -> tuple[str, ...]:
    """Return the names that an event carries; anybody can send one, so that nothing about them is taken for granted."""
    given = getattr(event, key, None)
    return tuple(str(each) for each in given) if isinstance(given, list) else ()
