"""JSON, read more strictly than Python does: keys that stand twice, NaN, infinity and broken surrogates are reported.

Python keeps the last of two equal keys and takes NaN for a number; both would change what a model learns without a word.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from core.data.problems import Problems

EXCERPT = 80  # characters of a line that a message shows
_EXACT = 1e18  # whole numbers of more digits come back from the fast decoder as rounded ones


def sure_object(data: bytes) -> dict[str, Any] | None:
    """Decode one object the fast way, or return None where the strict decoder has to look: it is the one that explains.

    The fast decoder refuses what the strict one reports, but for two things. Of equal keys it keeps the last: that is seen by
    counting quotation marks, of which the bytes have two for each key and text, and one for each that stands in a text. And
    it rounds whole numbers of more than 64 bits.
    """
    try:
        values = orjson.loads(data)
        if type(values) is not dict:
            return None
        missing = data.count(b'"') - 2 * _strings(values)
        if missing and (missing != _quotes(values) or b"\\u0022" in data):
            return None
    except (orjson.JSONDecodeError, RecursionError, OverflowError):
        return None
    return values


def _strings(values: dict[str, Any] | list[Any]) -> int:
    """Return how many keys and texts a value holds.

    Raises:
        OverflowError: if it holds a number that may have been rounded.
    """
    parts: Iterable[Any] = values
    count = 0
    if type(values) is dict:
        parts, count = values.values(), len(values)
    for value in parts:
        kind = type(value)
        if kind is str:
            count += 1
        elif kind is dict or kind is list:
            count += _strings(value)
        elif kind is float and not -_EXACT < value < _EXACT:
            raise OverflowError
    return count


def _quotes(values: dict[str, Any] | list[Any]) -> int:
    """Return how many quotation marks stand in the keys and texts of a value."""
    parts: Iterable[Any] = values
    count = 0
    if type(values) is dict:
        parts = values.values()
        for key in values:
            if '"' in key:
                count += key.count('"')
    for value in parts:
        kind = type(value)
        if kind is str:
            count += value.count('"')
        elif kind is dict or kind is list:
            count += _quotes(value)
    return count


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
            report_syntax(self._problems, error, name, text, start, line or 1)
            return None
        return value

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            times = Counter(name for name, _ in pairs)
            self._found.append(("data.key_twice", {"key": next(name for name in times if times[name] > 1)}))
        return values

    def _constant(self, name: str) -> float:
        self._found.append(("data.not_finite", {"value": name}))
        return 0.0

    def _float(self, digits: str) -> float:
        number = float(digits)
        return number if math.isfinite(number) else self._constant(digits)


def report_syntax(
    problems: Problems, error: Exception, name: str, text: str, start: int, line: int = 1, indent: int = 0
) -> None:
    """Add a syntax error found in `text`, which begins in `line` of the file, behind `indent` characters of that line."""
    position = error.pos if isinstance(error, json.JSONDecodeError) else start
    begun = text.rfind("\n", 0, position) + 1
    column = position - begun + 1 + (0 if begun else indent)
    line += text.count("\n", 0, position)
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
    start = max(position - EXCERPT // 2, 0)
    start = max(text.rfind("\n", start, position) + 1, start)
    end = text.find("\n", start, start + EXCERPT)
    return text[start : end if end >= 0 else start + EXCERPT].strip()


def decoded(line: bytes, where: str, problems: Problems) -> str | None:
    """Return the text of one line, or report the byte that is not UTF-8 and return None."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        shown = line.decode("latin-1")[max(0, error.start - EXCERPT // 2) : error.start + EXCERPT // 2]
        problems.add("data.not_utf8", where, column=error.start + 1, byte=f"{line[error.start]:02X}", excerpt=shown)
        return None


def text_of(data: bytes | bytearray, name: str, line: int, problems: Problems) -> str | None:
    """Return the text of several lines, or report every one that is not UTF-8 and return None. The first is `line`."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        start = 0
        while start <= len(data):
            end = data.find(b"\n", start)
            end = len(data) if end < 0 else end
            decoded(bytes(data[start:end]), f"{name}:{line}", problems)
            start, line = end + 1, line + 1
        return None


def is_object(value: Any, where: str, problems: Problems) -> bool:
    """Return whether a value can be a row, and report it if not."""
    if not isinstance(value, dict):
        problems.add("data.not_an_object", where, kind=kind_of_json(value))
    return isinstance(value, dict)


def kind_of_json(value: Any) -> str:
    """Return the JSON name of what a value is."""
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")


def columns_of(value: Any) -> str:
    """Return the keys of a row for a message, at most 80 characters."""
    names = ", ".join(value) if isinstance(value, dict) and value else "-"
    return names if len(names) <= EXCERPT else names[: EXCERPT - 1] + "…"
