"""What the doctor says: findings with counts, places and examples, and a report that survives as JSON.

A finding is a code; its three sentences stand in the locale files under `error.doctor.<code>.what`, `.why` and `.fix`, like
those of every other problem. The score is a summary for sorting and never shown without the findings.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from core.doctor.codes import BESIDE_CONTENT, CODES, Severity
from core.errors import Problem
from core.wording import joined

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
LISTED = 1000  # places a finding names; the count tells the rest
EXAMPLES = 5
THOROUGH_UP_TO = 20_000  # rows that are examined whole unasked; of more, near duplicates alone take tens of seconds
_EXCERPT = 200  # characters of an example
# Penalties are chosen by us: one error must pull a set below every set that has none.
_FIRST = {"error": 40, "warning": 6, "note": 1}
_SPREAD = {"error": 30, "warning": 14, "note": 2}  # on top, in proportion to the share of rows concerned
_CAPS = {"error": 90, "warning": 45, "note": 8}


@dataclass(frozen=True)
class Example:
    """One place and what stands there. Where a problem was told when the row was read, it says more than the text."""

    where: str
    text: str
    problem: Problem | None = None

    def say(self, language: str = "en") -> str:
        """Return what to show: the problem's first two sentences, or the text."""
        return joined(self.problem.sentences(language)[:2], language) if self.problem else self.text


@dataclass(frozen=True)
class Finding:
    """One kind of thing that is wrong. `lines` are places such as `37` or `37 (#12)`, the first 1,000 of `count`."""

    code: str
    severity: Severity
    count: int
    lines: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    fix: str | None = None

    def problem(self, name: str = "") -> Problem:
        """Return the finding as a problem of the data set `name`, for its sentences."""
        return Problem(f"doctor.{self.code}", name, {"count": self.count, "name": name, **self.values})

    @property
    def accepting(self) -> str:
        """What a person accepts with it: the code, and of what depends on more than the content, how many rows at most."""
        return f"{self.code}={self.count}" if self.code in BESIDE_CONTENT else self.code

    def is_accepted(self, accepted: Collection[str]) -> bool:
        """Tell whether it is among what was accepted: `CODE`, or `CODE=N` for no more than N rows."""
        limits = [int(each.partition("=")[2]) for each in accepted if each.startswith(f"{self.code}=")]
        return self.code in accepted or any(self.count <= limit for limit in limits)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Finding":
        examples = tuple(
            Example(each["where"], each["text"], Problem(**each["problem"]) if each.get("problem") else None)
            for each in values["examples"]
        )
        return cls(**{**values, "lines": tuple(values["lines"]), "examples": examples})


@dataclass(frozen=True)
class Report:
    """Everything found in one data set. `stats` are figures that are worth showing though nothing is wrong with them.

    `thorough` tells an examination of all texts from the quick one of the structure. Findings are sorted, errors first.
    """

    name: str
    rows: int
    findings: tuple[Finding, ...]
    stats: dict[str, Any] = field(default_factory=dict)
    thorough: bool = False

    @property
    def score(self) -> int:
        """0 to 100: 100 less a capped penalty for each severity."""
        lost = Counter[str]()
        for each in self.findings:
            share = min(1.0, each.count / self.rows) if self.rows else 1.0
            lost[each.severity] += round(_FIRST[each.severity] + _SPREAD[each.severity] * share)
        return max(0, 100 - sum(min(_CAPS[severity], points) for severity, points in lost.items()))

    @property
    def level(self) -> Literal["error", "warning", "note", "good"]:
        """The worst severity there is."""
        found = {each.severity for each in self.findings}
        return next((severity for severity in SEVERITIES if severity in found), "good")

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == severity)

    @property
    def errors(self) -> tuple[Finding, ...]:
        return self.of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self.of("warning")

    def open_warnings(self, accepted: Collection[str]) -> tuple[Finding, ...]:
        """Return the warnings that were not accepted."""
        return tuple(each for each in self.warnings if not each.is_accepted(accepted))

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; `score` and `level` are told as well, for whoever reads the JSON alone."""
        return {
            "name": self.name,
            "rows": self.rows,
            "score": self.score,
            "level": self.level,
            "thorough": self.thorough,
            "findings": [each.to_dict() for each in self.findings],
            "stats": self.stats,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Report":
        findings = tuple(Finding.from_dict(each) for each in values["findings"])
        return cls(values["name"], values["rows"], findings, values["stats"], values["thorough"])


class Tally:
    """Collects the rows that one finding is about, while the data streams by."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.count = 0
        self._lines: list[str] = []
        self._examples: list[Example] = []

    def add(self, place: str, text: str = "", problem: Problem | None = None) -> None:
        self.count += 1
        if len(self._lines) < LISTED:
            self._lines.append(place)
        if len(self._examples) < EXAMPLES:
            self._examples.append(Example(place, excerpt(text), problem))

    def finding(self, minor: bool = False, **values: Any) -> Finding:
        """Return what was collected; `minor` makes a note of a warning."""
        return found(self.code, self.count, tuple(self._lines), tuple(self._examples), minor, **values)


def found(
    code: str,
    count: int,
    lines: tuple[str, ...] = (),
    examples: tuple[Example, ...] = (),
    minor: bool = False,
    **values: Any,
) -> Finding:
    """Return a finding with the severity and the fix that its code has; `minor` makes a note of a warning."""
    severity, fix = CODES[code]
    return Finding(code, "note" if minor else severity, count, lines, examples, values, fix)


def excerpt(text: str, around: int = 0) -> str:
    """Return up to 200 characters of a text, on one line, around a position."""
    start = max(0, around - _EXCERPT // 2)
    piece = text[start : start + _EXCERPT]
    shown = " ".join(piece.split())
    return ("…" if start else "") + shown + ("…" if start + _EXCERPT < len(text) else "")


def percent(part: float, whole: float) -> str:
    """Return a share for a sentence: `12 %`, `0.4 %`."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %"


def in_order(findings: list[Finding]) -> tuple[Finding, ...]:
    """Return the findings, errors first, then by how many rows they concern."""
    return tuple(sorted(findings, key=lambda each: (SEVERITIES.index(each.severity), -each.count, each.code)))
