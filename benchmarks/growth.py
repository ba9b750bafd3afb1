"""Whether a training stays as fast and as small when there are more rows. Prints JSON.

    python benchmarks/growth.py [--rows 1000 10000 100000] [--steps 40] [--runs 1]

Each number of rows has a workspace of its own, where a run is prepared and trained by its real worker twice: the first time
its rows are checked and tokenised, the second time that is found in the cache. Of the second are the speeds (real tokens, a
second and a second of one core's work, without the first steps), `peak_memory_mb` of the worker, `seconds_to_prepare` (before
the worker starts) and `seconds_to_first_step` (from the worker's start); what ends in `_cold` is of the first. `speed` and
`memory` are ratios to the fewest rows of the same run. Medians over the runs, which take turns. The limits: speed
within 15 %, flat memory, first step within 10 s.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.contest.process import play, say  # noqa: E402
from benchmarks.contest.stopwatch import SETTLING  # noqa: E402
from benchmarks.contest.task import Task  # noqa: E402
from benchmarks.contest.worker import run_settings, train, workspace_of  # noqa: E402
from core.train.prepare import prepare  # noqa: E402

LIMITS = {"speed": 0.85, "memory": 1.05, "seconds_to_first_step": 10.0}  # memory: chosen by us, as what "flat" allows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tasks = [_task(Path(folder), rows) for rows in options.rows]
        cold = {task.rows: _made(task, options.steps) for task in tasks}
        warm: dict[int, list[dict[str, float]]] = {task.rows: [] for task in tasks}
        for _ in range(options.runs):
            for task in tasks:
                warm[task.rows].append(_trained(task, options.steps))
    found = {rows: _median(runs) | cold[rows] for rows, runs in warm.items()}
    first = found[options.rows[0]]
    for figures in found.values():
        figures["speed"] = round(figures["tokens_per_second"] / first["tokens_per_second"], 3)
        figures["memory"] = round(figures["peak_memory_mb"] / first["peak_memory_mb"], 3)
    result = {"rows": found, "runs": options.runs, "load": round(os.getloadavg()[0], 2), "limits": LIMITS}
    print(json.dumps(result | {"within": all(map(_within, found.values()))}))


def _task(folder: Path, rows: int) -> Task:
    own = folder / str(rows)
    own.mkdir()
    return Task(
        folder=str(own),
        model=str(folder / "model"),
        shape="small",
        source=None,
        method="lora",
        rows=rows,
        heldout=1,
        global_batch_size=8,
        cutoff_len=1024,
        learning_rate=2e-3,
        rank=16,
        seed=7,
        micro_batch_size=8,
    )


def _made(task: Task, steps: int) -> dict[str, float]:
    """Write the rows and train once, so that their tokens are cached."""
    material = play("prepare", task)
    say(f"{task.rows} rows written, {material['tokens']} tokens")
    first = _trained(task, steps)
    return {f"{key}_cold": first[key] for key in ("seconds_to_prepare", "seconds_to_first_step")}


def _trained(task: Task, steps: int) -> dict[str, float]:
    """Prepare a run, let its worker train, and return what could be seen of it."""
    workspace = workspace_of(task)
    began = time.time()
    run = prepare(workspace, run_settings(task, **{"schedule.max_steps": steps}))
    trained = train(run, workspace)
    settled, last = trained.steps[SETTLING - 1], trained.steps[-1]
    tokens = sum(step.tokens for step in trained.steps[SETTLING:])
    found = {
        "tokens_per_second": round(tokens / (last.ended - settled.ended), 1),
        "tokens_per_core_second": round(tokens / (last.worked - settled.worked), 1),
        "peak_memory_mb": round(trained.peak_bytes / 1e6, 1),
        "seconds_to_first_step": round(trained.steps[0].ended - trained.began, 2),
        "seconds_to_prepare": round(trained.began - began, 2),
    }
    say(f"{task.rows} rows: {found}; load {os.getloadavg()[0]:.1f}")
    return found


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}


def _within(figures: dict[str, float]) -> bool:
    return (
        figures["speed"] >= LIMITS["speed"]
        and figures["memory"] <= LIMITS["memory"]
        and figures["seconds_to_first_step"] <= LIMITS["seconds_to_first_step"]
    )


if __name__ == "__main__":
    main()
