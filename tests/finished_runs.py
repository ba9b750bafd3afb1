"""Runs as trainings leave them, made in milliseconds: what the tests of lists, comparisons and bundles look at."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from core.runs.directory import COMPLETE, Run
from core.settings import from_dict
from core.workspace import Workspace


def finished_run(
    workspace: Workspace,
    name: str,
    *,
    steps: int = 20,
    settings: Mapping[str, Any] | None = None,
    data: Sequence[tuple[str, str]] = (("pets", "a" * 40),),
    prompt: str | None = None,
    checkpoints: Sequence[int] = (),
    end: str = "finished",
    right: float | None = None,
    **config: Any,
) -> Run:
    """Write the directory of a run and return it.

    Args:
        settings: by dotted path.
        data: name and SHA-1 of each set; the settings train on all of them.
        end: how its log ends; "" for a worker that was lost.
        right: percent of right answers of the tuned model in its one evaluation; None where there is none.
        config: further keys of config.yaml.
    """
    run = workspace.runs / name
    run.mkdir(parents=True)
    made = from_dict({"data": {"train": [each for each, _ in data]}}, settings)
    values = {
        "kind": "train",
        "created": "2026-11-20T12:00:00+0000",
        "workspace": str(workspace.root),
        "allow": [],
        "settings": made.model_dump(mode="json"),
        "data": [{"name": each, "file": str(workspace.data / f"{each}.json"), "sha1": sha1} for each, sha1 in data],
        "model": {"path": "data/starter", "folder": str(workspace.root / "models/base"), "fingerprint": "f" * 64},
        "prompt": {
            "name": "none" if prompt is None else "ours",
            "version": 1,
            "text": prompt,
            "sha256": hashlib.sha256((prompt or "").encode()).hexdigest(),
        },
        "versions": {"torch": "2.9.0"},
        **config,
    }
    (run / "config.yaml").write_text(yaml.dump(values, Dumper=_FAST, sort_keys=False), encoding="utf-8")
    (run / "events.jsonl").write_text("".join(json.dumps(each) + "\n" for each in log(steps, end)), encoding="utf-8")
    for step in checkpoints:
        folder = run / f"checkpoints/step-{step:06d}"
        folder.mkdir(parents=True)
        (folder / "adapter_model.safetensors").write_bytes(b"0" * 1000)
        (folder / COMPLETE).touch()
    if right is not None:
        write_score(run, right)
    return Run(run)


def log(steps: int, end: str = "finished") -> list[dict[str, Any]]:
    """Return the events of a training whose loss falls to 1 and whose validation is best after two thirds of it."""
    told: list[dict[str, Any]] = [
        {"time": 1.0, "event": "run_started", "total_steps": steps, "examples": 9, "validation_examples": 2, "tokens": 90,
         "dropped": 0, "trainable_parameters": 9, "device": "cpu", "micro_batch_size": 1}
    ]  # fmt: skip
    for step in range(1, steps + 1):
        told.append(step_finished(step, round(1 + 2 / step, 4)))
        if step % 10 == 0:
            told.append(
                {"time": 1.0, "event": "validated", "step": step, "loss": 1 + abs(step - steps * 2 / 3) / steps}
            )
    if end == "finished":
        told.append(
            {"time": 1.0, "event": "training_ended", "reason": "done", "step": steps, "kept_step": steps,
             "measured": {"seconds": 90.0}}
        )  # fmt: skip
    if end:
        told.append({"time": 1.0, "event": f"run_{end}", **({"result": {}} if end == "finished" else {"step": steps})})
    return told


def step_finished(step: int, loss: float) -> dict[str, Any]:
    return {"time": 1.0, "event": "step_finished", "step": step, "epoch": 0.1, "loss": loss, "learning_rate": 1e-4,
            "grad_norm": 1.0, "tokens": 90, "tokens_per_second": 1000.0, "seconds_left": 1.0}  # fmt: skip


def write_score(run: Path, right: float, job: str = "pets_test") -> None:
    score = {"job": job, "created": "2026-11-20T13:00:00", "adapter": "final",
             "datasets": {"pets_test": {"n": 4, "base": {"right": 25.0}, "tuned": {"right": right}}}}  # fmt: skip
    (run / "scores").mkdir(exist_ok=True)
    (run / f"scores/{job}.json").write_text(json.dumps(score), encoding="utf-8")


_FAST = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
