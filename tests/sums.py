"""What the tests of experiments train on: sums in three forms, a tiny model, and a recipe of a few steps."""

import json
from pathlib import Path
from typing import Any

from core.data.registry import Registry
from core.evaluate.options import options
from core.settings import RunSettings, from_dict
from core.workspace import Workspace
from tests.tiny import build_tiny_model

TASK = "Add the two numbers."
QUICK = options(max_new_tokens=3, probes=False)


def sums_workspace(root: Path) -> Workspace:
    """Return a workspace with the model `models/tiny` and the sets bare, task, wordy, sums_test and other_test."""
    workspace = Workspace.at(root)
    build_tiny_model(workspace.models / "tiny")
    sums = [(f"{a}+{b}?", f"{a + b}") for a in range(8) for b in range(8)]
    asked = [(f"What is {a}+{b}?", f"{a + b}") for a in range(4) for b in range(3)]
    sets = {
        "bare": [{"instruction": question, "output": answer} for question, answer in sums],
        "task": [{"instruction": TASK, "input": question, "output": answer} for question, answer in sums],
        "wordy": [{"instruction": question, "output": f"That is {answer}, my friend."} for question, answer in sums],
        "sums_test": [{"instruction": question, "output": answer} for question, answer in asked],
        "other_test": [{"instruction": question, "output": "7"} for question, _ in asked],
    }
    for name, rows in sets.items():
        (workspace.root / f"{name}.json").write_text(json.dumps(rows))
        Registry(workspace).add(workspace.root / f"{name}.json", name=name)
    return workspace


def recipe(**settings: Any) -> RunSettings:
    return from_dict({}, {
        "model.path": "models/tiny", "data.train": ["bare"], "data.test": ["sums_test"], "data.accept_warnings": True,
        "data.validation_share": 0.2, "method.name": "lora", "lora.rank": 4, "optim.learning_rate": 1e-2,
        "schedule.max_steps": 6, "schedule.epochs": 50, "batch.global_batch_size": 4, "log.validate_every_steps": 2,
        "checkpoint.every_steps": 2, "compute.dtype": "float32", **settings,
    })  # fmt: skip
