"""Experiments as their workers leave them, made in milliseconds without a model: what the page shows.

Comparisons come from the code that compares real answers; the answers themselves are given.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from core.evaluate import statistics
from core.experiments import ab_report, trials
from core.experiments.directory import Experiment
from core.experiments.space import EPOCHS, RATE
from core.experiments.trials import Trial
from core.settings import from_dict
from core.workspace import Workspace
from tests.finished_runs import finished_run

RECIPE: dict[str, Any] = {
    "data.train": ["desk_format2", "general"],
    "data.test": ["desk_test"],
    "optim.learning_rate": 2e-4,
}
AB, SWEEP = "2026-11-21_090000_ab_format2_format3", "2026-11-21_120000_sweep"
_STEPS, _TOKENS = {"format2": 268, "format3": 241}, {"format2": 61_204, "format3": 61_077}


def finished_ab(workspace: Workspace, seeds: Sequence[int] = (7, 8)) -> Experiment:
    """Write a comparison of two forms of the data: of 126 questions the second answers 24 more than the first."""
    keys = [(arm, seed) for seed in seeds for arm in _STEPS]
    runs: list[dict[str, Any]] = [
        {"key": f"{arm}/{seed}", "arm": arm, "seed": seed, "steps": _STEPS[arm], "learnt_tokens": _TOKENS[arm],
         "seconds": 640.0, "settings": _settings()}
        for arm, seed in keys
    ]  # fmt: skip
    names = {each["key"]: f"{AB[:17]}_ab_{each['arm']}_s{each['seed']}" for each in runs}
    for name in names.values():
        finished_run(workspace, name, steps=20)
    second = "desk_test_as_desk_format3"
    first_rows, second_rows = _answers(126, 62), _answers(126, 92)
    rows = {label: np.stack([each] * len(seeds)) for label, each in (("format2", first_rows), ("format3", second_rows))}
    arms = [
        {"label": label, "changes": {} if label == "format2" else {"data.train": ["desk_format3", "general"]},
         "tests": [asked], "runs": [names[f"{label}/{seed}"] for seed in seeds], "steps": [_STEPS[label]] * len(seeds),
         "learnt_tokens": [_TOKENS[label]] * len(seeds), "seconds": 1280.0, "kept": 96.2, "identity": kept}
        for label, asked, kept in (("format2", "desk_test", 88.0), ("format3", second, None))
    ]  # fmt: skip
    dataset = {
        "name": "desk_test", "names": {"format2": "desk_test", "format3": second}, "n": 126, "metric": "right",
        "base": {"format2": 3.17, "format3": 5.56}, "value": {"format2": 49.21, "format3": 73.02},
        "interval": {label: list(statistics.interval(each[0])) for label, each in rows.items()},
        "against": {"format3": ab_report.against(rows["format3"], rows["format2"])},
    }  # fmt: skip
    result = {
        "kind": "ab", "arms": arms, "datasets": [dataset],
        "cost": {"runs": len(runs), "learnt_tokens": 244_562, "seconds": 2560.0, "evaluation_seconds": 310.0},
        "evaluation": {"run": next(iter(names.values())), "job": "asked"},
    }  # fmt: skip
    plan = {"runs": len(runs), "steps": 1018, "learnt_tokens": 244_562, "evaluation_seconds": 300.0, "seconds": 2860.0,
            "memory_bytes": 1e9}  # fmt: skip
    planned = [{name: arm[name] for name in ("label", "changes", "tests")} for arm in arms]
    config = {"kind": "ab", "created": "2026-11-21T09:00:00+0000", "arms": planned, "runs": runs, "plan": plan}
    return _written(workspace, AB, config, result, {key: f"runs/{name}" for key, name in names.items()})


def finished_sweep(workspace: Workspace) -> Experiment:
    """Write a sweep of five trials: the third is best, the fourth forgot too much, one was ended early, one failed."""
    tried = [
        ((2e-4, 3.0), "complete", 61.9, 97.1),
        ((1e-4, 3.0), "pruned", None, None),
        ((4e-4, 3.0), "complete", 73.02, 95.0),
        ((4e-4, 6.0), "complete", 78.57, 71.4),
        ((8e-4, 6.0), "failed", None, None),
    ]
    done, jobs = [], {}
    for number, ((rate, epochs), state, value, kept) in enumerate(tried):
        name = f"{SWEEP[:17]}_sweep_t{number}"
        finished_run(workspace, name, steps=20)
        jobs[f"trial/{number}"] = f"runs/{name}"
        problems = ({"code": "experiment.child_stopped", "where": name, "values": {}},) if state == "failed" else ()
        done.append(
            Trial(number, {RATE: rate, EPOCHS: epochs}, state, run=name, steps=90, value=value, kept=kept, seconds=300.0,  # type: ignore[arg-type]
                  problems=problems)
        )  # fmt: skip
    best = trials.best(done, 90.0)
    assert best is not None
    rows = {0: _answers(126, 78), 2: _answers(126, 92), 3: _answers(126, 99)}
    against = {str(each): statistics.compare(rows[best.number], rows[each]).to_dict() for each in (0, 3)}
    result = {
        "kind": "sweep", "sampler": "tpe", "floor": 90.0, "tests": ["desk_test"],
        "trials": [asdict(each) for each in done], "best": best.number,
        "changes": {RATE: 4e-4, EPOCHS: 3.0, "schedule.max_steps": None}, "against": against,
        "cost": {"runs": 5, "seconds": 1500.0, "planned_seconds": 1700.0},
    }  # fmt: skip
    config = {
        "kind": "sweep", "created": "2026-11-21T12:00:00+0000", "space": {"rates": [1e-4, 2e-4, 4e-4, 8e-4], "ranks": [],
        "epochs": [3.0, 6.0]}, "budget": {"minutes": None, "trials": 5}, "floor": 90.0, "sampler": "tpe", "trials": 5,
        "prunes": True,
        "plan": {"runs": 5, "steps": 450, "evaluation_seconds": 300.0, "seconds": 1700.0, "memory_bytes": 1e9},
    }  # fmt: skip
    made = _written(workspace, SWEEP, config, result, jobs)
    for each in done:
        trials.write(made.path, each)
    return made


def _answers(n: int, right: int) -> np.ndarray:
    return np.array([100.0] * right + [0.0] * (n - right))


def _settings() -> dict[str, Any]:
    return from_dict({}, RECIPE).model_dump(mode="json")


def _written(
    workspace: Workspace, name: str, config: dict[str, Any], result: dict[str, Any], children: dict[str, str]
) -> Experiment:
    path: Path = workspace.experiments / name
    path.mkdir(parents=True)
    values = {**config, "settings": _settings(), "options": {}, "workspace": str(workspace.root), "allow": []}
    (path / "config.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    told: list[dict[str, Any]] = [
        {"event": "phase", "name": "experimenting"},
        {"event": "run_finished", "result": {"experiment": name}},
    ]
    (path / "events.jsonl").write_text(
        "".join(json.dumps({"time": 1.0, **each}) + "\n" for each in told), encoding="utf-8"
    )
    made = Experiment(path)
    for key, job in children.items():
        made.note_child(key, job)
    made.write_result(result)
    return made
