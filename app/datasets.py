"""What the page says about a data set, looked up once for each state of its file."""

from dataclasses import dataclass
from typing import Any, Literal

from app.studio import Studio
from core.data.blanks import blanks_of
from core.data.checks import check
from core.data.readers import read_rows
from core.data.registry import DatasetEntry
from core.errors import Problem, StudioError

State = Literal["ready", "blanks", "changed", "broken"]
_HARMLESS = ("data.duplicates", "data.unfilled_blank")
_seen: dict[tuple[Any, ...], "Described"] = {}


@dataclass(frozen=True)
class Described:
    """`rows` is 0 for a file that cannot be read. `problems` are all there are, harmless ones too."""

    rows: int
    state: State
    problems: tuple[Problem, ...]
    blanks: frozenset[str] = frozenset()


def describe(studio: Studio, entry: DatasetEntry) -> Described:
    """Return what is known of a data set, without ever raising a StudioError."""
    try:
        status = entry.file.stat()
    except OSError:
        return Described(0, "broken", tuple(check(studio.registry, entry.name)))
    columns = (*sorted(entry.columns.items()), *sorted(entry.tags.items()))
    key = (entry.name, entry.file, status.st_mtime_ns, status.st_size, entry.sha1, entry.formatting, columns)
    if key not in _seen:
        if len(_seen) > 500:
            _seen.clear()
        _seen[key] = _describe(studio, entry)
    return _seen[key]


def blanks(studio: Studio, names: list[str]) -> dict[str, frozenset[str]]:
    """Return name -> blanks of those of the sets that have unfilled ones."""
    entries = studio.registry.entries()
    found = {name: describe(studio, entries[name]).blanks for name in names if name in entries}
    return {name: each for name, each in found.items() if each}


def _describe(studio: Studio, entry: DatasetEntry) -> Described:
    problems = tuple(check(studio.registry, entry.name))
    serious = [each for each in problems if each.code not in _HARMLESS]
    try:
        rows = len(read_rows(entry.file))
        unfilled = frozenset(blanks_of(entry)) if not serious else frozenset()
    except StudioError:
        return Described(0, "broken", problems)
    if serious:
        return Described(rows, "changed" if serious[0].code == "data.changed" else "broken", problems)
    return Described(rows, "blanks" if unfilled else "ready", problems, unfilled)
