"""The runs and evaluations of an experiment, worked through one after another on the device that the experiment holds.

A child does not wait in the queue, where it would wait for its own parent: its worker is started directly. It is a process of
its own all the same. Killed, the experiment loses nothing: whoever goes on with it finds its children by their recorded
names, waits for one that still works, resumes one that was interrupted, and takes those that are done as they are.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.errors import Problem, RunError
from core.evaluate.contestants import Other
from core.evaluate.options import Options
from core.evaluate.prepare import prepare as prepare_evaluation
from core.experiments.directory import Experiment
from core.progress import Cancelled
from core.runs import ending, events, process, supervisor
from core.runs.directory import Run, read_config
from core.runs.follow import lost
from core.settings import RunSettings
from core.train.prepare import prepare
from core.workspace import Workspace

Launch = Callable[[Path, supervisor.Worker], object]
_PHASES = {"core.train.worker": "training", "core.evaluate.worker": "answering"}
_LOOKS = 0.1  # seconds between two looks at a child: a tenth of what a person notices as waiting
_TELLS = 3.0  # seconds between two words about how far a child is


class Children:
    """Makes, starts and follows the children of an experiment; tells how far they are in the experiment's log.

    Args:
        planned: the steps and seconds of every training that is planned, by its key.
        launch: starts the worker of a job.
    """

    def __init__(
        self, workspace: Workspace, experiment: Experiment, planned: Mapping[str, tuple[int, float]], launch: Launch
    ) -> None:
        self._workspace, self._experiment = workspace, experiment
        self._planned, self._launch = dict(planned), launch
        self._ended: set[str] = set()
        self._told = 0.0

    def plan(self, key: str, steps: int, seconds: float) -> None:
        """Say what a training that is made later will take, for the time that is left."""
        self._planned[key] = (steps, seconds)

    def train(
        self, key: str, settings: RunSettings, enough: Callable[[Run], bool] = lambda _: False
    ) -> tuple[Run, process.Status]:
        """See a run through its training and return it with how that ended: "finished", "stopped", "failed" or "lost".

        Args:
            enough: asked again and again while it trains; once it says so, the run is asked to save and stop.

        Raises:
            StudioError: if the run cannot be prepared.
            Cancelled: if the experiment is asked to stop; the run has saved then and stopped, too.
        """
        run = self._run(key, settings)
        status = self._see_through(run.path, "core.train.worker", lambda: self._look(key, run, enough))
        self._ended.add(key)
        self._tell(key, 0, 0.0)
        return run, status

    def evaluate(
        self, key: str, run: Run, datasets: Sequence[str], options: Options, others: Sequence[Other] = ()
    ) -> Path:
        """See an evaluation through and return its job directory.

        Raises:
            StudioError: if it cannot be prepared, or has not come to its end.
            Cancelled: if the experiment is asked to stop.
        """
        job = self._recorded(key)
        if job is None:
            job = prepare_evaluation(self._workspace, run, list(datasets), options=options, others=others)
            self._note(key, job)
        if self._see_through(job, "core.evaluate.worker", lambda: False) != "finished":
            raise RunError(*reasons(job))
        return job

    def _run(self, key: str, settings: RunSettings) -> Run:
        """Return the run of a key: the recorded one, one that was prepared and not recorded any more, or a new one."""
        found = self._recorded(key) or self._unrecorded(settings)
        run = Run(found) if found else prepare(self._workspace, settings)
        if self._experiment.children().get(key) != self._name(run.path):
            self._note(key, run.path)
        return run

    def _recorded(self, key: str) -> Path | None:
        job = self._experiment.children().get(key)
        path = self._workspace.root / job if job else None
        return path if path and (path / "config.yaml").exists() else None

    def _unrecorded(self, settings: RunSettings) -> Path | None:
        """Return a run that was made for this experiment just before its worker was killed, and never started."""
        for folder in sorted(self._workspace.runs.glob(f"*_{settings.name}*"), reverse=True):
            started = any((folder / each).exists() for each in ("worker.pid", process.QUEUED, "events.jsonl"))
            config = None if started or not (folder / "config.yaml").exists() else read_config(folder)
            if config and config["created"] >= self._experiment.config["created"]:
                return folder if config["settings"] == settings.model_dump(mode="json") else None
        return None

    def _see_through(self, job: Path, worker: supervisor.Worker, enough: Callable[[], bool]) -> process.Status:
        if self._experiment.stopped:
            raise Cancelled
        if process.status(job) not in ("finished", "running") and not enough():
            (job / "stop").unlink(missing_ok=True)
            events.append(self._experiment.log, events.Phase(name=_PHASES[worker]))
            self._launch(job, worker)
        asked = False
        while process.status(job) == "running":
            if not asked and (self._experiment.stopped or enough()):
                process.ask_to_stop(job)
                asked = True
            time.sleep(_LOOKS)
        ending.settle(Run(job))  # its memory is free only when its process is gone
        supervisor.wait(job)
        if self._experiment.stopped:
            raise Cancelled
        return process.status(job)

    def _look(self, key: str, run: Run, enough: Callable[[Run], bool]) -> bool:
        if time.monotonic() - self._told > _TELLS:
            last = process.last_event(run.path)
            if isinstance(last, events.StepFinished):
                self._tell(key, last.step, last.seconds_left)
        return enough(run)

    def _tell(self, key: str, step: int, left: float) -> None:
        """Tell how many of all planned steps are taken, and how long the rest takes as planned."""
        self._told = time.monotonic()
        done = sum(self._planned[each][0] for each in self._ended if each in self._planned)
        later = [self._planned[each] for each in self._planned if each not in self._ended and each != key]
        total = sum(steps for steps, _ in self._planned.values())
        seconds = left + sum(seconds for _, seconds in later)
        events.append(
            self._experiment.log,
            events.Progress(done=min(total, done + step), total=total, seconds_left=round(seconds, 1)),
        )

    def _note(self, key: str, job: Path) -> None:
        self._experiment.note_child(key, self._name(job))

    def _name(self, job: Path) -> str:
        return job.relative_to(self._workspace.root).as_posix()


def reasons(job: Path) -> list[Problem]:
    """Return why a job that has ended did not finish."""
    last = process.last_event(job)
    if isinstance(last, events.RunFailed) and process.status(job) == "failed":
        return [Problem(**each) for each in last.problems]
    if process.status(job) == "stopped":
        return [Problem("experiment.child_stopped", job.name)]
    return [lost(job)]
