"""A person compares two answers without knowing whose they are.

    votes.jsonl     appended in the job directory: {"item", "order", "choice", "time"}, or {"undo": item, "time"}, which
                    takes back the last vote on that item

Which answer stands left is drawn from the names of job and item, so that a page that is loaded again shows the same, and
nothing that the page is given tells whose it is.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from core.evaluate import lines
from core.evaluate.pairs import Pair
from core.evaluate.preferences import Grades, Preferred, agreement, tally

FILE = "votes.jsonl"
Choice = Literal["left", "right", "tie", "both_bad"]
CHOICES: tuple[Choice, ...] = ("left", "right", "tie", "both_bad")
METRICS = (
    "right",
    "f1",
    "rougeL",
)  # the main one first; chosen by us: right or wrong, shared words, shared order


@dataclass(frozen=True)
class Blind:
    """Two answers to compare; whose they are cannot be told from it."""

    item: str
    question: str
    expected: str
    left: str
    right: str


@dataclass(frozen=True)
class Vote:
    """`order` names whose answer stood left and whose right. `preferred` is whom the person chose, None for neither."""

    item: str
    order: tuple[str, str]
    choice: Choice
    time: float

    @property
    def preferred(self) -> str | None:
        return {"left": self.order[0], "right": self.order[1]}.get(self.choice)


def next_pair(job: Path, pairs: Sequence[Pair], seed: int = 0) -> Blind | None:
    """Return a pair without a vote, in an order drawn from the seed; None when there is none left.

    Equal answers are never shown. Drawn, because the first rows of a file are often of one kind, and few people vote on all.
    """
    voted = {(vote.item, frozenset(vote.order)) for vote in read(job)}
    left = [pair for pair in pairs if not pair.same and (pair.item, frozenset((pair.who, pair.other))) not in voted]
    if not left:
        return None
    chosen = min(left, key=lambda pair: _drawn(str(seed), job.name, pair.item))
    said = {chosen.who: chosen.who_text, chosen.other: chosen.other_text}
    first, second = order(job, chosen.item, chosen.who, chosen.other)
    return Blind(chosen.item, chosen.question, chosen.expected, said[first], said[second])


def order(job: Path, item: str, who: str = "tuned", other: str = "base") -> tuple[str, str]:
    """Return whose answer to an item stands left and whose right."""
    one, two = sorted((who, other))
    return (one, two) if _drawn(job.name, item, one, two)[0] % 2 else (two, one)


def vote(job: Path, item: str, choice: Choice, who: str = "tuned", other: str = "base") -> None:
    """Append a vote on the pair that `next_pair` gave; a second vote on the same pair takes the place of the first.

    Raises:
        ValueError: if there is no such choice.
    """
    if choice not in CHOICES:
        raise ValueError(f"{choice!r} is none of {CHOICES}")
    line = {"item": item, "order": order(job, item, who, other), "choice": choice, "time": round(time.time(), 3)}
    lines.append(job / FILE, [line])


def undo(job: Path) -> str | None:
    """Take back the last vote that counts and return its item, None where there is none.

    A line says so: no line is ever taken away, so that two open pages cannot lose each other's votes.
    """
    votes = _votes(job)
    if not votes:
        return None
    lines.append(job / FILE, [{"undo": votes[-1].item, "time": round(time.time(), 3)}])
    return votes[-1].item


def read(job: Path) -> list[Vote]:
    """Return the votes that count, one a pair, oldest first."""
    return list({(vote.item, frozenset(vote.order)): vote for vote in _votes(job)}.values())


def summary(
    job: Path,
    grades: Grades,
    who: str = "tuned",
    other: str = "base",
    metrics: Sequence[str] = METRICS,
) -> dict[str, Any]:
    """Return what the votes say about `who` against `other`.

    Returns:
        n: votes; `wins`, `losses`, `ties`, `both_bad`.
        win_rate, interval, p: of the decided votes, see `preferences.tally`; `enough` is False below ten decided votes.
        metrics: by name, how often each prefers the answer that the person prefers, see `preferences.agreement`.
    """
    mine = [vote for vote in read(job) if set(vote.order) == {who, other}]
    decided: dict[str, Preferred] = {
        vote.item: "who" if vote.preferred == who else "other" for vote in mine if vote.preferred
    }
    wins = list(decided.values()).count("who")
    choices = [vote.choice for vote in mine]
    return {
        "who": who,
        "other": other,
        "n": len(mine),
        **tally(wins, len(decided) - wins),
        "ties": choices.count("tie"),
        "both_bad": choices.count("both_bad"),
        "metrics": {name: agreement(decided, grades, who, other, name) for name in metrics},
    }


def _votes(job: Path) -> list[Vote]:
    """Return the votes that were not taken back, as they were cast.

    Another page may have voted between the look of `undo` and its line, so that what it takes back need not be the last.
    """
    found: list[Vote] = []
    for line in lines.read(job / FILE):
        if "undo" in line:
            taken = next((n for n, each in reversed([*enumerate(found)]) if each.item == line["undo"]), len(found))
            del found[taken : taken + 1]
        else:
            one, two = line["order"]
            found.append(Vote(line["item"], (one, two), line["choice"], line["time"]))
    return found


def _drawn(*words: str) -> bytes:
    return hashlib.sha256("\n".join(words).encode()).digest()
