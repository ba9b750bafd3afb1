"""How many tokens the rows have with the chosen model, what a cutoff would leave out, and what is learnt at all.

The ids are those that training uses. A row over the cutoff is left out whole (core.train.examples), because a cut would lose
the end of its answer and the token that ends it.
"""

import re
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.doctor.report import Finding, Tally, found, percent
from core.doctor.source import Seen, learnt_turns
from core.errors import StudioError
from core.progress import Progress
from core.records import Conversation, Preference, Text, UnpairedPreference
from core.render.tokenizer import ChatTokenizer

_MANY = 0.05  # share of rows over the cutoff from which it is a warning
LIMIT = 100_000  # rows that are encoded; chosen by us: about a minute
_DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_PER_TOKEN, _DENSE_PER_TOKEN = 1.5, 0.6  # characters; a token of Chinese is rarely shorter than half a character


class Tokens:
    """Counts the tokens of every row."""

    def __init__(self, model: Path, system_prompt: str | None, cutoff_len: int | None) -> None:
        """Raises ModelError if the model's tokenizer or template cannot be used."""
        self.tokenizer = ChatTokenizer.load(model)
        self._system = system_prompt
        self._cutoff = cutoff_len
        self._counts = array("l")
        self._prompts = 0
        self._expected = 0.0
        self._over = Tally("truncated")
        self._nothing = Tally("no_learnt_tokens")
        self._no_stop = Tally("no_stop_token")
        self._failed = Tally("not_rendered")

    def see(self, seen: Seen) -> None:
        if len(self._counts) >= LIMIT:
            return
        try:
            lengths = self._encode(seen)
        except StudioError as error:
            self._failed.add(seen.place, seen.spoken, error.problems[0])
            return
        if lengths is None:
            return
        total, prompt, labels = lengths
        self._counts.append(total)
        texts = "".join(text for _, text in seen.texts)
        dense = len(_DENSE.findall(texts))
        self._expected += (len(texts) - dense) / _PER_TOKEN + dense / _DENSE_PER_TOKEN
        if self._cutoff and total > self._cutoff:
            self._prompts += prompt >= self._cutoff
            self._over.add(seen.place, f"{total}: {seen.question}")
        learnt = [label for label in labels if label >= 0]
        if not learnt and seen.answer.strip() and learnt_turns(seen.record):  # what is empty is told as that
            self._nothing.add(seen.place, seen.spoken)
        elif learnt and not set(self.tokenizer.stop_ids) & set(learnt):
            self._no_stop.add(seen.place, seen.answer)

    def is_too_long(self, seen: Seen) -> bool:
        """Tell whether a row has more tokens than the cutoff."""
        lengths = self._encode(seen)
        return lengths is not None and self._cutoff is not None and lengths[0] > self._cutoff

    def is_learnable(self, seen: Seen) -> bool:
        """Tell whether the model's template takes the row and anything of it is learnt."""
        try:
            lengths = self._encode(seen)
        except StudioError:
            return False
        return lengths is None or any(label >= 0 for label in lengths[2])

    def _encode(self, seen: Seen) -> tuple[int, int, list[int]] | None:
        """Return the tokens of a row, those before its last learnt stretch, and the labels; None for other kinds of rows."""
        record = seen.record
        if isinstance(record, Text):
            encoded = self.tokenizer.encode_text(record.text)
            return len(encoded.ids), 0, encoded.labels
        if isinstance(record, Preference):
            sides = [
                Conversation(record.messages + side, tools=record.tools) for side in (record.chosen, record.rejected)
            ]
            both = [self.tokenizer.encode(each.with_system(self._system)) for each in sides]
            longer = max(both, key=lambda each: len(each.ids))
            return len(longer.ids), _before_last(longer.learnt), longer.labels
        if isinstance(record, UnpairedPreference):
            record = Conversation(record.messages, tools=record.tools)
        if not isinstance(record, Conversation):
            return None
        encoded = self.tokenizer.encode(record.with_system(self._system))
        return len(encoded.ids), _before_last(encoded.learnt), encoded.labels

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        for tally in (self._failed, self._nothing, self._no_stop):
            if tally.count:
                yield tally.finding(share=percent(tally.count, rows))
        if not self._counts:
            return
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
        total = sum(self._counts)
        if self._expected and total > self._expected:
            texts = f"{self._expected / total:.2f}"
            yield found("many_tokens", len(self._counts), times=texts, tokens=total)

    def stats(self) -> dict[str, Any]:
        if not self._counts:
            return {}
        counts = np.array(self._counts)
        p50, p95, p99 = (int(each) for each in np.percentile(counts, [50, 95, 99], method="inverted_cdf"))
        over = int((counts > self._cutoff).sum()) if self._cutoff else 0
        figures = {"rows": len(counts), "total": int(counts.sum()), "p50": p50, "p95": p95, "p99": p99}
        return {"tokens": figures | {"max": int(counts.max()), "cover_95": p95, "cover_99": p99, "over_cutoff": over}}


def _before_last(learnt: list[bool]) -> int:
    """Return the place at which the last learnt stretch begins."""
    end = len(learnt) - 1
    while end >= 0 and not learnt[end]:
        end -= 1
    while end >= 0 and learnt[end]:
        end -= 1
    return end + 1
