"""A folder that LLaMA-Factory reads: `dataset_info.json` and a file for each kind of record."""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from core.records import Kind
from core.workspace import slug

_ENDING: dict[Kind, str] = {"chat": "", "preference": "_preference", "unpaired": "_kto", "text": "_text"}


def write(rows: Iterable[tuple[Kind, dict[str, Any]]], folder: Path, name: str) -> None:
    """Write the rows of each kind to a file of its own, and the entries that say how to read them."""
    folder.mkdir()
    name = slug(name)
    used: dict[Kind, set[str]] = {}
    with ExitStack() as files:
        open_files: dict[Kind, BinaryIO] = {}
        for kind, row in rows:
            if kind not in open_files:
                open_files[kind] = files.enter_context((folder / f"{name}{_ENDING[kind]}.jsonl").open("wb"))
            open_files[kind].write(orjson.dumps(row) + b"\n")
            used.setdefault(kind, set()).update(row)
    info = {f"{name}{_ENDING[kind]}": _entry(kind, f"{name}{_ENDING[kind]}.jsonl", used[kind]) for kind in used}
    text = json.dumps(info, ensure_ascii=False, indent=2) + "\n"
    (folder / "dataset_info.json").write_text(text, encoding="utf-8")


def _entry(kind: Kind, file_name: str, used: set[str]) -> dict[str, Any]:
    """Return the entry of a file; the columns are those that its rows have."""
    if kind == "text":
        return {"file_name": file_name, "columns": {"prompt": "text"}}
    optional = ("system", "tools", "chosen", "rejected", "kto_tag", "keywords")
    columns = {"messages": "conversations", **{key: key for key in optional if key in used}}
    entry: dict[str, Any] = {"file_name": file_name, "formatting": "sharegpt", "columns": columns}
    return entry | ({"ranking": True} if kind == "preference" else {})
