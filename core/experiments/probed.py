"""The probes of an evaluation in one number each, percent; None where they were not asked or tell nothing."""

from collections.abc import Mapping
from typing import Any


def kept(score: Mapping[str, Any], who: str) -> float | None:
    """Return how much of what the base could do a contestant still does."""
    return _of(score, "kept", who).get("kept", {}).get("value")


def identity(score: Mapping[str, Any], who: str) -> float | None:
    """Return how often a contestant says rightly who it is; None where nobody knows who it should be."""
    told = _of(score, "identity", who)
    return round(100 * told["right"] / told["n"], 2) if told.get("n") and "right" in told else None


def _of(score: Mapping[str, Any], probe: str, who: str) -> dict[str, Any]:
    found: dict[str, Any] = score.get("probes", {}).get(probe, {}).get("who", {}).get(who, {})
    return found
