"""A worker that writes a megabyte to stderr before it is done: what a library that warns at each step does."""

import sys
from pathlib import Path

from core.runs import events
from core.runs.work import run_worker

MEGABYTE = 1_000_000


def work(job: Path) -> None:
    for number in range(MEGABYTE // 100):
        print(f"{number:>98}!", file=sys.stderr)
    events.append(job / "events.jsonl", events.RunFinished())


if __name__ == "__main__":
    run_worker(work)
