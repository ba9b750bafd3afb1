"""An experiment is a directory, and a job as others are: several runs that answer one question, and what came out.

experiments/2026-11-22_070412_ab_desk/
  config.yaml     its kind, the recipe, the runs that it makes, its plan; written once, before the start
  events.jsonl, worker.log, worker.pid, stop     as of every job, see core/runs/process.py
  children.jsonl  a line for each run and each evaluation when it is made: {"key", "job"}, relative to the workspace
  trials.jsonl    of a sweep: its trials, as they begin and end
  result.json     the report; its shape stands in `ab_report` and `sweep_report`

The runs themselves lie among all others, and stay when the experiment is deleted.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from core.errors import RunError, problem
from core.evaluate import lines
from core.runs import process
from core.runs.directory import Run, create, read_config
from core.workspace import Workspace, checked_name

KINDS = ("ab", "sweep")
RESULT = "result.json"
CHILDREN = "children.jsonl"


@dataclass(frozen=True)
class Experiment:
    """One experiment. Cheap to make; reads its directory when asked."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was asked and planned.

        Raises:
            RunError: if config.yaml is not that of an experiment.
        """
        config = read_config(self.path)
        if not isinstance(config, dict) or config.get("kind") not in KINDS:
            raise RunError(problem("experiment.broken", self.name))
        return config

    @property
    def status(self) -> process.Status:
        return process.status(self.path)

    @property
    def log(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked it to stop."""
        return (self.path / "stop").exists()

    def result(self) -> dict[str, Any] | None:
        """Return the report, None before there is one."""
        try:
            found: dict[str, Any] = json.loads((self.path / RESULT).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return found

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the report, complete or not at all."""
        aside = self.path / f"{RESULT}.part"
        aside.write_text(json.dumps(result, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8")
        aside.replace(self.path / RESULT)

    def children(self) -> dict[str, str]:
        """Return the runs and evaluations that were made, by their keys; of two with one key the later one counts."""
        return {each["key"]: each["job"] for each in lines.read(self.path / CHILDREN)}

    def note_child(self, key: str, job: str) -> None:
        lines.append(self.path / CHILDREN, [{"key": key, "job": job}])


def make(workspace: Workspace, name: str, config: Mapping[str, Any]) -> Path:
    """Make the directory of an experiment, ready for `core.experiments.worker`, and return it."""
    place = {"workspace": str(workspace.root), "allow": [str(each) for each in workspace.allow]}
    return create(workspace.experiments, name, {**config, **place})


def find(workspace: Workspace, name: str) -> Experiment:
    """Return the experiment called `name`.

    Raises:
        RunError: if there is none.
        PathError: if the name is not a name.
    """
    path = workspace.experiments / checked_name(name)
    if not (path / "config.yaml").exists():
        known = ", ".join(each.name for each in listing(workspace)[:5]) or "–"
        raise RunError(problem("experiment.missing", name, known=known))
    found = Experiment(path)
    found.config  # noqa: B018  (raises in words when it is broken)
    return found


def listing(workspace: Workspace) -> list[Experiment]:
    """Return all experiments, newest first; folders that are none are left out."""
    found = (Experiment(config.parent) for config in sorted(workspace.experiments.glob("*/config.yaml"), reverse=True))
    return [each for each in found if _is_one(each)]


def runs_of(workspace: Workspace, experiment: Experiment) -> dict[str, Run]:
    """Return the runs of an experiment that are still there, by their keys."""
    jobs = {key: workspace.root / job for key, job in experiment.children().items()}
    return {key: Run(job) for key, job in jobs.items() if job.parent == workspace.runs and job.is_dir()}


def require_unfinished(experiment: Experiment) -> None:
    """Check that there is something to go on with.

    Raises:
        RunError: if it is at work, waits, or has done all.
    """
    queued = (experiment.path / process.QUEUED).exists()
    if queued or experiment.status in ("running", "finished"):
        raise RunError(problem("experiment.not_ended", experiment.name, status=experiment.status))


def _is_one(experiment: Experiment) -> bool:
    try:
        return bool(experiment.config)
    except RunError:
        return False
