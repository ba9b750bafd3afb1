"""JSON, read more strictly than Python does: keys that stand twice, NaN, infinity and broken surrogates are reported.

Python keeps the last of two equal keys and takes NaN for a number; both would change what a model learns without a word.
"""

import json
import math
from typing import Any

from core.data.problems import Problems

EXCERPT = 80  # characters of a line that a message shows


class StrictJSON:
    """A JSON decoder that also reports what JSON allows but data must not have: keys twice, NaN, infinity."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._found: list[tuple[str, dict[str, Any]]] = []
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs, parse_constant=self._constant, parse_float=self._float
        )

    def value(self, text: str, start: int, where: str) -> tuple[Any, int]:
        """Decode one value at `start`; return it and the position behind it.

        Raises:
            json.JSONDecodeError: if there is none; ValueError, RecursionError: if a number or the nesting is out of bounds.
        """
        self._found.clear()
        value, end = self._decoder.raw_decode(text, start)
        if "\\u" in text[start:end] and _has_lone_surrogate(value):
            self._found.append(("data.surrogate", {}))
        for code, values in self._found:
            self._problems.add(code, where, **values, excerpt=excerpt(text, start))
        return value, end

    def whole(self, text: str, name: str, line: int | None = None) -> Any:
        """Decode a text that is one value (`line` of the file `name`, or all of it), or report where it breaks."""
        start = len(text) - len(text.lstrip())
        try:
            value, end = self.value(text, start, f"{name}:{line}" if line else name)
            if text[end:].strip():
                raise json.JSONDecodeError("Extra data", text, end + len(text[end:]) - len(text[end:].lstrip()))
        except (ValueError, RecursionError) as error:
            report_syntax(self._problems, error, name, text, start, line)
            return None
        return value

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            self._found.append(("data.key_twice", {"key": next(name for name in names if names.count(name) > 1)}))
        return values

    def _constant(self, name: str) -> float:
        self._found.append(("data.not_finite", {"value": name}))
        return 0.0

    def _float(self, digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else self._constant(digits)


def report_syntax(
    problems: Problems, error: Exception, name: str, text: str, start: int, line: int | None = None
) -> None:
    """Add a syntax error found in `text`, which is `line` of the file or all of it; the latter tells the line itself."""
    position = error.pos if isinstance(error, json.JSONDecodeError) else start
    line = line or text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error) or type(error).__name__
    problems.add("data.json", f"{name}:{line}", column=column, reason=reason, excerpt=excerpt(text, position))


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def excerpt(text: str, position: int) -> str:
    """Return up to 80 characters of the line around a position."""
    start = max(text.rfind("\n", 0, position) + 1, position - EXCERPT // 2)
    end = text.find("\n", start)
    return text[start : min(end if end >= 0 else len(text), start + EXCERPT)].strip()
