"""One row as recognition sees it: its columns by their trimmed small names, lists decoded, empty ones left out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.data.formats.values import decoded

_IGNORED = ("unnamed:", "__index_level_")  # index columns that pandas leaves in a file


@dataclass(frozen=True)
class Match:
    """One way to read a row: its kind, which column (as it is written) plays which part, and what spoke for it."""

    kind: str
    columns: dict[str, str] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The kind with the column that holds the conversation or the answer, because a file may have two of a kind."""
        beside = self.columns.get("messages") or self.columns.get("response") or ""
        return f"{self.kind}:{beside}" if beside else self.kind


class Look:
    """The columns of one row. A column of null is not there: Parquet fills what a row lacks with it."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Any] = {}
        self._written: dict[str, str] = {}
        for name, value in values.items():
            small = name.strip().lower()
            if value is not None and not small.startswith(_IGNORED):
                self._values.setdefault(small, value)
                self._written.setdefault(small, name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        return list(self._values)

    def raw(self, name: str) -> Any:
        return self._values.get(name)

    def value(self, name: str) -> Any:
        return decoded(self._values.get(name))

    def text(self, name: str) -> str:
        found = self._values.get(name)
        return found if isinstance(found, str) else ""

    def written(self, name: str) -> str:
        """Return the name of a column as the file has it."""
        return self._written[name]

    def first(self, *names: str) -> str:
        """Return the first of these columns that there is, "" for none."""
        return next((name for name in names if name in self._values), "")

    def columns(self, **parts: str) -> dict[str, str]:
        """Return part -> column as it is written, of the parts that have one."""
        return {part: self._written[name] for part, name in parts.items() if name}

    def is_list_of(self, name: str, kind: type) -> bool:
        found = self.value(name) if name in self._values else None
        return isinstance(found, list) and bool(found) and all(isinstance(each, kind) for each in found)

    def is_binary(self, name: str) -> bool:
        return str(self._values.get(name)).strip() in ("0", "1")

    def is_boolean(self, name: str) -> bool:
        found = self._values.get(name)
        return isinstance(found, bool) or (isinstance(found, str) and found.strip().lower() in ("true", "false"))
