"""How many tokens the rows have with the chosen model, what a cutoff would leave out, and what is learnt at all.

The ids are those that training uses. A row over the cutoff is left out whole (core.train.examples), because a cut would lose
the end of its answer and the token that ends it.
"""

import re
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from core.doctor.report import Finding, Tally, found, percent
from core.doctor.source import Seen, learnt_turns, without_documents
from core.errors import StudioError
from core.progress import Progress
from core.records import Conversation, Preference, Text, UnpairedPreference
from core.render.tokenizer import ChatTokenizer

_MANY = 0.05  # share of rows over the cutoff from which it is a warning
LIMIT = 100_000  # rows that are encoded; chosen by us: about a minute
_DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_PER_TOKEN, _DENSE_PER_TOKEN = 1.5, 0.6  # characters; a token of Chinese is rarely shorter than half a character


class TokenCounts:
    """The lengths of the rows, and what is wrong with them."""

    def __init__(self, stop_ids: Iterable[int], cutoff_len: int | None) -> None:
        self._stops = frozenset(stop_ids)
        self._cutoff = cutoff_len
        self._counts = array("l")
        self._prompts = 0
        self._over = Tally("truncated")
        self._nothing = Tally("no_learnt_tokens")
        self._no_stop = Tally("no_stop_token")

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def total(self) -> int:
        """The tokens of all rows."""
        return sum(self._counts)

    def add(self, place: str, question: str, answer: str, labels: Sequence[int]) -> None:
        """Count a row of as many tokens as `labels`; those below 0 are not learnt. `answer` is "" where none is expected."""
        self._counts.append(len(labels))
        if self._cutoff and len(labels) > self._cutoff:
            self._prompts += _before_last(labels) >= self._cutoff
            self._over.add(place, f"{len(labels)}: {question}")
        last = next((label for label in reversed(labels) if label >= 0), None)
        if last is None and answer.strip():  # what is empty is told as that
            self._nothing.add(place, f"{question}\n{answer}")
        elif last is not None and last not in self._stops and self._stops.isdisjoint(labels):
            self._no_stop.add(place, answer)

    def findings(self, rows: int) -> Iterable[Finding]:
        """Return what is wrong, as shares of `rows`."""
        for tally in (self._nothing, self._no_stop):
            if tally.count:
                yield tally.finding(share=percent(tally.count, rows))
        if self._over.count:
            share = self._over.count / len(self._counts)
            figures = self.stats()["tokens"]
            yield self._over.finding(
                share <= _MANY,
                share=percent(share, 1),
                cutoff=self._cutoff,
                prompts=self._prompts,
                **{key: figures[key] for key in ("p50", "p95", "p99", "max", "cover_95", "cover_99")},
            )

    def stats(self) -> dict[str, Any]:
        if not self._counts:
            return {}
        counts = np.array(self._counts)
        p50, p95, p99 = (int(each) for each in np.percentile(counts, [50, 95, 99], method="inverted_cdf"))
        over = int((counts > self._cutoff).sum()) if self._cutoff else 0
        figures = {"rows": len(counts), "total": int(counts.sum()), "p50": p50, "p95": p95, "p99": p99}
        return {"tokens": figures | {"max": int(counts.max()), "cover_95": p95, "cover_99": p99, "over_cutoff": over}}


class Tokens:
    """Renders every row as training does and counts its tokens."""

    def __init__(self, model: Path, system_prompt: str | None, cutoff_len: int | None) -> None:
        """Raises ModelError if the model's tokenizer or template cannot be used."""
        self.tokenizer = ChatTokenizer.load(model)
        self._system = system_prompt
        self._cutoff = cutoff_len
        self._counts = TokenCounts(self.tokenizer.stop_ids, cutoff_len)
        self._expected = 0.0
        self._failed = Tally("not_rendered")

    def see(self, seen: Seen) -> None:
        if len(self._counts) >= LIMIT:
            return
        try:
            labels = self._labels(seen)
        except StudioError as error:
            self._failed.add(seen.place, seen.spoken, error.problems[0])
            return
        if labels is None:
            return
        answer = seen.answer if learnt_turns(seen.record) else ""
        self._counts.add(seen.place, without_documents(seen.question), answer, labels)
        texts = "".join(text for _, text in seen.texts)
        dense = len(_DENSE.findall(texts))
        self._expected += (len(texts) - dense) / _PER_TOKEN + dense / _DENSE_PER_TOKEN

    def is_too_long(self, seen: Seen) -> bool:
        """Tell whether a row has more tokens than the cutoff."""
        labels = self._labels(seen)
        return labels is not None and self._cutoff is not None and len(labels) > self._cutoff

    def is_learnable(self, seen: Seen) -> bool:
        """Tell whether the model's template takes the row and anything of it is learnt."""
        try:
            labels = self._labels(seen)
        except StudioError:
            return False
        return labels is None or any(label >= 0 for label in labels)

    def _labels(self, seen: Seen) -> list[int] | None:
        """Return a label for each token of a row, -100 where it is not learnt; None for rows without any to learn."""
        record = seen.record
        if isinstance(record, Text):
            return self.tokenizer.encode_text(record.text).labels
        if isinstance(record, Preference):
            sides = [
                Conversation(record.messages + side, tools=record.tools) for side in (record.chosen, record.rejected)
            ]
            both = [self.tokenizer.encode(each.with_system(self._system)).labels for each in sides]
            return max(both, key=len)
        if isinstance(record, UnpairedPreference):
            record = Conversation(record.messages, tools=record.tools)
        if not isinstance(record, Conversation):
            return None
        return self.tokenizer.encode(record.with_system(self._system)).labels

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._failed.count:
            yield self._failed.finding(share=percent(self._failed.count, rows))
        yield from self._counts.findings(rows)
        total = self._counts.total
        if self._expected and total > self._expected:
            yield found("many_tokens", len(self._counts), times=f"{self._expected / total:.2f}", tokens=total)

    def stats(self) -> dict[str, Any]:
        return self._counts.stats()


def _before_last(labels: Sequence[int]) -> int:
    """Return the place at which the last learnt stretch begins."""
    end = len(labels) - 1
    while end >= 0 and labels[end] < 0:
        end -= 1
    while end >= 0 and labels[end] >= 0:
        end -= 1
    return end + 1
