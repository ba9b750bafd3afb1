"""A conversation as the model will read it, token kinds told by colour and, for those who do not see colours, by lines."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from app.studio import Studio
from core.data.formats import conversations
from core.records import Conversation
from core.render.tokenizer import ChatTokenizer
from core.render.xray import xray
from core.wording import Translator

_MOST = 16_000  # characters of one conversation; chosen by us: more is not read
_HEAD = 10_000  # of these, at its beginning; the rest is its end


@lru_cache(maxsize=4)
def _tokenizer(folder: Path, stamp: int) -> ChatTokenizer:
    return ChatTokenizer.load(folder)


def tokenizer(folder: Path) -> ChatTokenizer:
    """Return the tokenizer of a model folder, loaded once while its file does not change."""
    file = folder / "tokenizer.json"
    return _tokenizer(folder, file.stat().st_mtime_ns if file.exists() else 0)


def rendered(conversation: Conversation, model: ChatTokenizer, t: Translator) -> str:
    """Return a conversation as HTML, its text in pieces of one kind each."""
    return framed([token(text, kind) for text, kind in shortened(xray(model, conversation).segments, t)])


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


def nth(studio: Studio, name: str, number: int, *, allow_blanks: bool = False) -> tuple[Conversation, int, int]:
    """Return a conversation of a data set, counted round and round, with its number and how many there are.

    Raises:
        StudioError: if the set cannot be read.
    """
    entry = studio.registry.get(name)
    found = _conversations(studio, name, entry.file, entry.file.stat().st_mtime_ns, allow_blanks)
    return found[number % len(found)], number % len(found), len(found)


_read: dict[tuple[str, Path, int, bool], list[Conversation]] = {}


def _conversations(studio: Studio, name: str, file: Path, stamp: int, allow_blanks: bool) -> list[Conversation]:
    key = (name, file, stamp, allow_blanks)
    if key not in _read:
        if len(_read) >= 4:
            _read.clear()
        _read[key] = conversations(studio.registry.get(name), allow_blanks=allow_blanks)
    return _read[key]
