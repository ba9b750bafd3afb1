"""What recognition says: the readings that fit a file, their reasons, and the questions that only a person can answer."""

from dataclasses import dataclass

from core.data.reading import Reading
from core.errors import Problem


@dataclass(frozen=True)
class Question:
    """Something to choose: `key` is the option that the answer sets. Without a `default` it must be answered.

    `choices` are the values that the page and the command line offer; `why` says what the question is about.
    """

    key: str
    choices: tuple[str, ...]
    default: str | None
    why: Problem


@dataclass(frozen=True)
class Fit:
    """One way to read a file. `share` is the part (0 to 1) of the rows looked at that it fits."""

    kind: str
    reading: Reading
    share: float
    why: Problem
    questions: tuple[Question, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether nothing has to be answered before it can be read this way."""
        return all(question.default is not None for question in self.questions)


@dataclass(frozen=True)
class Recognition:
    """`fits` are the readings, best first; none if nothing is known. `counts` is the number of rows of each kind among
    the `rows` looked at, "" for those that are no kind; `odd` are the places of the first rows that the best fit does not
    cover."""

    fits: tuple[Fit, ...]
    counts: dict[str, int]
    rows: int
    odd: tuple[str, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether there is exactly one reading and nothing to ask."""
        return len(self.fits) == 1 and self.fits[0].sure
