"""Versions: what the chosen set was before each fix and augmentation, newest first, and the way back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from app.data.stage import Stage
from app.parts import html, table, when
from core.data.registry import DatasetEntry
from core.data.versions import Version
from core.wording import Translator


@dataclass(frozen=True)
class VersionsSection:
    listed: Any
    undo: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.listed, self.undo]


def build(stage: Stage) -> VersionsSection:
    """Lay out the section."""
    listed = html("data-versions")
    with gr.Row(elem_classes="actions"):
        undo = gr.Button(stage.t("versions.undo"), elem_id="versions-undo", visible=False)
    return VersionsSection(listed, undo)


def wire(stage: Stage, section: VersionsSection) -> None:
    """Wire the section."""
    wire_undo(stage, section.undo)


def wire_undo(stage: Stage, button: Any) -> None:
    """Make a button take the chosen set back to its version before."""
    t = stage.t

    def undo(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = stage.studio.registry.undo(values[stage.chosen] or "")
        return stage.finish(values, entry.name, t("versions.undone", name=entry.name))

    when(button.click, undo, stage.inputs, stage.outputs, stage.notice, t)


def show(stage: Stage, section: VersionsSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    t = stage.t
    now = Version(entry.file, entry.sha1, entry.reading, entry.rows, entry.made_by, _written(entry.file), entry.parts)
    rows = _rows([*entry.versions, now], t)
    headers = [t(f"versions.{name}") for name in ("number", "made_by", "made", "rows", "file")]
    hint = "" if entry.versions else f'<p class="small">{escape(t("versions.none"))}</p>'
    return {
        section.listed: table(headers, rows, caption=t("section.versions"), numbers=(3,)) + hint,
        section.undo: gr.update(visible=bool(entry.versions)),
    }


def made_by(text: str, t: Translator) -> str:
    """Return what made a version, in words; `text` is such as `add`, `fix:duplicates,empty` or `augment:typos`."""
    task, _, what = text.partition(":")
    match task:
        case "fix" | "augment":
            return t(f"versions.by.{task}", what=what.replace(",", ", "))
        case "add" if what in ("leave_out_broken", "spread"):
            return t(f"versions.by.{what}")
        case "add" if what:
            return t("versions.by.mended", what=what.replace(",", ", "))
        case _:
            return t("versions.by.add")


def _written(file: Path) -> str:
    """Return when a file was written, as the registry notes times."""
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return ""


def _rows(versions: Sequence[Version], t: Translator) -> list[list[str]]:
    rows = []
    for number in range(len(versions), 0, -1):
        each = versions[number - 1]
        mark = f' <span class="pill data-ready">{escape(t("versions.now"))}</span>' if number == len(versions) else ""
        rows.append(
            [
                f"{number}{mark}",
                escape(made_by(each.made_by, t)),
                escape(each.made.replace("T", " ")[:16] or "–"),
                f"{each.rows:,}" if each.rows else "–",
                f'<span class="small" title="{escape(each.sha1)}">{escape(each.file.name)}</span>',
            ]
        )
    return rows
