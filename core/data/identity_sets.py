"""An identity from a name: rows that teach a model who it is, and other questions that ask it.

Both come from the samples `identity` and `identity_test`, whose questions are never the same, with their blanks filled and in
the languages that are wanted. What is known of the samples, such as their many wordings of one question, is known of them.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.data.readers import read_rows
from core.data.registry import DatasetEntry, Registry
from core.data.variants import language_of
from core.errors import DataError, problem
from core.placeholders import fill_value
from core.workspace import checked_name, slug

LANGUAGES = ("en", "zh")
SAMPLE, PROBES = "identity", "identity_test"
_TAKEN = ("data.name_taken", "data.is_sample")


def identity_sets(
    registry: Registry, name: str, author: str, languages: Sequence[str] = LANGUAGES, new_name: str | None = None
) -> list[DatasetEntry]:
    """Register a training set and its probe set, called `new_name` and `new_name_test`, and return both.

    Without `new_name` they are called after the model, `identity_lumen`, or `identity_lumen_zh` for one language alone, with
    a number behind where other content has that name. The same values again give the same entries.

    Raises:
        DataError: if name or author is empty, a language is unknown or none is given, or `new_name` is taken.
    """
    values = {"name": name.strip(), "author": author.strip()}
    missing = ", ".join(blank for blank, value in values.items() if not value)
    if missing:
        raise DataError(problem("data.blank_missing", SAMPLE, blanks=missing))
    chosen = [language for language in LANGUAGES if language in languages]
    unknown = sorted(set(languages) - set(LANGUAGES))
    if unknown or not chosen:
        given = ", ".join(unknown) or "-"
        raise DataError(problem("identity.language", SAMPLE, given=given, known=", ".join(LANGUAGES)))
    if new_name is not None:
        return _register(registry, values, chosen, checked_name(new_name))
    only = f"_{chosen[0]}" if len(chosen) == 1 else ""
    wanted, number = f"{SAMPLE}_{slug(values['name'])}{only}", 1
    while True:
        try:
            return _register(registry, values, chosen, wanted if number == 1 else f"{wanted}_{number}")
        except DataError as error:
            if error.problems[0].code not in _TAKEN:
                raise
        number += 1


def _register(registry: Registry, values: dict[str, str], languages: Sequence[str], name: str) -> list[DatasetEntry]:
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for source, new in ((SAMPLE, name), (PROBES, f"{name}_test")):
            entry = registry.get(source)
            rows = [row.values for row in read_rows(entry.file) if language_of(row.values["instruction"]) in languages]
            file = Path(folder) / f"{new}.json"
            file.write_text(json.dumps(fill_value(rows, values), ensure_ascii=False, indent=1), encoding="utf-8")
            added = registry.add(file, new, description=entry.description, reading=entry.reading)
            made.append(registry.accept_findings(new, sorted(entry.accepted)) if entry.accepted else added)
    return made
