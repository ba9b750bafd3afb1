"""What the commands on data sets share: doing a task here with its progress on stderr, and reading KEY=VALUE."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import typer

from core.commands.shared import say, translator
from core.curate.tasks import TASKS
from core.duration import spoken
from core.errors import SettingsError, problem
from core.workspace import Workspace

_EVERY = {True: 0.2, False: 5.0}  # seconds between two lines of progress, on a terminal and in a log
_WIDTH = 60  # characters that a line of progress is padded to, so that it covers the one before


class TerminalListener:
    """Says phases and progress on stderr: in place on a terminal, as few lines elsewhere."""

    def __init__(self) -> None:
        self._t = translator()
        self._terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()
        self._open = False  # whether a line of progress waits to be overwritten

    def phase(self, name: str) -> None:
        self.close()
        say(self._t("cli.phase", name=self._t(f"phase.{name}")))
        self._began = self._told = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told < _EVERY[self._terminal] or not total:
            return
        self._told = now
        left = spoken((now - self._began) * (total - done) / done, self._t) if done else "?"
        line = self._t("cli.percent", percent=round(100 * done / total), left=left)
        if self._terminal:
            print(f"\r{line:<{_WIDTH}}", end="", file=sys.stderr, flush=True)
            self._open = True
        else:
            say(line)

    def close(self) -> None:
        """End the line of progress."""
        if self._open:
            print(f"\r{'':<{_WIDTH}}\r", end="", file=sys.stderr, flush=True)
            self._open = False


def perform(workspace: Workspace, task: str, **values: Any) -> dict[str, Any]:
    """Do a task in this process and return its result. Ctrl-C ends it; everything is as it was before then."""
    return listened(TASKS[task], workspace, **values)


def listened(function: Any, workspace: Workspace, **values: Any) -> Any:
    """Call a function that takes a workspace and a listener, with the terminal as listener."""
    listener = TerminalListener()
    try:
        return function(workspace, listener, **values)
    except KeyboardInterrupt as interrupt:
        listener.close()
        say(translator()("cli.cancelled"))
        raise typer.Exit(130) from interrupt
    finally:
        listener.close()


def pairs(values: Sequence[str] | None) -> dict[str, str]:
    """Read `key=value` texts.

    Raises:
        SettingsError: if one has no equals sign.
    """
    split = [value.partition("=") for value in values or ()]
    wrong = next((f"{key}{mark}{rest}" for key, mark, rest in split if not mark), None)
    if wrong is not None:
        raise SettingsError(problem("usage.blank", value=wrong))
    return {key.strip(): value for key, _, value in split}


def shares(text: str) -> tuple[float, float, float]:
    """Read `90/5/5` (percent) or `0.9/0.05/0.05` as three fractions.

    Raises:
        SettingsError: if they are not three numbers of which the first is above 0.
    """
    try:
        train, validation, test = (float(each) for each in text.replace(",", "/").split("/"))
    except ValueError as error:
        raise SettingsError(problem("usage.shares", value=text)) from error
    whole = train + validation + test
    if train <= 0 or min(validation, test) < 0 or whole in (float("inf"), 0.0) or whole != whole:
        raise SettingsError(problem("usage.shares", value=text))
    return train / whole, validation / whole, test / whole
