"""What the page says about a data set without reading it: its state, from the registry and from the report that is kept.

Small files are looked at themselves, once for each state of the file; for large ones the kept report is believed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from app.studio import Studio
from core.curate.checking import tests_of
from core.data.blanks import blanks_of
from core.data.registry import DatasetEntry, sha1_of
from core.doctor.examine import cached, report
from core.doctor.report import Report
from core.errors import Problem, StudioError, problem
from core.models.folder import find_model

State = Literal["ready", "warnings", "errors", "blanks", "changed", "broken", "unchecked"]
_SMALL = 16_000_000  # bytes that are read at once without a job; chosen by us: SHA-1 of it takes a fiftieth of a second
_QUICK_ROWS = 1500  # rows that are checked at once without a job; chosen by us: about a second
_sha1s: dict[tuple[Path, int, int], str] = {}
_blanks: dict[tuple[Any, ...], frozenset[str]] = {}


@dataclass(frozen=True)
class Described:
    """`rows` is 0 when nobody has counted. `problems` say why the set cannot be used; the report is the doctor's."""

    rows: int
    state: State
    problems: tuple[Problem, ...] = ()
    blanks: frozenset[str] = frozenset()
    report: Report | None = None


def describe(studio: Studio, entry: DatasetEntry) -> Described:
    """Return what is known of a data set, without ever raising a StudioError."""
    if entry.problem is not None:
        return Described(entry.rows, "broken", (entry.problem,))
    if not entry.file.is_file():
        return Described(entry.rows, "broken", (problem("data.file_missing", entry.name, file=str(entry.file)),))
    wrong = _changed(entry)
    if wrong is not None:
        return Described(entry.rows, "changed", (wrong,))
    found = checked(studio, entry)
    unfilled = _blanks_of(entry, found)
    rows = entry.rows or (found.rows if found else 0)
    return Described(rows, _state(entry, found, unfilled), (), unfilled, found)


def blanks(studio: Studio, names: list[str]) -> dict[str, frozenset[str]]:
    """Return name -> blanks of those of the sets that have unfilled ones."""
    entries = studio.registry.entries()
    found = {name: _blanks_of(entries[name], checked(studio, entries[name])) for name in names if name in entries}
    return {name: each for name, each in found.items() if each}


def checked(studio: Studio, entry: DatasetEntry) -> Report | None:
    """Return the report that is kept of exactly this content, None when nobody has checked it."""
    return kept(studio, entry, {}) if entry.problem is None else None


def kept(studio: Studio, entry: DatasetEntry, asked: Mapping[str, Any]) -> Report | None:
    """Return the kept report of a check that was asked for with these values of the task `check`."""
    given: dict[str, Any] = {"against": _tests(studio, entry, asked.get("against"))}
    if asked.get("model"):
        given["model"] = find_model(studio.workspace, asked["model"])
    return cached(studio.workspace, entry, **given, cutoff_len=asked.get("cutoff_len"))


def quick(studio: Studio, entry: DatasetEntry) -> Report | None:
    """Check a small set at once and keep the report; None for a large one, whose check is a job.

    Raises:
        StudioError: if the file cannot be read at all.
    """
    size = entry.file.stat().st_size if entry.file.is_file() else 0
    if not size or size > _SMALL or entry.rows > _QUICK_ROWS:
        return None
    return report(studio.workspace, entry, against=_tests(studio, entry, None))


def _tests(studio: Studio, entry: DatasetEntry, against: Sequence[str] | None) -> list[DatasetEntry]:
    return [studio.registry.get(name) for name in tests_of(studio.registry, entry.name, against)]


def _state(entry: DatasetEntry, found: Report | None, unfilled: frozenset[str]) -> State:
    if unfilled:
        return "blanks"
    if found is None:
        return "ready" if entry.sample else "unchecked"  # the samples are checked with the studio itself
    if found.errors:
        return "errors"
    return "warnings" if found.open_warnings(entry.accepted) else "ready"


def _changed(entry: DatasetEntry) -> Problem | None:
    """Return the problem of a small file that is not the registered one; a large one is compared when it is checked."""
    status = entry.file.stat()
    if not entry.sha1 or status.st_size > _SMALL:
        return None
    key = (entry.file, status.st_mtime_ns, status.st_size)
    if key not in _sha1s:
        if len(_sha1s) > 500:
            _sha1s.clear()
        _sha1s[key] = sha1_of(entry.file)
    if _sha1s[key] == entry.sha1:
        return None
    values = {"file": entry.file.name, "registered": entry.sha1, "found": _sha1s[key]}
    return problem("data.changed", entry.name, **values)


def _blanks_of(entry: DatasetEntry, found: Report | None) -> frozenset[str]:
    if entry.problem is not None or not entry.file.is_file():
        return frozenset()
    if found is not None and not any(each.code == "placeholder" for each in found.findings):
        return frozenset()
    status = entry.file.stat()
    if found is None and status.st_size > _SMALL:
        return frozenset()  # told when it is checked
    key = (entry.file, status.st_mtime_ns, status.st_size, entry.reading.format, *sorted(entry.reading.options.items()))
    if key not in _blanks:
        if len(_blanks) > 500:
            _blanks.clear()
        try:
            _blanks[key] = frozenset(blanks_of(entry))
        except StudioError:
            _blanks[key] = frozenset()
    return _blanks[key]
