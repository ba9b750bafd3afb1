"""What the Runs tab shows, worked out from the disk: the updates for what has changed since a browser tab last looked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import jobs
from app.runs import about, comparing, keeping, listing, sharing
from app.runs.layout import RunsPage
from app.studio import Studio
from core.amounts import bytes_of
from core.runs.directory import Run
from core.runs.summary import Summary
from core.train import resume
from core.wording import Translator

_PATIENCE = 0.4  # seconds of one look at runs that were never read before; the others follow with the next ticks


@dataclass(frozen=True)
class View:
    """What one browser tab wants to see."""

    chosen: str | None
    search: str
    filter: str
    count: int
    ticked: tuple[str, ...]

    @classmethod
    def of(cls, page: RunsPage, values: Mapping[Any, Any]) -> "View":
        listed = page.listed
        return cls(
            values[page.chosen],
            str(values[listed.search] or ""),
            str(values[listed.filter] or listing.FILTERS[0]),
            int(values[listed.count] or listing.PAGE),
            tuple(values[listed.ticked] or ()),
        )


def updates(studio: Studio, page: RunsPage, view: View, before: Any, t: Translator) -> Any:
    """Return the updates of list, chosen run and trash that differ from `before`, or a skip when there is no news."""
    runs, left = studio.shelf.look(_PATIENCE, listing.PAGE)
    found = listing.matching(runs, view.search, view.filter, t)
    rows = found[: view.count]
    chosen = next((run for run in runs if run.name == view.chosen), None)
    known = {run.name for run in runs}
    ticked = tuple(name for name in view.ticked if name in known or left)
    name = chosen.name if chosen else None
    state = {
        "rows": (tuple((run.name, run.stamp) for run in rows), len(found), len(runs), left, name, ticked),
        "chosen": chosen and (chosen.name, chosen.stamp, jobs.look(studio, studio.workspace.runs / chosen.name).stamp),
        "body": chosen and (chosen.name, chosen.status == "running" or chosen.bytes, _related(chosen, runs)),
        "notes": name,
        "trash": keeping.trash_stamp(studio),
    }
    news = {key for key, value in state.items() if before is None or before.get(key) != value}
    if not news:
        return gr.skip()
    changed: dict[Any, Any] = {page.seen: state}
    # What the person chooses is written by a tick only when it is gone: a late answer would take a newer choice back.
    if name != view.chosen:
        changed[page.chosen] = name
    if ticked != view.ticked:
        changed[page.listed.ticked] = ticked
    if "rows" in news:
        changed |= _list(page, view, rows, ticked, (len(found), len(runs), left), t)
    if "chosen" in news:
        changed |= _chosen(studio, page, chosen, t)
    if "body" in news and chosen:
        changed[page.run.body] = about.body(studio, Run(studio.workspace.runs / chosen.name), chosen, runs, t)
    if "notes" in news:
        run = Run(studio.workspace.runs / chosen.name) if chosen else None
        changed |= {**keeping.show_notes(page.run.notes, run), page.run.file: sharing.none_offered()}
    if "trash" in news:
        changed |= keeping.show_trash(studio, page.trash, t)
    return changed


def _related(chosen: Summary, runs: Sequence[Summary]) -> tuple[tuple[str, str], ...]:
    """Return what the tree of a run may show of others, so that it is drawn anew when one of them changes."""
    return tuple((run.name, run.status) for run in runs if run.continued or run.name == chosen.continued)


def comparison(studio: Studio, page: RunsPage, names: Sequence[str], t: Translator) -> dict[Any, Any]:
    """Return the updates that show runs side by side, in the order of the list."""
    runs, _ = studio.shelf.look()
    chosen = [run for run in runs if run.name in set(names)]
    return {page.compared.box: gr.update(visible=True), page.compared.shown: comparing.comparison(studio, chosen, t)}


def _list(
    page: RunsPage, view: View, rows: Sequence[Summary], ticked: Sequence[str], counts: tuple[int, int, int], t: Translator
) -> dict[Any, Any]:  # fmt: skip
    found, whole, left = counts
    said = [t("runs.counted", shown=f"{len(rows):,}", found=f"{found:,}")] if found > len(rows) else []
    said += [t("runs.still_reading", n=f"{left:,}")] if left else []
    many = len(ticked) > 1
    searching = bool(whole or left)
    return {
        page.listed.told: f'<p class="small" role="status">{escape(" ".join(said))}</p>' if said else "",
        page.listed.rows: listing.rows(rows, set(ticked), view.chosen, t, searching),
        page.listed.more: gr.update(visible=found > len(rows)),
        page.listed.compare: compare_button(ticked, t),
        **({} if many else {page.compared.box: gr.update(visible=False)}),
    }


def compare_button(ticked: Sequence[str], t: Translator) -> Any:
    many = len(ticked) > 1
    return gr.update(
        value=t("compare.these", n=len(ticked)) if many else t("compare.none"),
        interactive=many,
        variant="primary" if many else "secondary",
    )


def _chosen(studio: Studio, page: RunsPage, summary: Summary | None, t: Translator) -> dict[Any, Any]:
    part = page.run
    if summary is None:
        return {part.box: gr.update(visible=False)}
    run = Run(studio.workspace.runs / summary.name)
    step = None if summary.elsewhere else resume.resumable(run)
    freed = 0 if summary.status in jobs.ACTIVE else about.unneeded_bytes(run)
    going_on = summary.status not in jobs.ACTIVE and run.adapter() is not None
    return {
        part.box: gr.update(visible=True),
        part.heading: about.heading(studio, summary, t),
        part.continue_from: gr.update(visible=going_on),
        part.resume: gr.update(
            visible=step is not None, value=t("runs.resume", step=step) if step else t("runs.start")
        ),
        part.stop: gr.update(visible=summary.status == "running"),
        part.clean: gr.update(visible=freed > 0, value=t("runs.clean", size=bytes_of(freed))),
        part.archive: gr.update(value=t("runs.unarchive" if summary.archived else "runs.archive")),
        part.delete: gr.update(visible=summary.status != "running"),
        part.bundle: gr.update(visible=summary.step > 0 or summary.status not in jobs.ACTIVE),
    }
