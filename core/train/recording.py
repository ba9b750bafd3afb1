"""What a training tells: events to the log of the run, and their numbers to the trackers."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from core.runs import events
from core.runs.directory import Run
from core.train.tracking.background import InBackground
from core.train.tracking.chosen import open_trackers
from core.train.tracking.tracker import About, numbers, result
from core.workspace import DISK_FULL, Workspace

_LOOKS_AGAIN = 1.0  # seconds


def is_first() -> bool:
    """Say whether this process is the one that writes, where several train one model (torchrun numbers them in RANK)."""
    return int(os.environ.get("RANK", "0")) == 0


class Recorder:
    """Tells events. Of several processes only the first is heard."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writes = is_first()
        self._trackers: Sequence[InBackground] = ()

    @contextmanager
    def reporting(self, workspace: Workspace) -> Iterator[None]:
        """Report to TensorBoard and to what was chosen meanwhile."""
        run = self._run
        about = About(run.name, run.settings.model_dump(mode="json"), run.path, workspace.root / "tracking")
        self._trackers = open_trackers(run.settings, about) if self._writes else ()
        try:
            yield
        finally:
            self._close({})  # the training came apart

    def say(self, event: events.Event) -> None:
        """Append an event to the log and hand its numbers to the trackers. A tracker that failed is told of, once."""
        if not self._writes:
            return
        self._append(event)
        if isinstance(event, events.TrainingEnded):
            self._close(result(event))
        elif (told := numbers(event)) is not None:
            for tracker in self._trackers:
                tracker.log(*told)
            self._tell_failures()

    def _close(self, result: Mapping[str, float]) -> None:
        for tracker in self._trackers:
            tracker.close(result)
        self._tell_failures()
        self._trackers = ()

    def _tell_failures(self) -> None:
        for tracker in self._trackers:
            if (found := tracker.failure()) is not None:
                self._append(events.Warned(code=found.code, where=found.where, values=found.values))

    def _append(self, event: events.Event) -> None:
        """Append an event. On a full disk the training waits until there is space again, or somebody asks for a stop."""
        while True:
            try:
                return events.append(self._run.log, event)
            except OSError as error:
                if error.errno not in DISK_FULL or (self._run.path / "stop").exists():
                    raise
            time.sleep(_LOOKS_AGAIN)
