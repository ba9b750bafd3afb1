"""Runs in the trash: deleted ones lie in WORKSPACE/trash/NAME, whole, until the person empties it.

Removed data sets lie in the same folder and have their own list (`core.data.trash`); each list leaves the other's alone.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from core.errors import RunError, problem
from core.runs import process, space
from core.runs.directory import DELETED_AS, Run, is_config, load
from core.workspace import Workspace, is_name


@dataclass(frozen=True)
class Trashed:
    """A deleted run. `name` is that of its folder in the trash; `removed` in seconds since 1970."""

    name: str
    removed: float
    bytes: int


def listing(workspace: Workspace) -> list[Trashed]:
    """Return the deleted runs, the latest first."""
    found = [Trashed(run.name, run.stat().st_ctime, space.of(run).total) for run in _runs(workspace)]
    return sorted(found, key=lambda each: each.removed, reverse=True)


def restore(workspace: Workspace, name: str) -> Run:
    """Bring a run back, under its name or, where that was taken meanwhile, one with a number, and return it.

    Raises:
        RunError: if it is not in the trash.
    """
    path = workspace.trash / name
    if not is_name(name) or not _is_run(path):
        known = ", ".join(each.name for each in listing(workspace)) or "–"
        raise RunError(problem("runs.not_in_trash", name, known=known))
    (path / process.QUEUED).unlink(missing_ok=True)  # its place in the queue is gone
    named = path / DELETED_AS
    own = named.read_text(encoding="utf-8") if named.exists() else name
    named.unlink(missing_ok=True)
    return Run(move(path, workspace.runs, own if is_name(own) else name))


def empty(workspace: Workspace) -> tuple[int, int]:
    """Delete the runs in the trash for good; return how many, and the bytes that this freed."""
    found = listing(workspace)
    for each in found:
        shutil.rmtree(workspace.trash / each.name, ignore_errors=True)
    return len(found), sum(each.bytes for each in found)


def move(folder: Path, runs: Path, name: str) -> Path:
    """Move a folder among the runs, under `name` or one with a number, and return where it lies now."""
    for number in range(1, 1000):
        target = runs / (name if number == 1 else f"{name}_{number}")
        if target.exists():
            continue
        try:
            os.rename(folder, target)
        except (FileExistsError, NotADirectoryError):  # somebody else took the name at this moment
            continue
        return target
    raise RunError(problem("runs.no_name", name))


def _runs(workspace: Workspace) -> list[Path]:
    return [config.parent for config in workspace.trash.glob("*/config.yaml") if _is_run(config.parent)]


def _is_run(path: Path) -> bool:
    try:
        return is_config(load(path / "config.yaml"))
    except OSError:
        return False
