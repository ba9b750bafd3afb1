"""A list of problems that grows while a file is read, so that a person sees all of them and not only the first."""

from collections.abc import Iterable
from typing import Any

from core.errors import DataError, Problem, problem

LISTED = 20  # chosen by us: more than that are hardly read, and the count tells the rest


class Problems:
    """Collects problems of one file; only the first (20, or `keep`) are kept, the others counted."""

    def __init__(self, where: str, keep: int = LISTED) -> None:
        self._where = where
        self._keep = keep
        self._kept: list[Problem] = []
        self.count = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def add(self, code: str, where: str, **values: Any) -> None:
        self.count += 1
        if len(self._kept) < self._keep:
            self._kept.append(problem(code, where, **values))

    def add_all(self, found: Iterable[Problem]) -> None:
        """Take over problems that were made elsewhere."""
        for each in found:
            self.add(each.code, each.where, **each.values)

    @property
    def kept(self) -> tuple[Problem, ...]:
        """The problems that are kept, in the order in which they were found."""
        return tuple(self._kept)

    def listed(self) -> list[Problem]:
        """Return the kept problems, with one more that counts the rest."""
        rest = self.count - len(self._kept)
        return [*self._kept, *([problem("data.more", self._where, count=rest)] if rest else [])]

    def stop_if_any(self) -> None:
        """Raise DataError with all of them, if there are any."""
        if self:
            raise DataError(*self.listed())
