"""What the model could do before and cannot do now, and the replay that keeps it."""

from collections.abc import Mapping
from typing import Any

from core.data.mix import ENOUGH_GENERAL, LEAST_GENERAL, MOST_OVERSAMPLED, Part, advice
from core.data.registry import Registry
from core.diagnose.evidence import Evidence
from core.diagnose.finding import Finding, Severity
from core.diagnose.learning import rounded
from core.evaluate.contestants import BASE, TUNED

REPLAY = "general"  # the sample set
SLOWER = 2  # times; chosen by us
SHOWN = 3  # abilities


def forgot(seen: Evidence) -> Finding | None:
    """Abilities were lost; with little or no general data in what was learnt, that is the likely cause."""
    kept, verdict = seen.kept, seen.kept.get("verdict")
    if verdict != "lost" and not (verdict == "slightly" and kept["abilities_lost"]):
        return None
    general = [each for each in seen.parts if each.general]
    share = sum(each.share for each in general)
    severity: Severity = "error" if verdict == "lost" else "warning"
    values = {
        "kept": kept["kept"]["value"],
        "lost": kept["lost"],
        "gained": kept["gained"],
        "n": kept["n"],
        "abilities": [f"ability.{each}" for each in kept["abilities_lost"] or _worst(seen.by_ability)],
        "share": 100 * share,
    }
    if share < LEAST_GENERAL:
        return Finding("forgot", severity, values, _replay(seen, general))
    rate = rounded(seen.settings.optim.learning_rate / SLOWER)
    return Finding("forgot_in_spite", severity, values, {"optim.learning_rate": rate})


def _worst(by_ability: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Return the abilities that lost most."""
    lost = {name: told[BASE] - told[TUNED] for name, told in by_ability.items()}
    return sorted((name for name in lost if lost[name] > 0), key=lambda name: -lost[name])[:SHOWN]


def _replay(seen: Evidence, general: list[Part]) -> dict[str, Any]:
    """Return the data with so much general data that a fifth of what is shown is general."""
    data, registry = seen.settings.data, Registry(seen.workspace)
    small = [each.values for each in advice(seen.parts, seen.passes) if each.code == "plan.general_small"]
    if small:
        return {"data.weights": {**data.weights, small[0]["name"]: min(MOST_OVERSAMPLED, float(small[0]["weight"]))}}
    rows = registry.get(REPLAY).rows if REPLAY in registry.names() else 0
    if general or not rows or not seen.per_pass:
        return {}
    weight = seen.per_pass * ENOUGH_GENERAL / (1 - ENOUGH_GENERAL) / rows
    weights = {**data.weights, REPLAY: rounded(min(MOST_OVERSAMPLED, max(0.01, weight)))}
    return {"data.train": [*data.train, REPLAY], "data.weights": weights}
