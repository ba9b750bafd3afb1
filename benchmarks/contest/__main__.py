"""One role in a process of its own: `python -m benchmarks.contest ROLE NAME TASK.json RESULT.json BEGAN`."""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.contest.task import OUT_OF_MEMORY, Task


def main() -> None:
    role, name, task_file, result_file, began = sys.argv[1:]
    task = Task.from_json(Path(task_file).read_text(encoding="utf-8"))
    result = play(role, name, task, float(began))
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


def play(role: str, name: str, task: Task, began: float) -> dict[str, Any]:
    """Do one part of the contest. What a role imports counts as its own time and memory."""
    if role == "prepare":
        from benchmarks.contest.material import prepare

        return prepare(task)
    if role == "peak":
        from benchmarks.contest.peak import peak

        return peak()
    if role == "score":
        from benchmarks.contest.score import scores

        return scores(task)
    return train(role, name, task, began)


def train(contender: str, name: str, task: Task, began: float) -> dict[str, Any]:
    """Let a contender train and return its figures; where its GPU is too small, end with the code that says so."""
    from benchmarks.contest.stopwatch import Stopwatch

    watch = Stopwatch(began)
    if contender == "studio":
        from benchmarks.contest.studio import studio

        studio(task, watch, task.adapter(name))
        return watch.figures

    import torch

    from benchmarks.contest import peers

    try:
        {"trl": peers.trl, "trainer": peers.trainer}[contender](task, watch, task.adapter(name))
    except torch.OutOfMemoryError as error:
        print(error, file=sys.stderr)
        sys.exit(OUT_OF_MEMORY)
    return watch.figures


if __name__ == "__main__":
    main()
