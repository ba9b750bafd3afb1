"""The queue: jobs that wait for a device, in an order that people can change, and which job has which device.

WORKSPACE/queue.json holds the order and the devices. Nobody owns the turn: every server and every waiting command calls
`start_ready`, under one lock. Whether a job has begun is told by its directory alone: the mark `queued` lies there until the
worker itself takes it away. So whoever is killed, at whatever moment, loses no job and starts none twice.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace as changed
from pathlib import Path
from typing import Literal

from core.errors import RunError, problem
from core.runs import devices, events, process, supervisor
from core.runs.directory import Run, delete
from core.runs.queue_file import (
    MARKS,
    Entry,
    Queue,
    State,
    changing,
    mark,
    marked,
    name_of,
    read,
    stamp,
    write,
)
from core.workspace import Workspace

__all__ = [
    "Entry",
    "Queue",
    "add",
    "cancel",
    "is_held",
    "look",
    "move",
    "place",
    "recover",
    "replace",
    "stamp",
    "start_ready",
]

Where = Literal["first", "up", "down", "last"]
Hold = Callable[[Path, devices.Device], bool]


def add(workspace: Workspace, job: Path, worker: str) -> None:
    """Put a job at the end of the queue, for a worker of `devices.LANES`; `start_ready` begins it when its device is free.

    Asked again, nothing happens.
    """
    name = name_of(workspace, job)
    with changing(workspace) as state:
        _settle(workspace, state)  # it may have worked before, and ended in this moment
        if name in _known(state):
            return
        entry = Entry(name, worker, time.time())
        mark(job, entry)
        state.waiting.append(entry)


def start_ready(workspace: Workspace, hold: Hold | None = None) -> list[Path]:
    """Begin every waiting job whose device is free, each lane in order, and return those jobs.

    Args:
        hold: whether a job must not take this device yet; then it is marked as held, and those behind it wait, too. Without
            it, what another living process holds is left alone.

    One that cannot be begun holds up its own lane only; where the reason is its own directory, it has failed.

    Raises:
        OSError: if a process cannot be started, or the disk takes nothing; what was not begun still waits.
    """
    if not _anything_to_do(workspace):
        return []
    begun: list[Path] = []
    refused: list[OSError] = []
    with changing(workspace) as state:
        _settle(workspace, state)
        full: set[devices.Device] = set()  # for which an earlier job waits
        for entry in tuple(state.waiting):
            able = devices.devices_of(entry.lane)
            taken = {each.device for each in state.running} | full
            free = [each for each in able if each not in taken]
            device = next((each for each in free if not _is_held(workspace, entry, each, hold)), None)
            if device is None:
                _note_hold(state, entry, bool(free), hold)
                full.update(able)
                continue
            try:
                _begin(workspace, state, entry, device)
            except OSError as error:
                if not _failed(workspace, state, entry, error):
                    refused.append(error)
                    full.update(able)
                continue
            begun.append(workspace.root / entry.job)
    if refused:
        raise refused[0]
    return begun


def look(workspace: Workspace) -> Queue:
    """Return what waits, in order, and what runs; what has ended since the last `start_ready` is left out."""
    state = read(workspace)
    waiting = tuple(each for each in state.waiting if _waits(workspace, each))
    return Queue(waiting, tuple(each for each in state.running if _runs(workspace, each)))


def place(workspace: Workspace, job: Path) -> int | None:
    """Return how many-th a job is among those that wait for the same device, 1 for the next; None when it does not wait."""
    waiting, name = look(workspace).waiting, name_of(workspace, job)
    found = next((number for number, each in enumerate(waiting) if each.job == name), None)
    if found is None:
        return None
    lane = waiting[found].lane
    return 1 + sum(each.lane == lane or _share(each.lane, lane) for each in waiting[:found])


def is_held(workspace: Workspace, job: Path) -> bool:
    """Tell whether a living server holds a waiting job back until a chat has given its memory up."""
    name = name_of(workspace, job)
    return any(_living_hold(each) for each in read(workspace).waiting if each.job == name)


def move(workspace: Workspace, job: Path, where: Where) -> None:
    """Change the place of a waiting job.

    Raises:
        RunError: if it does not wait any more.
    """
    with changing(workspace) as state:
        entry = _waiting(workspace, state, job)
        old = state.waiting.index(entry)
        state.waiting.remove(entry)
        last = len(state.waiting)
        state.waiting.insert(
            {"first": 0, "up": max(0, old - 1), "down": min(last, old + 1), "last": last}[where], entry
        )


def cancel(workspace: Workspace, job: Path) -> Path | None:
    """Take a waiting job out of the queue, and its directory away: a run goes to the trash, whose folder is returned.

    What has worked before, and only waited to go on, stays as it was.

    Raises:
        RunError: if it does not wait any more.
    """
    with changing(workspace) as state:
        entry = _waiting(workspace, state, job)
        (job / process.QUEUED).unlink(missing_ok=True)
        state.waiting.remove(entry)
    if (job / "events.jsonl").exists():
        return None
    if job.parent == workspace.runs:
        return delete(workspace, Run(job))
    shutil.rmtree(job)
    return None


def replace(workspace: Workspace, old: Path, new: Path, worker: str) -> bool:
    """Put a job in the place of a waiting one, which is cancelled; return False when that one has begun meanwhile.

    The new job is in the queue in either case.
    """
    add(workspace, new, worker)
    name = name_of(workspace, new)
    with changing(workspace) as state:
        ahead = next((each for each in state.waiting if each.job == name_of(workspace, old)), None)
        entry = next((each for each in state.waiting if each.job == name), None)
        if ahead is None or entry is None or not _waits(workspace, ahead):
            return False
        state.waiting.remove(entry)
        state.waiting.insert(state.waiting.index(ahead), entry)
    try:
        cancel(workspace, old)
    except RunError:
        return False
    return True


def recover(workspace: Workspace) -> None:
    """Take up marked jobs that the queue does not know: whoever added them was killed in between, or its file is broken."""
    marks = {name_of(workspace, each.parent): each for place in MARKS for each in _marks(workspace, place)}
    if marks.keys() <= _known(read(workspace)):
        return
    with changing(workspace) as state:
        known = _known(state)
        lost = [marked(workspace, each) for name, each in marks.items() if name not in known]
        state.waiting += sorted((each for each in lost if each is not None), key=lambda entry: entry.since)


def _marks(workspace: Workspace, place: str) -> Iterator[Path]:
    return workspace.root.glob(f"{place}/{process.QUEUED}")


def _known(queue: Queue | State) -> set[str]:
    return {each.job for each in (*queue.waiting, *queue.running)}


def _settle(workspace: Workspace, state: State) -> None:
    """Drop what has ended or is gone, and let those wait again that were chosen but never begun."""
    chosen = [each for each in state.running if not _runs(workspace, each) and _waits(workspace, each)]
    state.running = [each for each in state.running if _runs(workspace, each)]
    again = [changed(each, device="", process="") for each in chosen]
    state.waiting = again + [each for each in state.waiting if _waits(workspace, each)]


def _begin(workspace: Workspace, state: State, entry: Entry, device: devices.Device) -> None:
    """Start the worker of a waiting job. Written down first: killed in between, the next turn sees that it never began."""
    place = state.waiting.index(entry)
    state.waiting.remove(entry)
    running = changed(entry, device=device, since=time.time(), held="")
    state.running.append(running)
    try:
        write(workspace, state)
        told = supervisor.begin(workspace, workspace.root / entry.job, entry.worker, device)
    except OSError:
        state.running.remove(running)
        state.waiting.insert(place, entry)
        write(workspace, state)
        raise
    state.running[-1] = changed(running, process=told)
    write(workspace, state)


def _failed(workspace: Workspace, state: State, entry: Entry, error: OSError) -> bool:
    """Take a job out of the queue that cannot begin because of its own directory, and write down why; return whether."""
    job = workspace.root / entry.job
    own = isinstance(error, (IsADirectoryError, NotADirectoryError, FileNotFoundError, PermissionError))
    if entry not in state.waiting or not own or not Path(str(error.filename)).is_relative_to(job):
        return False
    told = problem("path.unreadable", str(error.filename), reason=error.strerror or str(error))
    try:
        events.append(job / "events.jsonl", events.RunFailed(problems=[told.to_dict()]))
        (job / process.QUEUED).unlink()
    except OSError:  # a directory that takes nothing: it waits until somebody gives it back
        return False
    state.waiting.remove(entry)
    return True


def _share(one: devices.Lane, other: devices.Lane) -> bool:
    return bool(set(devices.devices_of(one)) & set(devices.devices_of(other)))


def _is_held(workspace: Workspace, entry: Entry, device: devices.Device, hold: Hold | None) -> bool:
    if hold is None:
        return _living_hold(entry)
    return hold(workspace.root / entry.job, device)


def _living_hold(entry: Entry) -> bool:
    return bool(entry.held) and process.living(entry.held) is not None


def _note_hold(state: State, entry: Entry, held: bool, hold: Hold | None) -> None:
    """Write down that a job has a free device and still must not take it, or not any more."""
    if hold is not None and held != bool(entry.held):
        told = process.identity(os.getpid()) if held else ""
        state.waiting[state.waiting.index(entry)] = changed(entry, held=told)


def _waits(workspace: Workspace, entry: Entry) -> bool:
    return (workspace.root / entry.job / process.QUEUED).exists()


def _runs(workspace: Workspace, entry: Entry) -> bool:
    """Tell whether the worker of a job lives; before it has begun, the process that was started for it."""
    job = workspace.root / entry.job
    if _waits(workspace, entry):
        return bool(entry.process) and process.living(entry.process) is not None
    return process.worker_pid(job) is not None


def _waiting(workspace: Workspace, state: State, job: Path) -> Entry:
    name = name_of(workspace, job)
    found = next((each for each in state.waiting if each.job == name and _waits(workspace, each)), None)
    if found is None:
        raise RunError(problem("queue.not_waiting", job.name))
    return found


def _anything_to_do(workspace: Workspace) -> bool:
    """Look without the lock: most turns find nothing."""
    state = read(workspace)
    return bool(state.waiting) or any(not _runs(workspace, each) for each in state.running)
