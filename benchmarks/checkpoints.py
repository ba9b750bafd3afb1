"""What a checkpoint to go on from costs beside one that only holds the adapter. Prints JSON.

    python benchmarks/checkpoints.py [--runs 10] [--rank 16]

A LoRA of the starter model takes two steps, so that its optimizer has a state; then both kinds are written in turns, with
everything that makes them complete or absent (checksums, fsync, rename). `ratio` is with the state over without, medians of
the same run; `verify_ms` is reading a checkpoint's checksums before anybody goes on from it.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from core.render.tokenizer import Example  # noqa: E402
from core.runs.intact import is_intact  # noqa: E402
from core.settings import from_dict  # noqa: E402
from core.train.attached import attached_model  # noqa: E402
from core.train.checkpoint import save  # noqa: E402
from core.train.methods import method_of  # noqa: E402
from core.train.trainer import Trainer  # noqa: E402

STARTER = ROOT / "data" / "starter"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--rank", type=int, default=16)
    options = parser.parse_args()
    values = {"data.train": ["x"], "lora.rank": options.rank, "schedule.max_steps": 2}
    settings = from_dict({}, values)
    model, groups = attached_model(STARTER, settings, STARTER)
    examples = [Example(list(range(20, 60 + at)), list(range(20, 60 + at))) for at in range(16)]
    trainer = Trainer(model, examples, 0, settings, groups=groups)
    steps = [step.seconds for step in trainer.steps()]
    write = partial(save, model, method_of(settings), STARTER)
    spent: dict[str, list[float]] = {"without": [], "with": [], "verify": []}
    with tempfile.TemporaryDirectory() as folder:
        without, complete = Path(folder) / "without", Path(folder) / "with"
        for _ in range(options.runs):
            spent["without"].append(_seconds(partial(write, without)))
            spent["with"].append(
                _seconds(lambda: write(complete, {**trainer.state(), "log_bytes": 0, "made_with": {}}))
            )
            spent["verify"].append(_seconds(partial(is_intact, complete)))
        sizes = {f.name: sum(each.stat().st_size for each in f.iterdir()) for f in (without, complete)}
    median = {name: round(statistics.median(found) * 1000, 1) for name, found in spent.items()}
    result = {"without_ms": median["without"], "with_ms": median["with"], "verify_ms": median["verify"], "bytes": sizes}
    ratio = {"ratio": round(median["with"] / median["without"], 2), "step_ms": round(min(steps) * 1000, 1)}
    print(json.dumps(result | ratio | {"runs": options.runs, "load": round(os.getloadavg()[0], 2)}))


def _seconds(work: object) -> float:
    began = time.monotonic()
    work()  # type: ignore[operator]
    return time.monotonic() - began


if __name__ == "__main__":
    main()
