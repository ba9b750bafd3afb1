"""The data sets of a run as token ids: read, split, rendered and counted. Used by the plan and by the worker alike."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from core.data.formats import conversations
from core.data.registry import DatasetEntry
from core.errors import DataError, problem
from core.models import folder as models
from core.records import Conversation
from core.render.tokenizer import ChatTokenizer, Example

MOST_VALIDATION = 256  # rows; chosen by us: a loss over 256 rows is steady to about 3 %, more only costs time
MOST_DROPPED = 0.3  # of all rows; facts: past that the settings are wrong, not the rows


@dataclass(frozen=True)
class Source:
    """What one data set brings to a pass over the data."""

    name: str
    examples: int
    tokens: int
    learnt_tokens: int
    dropped: int


@dataclass(frozen=True)
class RunData:
    """Examples to train on and to validate with, and where they came from."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    sources: tuple[Source, ...]

    @property
    def dropped(self) -> int:
        return sum(source.dropped for source in self.sources)

    @property
    def tokens(self) -> int:
        return sum(source.tokens for source in self.sources)

    @property
    def learnt_tokens(self) -> int:
        return sum(source.learnt_tokens for source in self.sources)


def run_data(
    entries: Sequence[DatasetEntry], model: Path, system_prompt: str | None, *, cutoff_len: int,
    validation_share: float, seed: int,
) -> RunData:  # fmt: skip
    """Return the examples of a run.

    Each set is split before anything is mixed; equal questions stay on one side. Examples of more than `cutoff_len` tokens
    are left out whole, because a cut would lose the end of the answer.

    Raises:
        DataError: if a set cannot be read, or if more than 30 % of the rows would be left out.
    """
    cutoff_len = min(cutoff_len, models.context_length(model) or cutoff_len)
    train: list[Example] = []
    validation: list[Example] = []
    sources = []
    for entry in entries:
        tokenised = _tokenised(_Key(entry), model, system_prompt)
        kept = [(row, example) for row, example in tokenised if len(example.input_ids) <= cutoff_len]
        held = _held_out([row for row, _ in kept], validation_share, seed)
        mine = [example for (_, example), out in zip(kept, held, strict=True) if not out]
        validation += [example for (_, example), out in zip(kept, held, strict=True) if out]
        train += mine
        sources.append(_source(entry.name, mine, len(tokenised) - len(kept)))
    if not train:  # too few rows to keep any of them back
        train, validation = validation, []
    dropped = sum(source.dropped for source in sources)
    total = len(train) + len(validation) + dropped
    if not train or dropped > MOST_DROPPED * total:
        raise DataError(problem("data.too_long", "batch.cutoff_len", dropped=dropped, total=total, cutoff=cutoff_len))
    return RunData(tuple(train), tuple(validation), tuple(sources))


class _Key:
    """An entry as a cache key: same name, place and content."""

    def __init__(self, entry: DatasetEntry) -> None:
        self.entry = entry
        status = entry.file.stat()
        columns = (*sorted(entry.columns.items()), *sorted(entry.tags.items()))
        self._key = (entry.name, str(entry.file), status.st_mtime_ns, status.st_size, entry.formatting, columns)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other._key == self._key


@lru_cache(maxsize=16)
def _tokenised(key: _Key, model: Path, system_prompt: str | None) -> tuple[tuple[Conversation, Example], ...]:
    tokenizer = ChatTokenizer.load(model)
    rows = [row.with_system(system_prompt) for row in conversations(key.entry)]
    return tuple((row, tokenizer.example(row)) for row in rows)


def _held_out(rows: Sequence[Conversation], share: float, seed: int) -> list[bool]:
    """Say for each row whether it is kept for validation: by a hash of its question, stable when rows are appended."""
    scores = [_score(row, seed) for row in rows]
    below = sorted(score for score in scores if score < share)
    limit = below[MOST_VALIDATION] if len(below) > MOST_VALIDATION else share
    return [score < limit for score in scores]


def _score(row: Conversation, seed: int) -> float:
    """Return a number in [0, 1) for the row's question, without its system prompt: every prompt splits alike."""
    spoken = (message for message in row.question if message.role != "system")
    text = "\x1f".join(f"{message.role}\x1e{message.content}" for message in spoken)
    return int.from_bytes(hashlib.sha256(f"{seed}\x1d{text}".encode()).digest()[:8]) / 2**64


def _source(name: str, examples: Sequence[Example], dropped: int) -> Source:
    tokens = sum(len(example.input_ids) for example in examples)
    learnt = sum(label >= 0 for example in examples for label in example.labels)
    return Source(name, len(examples), tokens, learnt, dropped)
