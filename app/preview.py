"""A conversation as the model will read it, token kinds told by colour and, for those who do not see colours, by lines."""

from functools import lru_cache
from html import escape
from pathlib import Path

from app.studio import Studio
from core.data.formats import conversations
from core.models.folder import context_length, find_model, parameters
from core.records import Conversation
from core.render.tokenizer import ChatTokenizer
from core.wording import Translator

_MOST = 6000  # characters of one conversation; chosen by us: more is not read


@lru_cache(maxsize=4)
def _tokenizer(folder: Path, stamp: int) -> ChatTokenizer:
    return ChatTokenizer.load(folder)


def tokenizer(folder: Path) -> ChatTokenizer:
    """Return the tokenizer of a model folder, loaded once while its file does not change."""
    file = folder / "tokenizer.json"
    return _tokenizer(folder, file.stat().st_mtime_ns if file.exists() else 0)


def model_facts(studio: Studio, path: str, t: Translator) -> list[tuple[str, str]]:
    """Return what a person wants to know of a model folder.

    Raises:
        StudioError: if it cannot be used.
    """
    folder = find_model(studio.workspace, path)
    size = parameters(folder)
    count = f"{size / 1e9:.1f} B" if size >= 1e9 else f"{size / 1e6:.1f} M"
    own = tokenizer(folder).template_source == "model"
    context = context_length(folder)
    return [
        (t("model.parameters"), count),
        (t("model.context"), t("model.tokens", n=f"{context:,}") if context else "–"),
        (t("model.template"), t("model.template_own" if own else "model.template_chatml")),
    ]


def rendered(conversation: Conversation, model: ChatTokenizer, t: Translator) -> str:
    """Return a conversation as HTML, its text in pieces of one kind each."""
    pieces, length = [], 0
    for text, kind in model.segments(conversation.messages):
        pieces.append(f'<span class="token {kind}">{escape(text[: _MOST - length])}</span>')
        length += len(text)
        if length >= _MOST:
            pieces.append(f"<em>{escape(t('preview.cut', n=_MOST))}</em>")
            break
    return f'<div class="rendered" dir="auto">{"".join(pieces)}</div>'


def legend(t: Translator) -> str:
    """Return what the colours mean."""
    items = "".join(
        f'<span class="token {kind}">{escape(t(f"preview.{kind}"))}</span>' for kind in ("learnt", "context", "control")
    )
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
