"""What a person wrote about a run: a note, tags, and whether it was put away. A file of its own that no worker reads."""

import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from core import yaml_text
from core.errors import RunError, problem

FILE = "notes.yaml"
LONGEST_NOTE = 10_000  # characters; chosen by us: four pages, and a list of runs stays quick
LONGEST_TAG, MOST_TAGS = 40, 20


@dataclass(frozen=True)
class Notes:
    note: str = ""
    tags: tuple[str, ...] = ()
    archived: bool = False


def read(run: Path) -> Notes:
    """Return what was written about a run; nothing where the file is missing or not one of these."""
    try:
        values = yaml.safe_load((run / FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return Notes()
    return parsed(values)


def parsed(values: Any) -> Notes:
    """Return the notes in what a file held, leaving out what is none."""
    if not isinstance(values, dict):
        return Notes()
    note, given = values.get("note"), values.get("tags")
    tags = _tidy(each for each in given if isinstance(each, str)) if isinstance(given, list) else ()
    text = note[:LONGEST_NOTE] if isinstance(note, str) else ""
    return Notes(text, tuple(each[:LONGEST_TAG] for each in tags[:MOST_TAGS]), values.get("archived") is True)


def write(run: Path, notes: Notes) -> Notes:
    """Write the notes of a run, complete or not at all, and return them tidied.

    Raises:
        RunError: if the note or a tag is too long, or there are too many tags.
    """
    tags = _tidy(notes.tags)
    if len(notes.note) > LONGEST_NOTE:
        raise RunError(problem("runs.note_too_long", run.name, length=f"{len(notes.note):,}", most=f"{LONGEST_NOTE:,}"))
    wrong = next((each for each in tags if len(each) > LONGEST_TAG), None)
    if wrong is not None or len(tags) > MOST_TAGS:
        shown = f"{wrong[:LONGEST_TAG]}…" if wrong else tags[MOST_TAGS]
        raise RunError(problem("runs.tags", run.name, tag=shown, longest=LONGEST_TAG, most=MOST_TAGS))
    tidied = Notes(notes.note.strip(), tags, notes.archived)
    aside = run / f"{FILE}.{os.getpid()}.part"
    with aside.open("w", encoding="utf-8") as file:
        file.write(yaml_text.dump({**asdict(tidied), "tags": list(tags)}))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(run / FILE)
    return tidied


def tags_in(text: str) -> tuple[str, ...]:
    """Return the tags in `one, two`; Chinese commas count too."""
    return _tidy(text.replace("，", ",").replace("、", ",").split(","))


def _tidy(tags: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each for tag in tags if (each := " ".join(tag.split()))))
