"""How a worker tells what it is doing, and is told to stop."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from core.progress import Cancelled
from core.runs import events

_EVERY = 0.25  # seconds between two progress events: fast enough to look alive, few enough for a log


class JobListener:
    """Writes phases and progress into a job's event log; a `stop` file there cancels the work."""

    def __init__(self, job: Path, say: Callable[[events.Event], None] | None = None, unit: str = "") -> None:
        """`say` writes an event down, default: appends it to the job's log; `unit` is "bytes" where these are shown."""
        self._unit = unit
        self._say = say or partial(events.append, job / "events.jsonl")
        self._stop = job / "stop"
        self._began = self._told = time.monotonic()

    def phase(self, name: str) -> None:
        self._stop_if_asked()
        self._say(events.Phase(name=name))
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < _EVERY:
            return
        self._told = now
        self._stop_if_asked()
        left = (now - self._began) * (total - done) / done if done and total else 0.0
        self._say(events.Progress(done=done, total=total, seconds_left=round(left, 1), unit=self._unit))

    def _stop_if_asked(self) -> None:
        if self._stop.exists():
            raise Cancelled
