"""How fast a data set becomes tokens: by one process, by all cores, and from the disk. Prints JSON.

    python benchmarks/tokenising.py [--rows 20000] [--runs 3] [--model data/starter] [--file ROWS.jsonl]

Without --file the rows are made first: Alpaca rows of about 120 words. Each stage runs in a process of its own, so that its
memory is its own: `alone` encodes in one process, `cores` in as many as the studio takes, `again` finds the tokens made.
`seconds` end with the examples of a run, split and counted (`run_data`); `megabytes` is what the process grew by meanwhile,
the encoding processes not counted. `faster` are ratios of medians: other programs slow all stages alike.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
STAGES = ("alone", "cores", "again")
_WORDS = (
    "the a model learns from rows that people write and every answer has its question in the same order while some texts "
    "name numbers dates places or reasons why bread rises when yeast eats sugar and makes gas which the dough then holds"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--model", type=Path, default=ROOT / "data" / "starter")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--workspace", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options.stage, options.workspace, options.model.resolve())))
        return
    with tempfile.TemporaryDirectory() as folder:
        file = options.file or make(Path(folder) / "rows.jsonl", options.rows)
        rows = register(Path(folder), file)
        found: dict[str, list[dict[str, float]]] = {stage: [] for stage in STAGES}
        for _ in range(options.runs):
            for stage in STAGES:
                found[stage].append(in_its_own_process(stage, Path(folder), options.model))
    result: dict[str, Any] = {"rows": rows}
    for stage in STAGES:
        result[stage] = {
            key: round(statistics.median(each[key] for each in found[stage]), 3) for key in found[stage][0]
        }
        result[stage]["rows_per_second"] = round(rows / result[stage]["seconds"])
    seconds = {stage: result[stage]["seconds"] for stage in STAGES}
    result["faster"] = {stage: round(seconds["alone"] / seconds[stage], 2) for stage in STAGES[1:]}
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(json.dumps(result | {"runs": options.runs, "cpus": cpus, "load": round(os.getloadavg()[0], 2)}))


def make(file: Path, rows: int) -> Path:
    """Write a file of that many rows, each with texts of its own."""
    chance = random.Random(7)
    sentences = [" ".join(chance.choices(_WORDS.split(), k=12)).capitalize() + "." for _ in range(500)]
    with file.open("w", encoding="utf-8") as stream:
        for number in range(rows):
            asked, *told = chance.choices(sentences, k=9)
            row = {"instruction": f"Question {number}: {asked}", "output": f"Answer {number}: {' '.join(told)}"}
            stream.write(json.dumps(row) + "\n")
    return file


def register(workspace: Path, file: Path) -> int:
    from core.data.registry import Registry
    from core.workspace import Workspace

    return Registry(Workspace.at(workspace)).add(file, "rows").rows


def in_its_own_process(stage: str, workspace: Path, model: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--stage", stage, "--workspace", str(workspace), "--model", str(model)]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def measure(stage: str, place: Path, model: Path) -> dict[str, float]:
    """Return the seconds and the growth of this process (MB) until the examples of a run are there."""
    from core.settings import from_dict
    from core.tokens import tokenise
    from core.train.examples import run_data
    from core.workspace import Workspace

    workspace = Workspace.at(place)
    if stage != "again":
        shutil.rmtree(workspace.cache / "tokens", ignore_errors=True)
    if stage == "alone":
        tokenise._ALONE_SECONDS = float("inf")
    settings = from_dict({"data": {"train": ["rows"]}})
    before, began = psutil.Process().memory_info().rss, time.perf_counter()
    data = run_data(workspace, settings, model, None)
    seconds = time.perf_counter() - began
    grown = (psutil.Process().memory_info().rss - before) / 1e6
    return {
        "seconds": seconds,
        "megabytes": grown,
        "examples": len(data.train) + len(data.validation),
        "tokens": data.tokens,
    }


if __name__ == "__main__":
    main()
