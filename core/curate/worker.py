"""The process that works on data: `python -m core.curate.worker JOB_DIR`."""

from pathlib import Path

from core.curate.tasks import TASKS
from core.runs import events
from core.runs.directory import read_config
from core.runs.listening import JobListener
from core.runs.work import run_worker
from core.workspace import Workspace


def work(job: Path) -> None:
    """Do the task of the job and leave its result in the log. Stopped, it leaves everything as it was."""
    config = read_config(job)
    workspace = Workspace.at(config["workspace"], tuple(config["allow"]))
    result = TASKS[config["task"]](workspace, JobListener(job), **config["values"])
    events.append(job / "events.jsonl", events.RunFinished(result=result))


if __name__ == "__main__":
    run_worker(work)
