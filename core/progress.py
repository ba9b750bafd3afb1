"""How long work says how far it is, and how it is told to stop."""

from collections.abc import Callable

# progress(done, total) in rows or bytes, total 0 when unknown; called often, so whoever listens thins it out.
Progress = Callable[[int, int], None]


class Cancelled(Exception):
    """Raised out of a progress call when the person wants no more. Work that meets it leaves everything as it was."""


def silent(done: int, total: int) -> None:
    """Listen to nothing."""
