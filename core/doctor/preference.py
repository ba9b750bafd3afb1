"""Pairs of a better and a worse answer: whether there is a difference to learn, and whether it is only length."""

import statistics
from collections.abc import Iterable
from typing import Any

from core.doctor.report import Finding, Tally, found, percent
from core.doctor.source import Seen
from core.progress import Progress
from core.records import Preference

_RATIO = 2.0
_ENOUGH = 10  # pairs


class Pairs:
    """Pairs that are equal, and better answers that are longer (or shorter) throughout."""

    def __init__(self) -> None:
        self._equal = Tally("equal_pair")
        self._ratios: list[float] = []

    def see(self, seen: Seen) -> None:
        if not isinstance(seen.record, Preference):
            return
        chosen, rejected = ("\n".join(m.content for m in turns) for turns in (seen.record.chosen, seen.record.rejected))
        if chosen.strip() == rejected.strip():
            self._equal.add(seen.place, chosen)
        self._ratios.append((len(chosen) + 1) / (len(rejected) + 1))

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._equal.count:
            yield self._equal.finding(share=percent(self._equal.count, rows))
        if len(self._ratios) < _ENOUGH:
            return
        ratio = statistics.geometric_mean(self._ratios)
        if ratio > _RATIO or ratio < 1 / _RATIO:
            code = "longer_chosen" if ratio > 1 else "shorter_chosen"
            count = sum((each > 1) == (ratio > 1) for each in self._ratios)
            times = f"{max(ratio, 1 / ratio):.1f}"
            yield found(code, count, times=times, share=percent(count, len(self._ratios)))

    def stats(self) -> dict[str, Any]:
        if not self._ratios:
            return {}
        return {"length_ratio": round(statistics.geometric_mean(self._ratios), 2)}
