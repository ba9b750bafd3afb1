"""The mixture of a run as a table: what each set brings, how often it is shown, and its weight, to be changed in place."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import gradio as gr

from app.controls import from_lines, to_lines
from app.parts import table
from core.data.mix import weight_of
from core.train.examples import Source
from core.wording import Translator

# A changed field becomes an event with the name of its set and the new value.
_WEIGHING = """
element.addEventListener('change', (event) => {
  const field = event.target.closest('[data-weight]');
  if (field) trigger('click', {name: field.dataset.weight, weight: field.value});
});
"""


def build(id: str) -> gr.HTML:
    """Return the block that the table stands in; a changed weight raises its click event, with `name` and `weight`."""
    return gr.HTML("", elem_id=id, js_on_load=_WEIGHING)


def shown(sources: Sequence[Source], weights: Mapping[str, float], t: Translator) -> str:
    """Return the table. `weights` are those that were set by hand; a balance may show a set more or less often than they."""
    headers = [t(f"mixture.{name}") for name in ("name", "rows", "weight", "exposures", "repetitions", "share")]
    rows = [
        [
            escape(source.name),
            f"{source.examples:,}",
            _field(source.name, weight_of(source.name, weights), t),
            f"{round(source.repetitions * source.examples):,}",
            f"{source.repetitions:.3g}×",
            _bar(source.share),
        ]
        for source in sources
    ]
    return table(headers, rows, caption=t("mixture.title"), numbers=(1, 3, 4))


def weighed(lines: str, name: str, weight: Any) -> str:
    """Return the `name = weight` lines with one weight changed; a weight of 1, or an empty one, needs no line."""
    weights = from_lines(lines or "")
    weights.pop(name, None)
    value = str(weight if weight is not None else "").strip().replace(",", ".")
    if value not in ("", "1"):
        weights[name] = value
    return to_lines(weights)


def _field(name: str, weight: float, t: Translator) -> str:
    label = escape(t("mixture.weight_of", name=name))
    return (
        f'<input class="weight" type="number" min="0" max="100" step="any" inputmode="decimal" value="{weight:g}" '
        f'data-weight="{escape(name)}" aria-label="{label}">'
    )


def _bar(share: float) -> str:
    """Return a share as a number with a bar under it."""
    text = f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"
    return f'<span class="share" style="--share:{100 * share:.1f}%">{text}</span>'
