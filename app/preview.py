"""A row as the model will read it, token kinds told by colour and, for those who do not see colours, by lines."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from app.studio import Studio
from core.data.index import RowIndex
from core.data.page import page_of
from core.errors import DataError, Problem, problem
from core.records import Record
from core.render.tokenizer import ChatTokenizer
from core.render.xray import xrays
from core.wording import Translator

_MOST = 16_000  # characters of one row; chosen by us: more is not read
_HEAD = 10_000  # of these, at its beginning; the rest is its end


@lru_cache(maxsize=4)
def _tokenizer(folder: Path, stamp: int) -> ChatTokenizer:
    return ChatTokenizer.load(folder)


def tokenizer(folder: Path) -> ChatTokenizer:
    """Return the tokenizer of a model folder, loaded once while its file does not change."""
    file = folder / "tokenizer.json"
    return _tokenizer(folder, file.stat().st_mtime_ns if file.exists() else 0)


def rendered(record: Record, model: ChatTokenizer, t: Translator) -> str:
    """Return a row as HTML, its text in pieces of one kind each; of a preference the better side."""
    _, shown = xrays(model, record)[0]
    return framed([token(text, kind) for text, kind in shortened(shown.segments, t)])


def framed(pieces: Iterable[str]) -> str:
    """Return pieces of HTML as one text. It can be scrolled, so the keyboard must reach it."""
    return f'<div class="rendered" dir="auto" tabindex="0">{"".join(pieces)}</div>'


def token(text: str, kind: str, element: str = "span") -> str:
    """Return a piece of rendered text as HTML. `kind` may be several class names; "" is a remark of ours in between."""
    name = f' class="token {kind}"' if kind else ""
    return f"<{element if kind else 'em'}{name}>{escape(text)}</{element if kind else 'em'}>"


def shortened(segments: Sequence[tuple[str, str]], t: Translator) -> list[tuple[str, str]]:
    """Return the pieces without the middle of a very long text, a remark of kind "" in its place.

    What decides stands at the beginning (system prompt, question) and at the end (answer, stop token).
    """
    over = sum(len(text) for text, _ in segments) - _MOST
    if over <= 0:
        return list(segments)
    pieces: list[tuple[str, str]] = []
    position = 0
    for text, kind in segments:
        before, after = text[: max(0, _HEAD - position)], text[max(0, _HEAD + over - position) :]
        if before:
            pieces.append((before, kind))
        if position <= _HEAD < position + len(text):
            pieces.append((t("preview.left_out", n=f"{over:,}"), ""))
        if after and position + len(text) > _HEAD + over:
            pieces.append((after, kind))
        position += len(text)
    return pieces


def legend(t: Translator, kinds: Sequence[str] = ("learnt", "context", "control")) -> str:
    """Return what the colours mean."""
    items = "".join(f'<span class="token {kind}">{escape(t(f"preview.{kind}"))}</span>' for kind in kinds)
    return f'<div class="legend">{items}</div>'


def nth(studio: Studio, name: str, number: int) -> tuple[Record, int, int]:
    """Return a row of a data set, counted round and round, with its number and how many there are; only this row is read.

    Raises:
        StudioError: if the set or the row cannot be read, or there is no row.
    """
    entry = studio.registry.get(name)
    count = len(RowIndex.of(entry.file, studio.workspace.cache))
    if not count:
        raise DataError(problem("data.no_rows", entry.file.name))
    ((_, record),) = page_of(studio.workspace, entry, number % count, 1)
    if isinstance(record, Problem):
        raise DataError(record)
    return record, number % count, count
