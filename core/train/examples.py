"""The data sets of a run as examples: split, cut to length, mixed and counted. Used by the plan and by the worker alike.

What is worked out here are numbers about rows that were tokenised before (`core.tokens`), so that it takes no longer for a
hundred thousand rows than for a hundred, and no more memory.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.data.mix import Offer, Part, mixture, rows_of_pass
from core.data.registry import DatasetEntry, Registry
from core.errors import DataError, Problem, problem
from core.models import folder as models
from core.models.methods import virtual_tokens
from core.models.new_tokens import tokenizer_folder
from core.progress import Progress, silent
from core.settings import RunSettings
from core.tokens.encoder import TEXT
from core.tokens.store import TokenSet
from core.tokens.tokenise import tokenised
from core.train.rows import training_rows
from core.train.view import Examples, examples_of, joined, pieces_of
from core.workspace import Workspace

MOST_VALIDATION = 256  # examples; chosen by us: a loss over 256 rows is steady to about 3 %, more only costs time
MOST_DROPPED = 0.3  # of all rows; facts: past that the settings are wrong, not the rows
GENERAL_KINDS = frozenset(
    {"openorca", "oasst", "dolly"}
)  # recognised kinds that are of many tasks, whatever their name


@dataclass(frozen=True)
class Source:
    """What one data set, or one task of a set that has several (`set:TASK`), brings to a pass over the data.

    `examples`, `tokens` and `learnt_tokens` count each row once; `exposures` are the examples that a pass shows, which are
    `weight` times as many, and `share` is their part of all learnt tokens. `repetitions` is how often a whole run shows each
    row; the plan knows it. Rows are `dropped` whole for being longer than the cutoff, and `unlearnt` ones for having nothing
    to learn; `split` are running texts that became several examples. `validated` are the examples kept back.
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
    unlearnt: int = 0
    split: int = 0
    validated: int = 0

    @property
    def weight(self) -> float:
        return self.exposures / self.examples if self.examples else 0.0


@dataclass(frozen=True)
class RunData:
    """Examples to train on and to validate with (in both, those of one source after those of another, in their order)."""

    train: Examples
    validation: Examples
    sources: tuple[Source, ...]
    parts: tuple[Part, ...]
    seed: int
    cutoff_len: int  # tokens that an example may have: what was asked for, or what the model can read

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
    def unlearnt(self) -> int:
        return sum(source.unlearnt for source in self.sources)

    @property
    def tokens(self) -> int:
        """The tokens of one pass."""
        return round(sum(source.tokens * source.weight for source in self.sources))

    @property
    def learnt_tokens(self) -> int:
        """The learnt tokens of one pass."""
        return round(sum(source.learnt_tokens * source.weight for source in self.sources))

    def of_pass(self, number: int) -> np.ndarray:
        """Return the indices in `train` that pass `number` (from 0) shows, int64, in no particular order."""
        found = []
        start = 0
        for source in self.sources:
            found.append(start + rows_of_pass(source.examples, source.exposures, number, self.seed))
            start += source.examples
        return np.concatenate(found)

    def remarks(self) -> list[Problem]:
        """Return what was done to the rows beside leaving out the long ones."""
        told = []
        if self.unlearnt:
            told.append(problem("plan.unlearnt", "data.train", unlearnt=self.unlearnt))
        if texts := sum(source.split for source in self.sources):
            told.append(problem("plan.split_texts", "batch.cutoff_len", texts=texts, cutoff=self.cutoff_len))
        return told


def run_data(
    workspace: Workspace, settings: RunSettings, model: Path, system_prompt: str | None, progress: Progress = silent
) -> RunData:
    """Return the examples of a run.

    Each set is split before anything is mixed; where its rows are tagged with tasks, each task is a source of its own, so
    that weights and balance reach tasks too. A set with parts is trained on its training part and validated with its
    validation part; of one without, `data.validation_share` is kept back, equal questions on one side. Conversations of more
    than `batch.cutoff_len` tokens are left out whole, because a cut would lose the end of the answer; running text is cut
    into pieces.

    Args:
        progress: told bytes of the files of those sets that are not tokenised yet.

    Raises:
        DataError: if a set cannot be read, or if more than 30 % of the rows would be left out.
        ModelError: if the model's tokenizer or template cannot be used.
        Cancelled: from `progress`.
    """
    registry = Registry(workspace)
    entries = [registry.get(name) for name in settings.data.train]
    cutoff_len = longest_example(settings, model)
    sets = tokenised_sets(workspace, settings, entries, model, system_prompt, progress)
    brought = [
        each
        for entry, tokens in zip(entries, sets, strict=True)
        for each in _bring(entry, tokens, settings, cutoff_len)
    ]
    if not any(len(each.train) for each in brought):  # too few rows to keep any of them back
        brought = [replace(each, train=each.validation, validation=each.train) for each in brought]
    _refuse_if_little_is_left(brought, entries, sets, model, cutoff_len)
    offers = [
        Offer(each.name, len(each.train), int(each.train.learnt.sum()), each.recognised in GENERAL_KINDS)
        for each in brought
    ]
    parts = mixture(offers, settings.data.weights, settings.data.balance)
    return RunData(
        joined(each.train for each in brought),
        joined(each.validation for each in brought),
        tuple(each.source(offer, part) for each, offer, part in zip(brought, offers, parts, strict=True)),
        tuple(parts),
        settings.seed,
        cutoff_len,
    )


def longest_example(settings: RunSettings, model: Path) -> int:
    """Return the tokens that an example of a run may have: the cutoff, or what the model can read."""
    cutoff_len, context = settings.batch.cutoff_len, models.context_length(model)
    return min(cutoff_len, max(1, context - virtual_tokens(settings))) if context else cutoff_len


def tokenised_sets(
    workspace: Workspace, settings: RunSettings, entries: Sequence[DatasetEntry], model: Path, system_prompt: str | None,
    progress: Progress = silent,
) -> list[TokenSet]:  # fmt: skip
    """Return data sets as the run's model reads them, tokenised now where they were not before.

    Raises:
        DataError, ModelError, Cancelled: as `core.tokens.tokenise.tokenised`.
    """
    folder = tokenizer_folder(workspace, settings, model)
    sizes = [entry.file.stat().st_size for entry in entries]
    found = []
    for number, entry in enumerate(entries):
        before, total = sum(sizes[:number]), sum(sizes)

        def told(done: int, of: int, before: int = before, total: int = total) -> None:
            progress(before + done, total)

        found.append(tokenised(workspace.cache, entry, folder, system_prompt, told))
    return found


@dataclass(frozen=True)
class _Brought:
    """The examples of one source, and how many of its `rows` are not among them."""

    name: str
    recognised: str
    train: Examples
    validation: Examples
    rows: int
    dropped: int
    dropped_tokens: int
    unlearnt: int
    split: int

    def source(self, offer: Offer, part: Part) -> Source:
        return Source(
            self.name, offer.rows, int(self.train.lengths.sum(dtype=np.int64)), offer.learnt_tokens, self.dropped,
            part.exposures, part.share, dropped_tokens=self.dropped_tokens, unlearnt=self.unlearnt, split=self.split,
            validated=len(self.validation),
        )  # fmt: skip


def _bring(entry: DatasetEntry, tokens: TokenSet, settings: RunSettings, cutoff_len: int) -> Iterator[_Brought]:
    """Leave out what cannot be learnt, keep rows back for validation, and tell the tasks of a set apart."""
    train, validation = training_rows(entry, tokens)
    share, own = settings.data.validation_share, entry.parts is not None and entry.parts.validation > 0
    tasks = tokens.rows["task"]
    present = np.unique(tasks[np.concatenate([train, validation])])
    for task in sorted(present, key=lambda number: tokens.about.tasks[number]):
        mine, measured = train[tasks[train] == task], validation[tasks[validation] == task]
        every = np.concatenate([mine, measured])
        too_long = (tokens.lengths[every] > cutoff_len) & (tokens.rows["kind"][every] != TEXT)
        unlearnt = (tokens.rows["learnt"][every] == 0) & ~too_long
        fits = ~(too_long | unlearnt)
        kept, checked = mine[fits[: len(mine)]], measured[fits[len(mine) :]]
        held = _held_out(tokens, checked if own else kept, 1.0 if own else share, settings.seed, cutoff_len)
        name = tokens.about.tasks[task]
        shown = np.concatenate([kept, checked])
        yield _Brought(
            f"{entry.name}:{name or '-'}" if len(present) > 1 else entry.name,
            entry.recognised,
            examples_of(tokens, kept if own else kept[~held], cutoff_len),
            examples_of(tokens, checked[held] if own else kept[held], cutoff_len),
            len(every),
            int(too_long.sum()),
            int(tokens.lengths[every[too_long]].sum(dtype=np.int64)),
            int(unlearnt.sum()),
            int((pieces_of(tokens, shown, cutoff_len) > 1).sum()),
        )


def _held_out(tokens: TokenSet, rows: np.ndarray, share: float, seed: int, cutoff_len: int) -> np.ndarray:
    """Say for each row whether it is kept for validation: by a hash of its question, stable when rows are appended."""
    scores = _scores(tokens.rows["question"][rows], seed)
    below = np.flatnonzero(scores < share)
    order = below[np.argsort(scores[below], kind="stable")]
    examples = np.cumsum(pieces_of(tokens, rows[order], cutoff_len))
    over = np.flatnonzero(examples > MOST_VALIDATION)
    if not len(over):
        return scores < share
    limit = scores[order[over[0]]]
    first = scores[order[0]]  # a text of more pieces than that is kept back whole, if it is the first
    return scores < limit if limit > first else scores == first


def _scores(questions: np.ndarray, seed: int) -> np.ndarray:
    """Return a number in [0, 1) for each hash of a question, float64: other ones for another seed (SplitMix64)."""
    mixed = questions.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def _refuse_if_little_is_left(
    brought: Sequence[_Brought], entries: Sequence[DatasetEntry], sets: Sequence[TokenSet], model: Path, cutoff_len: int
) -> None:
    dropped, unlearnt = sum(each.dropped for each in brought), sum(each.unlearnt for each in brought)
    total = sum(each.rows for each in brought)
    if any(len(each.train) for each in brought) and dropped + unlearnt <= MOST_DROPPED * total:
        return
    found = []
    if dropped:
        rows = [tokens.lengths[training_rows(entry, tokens)[0]] for entry, tokens in zip(entries, sets, strict=True)]
        lengths = np.sort(np.concatenate(rows))
        enough, limit = int(lengths[len(lengths) * 95 // 100]), models.context_length(model) or 0
        code = "data.too_long_for_model" if 0 < limit < enough else "data.too_long"
        values = {"dropped": dropped, "total": total, "cutoff": cutoff_len, "enough": enough, "limit": limit}
        found.append(problem(code, "batch.cutoff_len", **values))
    if unlearnt:
        found.append(problem("data.nothing_learnt", "data.train", unlearnt=unlearnt, total=total))
    raise DataError(*sorted(found, key=lambda each: each.code == "data.nothing_learnt" and unlearnt < dropped))
