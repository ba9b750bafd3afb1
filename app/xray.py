"""The X-ray panel: a row of a data set as a model reads it, and what another model or system prompt would change.

`build` lays it out and wires it, wherever it stands; `show` points it at a row. It draws itself whenever that row or one of
its own controls changes, so that what a person chose in it stays while they walk through the rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app.notices import notice, warnings
from app.parts import choice, empty, html, when
from app.preview import framed, legend, shortened, token, tokenizer
from app.studio import Studio
from core.data.index import RowIndex
from core.data.page import page_of
from core.errors import Problem, StudioError
from core.models.folder import find_model
from core.records import Record, Text, Tokenised
from core.render.xray import Part, XRay, difference, remarks, under_prompt, xrays
from core.settings import RunSettings
from core.wording import Translator

_KINDS = ("learnt", "context", "control")
_ELEMENTS = {"same": "span", "removed": "del", "added": "ins"}
_AROUND = 200  # characters of equal text that stay on either side of a difference; chosen by us


@dataclass(frozen=True)
class View:
    """How a row is looked at: model folder, name of the system prompt, and the cutoff in tokens (0 is none)."""

    model: str
    prompt: str = "none"
    cutoff_len: int = 0


@dataclass(frozen=True)
class XRayPanel:
    """`target` is a State: the name of the data set and its SHA-1, so that a new version is drawn anew."""

    target: Any
    row: Any
    model: Any
    prompt: Any
    cutoff: Any
    other_model: Any
    other_prompt: Any
    back: Any
    onward: Any
    shown: Any
    notice: Any

    @property
    def inputs(self) -> set[Any]:
        return {self.target, self.row, self.model, self.prompt, self.cutoff, self.other_model, self.other_prompt}

    @property
    def outputs(self) -> list[Any]:
        """What `show` updates."""
        return [self.target, self.row, self.model, self.prompt, self.other_model, self.other_prompt]


def build(studio: Studio, t: Translator, place: str = "xray") -> XRayPanel:
    """Lay out and wire the panel; `place` leads its ids."""
    cutoff_len = RunSettings.model_fields["batch"].get_default(call_default_factory=True).cutoff_len
    html(f"{place}-help", f'<p class="small">{escape(t("xray.help"))}</p>')
    with gr.Row(elem_classes="fields"):
        model = choice(studio.models(), value=studio.models()[0], label=t("xray.model"), elem_id=f"{place}-model",
                       min_width=140, scale=2)  # fmt: skip
        prompt = choice(studio.prompts.names(), value="none", label=t("xray.prompt"), elem_id=f"{place}-prompt",
                        min_width=120, scale=2)  # fmt: skip
        cutoff = gr.Number(value=cutoff_len, precision=0, label=t("xray.cutoff"), elem_id=f"{place}-cutoff",
                           min_width=120, scale=1)  # fmt: skip
    with gr.Accordion(t("xray.compare"), open=False, elem_id=f"{place}-compare"), gr.Row(elem_classes="fields"):
        other_model = choice([(t("xray.same_model"), "")], value="", label=t("xray.model"),
                             elem_id=f"{place}-other-model", min_width=140)  # fmt: skip
        other_prompt = choice([(t("xray.same_prompt"), "")], value="", label=t("xray.prompt"),
                              elem_id=f"{place}-other-prompt", min_width=120)  # fmt: skip
    with gr.Row(elem_classes="fields"):
        back = gr.Button(t("xray.back"), elem_id=f"{place}-back", size="sm", min_width=90)
        row = gr.Number(value=1, precision=0, label=t("xray.row"), elem_id=f"{place}-row", min_width=90)
        onward = gr.Button(t("xray.onward"), elem_id=f"{place}-onward", size="sm", min_width=90)
    told = html(f"{place}-notice")
    shown = html(f"{place}-shown", empty(t("xray.choose")))
    panel = XRayPanel(
        gr.State(("", "")), row, model, prompt, cutoff, other_model, other_prompt, back, onward, shown, told
    )
    _wire(studio, panel, t)
    return panel


def show(studio: Studio, panel: XRayPanel, name: str, row: int, t: Translator) -> dict[Any, Any]:
    """Return the updates that point the panel at a row, 0 the first, and bring its choices up to date."""
    entry = studio.registry.entries().get(name)
    prompts = studio.prompts.names()
    models = studio.models()
    return {
        panel.target: (name, entry.sha1 if entry else ""),
        panel.row: row + 1,
        panel.model: gr.update(choices=models),
        panel.prompt: gr.update(choices=prompts),
        panel.other_model: gr.update(choices=[(t("xray.same_model"), ""), *models]),
        panel.other_prompt: gr.update(choices=[(t("xray.same_prompt"), ""), *prompts]),
    }


def _wire(studio: Studio, panel: XRayPanel, t: Translator) -> None:
    def draw(values: Mapping[Any, Any]) -> dict[Any, Any]:
        name = values[panel.target][0]
        if not name:
            return {panel.shown: empty(t("xray.choose"))}
        view = View(
            values[panel.model] or studio.models()[0], values[panel.prompt] or "none", _number(values[panel.cutoff])
        )
        other = View(values[panel.other_model] or view.model, values[panel.other_prompt] or view.prompt)
        try:
            return {panel.shown: picture(studio, name, _number(values[panel.row]) - 1, view, other, t)}
        except StudioError as error:  # what was drawn before would be taken for the answer
            return {panel.shown: "", panel.notice: notice(error.problems, t("language.code"))}

    def turn(values: Mapping[Any, Any], by: int) -> dict[Any, Any]:
        total = max(1, _total(studio, values[panel.target][0]))
        now = min(max(1, _number(values[panel.row])), total)  # what is shown when the field says more
        return {panel.row: min(max(1, now + by), total)}

    changed = [each.change for each in panel.inputs]
    when(changed, draw, panel.inputs, [panel.shown], panel.notice, t, toast=False, trigger_mode="always_last")
    walking = {panel.target, panel.row}
    when(panel.back.click, lambda values: turn(values, -1), walking, [panel.row], panel.notice, t, reads=True)
    when(panel.onward.click, lambda values: turn(values, 1), walking, [panel.row], panel.notice, t, reads=True)


def picture(studio: Studio, name: str, number: int, view: View, other: View, t: Translator) -> str:
    """Return a row of a data set as HTML, 0 the first, and what differs when it is looked at otherwise.

    Raises:
        StudioError: if the set, the model or the prompt cannot be used, or the template cannot show the row.
    """
    total = _total(studio, name)
    if not total:
        return empty(t("xray.choose"))
    number = min(max(0, number), total - 1)
    ((row, record),) = page_of(studio.workspace, studio.registry.get(name), number, 1)
    head = f"<p>{escape(t('xray.where', number=f'{number + 1:,}', total=f'{total:,}', place=row.place))}</p>"
    if isinstance(record, Problem):
        return head + notice([record], t("language.code"))
    parts = _taken(studio, record, view, view.cutoff_len or None)
    pieces = [head, _unused_prompt(record, view.prompt, t)]
    compares = (view.model, view.prompt) != (other.model, other.prompt)
    whole = _taken(studio, record, view, None) if compares else parts  # a cut would show as a difference
    others = _taken(studio, record, other, None) if compares else parts
    for (part, each), (_, uncut), (_, compared) in zip(parts, whole, others, strict=True):
        pieces.append(f"<h4>{escape(t(f'xray.part.{part}'))}</h4>" if part != "whole" else "")
        pieces.append(_one(each, t))
        pieces.append(_compared(uncut, compared, view, other, t) if compares else "")
    return "".join(pieces)


def _taken(studio: Studio, record: Record, view: View, cutoff_len: int | None) -> list[tuple[Part, XRay]]:
    model = tokenizer(find_model(studio.workspace, view.model))
    return xrays(model, under_prompt(record, studio.prompts.raw(view.prompt).text), cutoff_len)


def _one(found: XRay, t: Translator) -> str:
    share = round(100 * found.learnt_tokens / max(1, found.tokens))
    counts = {"tokens": f"{found.tokens:,}", "learnt": f"{found.learnt_tokens:,}", "share": share}
    words = (
        t("xray.counts_cut", **counts, cut=f"{found.cut_tokens:,}") if found.cut_tokens else t("xray.counts", **counts)
    )
    kinds = (*_KINDS, "cut") if found.cut_tokens else _KINDS
    pieces = framed([token(text, kind) for text, kind in shortened(found.segments, t)])
    told = warnings(remarks(found), t("language.code"))
    return f'<p class="counts">{escape(words)}</p>{told}{legend(t, kinds)}{pieces}'


def _compared(first: XRay, second: XRay, view: View, other: View, t: Translator) -> str:
    """Return what differs, with some of the text around it."""
    title = f"<h4>{escape(t('xray.difference'))}</h4>"
    changes = difference(first, second)
    if all(side == "same" for _, _, side in changes):
        return f'{title}<p class="good">{escape(t("xray.no_difference"))}</p>'
    sides = (("removed", "del", view), ("added", "ins", other))
    items = "".join(
        f'<{element} class="token {side}">{escape(t(f"xray.{side}", model=each.model, prompt=each.prompt))}</{element}>'
        for side, element, each in sides
    )
    pieces = [
        token(_around(text) if side == "same" else text, f"{kind} {side}" if side != "same" else kind, _ELEMENTS[side])
        for text, kind, side in changes
    ]
    return f'{title}<div class="legend">{items}</div>{framed(pieces)}'


def _around(text: str) -> str:
    """Return the ends of a long stretch that is alike in both."""
    return text if len(text) <= 3 * _AROUND else f"{text[:_AROUND]} … {text[-_AROUND:]}"


def _unused_prompt(record: Record, prompt: str, t: Translator) -> str:
    if prompt == "none":
        return ""
    if isinstance(record, Text | Tokenised):
        return f'<p class="note">{escape(t("xray.no_turns"))}</p>'
    own = bool(record.messages) and record.messages[0].role == "system"
    return f'<p class="note">{escape(t("xray.own_system"))}</p>' if own else ""


def _total(studio: Studio, name: str) -> int:
    """Return how many rows a set has; the index knows at once."""
    entry = studio.registry.get(name)
    return len(RowIndex.of(entry.file, studio.workspace.cache))


def _number(value: Any) -> int:
    """Return what stands in a number field; whoever posts something else gets 0."""
    return int(value) if isinstance(value, int | float) and 0 <= value < 1e9 else 0
