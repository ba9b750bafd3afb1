"""Where removed data sets lie until the person empties it: a folder each in WORKSPACE/trash, with the entry beside its files.

WORKSPACE/trash/1763720000_3fa2_mine/   removed.entry {"name", "removed", "version", "entry"}   mine.json   mine.parts

The entry is written there before it leaves the registry and the files move after that, so that a removal that is killed in
the middle leaves the set in one of the two places, with its files.
"""

import copy
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import DataError, problem
from core.workspace import Workspace, is_name, slug

_RECORD = "removed.entry"  # an ending that no file of a set has


@dataclass(frozen=True)
class Trashed:
    """A removed set, or a version that was undone. `removed` is in seconds since 1970, `size` in bytes."""

    id: str
    name: str
    removed: float
    rows: int
    size: int
    version: bool = False


def listing(workspace: Workspace) -> list[Trashed]:
    """Return what lies in the trash, the latest first."""
    found = []
    for folder, record in _records(workspace):
        with suppress(FileNotFoundError):  # somebody has just restored it
            found.append(_trashed(folder, record))
    return sorted(found, key=lambda each: each.removed, reverse=True)


def put(workspace: Workspace, name: str, values: dict[str, Any], *, version: bool = False) -> Path:
    """Write an entry's values into a new folder of the trash and return the folder; the files are moved by `move`."""
    folder = workspace.trash / f"{int(time.time())}_{uuid.uuid4().hex[:4]}_{slug(name)}"
    folder.mkdir(parents=True)
    record = {"name": name, "removed": time.time(), "version": version, "entry": values}
    aside = folder / f".{_RECORD}"
    aside.write_text(json.dumps(record, ensure_ascii=False, indent=1), encoding="utf-8")
    os.replace(aside, folder / _RECORD)
    return folder


def move(workspace: Workspace, folder: Path, values: dict[str, Any], still_needed: set[Path]) -> None:
    """Move the files of an entry from the workspace's data into its folder of the trash, but those that others need."""
    for file in files_of(workspace, values):
        if file.is_file() and file.is_relative_to(workspace.data) and file not in still_needed:
            os.replace(file, folder / file.name)


def find(workspace: Workspace, id: str) -> tuple[Path, dict[str, Any]]:
    """Return the folder of something in the trash and its record: name, entry, and whether it is a version.

    Raises:
        DataError: if it is not there.
    """
    folder = workspace.trash / id
    record = _record(folder) if is_name(id) else None
    if record is None:
        raise DataError(
            problem("data.not_in_trash", id, known=", ".join(each.id for each in listing(workspace)) or "–")
        )
    return folder, record


def bring_back(workspace: Workspace, folder: Path, record: dict[str, Any]) -> tuple[dict[str, Any], list[Path]]:
    """Move the files of something in the trash back to where they lay, or beside a file that took the place meanwhile.

    Return the entry's values, which name the files, and the files of the trash that were copied. The caller registers the
    entry and then drops the folder with these: killed in between, it is still in the trash and can be restored.

    Raises:
        DataError: if a file is neither there nor in its place.
    """
    entry = copy.deepcopy(record["entry"])
    copied: list[Path] = []
    for file in files_of(workspace, entry):
        mine = folder / file.name
        if file.exists() and not mine.is_file():
            continue  # it never moved, because another set needs it too
        beside = [
            mine,
            *(each / file.name for each, other in _records(workspace) if file in files_of(workspace, other["entry"])),
        ]
        lies = next((each for each in beside if each.is_file()), None)
        if lies is None or not file.is_relative_to(workspace.data):
            raise DataError(problem("data.file_missing", record["name"], file=str(file)))
        if file.exists():
            free = free_place(file)
            shutil.copyfile(mine, free)
            for holder in _holders(entry):
                if _file(workspace, holder) == file:
                    holder["file_name"] = free.relative_to(workspace.root).as_posix()
            copied.append(mine)
        elif lies == mine:
            os.replace(mine, file)
        else:  # a set that shared the file was removed later and took it along
            shutil.copyfile(lies, file)
    return entry, copied


def drop(folder: Path, copied: Sequence[Path] = ()) -> None:
    """Remove the folder of an entry that was taken back, and what was copied out of it."""
    for file in copied:
        file.unlink(missing_ok=True)
    (folder / _RECORD).unlink(missing_ok=True)
    if not any(folder.iterdir()):
        folder.rmdir()


def empty(workspace: Workspace) -> int:
    """Delete for good what lies in the trash; return how many sets and versions that were. What else lies there stays."""
    folders = [folder for folder, _ in _records(workspace)]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return len(folders)


def free_place(wanted: Path) -> Path:
    """Return the wanted place, or one beside it with a number where it is taken."""
    target, number = wanted, 2
    while target.exists():
        target, number = wanted.with_name(f"{wanted.stem}_{number}{wanted.suffix}"), number + 1
    return target


def files_of(workspace: Workspace, values: dict[str, Any]) -> list[Path]:
    """Return the files that an own entry names: of its content, its split and its older versions."""
    return list(dict.fromkeys(_file(workspace, holder) for holder in _holders(values)))


def _holders(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the parts of an entry that name a file."""
    for each in (values, *(values.get("versions") or ())):
        for holder in (each, each.get("parts") or {}):
            if isinstance(holder.get("file_name"), str):
                yield holder


def _file(workspace: Workspace, holder: dict[str, Any]) -> Path:
    beside, below = (folder / holder["file_name"] for folder in (workspace.root, workspace.data))
    return (below if below.exists() and not beside.exists() else beside).resolve()


def _records(workspace: Workspace) -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in workspace.trash.glob(f"*/{_RECORD}"):
        record = _record(file.parent)
        if record is not None:
            yield file.parent, record


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    kinds = {"name": str, "removed": float, "version": bool, "entry": dict}
    sound = isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in kinds.items())
    return record if sound and is_name(record["name"]) else None


def _trashed(folder: Path, record: dict[str, Any]) -> Trashed:
    size = sum(file.stat().st_size for file in folder.iterdir() if file.name != _RECORD)
    rows = record["entry"].get("rows") or 0
    return Trashed(folder.name, record["name"], record["removed"], rows, size, bool(record.get("version")))
