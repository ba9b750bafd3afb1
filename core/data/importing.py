"""Bring a file into the workspace: keep it or turn it into JSONL, tell how it is read, and go through every row once.

JSON, JSONL, CSV and TSV are kept byte for byte. Everything else (gz, zip, a folder, Parquet, Arrow, text files) becomes JSONL
of its raw rows, values unchanged, so that a registered set is always one file whose rows can be found by line.
"""

import os
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import orjson

from core.data import info_file
from core.data.entry import COLUMNS, TAGS
from core.data.file_parts import letters_by_file
from core.data.formats import (
    FORMATS,
    Fit,
    Question,
    Recognition,
    RowError,
    converter,
    questions_of,
    recognise,
    records,
    spread,
    spreads,
)
from core.data.problems import Problems
from core.data.readers import Row, columns_of, iter_rows, sample_rows
from core.data.reading import Reading
from core.data.trash import free_place
from core.errors import DataError, Problem, problem
from core.progress import Progress, silent
from core.records import Kind, kind_of
from core.workspace import Workspace, require_space

KEPT = (".json", ".jsonl", ".csv", ".tsv")
_BLOCK = 1 << 20  # bytes copied at once
_SPARE, _SPACE_EVERY = 50_000_000, 1000  # bytes that stay free while rows are spread, looked at every so many rows
_SCRATCH = ".incoming-"
_STALE = (
    86_400  # seconds after which what a killed import left behind is swept away; chosen by us: no import takes a day
)


@dataclass(frozen=True)
class Incoming:
    """A file that is to be registered. `letters` says which part each of its rows belongs to, "" where nothing says so."""

    file: Path
    letters: str = ""


@contextmanager
def incoming(workspace: Workspace, file: Path, progress: Progress = silent) -> Iterator[Incoming]:
    """Give the file as it lies in the workspace, or a copy under the same name that vanishes unless it is placed.

    Raises:
        DataError: if it is not there, or its container is broken.
        ResourceError: if there is no room for the copy.
    """
    if not file.exists():
        raise DataError(problem("data.unreadable", str(file), reason=os.strerror(2)))
    kept = file.is_file() and file.suffix.lower() in KEPT
    if kept and file.resolve().is_relative_to(workspace.data):
        yield Incoming(file.resolve())
        return
    with scratch(workspace) as folder:
        if kept:
            require_space(workspace.data, file.stat().st_size, file.name)
            yield Incoming(_copied(file, folder / file.name, progress))
        else:
            yield _as_jsonl(file, folder / f"{stem_of(file)}.jsonl", progress)


@contextmanager
def scratch(workspace: Workspace) -> Iterator[Path]:
    """Give an empty folder beside the data, for writing aside; it is gone afterwards, whatever happens."""
    for old in workspace.data.glob(f"{_SCRATCH}*"):
        with suppress(FileNotFoundError):  # another import has just ended
            if time.time() - old.stat().st_mtime > _STALE:
                shutil.rmtree(old, ignore_errors=True)
    folder = workspace.data / f"{_SCRATCH}{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_scratch(file: Path) -> bool:
    """Tell whether a file lies in a folder of `scratch`, and so goes away unless it is placed."""
    return file.resolve().parent.name.startswith(_SCRATCH)


def place(aside: Path, wanted: Path) -> Path:
    """Move a file that was written aside to where it stays; a file of that name that is there already is left alone.

    To be called under the registry's lock: two processes that look for a free name at once would find the same.
    """
    target = free_place(wanted)
    info_file.flush(aside)
    os.replace(aside, target)
    return target


@contextmanager
def usable(
    workspace: Workspace, brought: Incoming, reading: Reading, leave_out_broken: bool, progress: Progress = silent
) -> Iterator[Incoming]:
    """Give what was brought, or a JSONL file of its rows where they are spread, or some are broken and to be left out.

    Raises:
        DataError: with the problems of the rows that are to be spread, if broken ones are not to be left out.
    """
    if not leave_out_broken and not spreads(reading):
        yield brought
        return
    with scratch(workspace) as folder:
        problems = Problems(brought.file.name)
        good = _usable_rows(brought, reading, folder / f"{stem_of(brought.file)}.jsonl", problems, progress)
        if not leave_out_broken:
            problems.stop_if_any()
        yield good if problems or spreads(reading) else brought


def reading_for(
    file: Path,
    name: str,
    formatting: str | None = None,
    columns: Mapping[str, str] = MappingProxyType({}),
    tags: Mapping[str, str] = MappingProxyType({}),
    options: Mapping[str, str] = MappingProxyType({}),
) -> tuple[Reading, str]:
    """Return how a file is read and what it was recognised as; what is given goes before what the rows say.

    Raises:
        DataError: if a key is not known or the reading is not clear; see `told`.
    """
    known_keys(name, columns, "columns")
    known_keys(name, tags, "tags")
    if tags or {"prompt", "response", "messages"} & columns.keys():
        chosen_format = formatting or ("sharegpt" if "messages" in columns or tags else "alpaca")
        if chosen_format not in ("alpaca", "sharegpt"):
            raise DataError(problem("data.bad_entry", name, key="formatting", wanted="alpaca | sharegpt"))
        if options and chosen_format == "alpaca" and {"prompt", "response"} <= columns.keys():
            check_options(questions_of(sample_rows(file), columns, file.name), options, file.name)
            return Reading("columns", {**columns, **options}), ""
        return Reading(chosen_format, {**columns, **tags}), ""
    fit = told(file, formatting, options)
    return Reading(fit.reading.format, {**fit.reading.options, **columns}), fit.kind


def told(file: Path, wanted: str | None = None, options: Mapping[str, str] = MappingProxyType({})) -> Fit:
    """Return how a file is read, from its first rows. What a person chose (`wanted`, a kind or format) narrows it.

    Raises:
        DataError: `data.unknown_columns` if nothing fits, `data.ambiguous` if several readings do, `data.undecided` if the
            one that fits needs an answer first.
    """
    rows = sample_rows(file)
    if not rows:
        raise DataError(problem("data.no_rows", file.name))
    return chosen(recognise(rows, file.name), columns_of(rows[0].values), file.name, wanted, options)


def chosen(recognition: Recognition, columns: str, name: str, wanted: str | None, options: Mapping[str, str]) -> Fit:
    """Return the one fit that is left, with the answers to its questions among its options; see `told`."""
    fits = [fit for fit in recognition.fits if wanted in (None, fit.kind)]
    fits = fits or [fit for fit in recognition.fits if wanted == fit.reading.format]
    if not fits and wanted in FORMATS:  # what a person says goes first; whether the rows fit is seen when all are read
        return Fit(wanted, Reading(wanted, dict(options)), 0.0, problem("data.unknown_columns", name, has=columns))
    if not fits and wanted is not None:
        known = ", ".join(dict.fromkeys([*(fit.kind for fit in recognition.fits), *FORMATS]))
        raise DataError(problem("data.bad_entry", name, key="formatting", wanted=known))
    if not fits:
        raise DataError(problem("data.unknown_columns", name, has=columns))
    if len(fits) > 1:
        raise DataError(problem("data.ambiguous", name, readings=", ".join(map(_named, fits))))
    fit = fits[0]
    check_options(fit.questions, options, name, fit.reading.options)
    answers = {question.key: question.default for question in fit.questions if question.default is not None}
    answers |= options
    open_questions = [question for question in fit.questions if question.key not in answers]
    if open_questions:
        raise DataError(*(each for asked in open_questions for each in (_undecided(asked, fit.kind, name), asked.why)))
    return Fit(fit.kind, Reading(fit.reading.format, {**fit.reading.options, **answers}), fit.share, fit.why, ())


def check_options(
    questions: Sequence[Question], options: Mapping[str, str], name: str, others: Collection[str] = ()
) -> None:
    """Check that each option answers a question, with one of its choices, or is one of the `others`.

    Raises:
        DataError: `data.bad_entry`, with what there is.
    """
    known = {*(question.key for question in questions), *others}
    unknown = sorted(set(options) - known)
    if unknown:
        raise DataError(
            problem("data.bad_entry", name, key=f"options.{unknown[0]}", wanted=", ".join(sorted(known)) or "–")
        )
    for question in questions:  # the words of classes are a person's own
        free = question.key.endswith("words") or question.key not in options
        if not free and options[question.key] not in question.choices:
            listed = " | ".join(question.choices)
            raise DataError(problem("data.bad_entry", name, key=f"options.{question.key}", wanted=listed))


def _undecided(asked: Question, kind: str, name: str) -> Problem:
    return problem("data.undecided", name, kind=kind, key=asked.key, choices=", ".join(asked.choices))


def _named(fit: Fit) -> str:
    """Return the name that a person chooses a reading by, with the columns that it goes by."""
    evidence = fit.why.values.get("evidence")
    return f"{fit.kind} ({evidence})" if evidence else fit.kind


def counted(file: Path, reading: Reading, progress: Progress = silent) -> tuple[int, Kind]:
    """Read and convert every row; return how many there are, and the kind of most of them.

    Raises:
        DataError: with every problem of every row, if there is one.
    """
    problems = Problems(file.name)
    kinds = Counter(map(kind_of, records(iter_rows(file, problems, progress), reading, file.name, problems)))
    problems.stop_if_any()
    if not kinds:
        raise DataError(problem("data.no_rows", file.name))
    return kinds.total(), kinds.most_common(1)[0][0]


def _usable_rows(
    brought: Incoming, reading: Reading, target: Path, problems: Problems, progress: Progress
) -> Incoming:  # fmt: skip
    """Write the rows that can be read and converted, values unchanged, as JSONL; the others go to `problems`."""
    read = converter(reading, brought.file.name)
    letters = []
    rows = _lettered(iter_rows(brought.file, problems, progress), brought.letters)
    with target.open("wb") as out:
        for letter, whole in rows:
            told = problems.count  # of a row that was spread, what is wrong is told once
            for row in spread([whole], reading):
                place = f"{row.file or brought.file.name}:{row.place}"
                try:
                    read(row)
                except RowError as error:
                    if problems.count == told:
                        problems.add(error.code, place, **error.values)
                else:
                    letters.append(letter if _write(row, out, place, problems) else "")
            if len(letters) % _SPACE_EVERY == 0:
                require_space(target.parent, _SPARE, target.name)
    return Incoming(target, "".join(letters))


def _lettered(rows: Iterator[Row], letters: str) -> Iterator[tuple[str, Row]]:
    """Yield each row with its letter."""
    for index, row in enumerate(rows):
        yield letters[index : index + 1], row


def staged(progress: Progress, start: float, end: float) -> Progress:
    """Return a listener for one stage of a longer work: its whole way is the part from `start` to `end` (fractions)."""

    def listen(done: int, total: int) -> None:
        share = min(1.0, done / total) if total else 0.0
        progress(round((start + (end - start) * share) * 1000), 1000)

    return listen


def known_keys(name: str, given: Mapping[str, str], key: str) -> None:
    """Check that columns or tags are ones that an entry can have."""
    known = {"columns": COLUMNS, "tags": TAGS}[key]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise DataError(problem("data.bad_entry", name, key=f"{key}.{unknown[0]}", wanted=", ".join(known)))


def _copied(file: Path, target: Path, progress: Progress) -> Path:
    total = file.stat().st_size
    with file.open("rb") as source, target.open("wb") as out:
        while block := source.read(_BLOCK):
            out.write(block)
            progress(source.tell(), total)
    return target


def _as_jsonl(file: Path, target: Path, progress: Progress) -> Incoming:
    """Write the raw rows of any container, one object a line."""
    problems = Problems(file.name)
    files: dict[str, int] = {}  # in the order of the rows
    with target.open("wb") as out:
        for row in iter_rows(file, problems, progress):
            _write(row, out, f"{file.name}:{row.place}", problems)
            files[row.file] = files.get(row.file, 0) + 1
    problems.stop_if_any()
    if target.stat().st_size == 0:
        raise DataError(problem("data.no_rows", file.name))
    letters = letters_by_file(files)
    return Incoming(target, "".join(letters[name] * rows for name, rows in files.items()) if letters else "")


def _write(row: Row, out: BinaryIO, place: str, problems: Problems) -> bool:
    """Write a row as a line of JSON and tell whether that could be done."""
    try:
        out.write(orjson.dumps(row.values) + b"\n")
    except TypeError as error:  # a number of more than 64 bits, a value that only Parquet has
        problems.add("data.not_json", place, reason=str(error))
        return False
    return True


def stem_of(file: Path) -> str:
    """Return the name without its endings: `talk.jsonl.gz` -> `talk`, `my.notes.json` -> `my.notes`."""
    packed = Path(file.stem) if file.suffix.lower() == ".gz" else file
    return packed.stem or file.name
