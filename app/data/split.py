"""Split: which rows are learnt, which measure the loss on the way, and which test. It belongs to the version of the set."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.data.stage import Stage
from app.parts import html, when
from core.data.registry import DatasetEntry
from core.data.split import MIN_TEST, SHARES
from core.data.versions import Parts
from core.errors import DataError, problem
from core.wording import Translator

SEED = 7


@dataclass(frozen=True)
class SplitSection:
    shown: Any
    form: Any
    train: Any
    validation: Any
    test: Any
    seed: Any
    start: Any

    @property
    def outputs(self) -> list[Any]:
        return [self.shown, self.form, self.train, self.validation, self.test, self.seed, self.start]


def build(stage: Stage) -> SplitSection:
    """Lay out the section."""
    t = stage.t
    shown = html("data-parts")
    with gr.Column(elem_classes="plain") as form:
        with gr.Row(elem_classes="fields"):
            train, validation, test = (
                gr.Number(100 * share, label=t(f"parts.{name}"), elem_id=f"split-{name}", min_width=90)
                for name, share in zip(("train", "validation", "test"), SHARES, strict=True)
            )
            seed = gr.Number(SEED, label=t("parts.seed"), precision=0, elem_id="split-seed", min_width=90)
        gr.HTML(f'<p class="small">{escape(t("parts.help", least=MIN_TEST))}</p>', js_on_load=None)
        with gr.Row(elem_classes="actions"):
            start = gr.Button(t("parts.start"), elem_id="split-start")
    return SplitSection(shown, form, train, validation, test, seed, start)


def wire(stage: Stage, section: SplitSection) -> None:
    """Wire the section."""

    def split(values: Mapping[Any, Any]) -> dict[Any, Any]:
        entry = stage.entry(values)
        given = [float(values[each] or 0) for each in (section.train, section.validation, section.test)]
        if sum(given) <= 0 or min(given) < 0:
            raise DataError(problem("split.shares", entry.name, given="/".join(f"{each:g}" for each in given)))
        shares = [each / sum(given) for each in given]  # 8/1/1 means the same as 80/10/10
        return stage.start("split", name=entry.name, shares=shares, seed=int(values[section.seed] or 0))

    fields = {section.train, section.validation, section.test, section.seed}
    when(section.start.click, split, {*stage.inputs, *fields}, stage.work.outputs, stage.notice, stage.t)


def show(stage: Stage, section: SplitSection, entry: DatasetEntry) -> dict[Any, Any]:
    """Return the updates for a set."""
    t = stage.t
    words = t("parts.sample" if entry.sample else "parts.whole")
    updates: dict[Any, Any] = {
        section.shown: _bar(entry.parts, t) if entry.parts else f'<p class="note">{escape(words)}</p>',
        section.form: gr.update(visible=not entry.sample),
        section.start: gr.update(value=t("parts.again" if entry.parts else "parts.start")),
    }
    if entry.parts:
        fields = zip((section.train, section.validation, section.test), entry.parts.shares, strict=True)
        updates |= {field: round(100 * share, 2) for field, share in fields}
        updates[section.seed] = entry.parts.seed
    return updates


def _bar(parts: Parts, t: Translator) -> str:
    """Return the three parts as one bar in proportion, with their numbers in words."""
    named = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    total = max(1, sum(named.values()))
    pieces = "".join(
        f'<div class="{name}" style="flex:{count / total:.4f}"></div>' for name, count in named.items() if count
    )
    legend = "".join(
        f'<span class="{name}">{escape(t(f"parts.{name}_rows", n=f"{count:,}"))}</span>'
        for name, count in named.items()
    )
    how = "parts.by_files" if parts.grouped == "files" else "parts.grouped"
    grouped = f'<p class="small">{escape(t(how))}</p>' if parts.grouped else ""
    return f'<div class="parts" aria-hidden="true">{pieces}</div><p class="parts-legend">{legend}</p>{grouped}'
