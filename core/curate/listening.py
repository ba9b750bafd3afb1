"""Whom a task tells what it is doing, and who may stop it."""

import time
from pathlib import Path
from typing import Protocol

from core.progress import Cancelled
from core.runs import events

_EVERY = 0.25  # seconds between two progress events: fast enough to look alive, few enough for a log


class Listener(Protocol):
    """Hears the phases of a task, and its progress as `core.progress.Progress`; may raise Cancelled out of either."""

    def phase(self, name: str) -> None: ...

    def __call__(self, done: int, total: int) -> None: ...


class Deaf:
    """Hears nothing and never stops anything."""

    def phase(self, name: str) -> None:
        return

    def __call__(self, done: int, total: int) -> None:
        return


class JobListener:
    """Writes phases and progress into a job's event log; a `stop` file there cancels the work."""

    def __init__(self, job: Path) -> None:
        self._log, self._stop = job / "events.jsonl", job / "stop"
        self._began = self._told = time.monotonic()

    def phase(self, name: str) -> None:
        self._stop_if_asked()
        events.append(self._log, events.Phase(name=name))
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < _EVERY:
            return
        self._told = now
        self._stop_if_asked()
        left = (now - self._began) * (total - done) / done if done and total else 0.0
        events.append(self._log, events.Progress(done=done, total=total, seconds_left=round(left, 1)))

    def _stop_if_asked(self) -> None:
        if self._stop.exists():
            raise Cancelled
