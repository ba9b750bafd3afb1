"""The data sets of a run as token ids: read, split, rendered and counted. Used by the plan and by the worker alike."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from core.data.formats import conversations
from core.data.mix import Offer, Part, mixture, rows_of_pass
from core.data.registry import DatasetEntry
from core.errors import DataError, problem
from core.models import folder as models
from core.records import Conversation
from core.render.model_files import state_of
from core.render.tokenizer import ChatTokenizer, Example

MOST_VALIDATION = 256  # rows; chosen by us: a loss over 256 rows is steady to about 3 %, more only costs time
MOST_DROPPED = 0.3  # of all rows; facts: past that the settings are wrong, not the rows
GENERAL_KINDS = frozenset(
    {"openorca", "oasst", "dolly"}
)  # recognised kinds that are of many tasks, whatever their name


@dataclass(frozen=True)
class Source:
    """What one data set, or one task of a set that has several (`set:TASK`), brings to a pass over the data.

    `examples`, `tokens` and `learnt_tokens` count each row once; `exposures` are the examples that a pass shows, which are
    `weight` times as many, and `share` is their part of all learnt tokens. `repetitions` is how often a whole run shows each
    row; the plan knows it. `validated` are the examples kept back; in `RunData.validation` they follow source by source.
    """

    name: str
    examples: int
    tokens: int
    learnt_tokens: int
    dropped: int
    exposures: int
    share: float
    repetitions: float = 0.0
    dropped_tokens: int = 0
    validated: int = 0

    @property
    def weight(self) -> float:
        return self.exposures / self.examples if self.examples else 0.0


@dataclass(frozen=True)
class RunData:
    """Examples to train on (those of one source after those of another), to validate with, and where they came from."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    seed: int

    @property
    def per_pass(self) -> int:
        """The examples of one pass: as many as `train` where no set has a weight."""
        return sum(source.exposures for source in self.sources)

    @property
    def dropped(self) -> int:
        return sum(source.dropped for source in self.sources)

    @property
    def dropped_tokens(self) -> int:
        return sum(source.dropped_tokens for source in self.sources)

    @property
    def tokens(self) -> int:
        """The tokens of one pass."""
        return round(sum(source.tokens * source.weight for source in self.sources))

    @property
    def learnt_tokens(self) -> int:
        """The learnt tokens of one pass."""
        return round(sum(source.learnt_tokens * source.weight for source in self.sources))

    def of_pass(self, number: int) -> list[Example]:
        """Return the examples that pass `number` (from 0) shows, in no particular order."""
        found: list[Example] = []
        start = 0
        for source in self.sources:
            rows = rows_of_pass(source.examples, source.exposures, number, self.seed)
            found += [self.train[start + row] for row in rows]
            start += source.examples
        return found


def run_data(
    entries: Sequence[DatasetEntry], model: Path, system_prompt: str | None, *, cutoff_len: int,
    validation_share: float, seed: int, weights: Mapping[str, float] | None = None, balance: float = 1.0,
) -> RunData:  # fmt: skip
    """Return the examples of a run.

    Each set is split before anything is mixed; where its rows are tagged with tasks, each task is a source of its own, so
    that weights and balance reach tasks too. A set with parts is trained on its training part and validated with its
    validation part; of one without, `validation_share` is kept back, equal questions on one side. Examples of more than
    `cutoff_len` tokens are left out whole, because a cut would lose the end of the answer.

    Raises:
        DataError: if a set cannot be read, or if more than 30 % of the rows would be left out.
    """
    cutoff_len = min(cutoff_len, models.context_length(model) or cutoff_len)
    brought = [
        each for entry in entries for each in _bring(entry, model, system_prompt, cutoff_len, validation_share, seed)
    ]
    if not any(each.train for each in brought):  # too few rows to keep any of them back
        brought = [replace(each, train=each.validation, validation=[]) for each in brought]
    dropped = sum(each.dropped for each in brought)
    total = sum(len(each.train) + len(each.validation) for each in brought) + dropped
    if dropped == total or not any(each.train for each in brought) or dropped > MOST_DROPPED * total:
        lengths = sorted(
            len(pair[1].input_ids) for entry in entries for pair in training_part(entry, model, system_prompt)
        )
        enough, limit = lengths[len(lengths) * 95 // 100], models.context_length(model) or 0
        code = "data.too_long_for_model" if 0 < limit < enough else "data.too_long"
        values = {"dropped": dropped, "total": total, "cutoff": cutoff_len, "enough": enough, "limit": limit}
        raise DataError(problem(code, "batch.cutoff_len", **values))
    offers = [
        Offer(each.name, len(each.train), sum(map(_learnt, each.train)), each.recognised in GENERAL_KINDS)
        for each in brought
    ]
    parts = mixture(offers, weights or {}, balance)
    return RunData(
        tuple(example for each in brought for example in each.train),
        tuple(example for each in brought for example in each.validation),
        tuple(_source(each, offer, part) for each, offer, part in zip(brought, offers, parts, strict=True)),
        tuple(parts),
        seed,
    )


@dataclass(frozen=True)
class _Brought:
    """The examples of one source that are short enough."""

    name: str
    recognised: str
    train: list[Example]
    validation: list[Example]
    dropped: int
    dropped_tokens: int


_Pairs = Sequence[tuple[Conversation, Example]]


def training_part(entry: DatasetEntry, model: Path, system_prompt: str | None) -> _Pairs:
    """Return the rows that a set is trained on with their examples, those that are too long among them.

    Raises:
        DataError: if the set cannot be read or a row cannot be rendered.
        ModelError: if the model's tokenizer or template cannot be used.
    """
    return _tokenised(_Key(entry), model, state_of(model), system_prompt, "train" if entry.parts else None)


def _bring(
    entry: DatasetEntry, model: Path, system_prompt: str | None, cutoff_len: int, share: float, seed: int
) -> list[_Brought]:
    """Read one set, leave out what is too long, keep rows back for validation, and tell its tasks apart."""
    own = entry.parts is not None and entry.parts.validation > 0
    training = training_part(entry, model, system_prompt)
    validating: _Pairs = _tokenised(_Key(entry), model, state_of(model), system_prompt, "validation") if own else ()
    tasks = sorted({row.task for row, _ in (*training, *validating)})
    found = []
    for task in tasks:
        mine = [pair for pair in training if pair[0].task == task]
        measured = [pair for pair in validating if pair[0].task == task]
        kept, checked = _short(mine, cutoff_len), _short(measured, cutoff_len)
        held = _held_out([row for row, _ in (checked if own else kept)], 1.0 if own else share, seed)
        train = kept if own else [pair for pair, out in zip(kept, held, strict=True) if not out]
        validation = [pair for pair, out in zip(checked if own else kept, held, strict=True) if out]
        found.append(
            _Brought(
                f"{entry.name}:{task or '-'}" if len(tasks) > 1 else entry.name,
                entry.recognised,
                [example for _, example in train],
                [example for _, example in validation],
                len(mine) + len(measured) - len(kept) - len(checked),
                sum(len(example.input_ids) for _, example in (*mine, *measured) if len(example.input_ids) > cutoff_len),
            )
        )
    return found


def _short(pairs: _Pairs, cutoff_len: int) -> list[tuple[Conversation, Example]]:
    return [pair for pair in pairs if len(pair[1].input_ids) <= cutoff_len]


class _Key:
    """An entry as a cache key: same name, place and content."""

    def __init__(self, entry: DatasetEntry) -> None:
        self.entry = entry
        status = entry.file.stat()
        reading = (entry.reading.format, *sorted(entry.reading.options.items()))
        self._key = (entry.name, str(entry.file), status.st_mtime_ns, status.st_size, reading, _stamp(entry))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other._key == self._key


def _stamp(entry: DatasetEntry) -> tuple[object, ...]:
    """Return what tells one split of a set from another."""
    if entry.parts is None:
        return ()
    status = entry.parts.file.stat()
    return str(entry.parts.file), status.st_mtime_ns, status.st_size, entry.parts.validation


@lru_cache(maxsize=16)
def _tokenised(
    key: _Key, model: Path, model_state: object, system_prompt: str | None, part: str | None
) -> tuple[tuple[Conversation, Example], ...]:
    tokenizer = ChatTokenizer.load(model)
    rows = [row.with_system(system_prompt) for row in conversations(key.entry, part=part)]
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


def _learnt(example: Example) -> int:
    return sum(label >= 0 for label in example.labels)


def _source(brought: _Brought, offer: Offer, part: Part) -> Source:
    tokens = sum(len(example.input_ids) for example in brought.train)
    return Source(
        offer.name, offer.rows, tokens, offer.learnt_tokens, brought.dropped, part.exposures, part.share,
        dropped_tokens=brought.dropped_tokens, validated=len(brought.validation),
    )  # fmt: skip
