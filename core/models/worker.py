"""The process that downloads a model: `python -m core.models.worker JOB_DIR`."""

from pathlib import Path

from core.models.fetching import fetch
from core.models.folder import check, weight_bytes
from core.runs import events
from core.runs.directory import read_config
from core.runs.work import run_worker


def work(job: Path) -> None:
    """Download the job's model. What a stopped download has is kept for the next one."""
    name = read_config(job)["values"]["name"]
    folder = fetch(job, name)
    check(folder, downloaded=True)
    result = {"name": name, "folder": str(folder), "revision": folder.name, "bytes": weight_bytes(folder)}
    events.append(job / "events.jsonl", events.RunFinished(result=result))


if __name__ == "__main__":
    run_worker(work)
