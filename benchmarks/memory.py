"""The plan's memory beside the peak that the worker really had, for three model sizes: `python benchmarks/memory.py`.

Each model has random weights, the starter's tokenizer and rows of invented text. The run is prepared and trained as any
other; the plan stands in its config, the peak in its events: resident memory on a CPU, what torch reserved on a card.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from core.data.registry import Registry
from core.models.folder import copy_tokenizer
from core.runs import events, supervisor
from core.runs.directory import Run
from core.settings import from_dict
from core.train.prepare import prepare
from core.workspace import SAMPLES, Workspace

ALLOWED = 0.15  # that plan and peak may differ
SHAPES: dict[
    str, tuple[int, int, int, int, int]
] = {  # vocabulary, hidden, inner, layers, heads; half as many key heads
    "5M": (8_000, 256, 512, 6, 4),
    "60M": (16_000, 640, 1728, 12, 10),
    "250M": (32_000, 1024, 2816, 20, 16),
    "1B": (32_000, 2048, 5632, 22, 32),
    "8B": (128_256, 4096, 14_336, 32, 32),
}
_WORDS = ("the", "number", "of", "what", "is", "three", "plus", "four", "eight", "and", "seven", "or", "some", "day")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["5M", "60M", "250M"])
    parser.add_argument("--methods", nargs="+", default=["lora", "qlora"])
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16", "float32"])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--json", action="store_true", help="end with one JSON object")
    options = parser.parse_args()
    logging.disable_progress_bar()
    found = []
    print(f"{'model':<6}{'method':<8}{'dtype':<10}{'plan':>9}{'peak':>9}{'off':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for shape, method, dtype in product(options.shapes, options.methods, options.dtypes):
            row = measure(Workspace.at(folder), shape, method, dtype, options.steps)
            found.append(row)
            sizes = f"{row['plan'] / 1e6:>6,.0f} MB{row['peak'] / 1e6:>6,.0f} MB"
            print(f"{shape:<6}{method:<8}{dtype:<10}{sizes}{row['off']:>+8.1%}", flush=True)
    worst = max(abs(row["off"]) for row in found)
    print(f"furthest off: {worst:.1%}; allowed: {ALLOWED:.0%}")
    if options.json:
        print(json.dumps({"memory": found, "worst": worst}))
    raise SystemExit(worst > ALLOWED)


def measure(workspace: Workspace, shape: str, method: str, dtype: str, steps: int) -> dict[str, Any]:
    """Train a few steps and return plan and peak in bytes, and how far the first is off the second."""
    _build(workspace.models / shape, SHAPES[shape])
    if "rows" not in Registry(workspace).names():
        file = workspace.root / "rows.json"
        file.write_text(json.dumps(list(_rows(600))), encoding="utf-8")
        Registry(workspace).add(file, "rows")
    settings = {
        "model": {"path": f"models/{shape}"},
        "data": {"train": ["rows"], "accept_warnings": True, "validation_share": 0},
        "method": {"name": method},
        "schedule": {"max_steps": steps},
        "batch": {"global_batch_size": 16, "cutoff_len": 512},
        "compute": {"dtype": dtype},
    }
    run = prepare(workspace, from_dict(settings))
    supervisor.launch(run.path, "core.train.worker").join()
    plan, peak = run.config["plan"]["memory_bytes"], _peak(run)
    return {"model": shape, "method": method, "dtype": dtype, "plan": plan, "peak": peak, "off": plan / peak - 1,
            "parts": run.config["plan"]["memory"]}  # fmt: skip


def _peak(run: Run) -> float:
    seen, _ = events.read_from(run.log)
    ended = [event for event in seen if isinstance(event, events.TrainingEnded)]
    if not ended:
        raise SystemExit((run.path / "worker.log").read_text()[-2000:])
    return ended[0].measured["memory_bytes"]


def _build(folder: Path, shape: tuple[int, int, int, int, int]) -> None:
    if (folder / "config.json").exists():
        return
    vocabulary, hidden, inner, layers, heads = shape
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=hidden, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads // 2, max_position_embeddings=4096, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM._from_config(config, dtype=torch.bfloat16).save_pretrained(folder)
    copy_tokenizer(SAMPLES / "starter", folder)


def _rows(count: int) -> Iterator[dict[str, str]]:
    """Yield rows of 30 to 400 words, as instructions and their answers are."""
    chance = random.Random(0)
    for number in range(count):
        length = min(400, int(chance.lognormvariate(4.3, 0.6)) + 20)
        question = " ".join(chance.choices(_WORDS, k=length // 3))
        yield {"instruction": f"{question} {number}?", "output": " ".join(chance.choices(_WORDS, k=length))}


if __name__ == "__main__":
    main()
