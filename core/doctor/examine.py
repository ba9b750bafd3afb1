"""The examination of a data set, and the reports that were made before.

The checks come in parts, each kept as a report of its own under what it depends on, in WORKSPACE/cache/reports: another
model or another test set does not make anybody wait for near duplicates again. One pass over the rows feeds every part that
is missing; what needs all rows at once (near duplicates, contamination) keeps their texts.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from core.data.entry import DatasetEntry
from core.data.problems import Problems
from core.doctor.checks import Asked, Beside, Part, checks_for, parts_of
from core.doctor.report import LISTED, Finding, Report, in_order
from core.doctor.source import RowError, file_key, is_test_set, rows_of, seen_of
from core.doctor.structure import Leakage, Structure, changed, unreadable
from core.progress import Progress, silent
from core.render.model_files import state_of
from core.workspace import Workspace

VERSION = 4  # of the checks; a new one makes every report anew


def examine(
    entry: DatasetEntry, *, thorough: bool = True, progress: Progress = silent, **beside: Unpack[Beside]
) -> Report:  # fmt: skip
    """Return everything that is wrong or odd with a data set. A file that cannot be read gives a report that says so.

    Args:
        thorough: False looks at structure and leakage only, a few microseconds a row.
        progress: told bytes of the file; of twice its size where all texts are compared after they were read.

    Raises:
        ModelError: if the model's tokenizer or template cannot be used.
        Cancelled: from `progress`.
    """
    asked = Asked(**beside)
    return _joined(entry.name, _look(entry, asked, parts_of(entry, asked, thorough), progress))


def report(
    workspace: Workspace,
    entry: DatasetEntry,
    *,
    thorough: bool = True,
    progress: Progress = silent,
    **beside: Unpack[Beside],
) -> Report:
    """Return the report of `examine`; of it, what was made before is read, and the rest is made and kept."""
    asked = Asked(**beside)
    parts = parts_of(entry, asked, thorough)
    found = _kept(workspace, entry, asked, parts)
    missing = {part: _file(workspace, entry, asked, part) for part in parts if part not in found}
    if missing:
        made = _look(entry, replace(asked, cache=workspace.cache), [*missing], progress)
        for part, file in missing.items():  # named before the look: what changed meanwhile is looked at again
            _write(file, made[part])
        found |= made
    return _joined(entry.name, {part: found[part] for part in parts})


def cached(workspace: Workspace, entry: DatasetEntry, **beside: Unpack[Beside]) -> Report | None:
    """Return what was found before; None if not even the quick look was taken.

    `thorough` of the report says whether the texts were read, and compared with the test sets.
    """
    asked = Asked(**beside)
    found = _kept(workspace, entry, asked, parts_of(entry, asked, thorough=True))
    return _joined(entry.name, found) if set(parts_of(entry, asked, thorough=False)) <= set(found) else None


def _look(entry: DatasetEntry, asked: Asked, parts: Sequence[Part], progress: Progress) -> dict[Part, Report]:
    """Read the rows once for all `parts` and return a report for each."""
    size = max(1, entry.file.stat().st_size) if entry.file.is_file() else 1
    problems = Problems(entry.file.name, keep=LISTED)
    structure = Structure(entry) if "structure" in parts else None
    leakage = Leakage(entry, asked.against) if "leakage" in parts else None
    checks = [(part, check) for part in parts for check in checks_for(part, entry, asked)]
    whole = 2 * size if checks else size
    letters = entry.parts.letters() if entry.parts else ""
    rows = usable = 0
    for index, (row, record) in enumerate(rows_of(entry, problems, lambda done, _: progress(min(done, size), whole))):
        rows += 1
        if structure:
            structure.see(row, record)
        if isinstance(record, RowError):
            continue
        usable += 1
        if leakage:
            leakage.see(index, row, record)
        if checks:
            seen = seen_of(index, row, record, letters[index : index + 1])
            for _, check in checks:
                check.see(seen)
    findings: dict[Part, list[Finding]] = {part: [] for part in parts}
    stats: dict[Part, dict[str, Any]] = {part: {} for part in parts}
    if structure:
        findings["structure"] = [*unreadable(problems), *changed(entry), *structure.findings()]
        stats["structure"] = structure.stats()
    if leakage:
        findings["leakage"] = [*leakage.findings()]
    for number, (part, check) in enumerate(checks):
        findings[part] += check.findings(usable, _share_of(progress, size, number, len(checks)))
        stats[part] |= check.stats()
    progress(whole, whole)
    return {part: Report(entry.name, rows, tuple(findings[part]), stats[part]) for part in parts}


def _share_of(progress: Progress, size: int, number: int, of: int) -> Progress:
    """Return a progress for the second half, of which check `number` has its share."""

    def told(done: int, total: int) -> None:
        share = (number + (done / total if total else 1.0)) / of
        progress(size + int(size * min(1.0, share)), 2 * size)

    return told


def _joined(name: str, found: Mapping[Part, Report]) -> Report:
    """Return one report of several parts. What two of them found is told by the later one, which knows more."""
    findings: dict[str, Finding] = {each.code: each for part in found.values() for each in part.findings}
    stats = {key: value for part in found.values() for key, value in part.stats.items()}
    thorough = "texts" in found and ("contamination" in found or "leakage" not in found)
    return Report(name, found["structure"].rows, in_order([*findings.values()]), stats, thorough)


def _kept(workspace: Workspace, entry: DatasetEntry, asked: Asked, parts: Iterable[Part]) -> dict[Part, Report]:
    found = {part: _read(_file(workspace, entry, asked, part)) for part in parts}
    return {part: each for part, each in found.items() if each is not None}


def _file(workspace: Workspace, entry: DatasetEntry, asked: Asked, part: Part) -> Path:
    key: dict[str, Any] = {"version": VERSION, "part": part, "entry": _identity(entry)}
    if part == "structure":
        key["test"] = is_test_set(entry)
    if part in ("leakage", "contamination"):
        key["against"] = sorted([each.name, *_identity(each)] for each in asked.against)
    if part == "tokens" and asked.model:
        key |= {
            "model": state_of(asked.model),
            "system_prompt": asked.system_prompt,
            "cutoff_len": asked.cutoff_len,
        }
    text = json.dumps(key, sort_keys=True, ensure_ascii=False)
    return workspace.root / "cache" / "reports" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.json"


def _identity(entry: DatasetEntry) -> list[Any]:
    """Return what the rows of an entry depend on. Size and time of the file tell an edit behind the registry's back."""
    status = file_key(entry.file) if entry.file.exists() else None
    letters = hashlib.sha256(entry.parts.letters().encode()).hexdigest() if entry.parts else ""
    return [entry.sha1, status, entry.reading.format, sorted(entry.reading.options.items()), letters]


def _read(file: Path) -> Report | None:
    try:
        return Report.from_dict(json.loads(file.read_text(encoding="utf-8")))
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
