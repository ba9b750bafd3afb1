"""The one background thread of a server: it keeps the right to write, and lets waiting jobs begin."""

import logging
import threading
import time
from collections.abc import Callable

from app import turns
from app.studio import Studio
from core.runs import queue

log = logging.getLogger("studio")
EVERY = 1.0  # seconds
RECOVER_EVERY = 30.0  # seconds between two looks for jobs whose adder was killed; it lists every run


class Background:
    """`told` is called when another server has taken the workspace over (False), or this one has it again (True)."""

    def __init__(self, studio: Studio, told: Callable[[bool], None]) -> None:
        self._studio = studio
        self._told = told
        self._over = threading.Event()
        self._wrote = False
        self._failing = ""
        self._recovered = -RECOVER_EVERY
        self._thread = threading.Thread(target=self._run, name="turns", daemon=True)

    def start(self) -> None:
        self._wrote = self._studio.owner is None or self._studio.owner.writes
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self._turn()
                self._failing = ""
            except Exception as error:  # the border of this thread: a full disk now must not end the turns of tomorrow
                if repr(error) != self._failing:
                    log.exception("the queue could not go on")
                self._failing = repr(error)

    def _turn(self) -> None:
        owner = self._studio.owner
        if owner is not None:
            owner.keep_turn()
        writes = owner is None or owner.writes
        if writes != self._wrote:
            self._wrote = writes
            self._told(writes)
            self._recovered = -RECOVER_EVERY
        if not writes:
            return
        if time.monotonic() - self._recovered > RECOVER_EVERY:
            queue.recover(self._studio.workspace)
            self._recovered = time.monotonic()
        turns.begin_ready(self._studio)
