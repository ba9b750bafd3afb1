"""How many tokens the rows have with the chosen model, what a cutoff would leave out, and what is learnt at all.

The ids are those that training uses (`core.tokens`), made once for both. A row over the cutoff is left out whole
(core.train.examples), because a cut would lose the end of its answer and the token that ends it; running text is split.
"""

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from core.data.entry import DatasetEntry
from core.data.problems import Problems
from core.doctor.report import EXAMPLES, LISTED, Example, Finding, excerpt, found, percent
from core.doctor.source import RowError, Seen, rows_of, seen_of, without_documents
from core.doctor.text import listed
from core.errors import DataError, Problem, StudioError
from core.progress import Progress
from core.records import Text
from core.tokens.encoder import KINDS, TEXT, Encoder
from core.tokens.store import TokenSet
from core.tokens.tokenise import tokenised

_MANY = 0.05  # share of rows over the cutoff from which it is a warning
_DENSE = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_PER_TOKEN, _DENSE_PER_TOKEN = 1.5, 0.6  # characters; a token of Chinese is rarely shorter than half a character
_COUNTED = [KINDS.index(kind) for kind in ("chat", "text", "preference", "unpaired")]
_shown: WeakKeyDictionary[TokenSet, dict[int, Seen]] = WeakKeyDictionary()  # the rows that findings gave as examples


class TokenCounts:
    """The lengths of rows of a tokenised set, and what is wrong with them."""

    def __init__(self, entry: DatasetEntry, tokens: TokenSet, rows: np.ndarray, cutoff_len: int | None) -> None:
        """`rows` are the numbers of the rows that are looked at."""
        self._entry, self._tokens, self._cutoff = entry, tokens, cutoff_len
        self._failed = rows[tokens.rows["failed"][rows]]
        self._rows = rows[np.isin(tokens.rows["kind"][rows], _COUNTED) & ~tokens.rows["failed"][rows]]

    @property
    def total(self) -> int:
        """The tokens of all rows."""
        return int(self._tokens.lengths[self._rows].sum(dtype=np.int64))

    def findings(self, rows: int) -> Iterable[Finding]:
        """Return what is wrong, as shares of `rows`."""
        known = self._tokens.rows[self._rows]
        nothing = self._rows[(known["learnt"] == 0) & known["answered"]]  # what is empty is told as that
        endless = self._rows[(known["learnt"] > 0) & ~known["stops"]]
        for code, chosen, shown_of in (
            ("not_rendered", self._failed, lambda seen: excerpt(seen.spoken)),
            ("no_learnt_tokens", nothing, lambda seen: excerpt(f"{without_documents(seen.question)}\n{seen.answer}")),
            ("no_stop_token", endless, lambda seen: excerpt(seen.answer)),
        ):
            if len(chosen):
                yield self._finding(code, chosen, shown_of, share=percent(len(chosen), rows))
        over = self._over()
        if len(over):
            share, figures = len(over) / len(self._rows), self.stats()["tokens"]
            yield self._finding(
                "truncated",
                over,
                lambda seen: excerpt(f"{self._tokens.lengths[seen.index]}: {without_documents(seen.question)}"),
                share <= _MANY,
                share=percent(share, 1),
                cutoff=self._cutoff,
                prompts=int((self._tokens.rows["last"][over] >= self._cutoff).sum()),
                **{key: figures[key] for key in ("p50", "p95", "p99", "max", "cover_95", "cover_99")},
            )

    def control_tokens(self, rows: int) -> Iterable[Finding]:
        """Return the rows with control tokens, where the tokenizer has some beside those of the known families."""
        names = self._tokens.about.names
        chosen = self._rows[self._tokens.rows["control"][self._rows]]
        if self._tokens.about.own_control and len(chosen):

            def around(seen: Seen) -> str:
                pieces = (excerpt(text, text.find(name)) for _, text in seen.texts for name in names if name in text)
                return next(pieces, "")

            yield self._finding("control_tokens", chosen, around, names=listed(names), share=percent(len(chosen), rows))

    def stats(self) -> dict[str, Any]:
        if not len(self._rows):
            return {}
        counts = self._tokens.lengths[self._rows]
        p50, p95, p99 = (int(each) for each in np.percentile(counts, [50, 95, 99], method="inverted_cdf"))
        figures = {"rows": len(counts), "total": self.total, "p50": p50, "p95": p95, "p99": p99}
        over = {"cover_95": p95, "cover_99": p99, "over_cutoff": len(self._over())}
        return {"tokens": figures | {"max": int(counts.max())} | over}

    def _over(self) -> np.ndarray:
        """Return the rows that the cutoff leaves out."""
        if not self._cutoff:
            return self._rows[:0]
        is_text = self._tokens.rows["kind"][self._rows] == TEXT
        return self._rows[(self._tokens.lengths[self._rows] > self._cutoff) & ~is_text]

    def _finding(
        self, code: str, rows: np.ndarray, shown_of: Callable[[Seen], str], minor: bool = False, **values: Any
    ) -> Finding:
        shown = _seen(self._entry, self._tokens, rows[:EXAMPLES].tolist())
        lines = tuple(self._tokens.place(row) for row in rows[:LISTED].tolist())
        examples = tuple(
            Example(self._tokens.place(seen.index), shown_of(seen), self._problem(seen.index)) for seen in shown
        )
        return found(code, len(rows), lines, examples, minor, **values)

    def _problem(self, row: int) -> Problem | None:
        error = self._tokens.error(row)
        return error.problems[0] if error else None


class Tokens:
    """Counts the tokens of every row as training renders them."""

    def __init__(
        self, entry: DatasetEntry, asked: Path, system_prompt: str | None, cutoff_len: int | None, cache: Path | None
    ):
        """`asked` is the model's folder; without `cache` the tokens are not kept."""
        self._entry, self._model, self._system, self._cutoff, self._cache = (
            entry,
            asked,
            system_prompt,
            cutoff_len,
            cache,
        )
        self._expected = 0.0
        self._stats: dict[str, Any] = {}

    def see(self, seen: Seen) -> None:
        texts = "".join(text for _, text in seen.texts)
        dense = len(_DENSE.findall(texts))
        self._expected += (len(texts) - dense) / _PER_TOKEN + dense / _DENSE_PER_TOKEN

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if not rows:
            return
        with nullcontext(self._cache) if self._cache else tempfile.TemporaryDirectory() as cache:
            try:
                tokens = tokenised(Path(cache), self._entry, self._model, self._system, progress)
            except DataError:  # told as what it is: the file cannot be read
                return
            counts = TokenCounts(self._entry, tokens, np.arange(len(tokens)), self._cutoff)
            yield from counts.findings(rows)
            self._stats = counts.stats()
        if 0 < self._expected < counts.total:
            yield found("many_tokens", len(tokens), times=f"{self._expected / counts.total:.2f}", tokens=counts.total)

    def stats(self) -> dict[str, Any]:
        return self._stats


class RowTokens:
    """Tells of single rows, as a fix has changed them, whether they can be learnt."""

    def __init__(self, model: Path, system_prompt: str | None, cutoff_len: int | None) -> None:
        """Raises ModelError if the model's tokenizer cannot be used."""
        self._encoder, self._cutoff = Encoder(model, system_prompt), cutoff_len

    def is_too_long(self, seen: Seen) -> bool:
        """Tell whether a row has more tokens than the cutoff, and is no running text, which is split."""
        encoded = self._encoder.encode(seen.record)
        over = encoded is not None and self._cutoff is not None and len(encoded.ids) > self._cutoff
        return over and not isinstance(seen.record, Text)

    def is_learnable(self, seen: Seen) -> bool:
        """Tell whether the model's template takes the row and anything of it is learnt."""
        try:
            encoded = self._encoder.encode(seen.record)
        except StudioError:
            return False
        return encoded is None or any(encoded.learnt[1:])


def _seen(entry: DatasetEntry, tokens: TokenSet, wanted: Sequence[int]) -> list[Seen]:
    """Return some rows of the set, reading the file no further than to the last of them, and only once."""
    known = _shown.setdefault(tokens, {})
    missing = set(wanted) - known.keys()
    for index, (row, record) in enumerate(rows_of(entry, Problems(entry.file.name)) if missing else ()):
        if index in missing and not isinstance(record, RowError):
            known[index] = seen_of(index, row, record)
        if missing <= known.keys():
            break
    return [known[index] for index in wanted if index in known]
