"""One look at the experiments of the workspace: all of them, the one that is shown, and the job that it is at."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app import jobs
from app.jobs import Seen
from app.pages.run_panel import follow
from app.studio import Studio
from core.errors import RunError, problem
from core.experiments.directory import Experiment, find, listing
from core.runs import process

DRAFT = "draft"  # planned, and neither started nor put into the queue


@dataclass(frozen=True)
class Look:
    """What is known at one moment. `states` are those of all experiments, newest first."""

    experiments: Sequence[Experiment]
    states: Sequence[str]
    shown: Experiment | None = None
    seen: Seen | None = None
    child: Seen | None = None

    @property
    def state(self) -> str:
        """The state of the one that is shown, "" where there is none."""
        return next(
            (state for each, state in zip(self.experiments, self.states, strict=True) if each is self.shown), ""
        )

    @property
    def stamp(self) -> tuple[Any, ...]:
        """What changes when there is something new to show; it begins with the names of all, and that of the one shown."""
        stopping = bool(self.seen and (self.seen.job / "stop").exists())
        at = (each.stamp if each else None for each in (self.seen, self.child))
        names = [each.name for each in self.experiments]
        return names, self.shown.name if self.shown else "", list(self.states), *at, stopping


def look(studio: Studio, name: str, before: Any) -> Look:
    """Return a look that shows `name`; the newest where that is gone, or was the newest in `before`, the stamp of a look."""
    found = listing(studio.workspace)
    states = [state_of(each) for each in found]
    shown = follow([each.name for each in found], name, before[0] if before else None, not before)
    if shown is None:
        return Look(found, states)
    experiment = next(each for each in found if each.name == shown)
    seen = jobs.look(studio, experiment.path)
    return Look(found, states, experiment, seen, _child(studio, experiment) if seen.active else None)


def state_of(experiment: Experiment) -> str:
    """Return the status of an experiment; one that is only planned is told from one that waits for its turn."""
    status = experiment.status
    return DRAFT if status == "queued" and not (experiment.path / process.QUEUED).exists() else status


def chosen_one(studio: Studio, name: str | None) -> Experiment:
    """Return the experiment that a page shows.

    Raises:
        RunError: if there is none any more.
    """
    if not name:
        raise RunError(problem("experiment.missing", "–", known="–"))
    return find(studio.workspace, name)


def _child(studio: Studio, experiment: Experiment) -> Seen | None:
    """Return the run or the evaluation that is being worked at."""
    made = list(experiment.children().values())
    newest = studio.workspace.root / made[-1] if made else None
    return jobs.look(studio, newest) if newest and process.status(newest) == "running" else None
