"""One data set as a score tells it: base and tuned, and whether the difference is more than chance."""

from collections.abc import Mapping
from typing import Any

from core.evaluate.contestants import BASE, TUNED

RIGHT = "right"  # the main metric, where something tells right from wrong
HALF = 50.0  # percent; chosen by us: whoever gets less than half of it right has not learnt it
QUARTER = 25.0  # points; chosen by us: a gain that everybody sees, whatever the test


class Tested:
    """The results of one data set; a metric's value is in percent."""

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.n: int = values["n"]
        self.main: str = values.get("main", "right")
        self._values = values

    def of(self, who: str, metric: str = "") -> float | None:
        """Return a contestant's value of a metric, by default of the main one; None where it is not known."""
        return (self._values.get(who) or {}).get(metric or self.main)

    @property
    def base(self) -> float:
        return self.of(BASE) or 0.0

    @property
    def tuned(self) -> float:
        return self.of(TUNED) or 0.0

    @property
    def gain(self) -> float:
        """How many points the tuned model is above the base."""
        return self.tuned - self.base

    def compared(self, metric: str = "", who: str = TUNED, other: str = BASE) -> Mapping[str, Any]:
        """Return how a contestant compares to another in a metric; empty where they were not compared."""
        return ((self._values.get("against") or {}).get(who, {}).get(other) or {}).get(metric or self.main) or {}

    @property
    def is_better(self) -> bool:
        """The tuned model is better, by more than chance."""
        return self.compared().get("winner") == "who"

    @property
    def is_worse(self) -> bool:
        return self.compared().get("winner") == "other"

    @property
    def is_known(self) -> bool:
        """Both were judged right or wrong; open questions are not."""
        return self.main == RIGHT and self.of(BASE) is not None and self.of(TUNED) is not None

    @property
    def not_learnt(self) -> bool:
        """Most answers are wrong, and training changed little about that."""
        return self.is_known and self.tuned < HALF and self.gain < QUARTER

    def numbers(self) -> dict[str, Any]:
        """Return what the sentences tell of it."""
        return {"test": [self.name], "n": self.n, "base": self.base, "tuned": self.tuned}
