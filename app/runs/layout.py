"""What the Runs tab is made of: the components, in the order in which they stand."""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.parts import choice, html, picking
from app.pulse import pulse
from app.runs import keeping
from app.runs.keeping import NoteForm, TrashBox
from app.runs.listing import FILTERS, PAGE, SCRIPT
from core.wording import Translator


@dataclass(frozen=True)
class ListPart:
    """`count` is how many rows are shown, `ticked` which runs are to be compared."""

    search: Any
    filter: Any
    open: Any
    told: Any
    rows: Any
    more: Any
    compare: Any
    count: Any
    ticked: Any


@dataclass(frozen=True)
class ComparePart:
    box: Any
    shown: Any
    close: Any


@dataclass(frozen=True)
class ChosenPart:
    box: Any
    heading: Any
    body: Any
    show: Any
    rerun: Any
    continue_from: Any
    resume: Any
    stop: Any
    notes: NoteForm
    bundle: Any
    file: Any
    clean: Any
    archive: Any
    delete: Any

    @property
    def buttons(self) -> list[Any]:
        return [self.show, self.rerun, self.continue_from, self.resume, self.stop, self.bundle, self.clean, self.archive,
                self.delete]  # fmt: skip


@dataclass(frozen=True)
class ConfirmPart:
    """`asked` is (what, name of the run) while the page waits for an answer."""

    box: Any
    text: Any
    yes: Any
    no: Any
    asked: Any


@dataclass(frozen=True)
class UndoPart:
    """The line after a deletion. `name` is that of the deleted run in the trash."""

    box: Any
    told: Any
    button: Any
    name: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.box, self.told, self.name]


@dataclass(frozen=True)
class RunsPage:
    """`seen` remembers, for one browser tab, what it shows, so that a tick without news sends nothing."""

    listed: ListPart
    compared: ComparePart
    run: ChosenPart
    confirm: ConfirmPart
    undo: UndoPart
    trash: TrashBox
    notice: Any
    chosen: Any
    seen: Any
    pulse: Any

    @property
    def inputs(self) -> set[Any]:
        """What decides what is shown."""
        return {self.chosen, self.seen, self.listed.search, self.listed.filter, self.listed.count, self.listed.ticked}

    @property
    def outputs(self) -> list[Any]:
        run, listed = self.run, self.listed
        return [listed.told, listed.rows, listed.more, listed.compare, listed.count, listed.ticked, *self.undo.outputs,
                self.compared.box, self.compared.shown, run.box, run.heading, run.body, *run.buttons, *run.notes.outputs,
                run.file, self.confirm.box, self.confirm.text, self.confirm.asked, *self.trash.outputs, self.chosen,
                self.seen]  # fmt: skip


def lay_out(t: Translator) -> RunsPage:
    """Lay the page out."""
    with gr.Column(elem_classes="card"):
        listed = _list(t)
    with gr.Column(elem_classes="card", visible=False, elem_id="runs-comparison") as box:
        gr.HTML(f"<h3>{escape(t('compare.title'))}</h3>", js_on_load=None)
        shown = html("runs-compared")
        with gr.Row(elem_classes="actions"):
            close = gr.Button(t("compare.close"), size="sm", elem_id="runs-compare-close")
    notice = html("runs-notice")
    with gr.Row(visible=False, elem_classes="actions", elem_id="runs-undo-box") as undo_box:
        undone = html("runs-undo-told")
        undo = gr.Button(t("runs.undo"), size="sm", elem_id="runs-undo")
    with gr.Column(visible=False, elem_id="runs-confirm", elem_classes="confirm") as confirm:
        text = html("runs-confirm-text")
        with gr.Row(elem_classes="actions"):
            yes = gr.Button(t("runs.yes"), variant="stop", elem_id="runs-yes")
            no = gr.Button(t("runs.no"), elem_id="runs-no")
    with gr.Column(elem_classes="card", visible=False, elem_id="runs-chosen") as chosen:
        run = _chosen(chosen, t)
    with gr.Column(elem_classes="card"):
        trash = keeping.build_trash(t)
    return RunsPage(
        listed,
        ComparePart(box, shown, close),
        run,
        ConfirmPart(confirm, text, yes, no, gr.State(None)),
        UndoPart(undo_box, undone, undo, gr.State(None)),
        trash,
        notice,
        gr.State(None),
        gr.State(None),
        pulse("listed"),
    )


def _list(t: Translator) -> ListPart:
    filters = [(t(f"runs.filter.{name}"), name) for name in FILTERS]
    with gr.Row(elem_classes="fields"):
        search = gr.Textbox(label=t("runs.search"), placeholder=t("runs.search_help"), max_lines=1, scale=4, min_width=180,
                            elem_id="runs-search")  # fmt: skip
        which = choice(filters, value=FILTERS[0], label=t("runs.filter"), scale=2, min_width=140, elem_id="runs-filter")
        bundle = gr.UploadButton(t("bundle.open"), size="sm", scale=1, min_width=130, elem_id="runs-open")
    told = html("runs-told")
    rows = gr.HTML("", elem_id="runs-table", js_on_load=SCRIPT)
    with gr.Row(elem_classes="actions"):
        compare = gr.Button(t("compare.none"), interactive=False, elem_id="runs-compare")
        more = gr.Button(t("runs.more", n=PAGE), visible=False, size="sm", elem_id="runs-more")
    return ListPart(search, which, bundle, told, rows, more, compare, gr.State(PAGE), gr.State(()))


def _chosen(box: Any, t: Translator) -> ChosenPart:
    heading = html("run-about")
    with gr.Row(elem_classes="actions"):
        show = gr.Button(t("runs.show"), elem_id="runs-show")
        rerun = gr.Button(t("runs.rerun"), elem_id="runs-rerun")
        continue_from = gr.Button(t("runs.continue"), visible=False, elem_id="runs-continue")
        resume = gr.Button(t("runs.resume"), visible=False, variant="primary", elem_id="runs-resume")
        stop = gr.Button(t("run.stop"), visible=False, elem_id="runs-stop", variant="stop")
    notes = keeping.build_notes(t)
    body = picking("run-body")
    with gr.Row(elem_classes="actions"):
        bundle = gr.Button(t("bundle.make"), size="sm", elem_id="runs-bundle")
        file = gr.DownloadButton(t("bundle.make"), visible=False, size="sm", elem_id="runs-file")
        clean = gr.Button(t("runs.clean"), visible=False, size="sm", elem_id="runs-clean")
        archive = gr.Button(t("runs.archive"), size="sm", elem_id="runs-archive")
        remove = gr.Button(t("runs.delete"), visible=False, size="sm", elem_id="runs-delete")
    return ChosenPart(
        box, heading, body, show, rerun, continue_from, resume, stop, notes, bundle, file, clean, archive, remove
    )
