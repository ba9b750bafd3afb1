"""A download as a job, or as the beginning of one: it says how far it is, and stops when it is asked to."""

import time
from pathlib import Path

from core.models.download import download
from core.models.hub import look_up
from core.progress import Cancelled
from core.runs import events
from core.runs.directory import create
from core.workspace import Workspace, slug

TASK = "get_model"
_TOLD_EVERY = 0.5  # seconds between two progress events


def submit(workspace: Workspace, name: str) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.models.worker")`."""
    config = {
        "kind": "download",
        "task": TASK,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "workspace": str(workspace.root),
        "values": {"name": name},
    }
    return create(workspace.jobs, f"{TASK}_{slug(name)}", config)


def fetch(job: Path, name: str, revision: str | None = None) -> Path:
    """Download a model of the hub, telling the job's event log, and return its folder.

    Args:
        revision: the commit to fetch; None takes the newest.

    Raises:
        ModelError, ResourceError: as `hub.look_up` and `download.download` have them.
        Cancelled: when a file `stop` appears in the job's directory; what was fetched stays for the next time.
    """
    events.append(job / "events.jsonl", events.Phase(name="asking_hub"))
    offer = look_up(name, revision)
    events.append(job / "events.jsonl", events.Phase(name="downloading_model"))
    return download(offer, _Telling(job))


class _Telling:
    """Writes progress events, and looks whether the job was asked to stop."""

    def __init__(self, job: Path) -> None:
        self._job = job
        self._told = 0.0
        self._pace = Pace()

    def __call__(self, done: int, total: int) -> None:
        if (self._job / "stop").exists():
            raise Cancelled
        now = time.monotonic()
        if done < total and now - self._told < _TOLD_EVERY:
            return
        self._told = now
        left = round(self._pace.seconds_left(done, total), 1)
        events.append(
            self._job / "events.jsonl", events.Progress(done=done, total=total, seconds_left=left, unit="bytes")
        )


class Pace:
    """How long a transfer will take, from what the last seconds brought. Bytes that were there before do not count."""

    _WINDOW = 15.0  # seconds; chosen by us: long enough to be steady, short enough to follow a line that changes

    def __init__(self) -> None:
        self._seen: list[tuple[float, int]] = []

    def seconds_left(self, done: int, total: int) -> float:
        """Return the seconds until all is there, 0 while nothing can be said."""
        now = time.monotonic()
        self._seen = [*(each for each in self._seen if now - each[0] < self._WINDOW), (now, done)]
        began, before = self._seen[0]
        return (now - began) * (total - done) / (done - before) if done > before else 0.0
