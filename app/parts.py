"""Small pieces that all pages are made of: choices, tables, pills, and how an event is wired."""

from collections.abc import Sequence
from html import escape
from typing import Any

import gradio as gr

from app.notices import Handler, guarded
from app.owner_guard import only_reads, refusing
from core.wording import Translator

# A table's buttons carry data-pick; a click on one becomes an event with that value.
_PICKING = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick]');
  if (button) trigger('click', {pick: button.dataset.pick});
});
"""


def choice(choices: Sequence[Any], **options: Any) -> gr.Dropdown:
    """Return a dropdown that hands over whatever the browser sent.

    Gradio would refuse, in English, what was not among the choices of this browser session: after a restart of the server
    that is every value on a page left open. The functions behind check each value anyway, since anybody can post one.
    """
    return gr.Dropdown(list(choices), allow_custom_value=True, **options)


def picking(id: str, value: str = "") -> gr.HTML:
    """Return an HTML block whose `data-pick` buttons raise its click event, with `pick` in the event's data."""
    return gr.HTML(value, elem_id=id, js_on_load=_PICKING)


def html(id: str, value: str = "", **options: Any) -> gr.HTML:
    return gr.HTML(value, elem_id=id, js_on_load=None, **options)


def when(
    triggers: Any, function: Handler, inputs: set[Any], outputs: Sequence[Any], panel: Any, t: Translator, **options: Any
) -> Any:  # fmt: skip
    """Wire events to a handler that gets one dict of component -> value and returns one of component -> update.

    Errors go to `panel`. Events of one visitor never wait for another's, and are not part of a public API. Clicks, uploads
    and the like are refused where this server may only look, unless `reads=True` says that the handler changes nothing on
    disk.
    """
    function = refusing(function, options.pop("reads", only_reads(triggers)))
    settings = {"concurrency_limit": None, "api_visibility": "private", "show_progress": "hidden", **options}
    toast = settings.pop("toast", True)
    return gr.on(
        triggers,
        guarded(function, panel, t("language.code"), toast),
        inputs=inputs,
        outputs=[panel, *outputs],
        **settings,
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str, numbers: Sequence[int] = ()) -> str:
    """Return a table as HTML. Cells are HTML already; `numbers` are the columns to align right."""
    sides = ['class="number"' if column in numbers else "" for column in range(len(headers))]
    head = "".join(f'<th scope="col" {side}>{escape(text)}</th>' for text, side in zip(headers, sides, strict=True))
    body = "".join(
        "<tr>"
        + "".join(
            f'<td {side} data-label="{escape(text)}">{cell}</td>'
            for cell, side, text in zip(row, sides, headers, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="studio"><caption class="unseen">{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def pick(value: str, chosen: bool = False, text: str = "") -> str:
    """Return a button for a table cell that chooses its row."""
    return (
        f'<button type="button" class="pick" data-pick="{escape(value)}" aria-pressed="{str(chosen).lower()}">'
        f"{escape(text or value)}</button>"
    )


def pill(status: str, t: Translator) -> str:
    """Return the state of a job as a coloured word."""
    return f'<span class="pill {escape(status)}" data-status="{escape(status)}">{escape(t("status." + status))}</span>'


def empty(text: str) -> str:
    """Return what stands where nothing is yet: the next step."""
    return f'<div class="empty">{escape(text)}</div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    """Return label and value pairs as a definition list; values are escaped."""
    items = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in pairs)
    return f'<dl class="facts">{items}</dl>'
