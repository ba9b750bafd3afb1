"""A tracker in a thread of its own: it never delays a step and never ends a run, whatever it does."""

import os
import queue
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from core.errors import Problem, problem
from core.train.tracking.tracker import About, Tracker

_MOST_WAITING = 10_000  # logged steps; chosen by us: a tracker that is so far behind will not catch up
_LAST_WORDS = 30.0  # seconds for what is still unsent when the run ends; chosen by us
_SECRET = re.compile(r"(KEY|TOKEN|PASSWORD|SECRET)$")  # of environment variables


class InBackground:
    """Connects a tracker, hands on what it is told, and remembers the first failure, after which it is off."""

    def __init__(self, name: str, connect: Callable[[About], Tracker], about: About) -> None:
        self._name, self._connect, self._about = name, connect, about
        self._waiting: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue(_MOST_WAITING)
        self._failure: Problem | None = None
        self._off = False
        self._thread = threading.Thread(target=self._work, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._tell("log", step, dict(values))

    def close(self, result: Mapping[str, float]) -> None:
        """Wait, not for ever, until everything is handed over."""
        self._tell("close", dict(result))
        self._thread.join(_LAST_WORDS)
        if self._thread.is_alive() and not self._off:
            self._fail(problem("tracker.slow", "log.trackers", name=self._name))

    def failure(self) -> Problem | None:
        """Return what went wrong, once."""
        found, self._failure = self._failure, None
        return found

    def _tell(self, what: str, *said: Any) -> None:
        if self._off:
            return
        try:
            self._waiting.put_nowait((what, said))
        except queue.Full:
            self._fail(problem("tracker.slow", "log.trackers", name=self._name))

    def _work(self) -> None:
        try:
            tracker = self._connect(self._about)
            what = ""
            while what != "close" and not self._off:
                what, said = self._waiting.get()
                getattr(tracker, what)(*said)
        except Exception as error:  # whatever a foreign library raises, the run goes on
            reason = _without_secrets(f"{type(error).__name__}: {error}")[:300]
            self._fail(problem("tracker.failed", "log.trackers", name=self._name, reason=reason))

    def _fail(self, found: Problem) -> None:
        self._off, self._failure = True, found


def _without_secrets(text: str) -> str:
    """Return a foreign message as it may stand in a log: without keys, and without the user that an address may name."""
    for name, value in os.environ.items():
        if len(value) > 3 and _SECRET.search(name):
            text = text.replace(value, "…")
    return re.sub(r"//[^/@\s]+@", "//…@", text)
