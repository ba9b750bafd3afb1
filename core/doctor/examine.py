"""The whole examination of a data set, and the reports that were made before.

One pass over the rows feeds every check; what needs all rows at once (near duplicates, contamination) keeps their texts.
Reports lie in WORKSPACE/cache/reports under what they depend on: content, reading, split, and what was asked for.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.data.entry import DatasetEntry
from core.data.problems import Problems
from core.doctor.checks import checks_for
from core.doctor.report import LISTED, Report, in_order
from core.doctor.source import RowError, file_key, rows_of, seen_of
from core.doctor.structure import Leakage, Structure, changed, examine as examine_structure, unreadable
from core.progress import Progress, silent
from core.workspace import Workspace

VERSION = 2  # of the checks; a new one makes every report anew


@dataclass(frozen=True)
class Asked:
    """What an examination depends on besides the data set. `against` are test sets that must not be learnt."""

    model: Path | None = None
    system_prompt: str | None = None
    cutoff_len: int | None = None
    against: tuple[DatasetEntry, ...] = ()


def examine(
    entry: DatasetEntry,
    *,
    model: Path | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
    against: Sequence[DatasetEntry] = (),
    progress: Progress = silent,
) -> Report:
    """Return everything that is wrong or odd with a data set.

    Args:
        model: folder whose tokenizer and template say how long the rows are; without it no tokens are counted.
        against: test sets whose rows must not stand in this one; its own test part is always looked at.
        progress: told bytes of the file, twice its size in all: once for the rows, once for comparing them.

    Raises:
        ModelError: if the model's tokenizer or template cannot be used.
        Cancelled: from `progress`.
    """
    size = max(1, entry.file.stat().st_size) if entry.file.is_file() else 1
    problems = Problems(entry.file.name, keep=LISTED)
    structure, leakage = Structure(entry), Leakage(entry, against)
    checks = checks_for(entry, model, system_prompt, cutoff_len, against)
    letters = entry.parts.letters() if entry.parts else ""
    usable = 0
    rows = rows_of(entry, problems, lambda done, total: progress(min(done, size), 2 * size))
    for index, (row, record) in enumerate(rows):
        structure.see(row, record)
        if isinstance(record, RowError):
            continue
        if leakage:
            leakage.see(index, row, record)
        seen = seen_of(index, row, record, letters[index : index + 1])
        usable += 1
        for check in checks:
            check.see(seen)
    findings = [*unreadable(problems), *changed(entry), *structure.findings(), *leakage.findings()]
    stats = structure.stats()
    for number, check in enumerate(checks):
        findings += check.findings(usable, _part_of(progress, size, number, len(checks)))
        stats |= check.stats()
    progress(2 * size, 2 * size)
    return Report(entry.name, structure.rows, in_order(findings), stats, thorough=True)


def _part_of(progress: Progress, size: int, number: int, of: int) -> Progress:
    """Return a progress for the second half, of which check `number` has its share."""

    def told(done: int, total: int) -> None:
        share = (number + (done / total if total else 1.0)) / of
        progress(size + int(size * min(1.0, share)), 2 * size)

    return told


def report(
    workspace: Workspace,
    entry: DatasetEntry,
    *,
    model: Path | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
    against: Sequence[DatasetEntry] = (),
    thorough: bool = True,
    progress: Progress = silent,
) -> Report:
    """Return the report on a data set, made now unless it was made before; `thorough` False asks for the quick one."""
    asked = Asked(model, system_prompt, cutoff_len, tuple(against))
    file = _file(workspace, entry, asked, thorough)
    found = _read(file, entry.name)
    if found is not None:
        return found
    if thorough:
        made = examine(
            entry,
            model=model,
            system_prompt=system_prompt,
            cutoff_len=cutoff_len,
            against=against,
            progress=progress,
        )
    else:
        made = examine_structure(entry, progress, against)
    _write(file, made)
    return made


def cached(
    workspace: Workspace,
    entry: DatasetEntry,
    *,
    model: Path | None = None,
    system_prompt: str | None = None,
    cutoff_len: int | None = None,
    against: Sequence[DatasetEntry] = (),
    thorough: bool = True,
) -> Report | None:
    """Return the report if it was made before."""
    file = _file(workspace, entry, Asked(model, system_prompt, cutoff_len, tuple(against)), thorough)
    return _read(file, entry.name)


def _file(workspace: Workspace, entry: DatasetEntry, asked: Asked, thorough: bool) -> Path:
    key = {
        "version": VERSION,
        "thorough": thorough,
        "entry": _identity(entry),
        "against": [_identity(each) for each in asked.against],
    }
    if thorough:
        key |= {
            "model": _model_identity(asked.model) if asked.model else None,
            "system_prompt": asked.system_prompt,
            "cutoff_len": asked.cutoff_len,
        }
    text = json.dumps(key, sort_keys=True, ensure_ascii=False)
    return workspace.root / "cache" / "reports" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _identity(entry: DatasetEntry) -> list[Any]:
    """Return what the rows of an entry depend on. Size and time of the file tell an edit behind the registry's back."""
    status = file_key(entry.file) if entry.file.is_file() else None
    letters = hashlib.sha256(entry.parts.letters().encode()).hexdigest() if entry.parts else ""
    return [entry.sha1, status, entry.reading.format, sorted(entry.reading.options.items()), letters]


def _model_identity(folder: Path) -> list[Any]:
    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")
    return [[name, file_key(folder / name)] for name in names if (folder / name).is_file()]


def _read(file: Path, name: str) -> Report | None:
    """Return a kept report under the set's present name; that may have changed since."""
    try:
        return replace(Report.from_dict(json.loads(file.read_text(encoding="utf-8"))), name=name)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):  # written by another version: it is made anew
        return None


def _write(file: Path, made: Report) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f".{file.name}.{uuid.uuid4().hex}")
    try:
        aside.write_text(json.dumps(made.to_dict(), ensure_ascii=False), encoding="utf-8")
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
