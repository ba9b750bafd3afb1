"""The shape that every reader has."""

from collections.abc import Callable, Mapping
from typing import Any

from core.records import Record

Read = Callable[[dict[str, Any], str], Record]  # (values of a row, file:line) -> record, or RowError
Reader = Callable[[Mapping[str, str], bool], Read]  # (options, strict) -> the function that reads rows
