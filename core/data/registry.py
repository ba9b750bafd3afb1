"""The data sets that there are: the project's samples, overlaid by the person's own.

Both are a `dataset_info.json` in LLaMA-Factory's schema, so that an existing one works unchanged; keys that we do not know
are kept. The person's is written under a lock, aside and then renamed: two processes that add at once lose nothing, and a
crash leaves the old file. A data set is what its SHA-1 says, so that a run can name exactly what it was trained on.
"""

import difflib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from core.data.detect import detect
from core.data.entry import COLUMNS, TAGS, DatasetEntry, Formatting, parse
from core.data.formats import convert
from core.data.readers import read_object, read_rows
from core.errors import DataError, PathError, problem
from core.workspace import PROJECT, Workspace, checked_name, require_space, slug

__all__ = ["DatasetEntry", "Registry", "sha1_of"]
INFO = "dataset_info.json"


def sha1_of(file: Path) -> str:
    """Return the SHA-1 of a file, read as a stream."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


class Registry:
    """Reads both registries afresh at each call; other processes write them too."""

    def __init__(self, workspace: Workspace, samples: Path = PROJECT / INFO) -> None:
        """`samples` is the read-only registry of the project."""
        self.workspace = workspace
        self._own = workspace.root / INFO
        self._samples = samples

    def names(self) -> list[str]:
        return list(self.entries())

    def entries(self) -> dict[str, DatasetEntry]:
        """Return all entries, the samples first. Some may not be usable; `get` says why."""
        return {
            name: parse(self.workspace, name, values, source.parent, source == self._samples)
            for source in (self._samples, self._own)
            for name, values in _read(source).items()
        }

    def get(self, name: str) -> DatasetEntry:
        """Return an entry whose file is there.

        Raises:
            DataError: if there is no such entry, it needs something we do not support, or its file is missing.
            PathError: if its file lies outside of what may be read.
        """
        entries = self.entries()
        if name not in entries:
            close = difflib.get_close_matches(name, entries, n=1, cutoff=0.5)
            if close:
                raise DataError(problem("data.unknown_close", name, close=close[0]))
            raise DataError(problem("data.unknown", name, known=", ".join(entries) or "-"))
        entry = entries[name]
        if entry.problem is not None:
            raise (PathError if entry.problem.code.startswith("path.") else DataError)(entry.problem)
        if not entry.file.is_file():
            raise DataError(problem("data.file_missing", name, file=str(entry.file)))
        return entry

    def add(
        self,
        file: Path,
        name: str | None = None,
        formatting: Formatting | None = None,
        columns: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
    ) -> DatasetEntry:
        """Copy a file into the workspace and register it; what is not given is told from its first rows.

        The whole file is read and converted first, so that a broken one is refused before anything changes. Adding the same
        content under the same name again returns the entry. `file` may lie anywhere: the caller says who may name it.

        Raises:
            DataError: if the file is broken, its columns are not understood, or the name is taken by other content.
            PathError: if the name cannot be one.
        """
        name = checked_name(name or slug(file.stem))
        if name in _read(self._samples):
            raise DataError(problem("data.is_sample", name))
        if formatting not in (None, "alpaca", "sharegpt"):
            raise DataError(problem("data.bad_entry", name, key="formatting", wanted="alpaca | sharegpt"))
        _known_keys(name, columns, COLUMNS, "columns")
        _known_keys(name, tags, TAGS, "tags")
        with self._incoming(file) as copy:
            values = self._described(name, copy, formatting, dict(columns or {}), dict(tags or {}), description)
            with self._locked() as own:
                existing = own.get(name)
                if existing is not None and existing.get("file_sha1") != values["file_sha1"]:
                    raise DataError(problem("data.name_taken", name))
                if existing is None:
                    values["file_name"] = self._place(name, file, copy).relative_to(self.workspace.root).as_posix()
                own[name] = {**(existing or {}), **values}
        return self.get(name)

    def verify(self, name: str, expected: str = "") -> None:
        """Check that the file is still the registered one, or the `expected` one. An own entry without SHA-1 gets it now.

        Raises:
            DataError: `data.changed`, with both hashes and the two ways out.
        """
        entry = self.get(name)
        found = sha1_of(entry.file)
        wanted = expected or entry.sha1
        if wanted and wanted != found:
            raise DataError(problem("data.changed", name, file=entry.file.name, registered=wanted, found=found))
        if not entry.sha1 and not entry.sample:
            with self._locked() as own:
                own[name]["file_sha1"] = found

    def accept(self, name: str) -> DatasetEntry:
        """Record the present content as the right one; the SHA-1 before goes into the entry's `history` with the time.

        Raises:
            DataError: if it is a sample (restore it instead), or its file is missing.
        """
        entry = self.get(name)
        if entry.sample:
            raise DataError(problem("data.sample_is_fixed", name))
        found = sha1_of(entry.file)
        with self._locked() as own:
            before = own[name].get("file_sha1")
            if before != found:
                now = datetime.now(UTC).isoformat(timespec="seconds")
                own[name]["history"] = [*own[name].get("history", []), {"file_sha1": before, "replaced": now}]
                own[name]["file_sha1"] = found
        return self.get(name)

    def remove(self, name: str) -> None:
        """Take an own entry out of the registry and move its file to the trash, unless another entry needs it.

        Raises:
            DataError: if there is no such entry, or it is a sample.
        """
        entry = self.entries().get(name)
        if entry is None or entry.sample:
            raise DataError(problem("data.is_sample" if entry else "data.unknown", name, known=", ".join(self.names())))
        with self._locked() as own:
            own.pop(name, None)
        shared = any(other.file == entry.file for other in self.entries().values())
        if entry.file.is_file() and entry.file.is_relative_to(self.workspace.data) and not shared:
            trash = self.workspace.root / "trash"
            trash.mkdir(exist_ok=True)
            os.replace(entry.file, trash / f"{int(time.time())}_{uuid.uuid4().hex[:4]}_{entry.file.name}")

    def _described(
        self,
        name: str,
        file: Path,
        formatting: Formatting | None,
        columns: dict[str, str],
        tags: dict[str, str],
        description: str,
    ) -> dict[str, Any]:
        """Return the registry's values for a file that was read and converted without a problem."""
        rows = read_rows(file)
        if not tags and not {"prompt", "response", "messages"} & columns.keys():
            formatting, found, tags = detect(rows, file.name, formatting)
            columns = {**found, **columns}
        chosen: Formatting = formatting or ("sharegpt" if "messages" in columns or tags else "alpaca")
        entry = DatasetEntry(name, file, sha1_of(file), chosen, {**COLUMNS, **columns}, {**TAGS, **tags}, description)
        _, problems = convert(entry, rows)
        problems.stop_if_any()
        optional = {"columns": columns, "tags": tags, "description": description}
        return {"file_sha1": entry.sha1, "formatting": chosen} | {key: each for key, each in optional.items() if each}

    @contextmanager
    def _incoming(self, file: Path) -> Iterator[Path]:
        """Give the file as it lies in the workspace, or a copy under the same name that vanishes unless it is placed."""
        if not file.is_file():
            raise DataError(problem("data.unreadable", str(file), reason=os.strerror(2)))
        if file.resolve().is_relative_to(self.workspace.data):
            yield file.resolve()
            return
        require_space(self.workspace.data, file.stat().st_size, file.name)
        folder = self.workspace.data / f".incoming-{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            yield Path(shutil.copyfile(file, folder / file.name))
        finally:
            shutil.rmtree(folder)

    def _place(self, name: str, file: Path, copy: Path) -> Path:
        """Move the copy to where it stays; a file of the same name that nobody registered is left alone."""
        if copy == file.resolve():
            return copy
        target, number = self.workspace.data / f"{name}{file.suffix.lower()}", 2
        while target.exists():
            target, number = target.with_name(f"{name}_{number}{file.suffix.lower()}"), number + 1
        _flush(copy)
        os.replace(copy, target)
        return target

    @contextmanager
    def _locked(self) -> Iterator[dict[str, Any]]:
        """Give the own registry to change, and write it if the block ends well."""
        with FileLock(self._own.with_name(f".{INFO}.lock")):
            own = _read(self._own)
            yield own
            aside = self._own.with_name(f".{INFO}.{uuid.uuid4().hex}")
            try:
                aside.write_text(json.dumps(own, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
                _flush(aside)
                os.replace(aside, self._own)
            finally:
                aside.unlink(missing_ok=True)  # only there when writing failed


def _read(info: Path) -> dict[str, Any]:
    return read_object(info) if info.is_file() else {}


def _known_keys(name: str, given: Mapping[str, str] | None, known: Mapping[str, str], key: str) -> None:
    unknown = sorted(set(given or {}) - set(known))
    if unknown:
        raise DataError(problem("data.bad_entry", name, key=f"{key}.{unknown[0]}", wanted=", ".join(known)))


def _flush(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
