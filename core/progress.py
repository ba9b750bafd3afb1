"""How long work says how far it is, and how it is told to stop."""

from collections.abc import Callable
from typing import Protocol

# progress(done, total) in rows or bytes, total 0 when unknown; called often, so whoever listens thins it out.
Progress = Callable[[int, int], None]


class Cancelled(Exception):
    """Raised out of a progress call when the person wants no more. Work that meets it leaves everything as it was."""


class Listener(Protocol):
    """Hears the phases of a work, and its progress; may raise Cancelled out of either."""

    def phase(self, name: str) -> None: ...

    def __call__(self, done: int, total: int) -> None: ...


class Announced:
    """A progress that tells its listener the phase when there is some: of work that finds everything done nothing is said."""

    def __init__(self, listener: Listener, phase: str) -> None:
        self._listener, self._phase = listener, phase
        self._said = False

    def __call__(self, done: int, total: int) -> None:
        if not self._said:
            self._said = True
            self._listener.phase(self._phase)
        self._listener(done, total)


def silent(done: int, total: int) -> None:
    """Listen to nothing."""


class Deaf:
    """A listener that hears nothing and never stops anything."""

    def phase(self, name: str) -> None:
        return

    def __call__(self, done: int, total: int) -> None:
        return
