"""The system prompt and the template: asked otherwise than it was trained, or learnt only under one prompt."""

from typing import Any

from core.diagnose.evidence import Evidence
from core.diagnose.finding import Finding

NO_PROMPT = "none"


def other_prompt(seen: Evidence) -> Finding | None:
    """Asked under another system prompt than it was trained with, and the answers are bad."""
    prompt, trained = seen.score.get("prompt") or {}, seen.run.config["prompt"]
    if prompt.get("same_as_trained", True):
        return None
    poor = [each for each in seen.aims if each.not_learnt]
    if not poor:
        return None
    worst = min(poor, key=lambda each: each.tuned)
    values = {"used": prompt["name"], "trained": trained["name"], **worst.numbers()}
    return Finding("other_prompt", "error", values, prompt=trained["name"])


def one_prompt_only(seen: Evidence) -> Finding | None:
    """The identity is right under the prompt that was trained, and gone under another."""
    if seen.identity.get("verdict") != "only_under_prompt":
        return None
    under = {name: 100 * told["right"] / told["n"] for name, told in seen.identity["by_under"].items()}
    trained = under.pop("trained")
    worst = min(under, key=lambda name: under[name])
    name = seen.run.config["prompt"]["name"]
    values = {"trained_under": name, "trained": trained, "under": [f"diagnosis.under.{worst}"], "there": under[worst]}
    changes: dict[str, Any] = {}
    if seen.run.config["prompt"]["text"]:  # learnt without a prompt, an identity does not hang on one
        changes = {"prompt.name": NO_PROMPT, "prompt.version": None, "prompt.blanks": {}}
    return Finding("one_prompt_only", "warning", values, changes, prompt=name)


def other_template(seen: Evidence) -> Finding | None:
    """What the model reads is not what it was trained on, though the system prompt is the same."""
    parity = seen.parity
    if not parity.get("rows") or parity["same"] or not parity["system_same"]:
        return None
    values = {
        "rows": parity["rows"],
        "template": ["diagnosis.same" if parity["template_same"] else "diagnosis.other"],
    }
    return Finding("other_template", "error", values)
