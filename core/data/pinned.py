"""What a run writes down about a data set before it starts, and checks before it uses it: content and split."""

from collections.abc import Mapping
from typing import Any

from core.data.entry import DatasetEntry
from core.data.registry import Registry, sha1_of
from core.errors import DataError, problem


def pinned(entry: DatasetEntry) -> dict[str, Any]:
    """Return name, file and SHA-1 of a set, and the SHA-1 of its split where it has one."""
    values = {"name": entry.name, "file": str(entry.file), "sha1": entry.sha1}
    return values | ({"split_sha1": sha1_of(entry.parts.file)} if entry.parts else {})


def check_pinned(registry: Registry, values: Mapping[str, Any]) -> DatasetEntry:
    """Return the entry of a set that is still what was written down. Runs of before there were splits have none.

    Raises:
        DataError: if its content or its split is another one by now.
    """
    name = values["name"]
    registry.verify(name, values.get("sha1", ""))
    entry = registry.get(name)
    if values.get("split_sha1") and pinned(entry).get("split_sha1") != values["split_sha1"]:
        raise DataError(problem("data.split_changed", name))
    return entry
