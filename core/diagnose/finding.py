"""What a diagnosis says: a claim with its numbers, and what to change in the next run.

The words stand in the locale files under `diagnosis.<code>.claim`, `.evidence` and `.action`. A claim is what the numbers
show; the evidence names the likely cause and its limit; the action is what `changes`, `adapter`, `prompt` and `ask` do.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.wording import Translator, has

Severity = Literal["error", "warning", "note"]  # the run is of no use; it is worse than it could be; it cannot be told
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
PARTS = ("claim", "evidence", "action")


@dataclass(frozen=True)
class Finding:
    """One thing that went wrong, JSON values only.

    `values` are the numbers of the sentences; a list in it holds keys of the locale files, such as `ability.sum`, or names.
    `changes` maps settings of the Train form to their new values, `ask` the options of the Evaluate form. `adapter` is a
    saved state of the run that is better than its result (`checkpoints/step-000120`), `prompt` the name of the system prompt
    to go on with.
    """

    code: str
    severity: Severity
    values: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    ask: Mapping[str, Any] = field(default_factory=dict)
    adapter: str | None = None
    prompt: str | None = None

    def sentences(self, t: Translator) -> tuple[str, str, str]:
        """Return the claim, its evidence and the action."""
        blanks = {name: shown(value, t) for name, value in self.values.items()}
        return tuple(t(f"diagnosis.{self.code}.{part}", **blanks) for part in PARTS)  # type: ignore[return-value]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def shown(value: Any, t: Translator) -> str:
    """Return a value as it stands in a sentence: three digits are all that a test of some hundred rows knows."""
    if isinstance(value, list | tuple):
        return ", ".join(_named(each, t) for each in value)
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _named(name: str, t: Translator) -> str:
    return t(name) if has(name) else name  # a name that the person gave, such as that of a data set
