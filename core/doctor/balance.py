"""Classes and tasks that have far more rows than others, or too few to learn or to measure."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from core.doctor.report import Finding, found
from core.doctor.source import Seen
from core.progress import Progress
from core.records import Conversation, UnpairedPreference

_APART = 10  # times as many rows
_FEW, _TOO_FEW = 10, 2  # rows of a class; one row cannot stand on both sides of a split
_CLASSES = 100  # more are names and not classes


class Balance:
    """Rows a label, a task, and a side of an unpaired preference."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {"label": Counter(), "task": Counter(), "preference": Counter()}
        self._first: dict[str, str] = {}

    def see(self, seen: Seen) -> None:
        record = seen.record
        if record.task:
            self._count("task", record.task, seen)
        if isinstance(record, Conversation) and record.label:
            self._count("label", record.label, seen)
        if isinstance(record, UnpairedPreference):
            self._count("preference", "true" if record.desirable else "false", seen)

    def _count(self, what: str, name: str, seen: Seen) -> None:
        self._counts[what][name] += 1
        self._first.setdefault(name, seen.place)

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        for what, counts in self._counts.items():
            if not 2 <= len(counts) <= _CLASSES:
                continue
            ordered = counts.most_common()
            (most, many), (least, few) = ordered[0], ordered[-1]
            shown = ", ".join(f"{name} {count}" for name, count in [*ordered[:3], *ordered[3:][-3:]])
            if many > _APART * few:
                values: dict[str, Any] = {"most": most, "many": many, "least": least, "few": few, "counts": shown}
                yield found(f"unbalanced_{what}", few, (self._first[least],), **values)
            small = [(name, count) for name, count in ordered if count < _FEW]
            if small and what != "preference" and rows >= _FEW * len(counts):
                minor = all(count >= _TOO_FEW for _, count in small)
                names = ", ".join(f"{name} {count}" for name, count in small[:6])
                lines = tuple(self._first[name] for name, _ in small)
                total = sum(count for _, count in small)
                yield found(f"small_{what}", total, lines, (), minor, names=names, classes=len(small))

    def stats(self) -> dict[str, Any]:
        names = {"label": "labels", "task": "tasks", "preference": "preferences"}
        return {names[what]: dict(counts.most_common(50)) for what, counts in self._counts.items() if counts}
