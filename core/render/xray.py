"""The X-ray of a record: what a model reads, in pieces that are learnt, context, control tokens, or cut off.

It colours the tokens of `ChatTokenizer.encode`, from which training takes its labels; nothing is worked out a second time.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from core.errors import Problem, problem
from core.records import Conversation, Message, Preference, Prompt, Record, Text, Tokenised, UnpairedPreference
from core.render.tokenizer import IGNORE_INDEX, ChatTokenizer, Encoded

Kind = Literal["learnt", "context", "control", "cut"]
Part = Literal["whole", "chosen", "rejected", "wanted", "unwanted"]
Side = Literal["same", "removed", "added"]
_HAN = r"[\u3040-\u30ff\u3400-\u9fff]"  # written without spaces: each character is a word of its own
_WORDS = re.compile(rf"[^\S\n]*(?:{_HAN}|(?:(?!{_HAN})\w)+|[^\w\s])|\n|[^\S\n]+")
_MOST_WORDS = 4000  # compared word by word up to here, chosen by us: the time grows with the square


@dataclass(frozen=True)
class XRay:
    """`segments` are (text, kind) in order; together they are the whole rendered text.

    A stop token that is learnt counts as learnt, not as control: that it is learnt is what a person wants to see. Tokens from
    the `cutoff_len`-th on are cut; `cut_learnt_tokens` of those would have been learnt. `written` are the control tokens that
    stand in the content and are kept ordinary text. `stops` tells whether the last thing learnt is a stop token.
    """

    segments: tuple[tuple[str, Kind], ...]
    tokens: int
    learnt_tokens: int
    cut_tokens: int = 0
    cut_learnt_tokens: int = 0
    written: tuple[str, ...] = ()
    stops: bool = False

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.segments)

    @property
    def control_tokens_in_content(self) -> int:
        return len(self.written)


def xray(tokenizer: ChatTokenizer, conversation: Conversation, cutoff_len: int | None = None) -> XRay:
    """Return the X-ray of a conversation.

    Raises:
        ModelError: if the template cannot show it.
        DataError: if its tools are not JSON of the right shape.
    """
    return _xray(tokenizer, tokenizer.encode(conversation), cutoff_len)


def xrays(tokenizer: ChatTokenizer, record: Record, cutoff_len: int | None = None) -> list[tuple[Part, XRay]]:
    """Return the X-ray of any record; of a preference there are two.

    Raises:
        ModelError, DataError: as `xray`.
    """
    if isinstance(record, Conversation):
        return [("whole", xray(tokenizer, record, cutoff_len))]
    if isinstance(record, Preference):
        asked = _as_context(record.messages)
        sides: list[tuple[Part, tuple[Message, ...]]] = [("chosen", record.chosen), ("rejected", record.rejected)]
        return [
            (side, xray(tokenizer, Conversation((*asked, *answer), tools=record.tools), cutoff_len))
            for side, answer in sides
        ]
    if isinstance(record, UnpairedPreference):
        shown = Conversation((*_as_context(record.messages[:-1]), *record.messages[-1:]), tools=record.tools)
        return [("wanted" if record.desirable else "unwanted", xray(tokenizer, shown, cutoff_len))]
    if isinstance(record, Tokenised):
        return [("whole", _of_ids(tokenizer, record, cutoff_len))]
    encoded = (
        tokenizer.encode_text(record.text) if isinstance(record, Text) else tokenizer.encode_prompt(record.messages)
    )
    return [("whole", _xray(tokenizer, encoded, cutoff_len))]


def remarks(found: XRay) -> list[Problem]:
    """Return what a person should know of an X-ray, in words, the worst first."""
    told = []
    if found.cut_tokens:
        told.append(problem("xray.too_long", tokens=found.tokens, cutoff=found.tokens - found.cut_tokens,
                            over=found.cut_tokens, lost=found.cut_learnt_tokens))  # fmt: skip
    if not found.learnt_tokens:
        told.append(problem("xray.nothing_learnt"))
    elif not found.cut_learnt_tokens and not found.stops:
        told.append(problem("xray.no_stop"))
    if found.written:
        told.append(problem("xray.written", tokens=", ".join(dict.fromkeys(found.written)), n=len(found.written)))
    return told


def under_prompt(record: Record, text: str | None) -> Record:
    """Return the record under a system prompt, where it has turns and brings none itself."""
    if isinstance(record, Conversation):
        return record.with_system(text)
    if isinstance(record, Preference | UnpairedPreference | Prompt) and text:
        has_own = record.messages[:1] and record.messages[0].role == "system"
        return record if has_own else replace(record, messages=(Message("system", text), *record.messages))
    return record


def difference(before: XRay, after: XRay) -> tuple[tuple[str, Kind, Side], ...]:
    """Return both X-rays in one: (text, kind, side), word by word; a word that is learnt in only one of them differs."""
    old, new = _words(before.segments), _words(after.segments)
    start = _common(old, new)
    end = _common(old[start:][::-1], new[start:][::-1])
    pieces: list[tuple[str, Kind, Side]] = [(*word, "same") for word in old[:start]]
    middle_old, middle_new = old[start : len(old) - end], new[start : len(new) - end]
    comparable = max(len(middle_old), len(middle_new)) <= _MOST_WORDS
    matcher = difflib.SequenceMatcher(None, middle_old if comparable else [], middle_new, autojunk=False)
    last_old = last_new = 0
    for a, c, size in matcher.get_matching_blocks() if comparable else [(len(middle_old), len(middle_new), 0)]:
        pieces += [(*word, "removed") for word in middle_old[last_old:a]]
        pieces += [(*word, "added") for word in middle_new[last_new:c]]
        pieces += [(*word, "same") for word in middle_old[a : a + size]]
        last_old, last_new = a + size, c + size
    pieces += [(*word, "same") for word in old[len(old) - end :]]
    return _joined(pieces)


def _xray(tokenizer: ChatTokenizer, encoded: Encoded, cutoff_len: int | None) -> XRay:
    limit = len(encoded.ids) if cutoff_len is None else cutoff_len
    text = encoded.rendered.text
    pieces: list[tuple[str, Kind]] = []
    position = 0
    tokens = zip(encoded.ids, encoded.starts, encoded.ends, encoded.learnt, strict=True)
    for number, (id, start, end, learnt) in enumerate(tokens):
        control = tokenizer.is_control(id, text[start:end])
        kind: Kind = "cut" if number >= limit else "learnt" if learnt else "control" if control else "context"
        # The second token of one character adds nothing; what a tokenizer drops shows with the token behind it.
        _append(pieces, text[position:end], kind)
        position = max(position, end)
    _append(pieces, text[position:], pieces[-1][1] if pieces else "context")
    return _counted(tokenizer, pieces, encoded.ids, encoded.learnt, limit, encoded.rendered.written)


def _of_ids(tokenizer: ChatTokenizer, record: Tokenised, cutoff_len: int | None) -> XRay:
    """Return the X-ray of ids that were made elsewhere, decoded in runs of one kind."""
    learnt = [label != IGNORE_INDEX for label in record.labels]
    limit = len(learnt) if cutoff_len is None else cutoff_len
    kinds: list[Kind] = ["cut" if n >= limit else "learnt" if yes else "context" for n, yes in enumerate(learnt)]
    borders = [n for n in range(len(kinds)) if n == 0 or kinds[n] != kinds[n - 1]]
    pieces: list[tuple[str, Kind]] = []
    for start, end in zip(borders, [*borders[1:], len(kinds)], strict=True):
        _append(pieces, tokenizer.decode(record.input_ids[start:end], skip_control=False), kinds[start])
    return _counted(tokenizer, pieces, record.input_ids, learnt, limit, ())


def _counted(
    tokenizer: ChatTokenizer, pieces: Sequence[tuple[str, Kind]], ids: Sequence[int], learnt: Sequence[bool], limit: int,
    written: tuple[str, ...],
) -> XRay:  # fmt: skip
    kept = [id for id, yes in zip(ids[:limit], learnt[:limit], strict=True) if yes]
    return XRay(
        segments=tuple(pieces),
        tokens=len(ids),
        learnt_tokens=sum(learnt),
        cut_tokens=max(0, len(ids) - limit),
        cut_learnt_tokens=sum(learnt[limit:]),
        written=written,
        stops=bool(kept) and kept[-1] in tokenizer.stop_ids,
    )


def _as_context(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    return tuple(replace(each, train=False) if each.role == "assistant" else each for each in messages)


def _append(pieces: list[tuple[str, Kind]], text: str, kind: Kind) -> None:
    if text and pieces and pieces[-1][1] == kind:
        pieces[-1] = (pieces[-1][0] + text, kind)
    elif text:
        pieces.append((text, kind))


def _words(segments: Sequence[tuple[str, Kind]]) -> list[tuple[str, Kind]]:
    return [(word, kind) for text, kind in segments for word in _WORDS.findall(text)]


def _common(old: Sequence[tuple[str, Kind]], new: Sequence[tuple[str, Kind]]) -> int:
    """Return how many words both begin with."""
    return next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _joined(pieces: Sequence[tuple[str, Kind, Side]]) -> tuple[tuple[str, Kind, Side], ...]:
    joined: list[tuple[str, Kind, Side]] = []
    for text, kind, side in pieces:
        if joined and joined[-1][1:] == (kind, side):
            joined[-1] = (joined[-1][0] + text, kind, side)
        else:
            joined.append((text, kind, side))
    return tuple(joined)
