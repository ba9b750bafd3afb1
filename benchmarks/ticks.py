"""What one answer to a page that watches a run costs, with a hundred and with a hundred thousand steps. Prints JSON.

    python benchmarks/ticks.py

`bytes` is an answer with news, `bytes_without` one without; `ms` is the processor time for a step more: reading it, drawing
all parts again, and the answer, median of 20. The limit: nothing grows once the curves have as many points as are drawn.
"""

import dataclasses
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from app.live import Live, body  # noqa: E402
from app.studio import Studio  # noqa: E402
from core.runs import directory, events  # noqa: E402
from core.workspace import Workspace  # noqa: E402

STEPS = (100, 1_000, 10_000, 100_000)
MORE = 20
CONFIG = {"settings": {"data": {"train": ["pets"]}}, "data": [], "model": {}, "prompt": {}}


def step(number: int) -> events.StepFinished:
    return events.StepFinished(step=number, epoch=number / 100, loss=2 / number**0.3, learning_rate=1e-4, seconds_left=9.9,
                               tokens=90, grad_norm=1 + number % 7 / 7, tokens_per_second=1000 + number % 11)  # fmt: skip


def measure(studio: Studio, steps: int) -> dict[str, float]:
    job = directory.create(studio.workspace.runs, f"run_{steps}", CONFIG)
    told = (
        json.dumps({"time": 0.0, "event": "step_finished", **dataclasses.asdict(step(n))}) for n in range(1, steps + 1)
    )
    (job / "events.jsonl").write_text("\n".join(told) + "\n", encoding="utf-8")
    live = Live(studio, {})

    def ask(stamp: str) -> tuple[str, int]:
        said = live.answer("en", job.name, stamp, "one")
        return said.get("stamp", stamp), len(body(said))

    stamp, _ = ask("")
    _, without = ask(stamp)
    took, size = [], 0
    for number in range(steps + 1, steps + 1 + MORE):
        events.append(job / "events.jsonl", step(number))
        time.sleep(0.6)  # an answer serves for half a second
        began = time.process_time()
        stamp, size = ask(stamp)
        took.append(1000 * (time.process_time() - began))
    return {"steps": steps, "bytes": size, "bytes_without": without, "ms": round(statistics.median(took), 1)}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(Workspace.at(Path(folder) / "workspace"))
        found = [measure(studio, steps) for steps in STEPS]
    within = found[-1]["bytes"] < 1.1 * found[-2]["bytes"] and found[-1]["ms"] < 2 * found[-2]["ms"]
    print(json.dumps({"answers": found, "within": within}))


if __name__ == "__main__":
    main()
