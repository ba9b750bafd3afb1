"""The background threads of the studio: one for each job that this process started.

A thread starts the worker and waits for it, so that no dead process stays behind, and notes how it ended. Nothing depends
on the thread: kill the studio and the worker goes on; start it again and the job is found by its directory.
"""

import contextlib
import subprocess
import threading
from pathlib import Path
from typing import Literal

from filelock import FileLock

from core.runs import begin as beginning, devices, process, queue_file
from core.workspace import Workspace

Worker = Literal["core.train.worker", "core.evaluate.worker", "core.merge.worker", "core.curate.worker",
                 "core.train.probe", "core.models.worker", "core.experiments.worker"]  # fmt: skip
_THREAD = "supervisor of "


def launch(job: Path, worker: Worker) -> threading.Thread:
    """Start the worker of a job directory, supervise it from a daemon thread, and return the thread.

    The worker is running when this returns; join the thread to wait for its end. What waits for a device goes through
    `core.runs.queue` instead.
    """
    return _supervise(job, process.start(job, worker))


def begin(workspace: Workspace, job: Path, worker: str, device: devices.Device) -> str:
    """Start the worker of a waiting job on a device, supervised, and return the identity of its process.

    The job has begun when that process has taken its mark away; it waits for the queue's lock to do so.
    """
    lock = queue_file.lock_of(workspace)
    child = process.spawn(job, worker, ("core.runs.begin", str(lock)), **devices.environment(device))
    told = process.identity(child.pid)
    _supervise(job, child, workspace)
    return told


def wait(job: Path) -> None:
    """Wait until how a worker ended is noted, if this process started it."""
    for thread in threading.enumerate():
        if thread.name == _THREAD + str(job):
            thread.join()


def exit_code(job: Path) -> int | None:
    """Return how the worker ended (minus the signal, when it was killed), or None when nobody was there to see it."""
    try:
        return int((job / "worker.exit").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _supervise(job: Path, child: subprocess.Popen[bytes], queued: Workspace | None = None) -> threading.Thread:
    def supervise() -> None:
        code = child.wait()
        if code == beginning.TAKEN:
            return
        with contextlib.suppress(FileNotFoundError):  # the job was deleted meanwhile
            if queued is not None and (job / process.QUEUED).exists():
                _take_for_dead(queued, job, child.pid)
            if _was(job, child.pid):
                (job / "worker.exit").write_text(str(code))

    thread = threading.Thread(target=supervise, name=_THREAD + str(job), daemon=True)
    thread.start()
    return thread


def _take_for_dead(workspace: Workspace, job: Path, pid: int) -> None:
    """Take the mark of a job whose process died before it could begin: the next one would do so again.

    Unless another has been started for it meanwhile, which may begin.
    """
    mark, name = job / process.QUEUED, queue_file.name_of(workspace, job)
    with FileLock(queue_file.lock_of(workspace)):
        running = queue_file.read(workspace).running
        another = any(each.job == name and process.living(each.process) for each in running if each.process)
        if mark.exists() and not another and not _was(job, pid):
            process.note_process(job, pid)
            mark.unlink()


def _was(job: Path, pid: int) -> bool:
    """Tell whether this process was the job's last worker, and not one that came too late."""
    noted = job / "worker.pid"
    return noted.exists() and noted.read_text().partition(" ")[0] == str(pid)
