"""Jobs on data sets: a directory in WORKSPACE/jobs each, like a run's, worked through by `core.curate.worker`."""

import shutil
import time
from pathlib import Path
from typing import Any

from core.runs import process
from core.runs.directory import create, read_config
from core.workspace import Workspace, slug

_KEPT = 50  # ended jobs; what they did stands in the registry and in the cache, their logs are for looking up a failure


def submit(workspace: Workspace, task: str, **values: Any) -> Path:
    """Return a new job directory, ready for `supervisor.launch(job, "core.curate.worker")`.

    Args:
        task: a name of `core.curate.tasks.TASKS`.
        values: the arguments of that task: texts, numbers, lists and mappings of them.

    Raises:
        KeyError: if there is no such task; a defect, not a person's mistake.
    """
    from core.curate.tasks import TASKS

    TASKS[task]
    _sweep(workspace)
    subject = str(values.get("name") or Path(str(values.get("file") or values.get("folder") or "")).stem)
    config = {
        "kind": "curate",
        "task": task,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "workspace": str(workspace.root),
        "allow": [str(each) for each in workspace.allow],
        "values": values,
    }
    return create(workspace.jobs, f"{task}_{slug(subject)}", config)


def listing(workspace: Workspace, task: str | None = None) -> list[Path]:
    """Return the job directories, of one task where it is given, newest first."""
    found = sorted((config.parent for config in workspace.jobs.glob("*/config.yaml")), reverse=True)
    return [job for job in found if task is None or (read_config(job) or {}).get("task") == task]


def result(job: Path) -> dict[str, Any]:
    """Return what a finished job found or made, {} while it has not finished."""
    last = process.last_event(job)
    return dict(getattr(last, "result", {}) or {})


def _sweep(workspace: Workspace) -> None:
    """Remove the oldest ended jobs."""
    ended = [job for job in listing(workspace) if process.status(job) not in ("running", "queued")]
    for job in ended[_KEPT:]:
        shutil.rmtree(job, ignore_errors=True)
