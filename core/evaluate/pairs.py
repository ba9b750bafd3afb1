"""Two answers to the same question, side by side: what a judge model and a person compare."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from core.evaluate.answers import Answer
from core.evaluate.items import Item


@dataclass(frozen=True)
class Pair:
    """What `who` and `other` answered to one item."""

    item: str
    question: str
    expected: str
    who: str
    other: str
    who_text: str
    other_text: str

    @property
    def same(self) -> bool:
        """Whether there is nothing to compare: white space around an answer is no difference."""
        return self.who_text.strip() == self.other_text.strip()


def pairs(
    items: Sequence[Item], answers: Iterable[Answer], who: str = "tuned", other: str = "base", most: int | None = None
) -> list[Pair]:
    """Return the pairs of the test sets' rows that both were asked, in the order of the items.

    The questions of the probes are left out: they have answers of their own kind, which need no opinion.

    Args:
        most: take only so many, spread evenly.
    """
    said = {(each.item, each.who): each.text for each in answers if each.asked and each.who in (who, other)}
    found = [
        Pair(item.key, item.question, item.expected, who, other, said[item.key, who], said[item.key, other])
        for item in items
        if item.kind == "data" and (item.key, who) in said and (item.key, other) in said
    ]
    wanted = len(found) if most is None else min(most, len(found))
    return [found[number * len(found) // wanted] for number in range(wanted)]
