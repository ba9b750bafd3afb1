"""Make a new version of a set, split it, or write it out in another format."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from core.curate.checking import tests_of
from core.data.canonical import to_dict
from core.data.entry import DatasetEntry
from core.data.formats import entry_records
from core.data.importing import scratch
from core.data.problems import Problems
from core.data.readers import iter_rows
from core.data.reading import Reading
from core.data.registry import Registry
from core.data.versions import LEFT_OUT, LETTERS, TRAIN
from core.errors import DataError, problem
from core.models.folder import find_model
from core.progress import Listener, Progress, silent
from core.records import Conversation, Preference, Prompt, Record, Text, UnpairedPreference
from core.workspace import Workspace, require_space

NEAR_UP_TO = 200_000  # rows whose near duplicates are looked for before a split; about two minutes, chosen by us
_SEED = 7


def fix(
    workspace: Workspace,
    listener: Listener,
    *,
    name: str,
    codes: Sequence[str],
    values: Mapping[str, str] | None = None,
    against: Sequence[str] | None = None,
    model: str | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
) -> dict[str, Any]:
    """Apply fixes of the doctor and make the result a new version. The split goes with the rows that stay.

    Args:
        codes: fixes, or findings that have one.
        values: what to fill blanks with.
        against, model, system_prompt, cutoff_len: as for the check that found what is to be mended.
    """
    from core.doctor.fixes import fixed

    listener.phase("fixing")
    registry = Registry(workspace)
    entry = registry.get(name)
    carried = _CarriedLetters(entry)
    how: dict[str, Any] = {
        "values": values,
        "against": [registry.get(each) for each in tests_of(registry, name, against)],
        "model": find_model(workspace, model) if model else None,
        "system_prompt": system_prompt,
        "cutoff_len": cutoff_len,
    }

    def write(aside: Path) -> Reading:
        return _written(carried.following(fixed(entry, list(codes), listener, **how)), aside)

    made = registry.new_version(name, write, f"fix:{','.join(codes)}", carried.letters)
    return _remade(entry, made)


def add_fixed(
    registry: Registry,
    listener: Listener,
    file: Path,
    name: str | None,
    codes: Sequence[str],
    description: str,
    values: Mapping[str, str] | None,
    read: Mapping[str, Any],
) -> DatasetEntry:
    """Register a file whose rows are mended first: one that is broken as it is cannot be registered and mended then."""
    from core.doctor.fixes import fixed

    listener.phase("fixing")
    candidate = registry.candidate(file, name, **read)
    against = [registry.get(each) for each in tests_of(registry, candidate.name, None)]
    with scratch(registry.workspace) as folder:
        mended = folder / f"{candidate.name}.jsonl"
        rows = fixed(candidate, list(codes), listener, values=values, against=against)
        return registry.add(
            mended,
            candidate.name,
            description=description,
            reading=_written(rows, mended),
            recognised=candidate.recognised,
            made_by=f"add:{','.join(codes)}",
        )


def split(
    workspace: Workspace,
    listener: Listener,
    *,
    name: str,
    shares: Sequence[float] = (0.9, 0.05, 0.05),
    seed: int = _SEED,
    near: bool = True,
) -> dict[str, Any]:
    """Split a set into training, validation and test rows; `near` keeps near duplicates together."""
    from core.data import split as splitting

    registry = Registry(workspace)
    entry = registry.get(name)
    if entry.sample:
        raise DataError(problem("data.is_sample", name))
    grouped = "question"
    clusters: list[list[int]] | None = None
    if near and 0 < entry.rows <= NEAR_UP_TO:
        from core.data.near import clusters as near_duplicates

        listener.phase("finding_copies")
        clusters, grouped = near_duplicates(map(_asked, _records(entry, listener)), progress=listener), "near"
    listener.phase("splitting")
    train, validation, test = shares
    letters = splitting.assign(
        _records(entry, listener), shares=(train, validation, test), seed=seed, clusters=clusters
    )
    made = registry.set_parts(name, letters, seed, shares, grouped)
    parts = made.parts
    assert parts is not None
    counts = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    made_of = {"seed": seed, "grouped": grouped, "left_out": letters.count(LEFT_OUT)}
    return {"name": name, "rows": len(letters), "split": counts, **made_of}


def export(
    workspace: Workspace,
    listener: Listener,
    *,
    name: str,
    format: str,
    out: str,
    part: str | None = None,
    task_sentence: str | None = None,
) -> dict[str, Any]:
    """Write a set, or one part of it, to `out` in another format; `task_sentence` leads or leaves the rows of format3.

    Raises:
        DataError: if the format cannot carry the rows, something stands at `out`, or the set has no such part.
    """
    from core.data.export import export as write

    listener.phase("exporting")
    entry = Registry(workspace).get(name)
    if part is not None and (part not in LETTERS or entry.parts is None):
        known = " | ".join(LETTERS) if entry.parts else "–"
        raise DataError(problem("data.no_part", name, part=part, known=known))
    target = Path(out)
    require_space(target.parent, 2 * entry.file.stat().st_size, target.name)
    files = write(_records(entry, listener, part), format, target, task_sentence=task_sentence)
    return {"name": name, "format": format, "files": [str(file) for file in files]}


def augment(
    workspace: Workspace,
    listener: Listener,
    *,
    name: str,
    methods: Sequence[str],
    share: float = 0.2,
    seed: int = _SEED,
) -> dict[str, Any]:
    """Add rows made from the training rows, marked as such; validation and test rows stay as they are."""
    from core.data.augment import Outcome, augmented

    listener.phase("augmenting")
    registry = Registry(workspace)
    entry = registry.get(name)
    letters: list[str] = []
    outcome = Outcome()

    def rows() -> Iterator[Record]:
        train = _records(entry, silent, "train")
        listen = _of_rows(listener, entry.rows)
        how: dict[str, Any] = {"share": share, "seed": seed, "against": _tested(registry, entry), "outcome": outcome}
        for record in augmented(train, list(methods), progress=listen, **how):
            letters.append(TRAIN)
            yield record
        if entry.parts is None:
            return
        for letter, record in zip(entry.parts.letters(), _records(entry, silent), strict=True):
            if letter != TRAIN:
                letters.append(letter)
                yield record

    made = registry.new_version(
        name, lambda aside: _written(rows(), aside), f"augment:{','.join(methods)}", lambda: "".join(letters)
    )
    return _remade(entry, made) | {"made": dict(outcome.made), "dropped": outcome.contaminated}


def _tested(registry: Registry, entry: DatasetEntry) -> Iterator[Record]:
    """Yield the rows that no new row may come near: the set's own test and validation rows, and those of NAME_test."""
    if entry.parts is not None:
        yield from _records(entry, silent, "validation")
        yield from _records(entry, silent, "test")
    for name in tests_of(registry, entry.name, None):
        yield from _records(registry.get(name), silent)


def _of_rows(progress: Progress, rows: int) -> Progress:
    """Return a listener for work that counts rows without knowing how many there will be."""
    return lambda done, _: progress(min(done, rows), rows)


class _CarriedLetters:
    """Finds the letter of each row of a new version by the place of the row that it was made of."""

    def __init__(self, entry: DatasetEntry) -> None:
        self._entry = entry
        self._letters: list[str] = []

    def following(self, records: Iterable[Record]) -> Iterator[Record]:
        """Yield the records, which come in the order of the rows that they were made of, and note their letters."""
        if self._entry.parts is None:
            yield from records
            return
        name = self._entry.file.name
        rows = iter_rows(self._entry.file, Problems(name))
        placed = zip((f"{name}:{row.place}" for row in rows), self._entry.parts.letters(), strict=True)
        place, letter = "", ""
        for record in records:
            while place != record.where:
                place, letter = next(placed)
            self._letters.append(letter)
            yield record

    def letters(self) -> str:
        return "".join(self._letters)


def _records(entry: DatasetEntry, progress: Progress, part: str | None = None) -> Iterator[Record]:
    """Yield the records of a set; a registered one has no broken rows, unless its file was changed: then this raises."""
    problems = Problems(entry.file.name)
    yield from entry_records(entry, problems, progress, part if entry.parts else None)
    problems.stop_if_any()


def _written(records: Iterable[Record], file: Path) -> Reading:
    """Write records as canonical JSONL and return how it is read."""
    with file.open("wb") as out:
        for record in records:
            out.write(orjson.dumps(to_dict(record)) + b"\n")
    return Reading("canonical")


def _remade(before: DatasetEntry, after: DatasetEntry) -> dict[str, Any]:
    return {
        "name": after.name,
        "rows_before": before.rows,
        "rows": after.rows,
        "sha1": after.sha1,
        "versions": len(after.versions) + 1,
    }


def _asked(record: Record) -> str:
    """Return the question of a record, for finding those that are nearly the same."""
    match record:
        case Conversation():
            turns = record.question
        case Preference() | UnpairedPreference() | Prompt():
            turns = record.messages
        case Text():
            return record.text
        case _:
            return ""
    return "\n".join(turn.content for turn in turns if turn.role != "system")
