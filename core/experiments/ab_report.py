"""What two or more arms came to, in one paired report: result.json of an A/B experiment.

{
 "kind": "ab",
 "arms": [{"label", "changes", "tests", "runs": [NAME, …], "steps", "learnt_tokens", "seconds", "kept", "identity"}, …],
 "datasets": [{"name", "names": {label: its own name}, "n", "metric", "base": {label: value},
               "value": {label: value}, "interval": {label: [low, high]},
               "against": {label: Comparison as dict + {"by_seed": [difference, …], "steady"}}}, …],   # over the first arm
 "cost": {"runs", "learnt_tokens", "seconds", "evaluation_seconds"},
 "evaluation": {"run", "job"}
}

Rows are what is compared: of several seeds a row has the mean of their values. A winner is named only if the interval
excludes 0 and every seed points the same way (`steady`); what the interval tells is chance of the questions, not of the
training, which only more seeds show. Values are percent, of the metric by which an answer of the set is judged.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from core.evaluate import statistics
from core.evaluate.contestants import BASE
from core.experiments import cost, probed
from core.experiments.asked import Asked, mean
from core.runs.directory import Run


def report(config: Mapping[str, Any], runs: Mapping[str, Run], asked: Asked) -> dict[str, Any]:
    """Return the report; `runs` are those of the experiment by their keys."""
    planned = {each["key"]: each for each in config["runs"]}
    whose = {arm["label"]: [key for key in planned if planned[key]["arm"] == arm["label"]] for arm in config["arms"]}
    seconds = {key: cost.trained_seconds(run) for key, run in runs.items()}
    arms = [_arm(arm, [planned[key] for key in whose[arm["label"]]], runs, seconds, asked) for arm in config["arms"]]
    who = {label: [asked.who(runs[key].name) for key in keys] for label, keys in whose.items()}
    sets = range(len(config["arms"][0]["tests"]))
    return {
        "kind": "ab",
        "arms": arms,
        "datasets": [
            dataset(asked, {arm["label"]: arm["tests"][number] for arm in config["arms"]}, who) for number in sets
        ],
        "cost": {
            "runs": len(planned),
            "learnt_tokens": sum(each["learnt_tokens"] for each in planned.values()),
            "seconds": round(sum(seconds.values()), 1),
            "evaluation_seconds": cost.job_seconds([asked.path]),
        },
        "evaluation": {"run": asked.run, "job": asked.job},
    }


def dataset(asked: Asked, names: Mapping[str, str], who: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return how the arms do on one test set.

    Args:
        names: label -> the name of the set that the arm is asked; all have the same rows.
        who: label -> the contestants of the arm, seed by seed. The arm that is first is what the others are compared with.
    """
    first, *others = who
    seeds = {label: np.stack([asked.column(names[label], each) for each in who[label]]) for label in who}
    rows = {label: values.mean(axis=0) for label, values in seeds.items()}  # NaN applies to a row, whoever answers it
    return {
        "name": names[first],
        "names": dict(names),
        "n": len(rows[first]),
        "metric": asked.main(names[first]),
        "base": {label: mean(asked.column(names[label], BASE)) for label in who},
        "value": {label: mean(values) for label, values in rows.items()},
        "interval": {label: _interval(values) for label, values in rows.items()},
        "against": {label: against(seeds[label], seeds[first]) for label in others},
    }


def against(mine: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Return how one arm compares with another: values (seeds, rows), a row of one beside the same row of the other."""
    applies = ~(np.isnan(mine).any(axis=0) | np.isnan(theirs).any(axis=0))
    mine, theirs = mine[:, applies], theirs[:, applies]
    told = statistics.compare(mine.mean(axis=0), theirs.mean(axis=0)).to_dict()
    by_seed = [round(float(each), 2) for each in (mine - theirs).mean(axis=1)] if applies.any() else []
    steady = len({np.sign(each) for each in by_seed}) < 2
    return {**told, "winner": told["winner"] if steady else None, "by_seed": by_seed, "steady": steady}


def _arm(
    arm: Mapping[str, Any], planned: Sequence[Mapping[str, Any]], runs: Mapping[str, Run],
    seconds: Mapping[str, float], asked: Asked,
) -> dict[str, Any]:  # fmt: skip
    names = [runs[each["key"]].name for each in planned]
    who = [asked.who(name) for name in names]
    return {
        **arm,
        "runs": names,
        "steps": [each["steps"] for each in planned],
        "learnt_tokens": [each["learnt_tokens"] for each in planned],
        "seconds": round(sum(seconds[each["key"]] for each in planned), 1),
        "kept": _average([probed.kept(asked.score, each) for each in who]),
        "identity": _average([probed.identity(asked.score, each) for each in who]),
    }


def _interval(values: np.ndarray) -> list[float | None]:
    low, high = statistics.interval(values[~np.isnan(values)])
    return [None if each is None or not np.isfinite(each) else round(float(each), 2) for each in (low, high)]


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if len(known) == len(values) else None
