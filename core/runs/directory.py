"""A run is a directory; everything about it is read from there.

runs/2026-11-20_1432_starter/
  config.yaml    what was asked and resolved, written once, before the start; never a secret
  events.jsonl   written by the worker alone       worker.log, worker.pid, stop      see `process`
  checkpoints/step-000200/     complete (it has a COMPLETE marker) or absent
  tokenizer/     the one that the training saves, where it is not the model's own
  final/         the adapter with tokenizer and template, loadable by transformers and peft without the studio
  evaluations/NAME/, merges/NAME/     jobs of the same kind: config.yaml, events.jsonl, worker.log, worker.pid
  scores/NAME.json                    one file for each finished evaluation
"""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml

from core import yaml_text
from core.errors import RunError, problem
from core.runs import process
from core.settings import RunSettings, from_dict
from core.workspace import Workspace, checked_name

COMPLETE = "COMPLETE"
STATE = "training_state.json"  # in a checkpoint that a training can go on from
DELETED_AS = "deleted_as"  # in a run in the trash that lies there under another name: its own
PARTS = {"settings", "data", "model", "prompt"}  # of every run's config


@dataclass(frozen=True)
class Run:
    """One training run. Cheap to make; reads its directory when asked."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @cached_property
    def config(self) -> dict[str, Any]:
        """What was asked and resolved.

        Raises:
            RunError: if config.yaml is not that of a training run.
        """
        config = read_config(self.path)
        if not is_config(config):
            raise RunError(problem("run.broken", self.name))
        return config

    @cached_property
    def settings(self) -> RunSettings:
        return from_dict(self.config["settings"])

    @property
    def status(self) -> process.Status:
        return process.status(self.path)

    @property
    def log(self) -> Path:
        return self.path / "events.jsonl"

    def checkpoints(self) -> list[Path]:
        """Return the complete checkpoints, oldest first."""
        return sorted((marker.parent for marker in self.path.glob(f"checkpoints/step-*[0-9]/{COMPLETE}")), key=step_of)

    def adapter(self) -> Path | None:
        """Return the folder of the adapter to use: the final one, else the last complete checkpoint's.

        A run that was stopped and went on has a final one that is older than its checkpoints, until it ends again.
        """
        final, saved = self.path / "final", self.checkpoints()
        if not (final / COMPLETE).exists():
            return saved[-1] if saved else None
        return saved[-1] if saved and _made(saved[-1]) > _made(final) else final

    def require_adapter(self) -> Path:
        """Return `adapter()`.

        Raises:
            RunError: if nothing was saved yet.
        """
        adapter = self.adapter()
        if adapter is None:
            raise RunError(problem("run.no_adapter", self.name, status=self.status))
        return adapter

    def jobs(self, kind: Literal["evaluations", "merges"]) -> list[Path]:
        """Return the job directories of a kind, oldest first."""
        return sorted(config.parent for config in self.path.glob(f"{kind}/*/config.yaml"))


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was saved at."""
    return int(checkpoint.name.removeprefix("step-"))


def _made(saved: Path) -> int:
    return (saved / COMPLETE).stat().st_mtime_ns


def find(workspace: Workspace, name: str) -> Run:
    """Return the run called `name`.

    Raises:
        RunError: if there is none.
        PathError: if the name is not a name.
    """
    path = workspace.runs / checked_name(name)
    if not (path / "config.yaml").exists():
        known = ", ".join(run.name for run in listing(workspace)[:5]) or "–"
        raise RunError(problem("run.missing", name, known=known))
    run = Run(path)
    run.config  # noqa: B018  (raises in words when it is broken)
    return run


def listing(workspace: Workspace) -> list[Run]:
    """Return all runs, newest first; folders that are not runs are left out."""
    found = (Run(config.parent) for config in sorted(workspace.runs.glob("*/config.yaml"), reverse=True))
    return [run for run in found if _is_run(run)]


def _is_run(run: Run) -> bool:
    try:
        return bool(run.config)
    except RunError:
        return False


def create(
    parent: Path, name: str, config: Mapping[str, Any], bring: Callable[[Path], Mapping[str, Any]] = lambda _: {}
) -> Path:
    """Make a job directory `parent/DATE_TIME_name` with its config and return it; a taken name gets a number.

    `bring` puts into it what the job needs there before it is a job, and returns what the config says of that.
    """
    stem = f"{time.strftime('%Y-%m-%d_%H%M%S')}_{checked_name(name)}"
    for number in range(1, 1000):
        path = parent / (stem if number == 1 else f"{stem}_{number}")
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            continue
    aside = path / "config.yaml.part"
    try:
        brought = bring(path)
    except BaseException:
        shutil.rmtree(path)
        raise
    aside.write_text(yaml_text.dump({**config, **brought}), encoding="utf-8")
    aside.replace(path / "config.yaml")
    return path


def is_config(config: Any) -> bool:
    """Tell whether it is the config of a training run."""
    return isinstance(config, dict) and config.keys() >= PARTS


def read_config(job: Path) -> dict[str, Any]:
    """Return the config of a job directory, None when it is not YAML. Written once, so that it is read once."""
    file = job / "config.yaml"
    return _read_config(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=512)
def _read_config(file: Path, _: int) -> Any:
    return load(file)


def load(file: Path) -> Any:
    """Return what a YAML file holds, None where it is none."""
    try:
        return yaml.load(file.read_text(encoding="utf-8"), Loader=yaml_text.LOADER)  # noqa: S506  (it is a safe one)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def delete(workspace: Workspace, run: Run) -> Path:
    """Move a run to the trash and return where it lies now.

    Raises:
        RunError: while it, or one of its evaluations or merges, is running, or one of these waits for its turn.
    """
    if busy(run, "running"):
        raise RunError(problem("run.busy", run.name))
    waiting = [job for job in busy(run, "queued") if job != run.path and (job / process.QUEUED).exists()]
    if waiting:
        raise RunError(problem("run.job_waits", run.name, job=waiting[0].name))
    trash = workspace.root / "trash"
    trash.mkdir(exist_ok=True)
    target = trash / run.name
    while target.exists():
        target = target.with_name(target.name + "_")
    lies = Path(shutil.move(run.path, target))
    if lies.name != run.name:
        (lies / DELETED_AS).write_text(run.name, encoding="utf-8")
    return lies


def busy(run: Run, *states: process.Status) -> list[Path]:
    """Return which of a run and its evaluations and merges are in one of the states."""
    jobs = (run.path, *run.jobs("evaluations"), *run.jobs("merges"))
    return [job for job in jobs if process.status(job) in states]
