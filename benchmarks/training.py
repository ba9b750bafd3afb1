"""The same training through the studio, TRL's SFTTrainer and transformers' plain Trainer: speed, memory, and the same loss.

    python benchmarks/training.py [--data FILE] [--method lora|qlora|both] [--rows 320] [--best] [--gpu-8b] [--json]

Each contender trains the same random Llama on the same rows in a process of its own, one after the other, with its defaults
for whatever is not part of the task (`benchmarks/contest/`). It fails where token counts differ, where the loss on the same
held-out rows differs by more than 1 %, and where nothing was learnt. The last line (--json) is
`{"studio": {...}, "trl": {...}, "trainer": {...}}`; where both methods ran, QLoRA stands under "qlora" in each, and the
peers' best settings (--best) under "best". `docs/benchmarks.md` says what the figures mean.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.contest.flops import needed  # noqa: E402
from benchmarks.contest.process import play, say  # noqa: E402
from benchmarks.contest.task import CONTENDERS, Task  # noqa: E402

TOLERANCE = 0.01  # of the loss
LEARNT = 0.05  # of the base's loss at least: else equal losses would say nothing
COLUMNS = {
    "tokens_per_second": "tokens/s",
    "learnt_tokens_per_second": "learnt/s",
    "tokens_per_core_second": "per core",
    "peak_memory_mb": "peak MB",
    "mfu": "MFU",
    "seconds_to_first_step_cold": "1st step",
    "seconds_to_first_step": "cached",
    "final_loss": "loss",
}
Figures = dict[str, Any]


def main() -> None:
    options = _options()
    methods = ("lora", "qlora") if options.method == "both" else (options.method,)
    results: dict[str, Figures] = {name: {} for name in CONTENDERS}
    wrong: list[str] = []
    with _folder(options.folder) as folder:
        for method in methods:
            found, against = contest(_task(options, folder, method), at_their_best=options.best)
            print(table(method, found), flush=True)
            wrong += [f"{method}: {each}" for each in against]
            for name, figures in found.items():
                contender, _, best = name.partition("-")
                place = results[contender] if method == methods[0] else results[contender].setdefault(method, {})
                (place.setdefault(best, {}) if best else place).update(figures)
    if options.json:
        print(json.dumps(results))
    if wrong:
        sys.exit("\n".join(wrong))


def contest(task: Task, *, at_their_best: bool) -> tuple[dict[str, Figures], list[str]]:
    """Let all contenders do the task; return the figures of each, and what forbids to compare them.

    With `at_their_best` the peers compete a second time, as `trl-best` and `trainer-best`.
    """
    material, peak = play("prepare", task), play("peak", task)
    operations = needed(Path(task.model), material["lengths"], material["learnt_tokens"], task.rank)
    say(f"{task.method}: {material['rows']} rows of {material['tokens']} tokens, {material['learnt_tokens']} learnt; "
         f"{material['too_long']} rows too long; {peak['operations'] / 1e9:.0f} Gflop/s ({peak['source']})")  # fmt: skip
    found = {}
    for name in (*CONTENDERS, *(("trl-best", "trainer-best") if at_their_best else ())):
        contender, _, best = name.partition("-")
        figures = found[name] = _trained(contender, name, replace(task, best=bool(best)))
        figures["mfu"] = round(figures["tokens_per_second"] * operations / material["tokens"] / peak["operations"], 4)
        say(f"{name}: {figures['tokens_per_second']} tokens/s; load {os.getloadavg()[0]:.1f}")
    losses = play("score", task)
    for name, figures in found.items():
        figures |= {"base_loss": losses["base"], "final_loss": losses[name]}
    return found, problems(material, found)


def problems(material: Figures, found: dict[str, Figures]) -> list[str]:
    """Return what forbids to compare the figures: other tokens, another loss, or nothing learnt."""
    wrong = []
    for name, figures in found.items():
        wrong += [
            f"{name} saw {figures[key]} {key}, not {material[key]}"
            for key in ("tokens", "learnt_tokens")
            if figures[key] != material[key]
        ]
        if figures["final_loss"] > figures["base_loss"] * (1 - LEARNT):
            wrong.append(f"{name} learnt nothing: {figures['base_loss']:.4f} -> {figures['final_loss']:.4f}")
    losses = {name: figures["final_loss"] for name, figures in found.items()}
    if max(losses.values()) > min(losses.values()) * (1 + TOLERANCE):
        wrong.append(f"losses differ by more than {TOLERANCE:.0%}: {losses}")
    return wrong


def table(method: str, found: dict[str, Figures]) -> str:
    """Return the figures as lines of text, each contender's speed with how many times as fast the studio is."""
    lines = [f"{method:14}" + "".join(f"{title:>10}" for title in COLUMNS.values()) + f"{'studio x':>10}"]
    for name, figures in found.items():
        cells = "".join(f"{figures.get(key, ''):>10.4g}" if key in figures else f"{'':>10}" for key in COLUMNS)
        times = found["studio"]["tokens_per_second"] / figures["tokens_per_second"]
        lines.append(f"{name:14}{cells}{times:>10.2f}")
    return "\n".join(lines)


def _trained(contender: str, name: str, task: Task) -> Figures:
    """Return a contender's figures. Where nothing is cached yet, a process that takes one step goes before.

    On a GPU a peer is given the largest micro-batch that fits, without recomputed activations where it has that choice.
    """
    cold = {}
    if task.shape == "small" and not task.best:
        first = play(contender, replace(task, only_first_step=True), name)
        cold = {"seconds_to_first_step_cold": first["seconds_to_first_step"]}
    for attempt in _attempts(contender, task):
        if figures := play(contender, attempt, name):
            return figures | cold
    sys.exit(f"{name} does not fit on this machine")


def _attempts(contender: str, task: Task) -> Iterator[Task]:
    if contender == "studio":
        yield task
        return
    for recompute in (False, True) if task.best else (True,):
        size = task.micro_batch_size
        while size:
            yield replace(task, micro_batch_size=size, recompute=recompute)
            size //= 2


def _task(options: argparse.Namespace, folder: Path, method: str) -> Task:
    own = folder / method
    own.mkdir(parents=True, exist_ok=True)
    large = options.gpu_8b
    return Task(
        folder=str(own),
        model=str(folder / "model"),
        shape="8b" if large else "small",
        source=str(options.data.resolve()) if options.data else None,
        method=method,
        rows=options.rows,
        heldout=100,
        global_batch_size=16 if large else 8,
        cutoff_len=2048 if large else 1024,
        learning_rate=2e-4 if large else 2e-3,
        rank=16,
        seed=7,
        micro_batch_size=8,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="rows in any format the studio reads; default: invented ones")
    parser.add_argument("--method", choices=["lora", "qlora", "both"], default="both")
    parser.add_argument("--rows", type=int, default=320, help="each is shown once, in batches of 8 (16 with --gpu-8b)")
    parser.add_argument("--best", action="store_true", help="let the peers run again with their best settings")
    parser.add_argument("--gpu-8b", action="store_true", help="a random model of Llama 3 8B's shape, 2,048 tokens")
    parser.add_argument("--folder", type=Path, help="keep models, rows, logs and adapters here")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    return parser.parse_args()


@contextmanager
def _folder(wanted: Path | None) -> Iterator[Path]:
    if wanted:
        yield wanted.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
