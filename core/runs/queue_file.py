"""The file of the queue, WORKSPACE/queue.json: written aside, flushed, renamed, under one lock; and the marks of its jobs."""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from filelock import FileLock

from core.runs import devices, process
from core.workspace import Workspace

MARKS = ("runs/*", "runs/*/evaluations/*", "runs/*/merges/*", "experiments/*", "jobs/*")  # where a job may lie


@dataclass(frozen=True)
class Entry:
    """A job in the queue.

    `job` is relative to the workspace. A waiting one may be `held`: by the process of that identity, until the memory that a
    chat has is free. A running one has a `device` and the identity of the `process` that was started for it.
    """

    job: str
    worker: str
    since: float  # Unix time at which it began to wait, or to run
    device: devices.Device = ""
    process: str = ""
    held: str = ""

    @property
    def lane(self) -> devices.Lane:
        return devices.LANES[self.worker]


@dataclass(frozen=True)
class Queue:
    waiting: tuple[Entry, ...] = ()
    running: tuple[Entry, ...] = ()


@dataclass
class State:
    waiting: list[Entry]
    running: list[Entry]


def stamp(workspace: Workspace) -> tuple[int, ...]:
    """Return what changes when the queue does."""
    try:
        found = _file(workspace).stat()
    except FileNotFoundError:
        return ()
    return found.st_mtime_ns, found.st_ino, found.st_size


def mark(job: Path, entry: Entry) -> None:
    """Lay the mark of a waiting job into its directory."""
    aside = job / f"{process.QUEUED}.part"
    aside.write_text(json.dumps({"worker": entry.worker, "since": entry.since}), encoding="utf-8")
    aside.replace(job / process.QUEUED)


def marked(workspace: Workspace, mark: Path) -> Entry | None:
    """Return the entry that a mark tells, None for one that was taken away in this moment or is not ours."""
    try:
        told = json.loads(mark.read_text(encoding="utf-8"))
        return _entry({"job": name_of(workspace, mark.parent), **told})
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def changing(workspace: Workspace) -> Iterator[State]:
    """Give the queue to change, and write it if that ends well; nobody else changes it meanwhile."""
    with FileLock(lock_of(workspace)):
        found = _parse(_file(workspace))
        state = State(list(found.waiting), list(found.running))
        yield state
        if (tuple(state.waiting), tuple(state.running)) != (found.waiting, found.running):
            write(workspace, state)


def write(workspace: Workspace, state: State) -> None:
    file = _file(workspace)
    aside = file.with_name(f".{file.name}.part")
    values = {"waiting": [asdict(each) for each in state.waiting], "running": [asdict(each) for each in state.running]}
    with aside.open("w", encoding="utf-8") as stream:
        json.dump(values, stream, ensure_ascii=False, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    _make_newer(aside, file)
    aside.replace(file)


def _make_newer(file: Path, than: Path) -> None:
    """Give a file a later time than another: the system's clock stands for milliseconds, and inodes are used again, so that
    two writings could carry the same stamp.
    """
    with contextlib.suppress(FileNotFoundError):
        before, now = than.stat().st_mtime_ns, file.stat().st_mtime_ns
        if before - 1_000_000_000 < now <= before:  # a clock that was set back by more is another time anyway
            os.utime(file, ns=(before + 1, before + 1))


def read(workspace: Workspace) -> Queue:
    return _parsed(_file(workspace), stamp(workspace))


@lru_cache(maxsize=8)
def _parsed(file: Path, _: tuple[int, ...]) -> Queue:
    return _parse(file)


def _parse(file: Path) -> Queue:
    """Return what the file says; one that nobody can read counts as empty, and `recover` finds the jobs by their marks."""
    try:
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        waiting, running = ([_entry(each) for each in values[part]] for part in ("waiting", "running"))
    except (OSError, ValueError, TypeError, LookupError):
        return Queue()
    return Queue(tuple(each for each in waiting if each), tuple(each for each in running if each))


def _entry(values: dict[str, Any]) -> Entry | None:
    """Return an entry of the file; None for what is not a job of the workspace with a worker of ours."""
    entry = Entry(**{key: each for key, each in values.items() if key in Entry.__dataclass_fields__})
    place = PurePosixPath("/", entry.job)
    known = entry.worker in devices.LANES and any(place.match(f"/{each}") for each in MARKS)
    return entry if known and ".." not in place.parts else None


def name_of(workspace: Workspace, job: Path) -> str:
    return job.relative_to(workspace.root).as_posix()


def _file(workspace: Workspace) -> Path:
    return workspace.root / "queue.json"


def lock_of(workspace: Workspace) -> Path:
    return workspace.root / ".queue.lock"
