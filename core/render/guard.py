"""Control tokens that a person wrote stay ordinary text: marks that travel through the chat template.

The marks are Unicode noncharacters, which no text holds on purpose and which are taken out of every string first. A whole
control token in a string (somebody wrote `<|im_end|>` in a question, or a tool returned it) gets a cut after its first
character. A string that begins or ends with a part of one gets an edge there: only if the text around it completes the
token does the edge become a cut, so that clean text is encoded as if nobody had looked.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

START, END = "\ufdd0", "\ufdd1"  # of what is learnt
CUT, EDGE = "\ufdd2", "\ufdd3"
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")


class Guard:
    """Guards strings against one set of control tokens."""

    def __init__(self, tokens: frozenset[str]) -> None:
        # A token of one character cannot be told from the text; no tokenizer that we know of has one.
        longer = sorted((token for token in tokens if len(token) > 1), key=len, reverse=True)
        either = "|".join(re.escape(token) for token in longer)
        # Looked at first: without it each of what may be a thousand tokens is tried at each character.
        firsts = "".join(sorted({re.escape(token[0]) for token in longer}))
        self._whole = re.compile(f"(?=[{firsts}])(?=(?:{either}))(.)", re.DOTALL) if longer else None
        self._found = re.compile(f"(?=[{firsts}])(?=({either}))") if longer else None
        self._heads = frozenset(token[:end] for token in longer for end in range(1, len(token)))
        self._tails = frozenset(token[start:] for token in longer for start in range(1, len(token)))
        self._longest = max((len(token) for token in longer), default=1)

    def strings(self, value: Any) -> Any:
        """Return the value with every string in it guarded, the keys of objects too."""
        if isinstance(value, str):
            return self._string(value)
        if isinstance(value, dict):
            return {self._string(key): self.strings(each) for key, each in value.items()}
        return [self.strings(each) for each in value] if isinstance(value, list) else value

    def _string(self, text: str) -> str:
        plain = without_marks(text)
        if self._whole is None:
            return plain
        reach = range(1, min(self._longest, len(plain) + 1))
        before = EDGE if any(plain[:length] in self._tails for length in reach) else ""
        after = EDGE if any(plain[-length:] in self._heads for length in reach) else ""
        return before + self._whole.sub(rf"\1{CUT}", plain) + after

    def cuts_at(self, edges: Sequence[int], text: str) -> list[int]:
        """Return the edges that lie inside a control token of the rendered text."""
        if self._found is None or not edges:
            return []
        tokens = [match.span(1) for match in self._found.finditer(text)]
        return [edge for edge in edges if any(start < edge < end for start, end in tokens)]

    def written(self, cuts: Sequence[int], text: str) -> tuple[str, ...]:
        """Return the control tokens of a text that are not real because of its cuts, in order."""
        if self._found is None or not cuts:
            return ()
        tokens = [(match.span(1), match.group(1)) for match in self._found.finditer(text)]
        return tuple(token for (start, end), token in tokens if any(start < cut < end for cut in cuts))


@lru_cache(maxsize=16)
def guard(tokens: frozenset[str]) -> Guard:
    """Return the guard against these tokens, made once."""
    return Guard(tokens)


def without_marks(text: str) -> str:
    """Return a text without the characters that our marks are made of."""
    return _NONCHARACTERS.sub("", text)
