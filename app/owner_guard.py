"""A server that may only look refuses what would change something: in the handler, so also when it is called over HTTP."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

from app.notices import Handler
from core.runs.owner import Owner

# Events that come by themselves, or tell what was typed or chosen; all others (click, submit, upload …) change something
# unless their handler says that it only reads.
READING = ("change", "input", "load", "select", "blur", "focus")
_building: ContextVar[Owner | None] = ContextVar("owner of the pages that are being built", default=None)


@contextmanager
def pages_of(owner: Owner | None) -> Iterator[None]:
    """Guard the handlers that are wired in this block; None lets them write at any time."""
    token = _building.set(owner)
    try:
        yield
    finally:
        _building.reset(token)


def only_reads(triggers: Any) -> bool:
    """Tell whether all of these events are of the kind that changes nothing."""
    each = triggers if isinstance(triggers, list | tuple) else [triggers]
    return all(trigger.event_name in READING for trigger in each)


def refusing(function: Handler, reads: bool) -> Handler:
    """Let a handler that changes something run only while its server may write."""
    owner = _building.get()
    if reads or owner is None:
        return function

    @wraps(function)
    def once(*arguments: Any) -> Any:
        with owner.writing():
            return function(*arguments)

    @wraps(function)
    def streaming(*arguments: Any) -> Iterator[Any]:
        with owner.writing():
            yield from function(*arguments)

    return streaming if inspect.isgeneratorfunction(function) else once
