"""The data sets that there are: the project's samples, overlaid by the person's own.

Both are a `dataset_info.json` in LLaMA-Factory's schema, so that an existing one works unchanged; keys that we do not know
are kept. The person's is written under a lock, aside and then renamed: two processes that add at once lose nothing, and a
crash leaves the old file. A data set is what its SHA-1 says, so that a run can name exactly what it was trained on: content
is never changed in place, a fix is a new version (see `versions`), and a removal can be undone (see `trash`).
"""

import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core.data import accepted, importing, info_file, trash, versions
from core.data.entry import DatasetEntry, parse, values_of
from core.data.formats import of_spread, spreads
from core.data.importing import staged
from core.data.reading import Reading
from core.data.shelf import INFO, Shelf
from core.data.trash import Trashed
from core.errors import DataError, PathError, problem
from core.progress import Progress, silent
from core.workspace import PROJECT, Workspace, checked_name, require_space, slug

__all__ = ["INFO", "DatasetEntry", "Registry", "sha1_of"]
SPREAD_ENTRY = "first | longest | all | together"


def sha1_of(file: Path) -> str:
    """Return the SHA-1 of a file, read as a stream."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha1").hexdigest()


class Registry:
    """Reads both registries afresh at each call; other processes write them too."""

    def __init__(self, workspace: Workspace, samples: Path = PROJECT / INFO) -> None:
        """`samples` is the read-only registry of the project."""
        self.workspace = workspace
        self._shelf = Shelf(workspace, samples)
        self._samples = samples

    def stamp(self) -> tuple[int, ...]:
        """Return what changes when a set is added, changed or removed, or a finding accepted, by any process."""
        files = (self.workspace.root / INFO, self.workspace.root / accepted.FILE)
        return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)

    def names(self) -> list[str]:
        return list(self.entries())

    def entries(self) -> dict[str, DatasetEntry]:
        """Return all entries, the samples first. Some may not be usable; `get` says why."""
        known = accepted.read(self.workspace)
        return {name: self._parsed(name, *found, known) for name, found in self._values().items()}

    def get(self, name: str) -> DatasetEntry:
        """Return an entry whose file is there.

        Raises:
            DataError: if there is no such entry, it needs something we do not support, or its file is missing.
            PathError: if its file lies outside of what may be read.
        """
        found = self._values()
        if name not in found:
            close = difflib.get_close_matches(name, found, n=1, cutoff=0.5)
            if close:
                raise DataError(problem("data.unknown_close", name, close=close[0]))
            raise DataError(problem("data.unknown", name, known=", ".join(found) or "-"))
        entry = self._parsed(name, *found[name], accepted.read(self.workspace))
        if entry.problem is not None:
            raise (PathError if entry.problem.code.startswith("path.") else DataError)(entry.problem)
        if not entry.file.is_file():
            raise DataError(problem("data.file_missing", name, file=str(entry.file)))
        return entry

    def add(
        self,
        file: Path,
        name: str | None = None,
        formatting: str | None = None,
        columns: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        *,
        options: Mapping[str, str] | None = None,
        reading: Reading | None = None,
        recognised: str = "",
        leave_out_broken: bool = False,
        made_by: str = "add",
        progress: Progress = silent,
    ) -> DatasetEntry:
        """Bring a file or folder into the workspace and register it; what is not given is told from its first rows.

        Every row is read and converted first, so that a broken file is refused before anything changes. Adding the same
        content under the same name again returns the entry; where its rows are spread or left out only now, they are a new
        version of it. The files of a folder or archive that are named after training and test are its split. `file` may lie
        anywhere: the caller says who may name it.

        Args:
            formatting: the kind or format that a person chose (`alpaca`, `openorca` …); None where the rows decide.
            options: answers to the questions of the reading that is recognised.
            reading: how the rows are read; nothing is recognised then.
            leave_out_broken: register the rows that can be used, as JSONL, instead of refusing all for the broken ones.

        Raises:
            DataError: if the file is broken, it is not clear how it is read, or the name is taken by other content.
            PathError: if the name cannot be one.
        """
        name = self._shelf.free_name(name or slug(importing.stem_of(file)))
        with importing.incoming(self.workspace, file, staged(progress, 0.0, 0.2)) as brought:
            if reading is None:
                given = (formatting, dict(columns or {}), dict(tags or {}), dict(options or {}))
                reading, recognised = importing.reading_for(brought.file, name, *given)
            registered = self._entry_of(brought.file, name)
            if registered and registered.parts:
                brought = replace(brought, letters=registered.parts.letters())
            part = staged(progress, 0.2, 0.5)
            with importing.usable(self.workspace, brought, reading, leave_out_broken, part) as rows:
                if rows != brought:
                    made_by = f"{made_by}:{'spread' if spreads(reading) else 'leave_out_broken'}"
                reading = of_spread(reading)
                if registered and rows != brought:
                    write, letters = _moving(rows.file, reading), rows.letters
                    return self.new_version(name, write, made_by, lambda: letters, staged(progress, 0.5, 1.0))
                values = self._content(rows.file, reading, staged(progress, 0.5, 1.0))
                values |= {
                    key: each for key, each in (("recognised", recognised), ("description", description)) if each
                }
                if rows.letters and not registered:
                    shares = [each / len(rows.letters) for each in versions.counted(rows.letters)]
                    values["parts"] = self._shelf.write_parts(name, rows.letters, 0, shares, "files")
                self._shelf.put(name, file, rows.file, values | {"made_by": made_by})
        return self.get(name)

    def candidate(
        self,
        file: Path,
        name: str | None = None,
        formatting: str | None = None,
        columns: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        *,
        options: Mapping[str, str] | None = None,
        reading: Reading | None = None,
    ) -> DatasetEntry:
        """Return the entry that adding a file would make, without reading more than its first rows. Nothing is registered.

        Raises:
            DataError: as `add`, but for what is wrong with single rows.
        """
        name = checked_name(name or slug(importing.stem_of(file)))
        recognised = ""
        if reading is None:
            given = (formatting, dict(columns or {}), dict(tags or {}), dict(options or {}))
            reading, recognised = importing.reading_for(file, name, *given)
        values = {**values_of(reading), "file_name": str(file.resolve()), "recognised": recognised}
        if file.is_file():
            values["file_sha1"] = sha1_of(file)
        everywhere = Workspace(self.workspace.root, (*self.workspace.allow, file.resolve().parent))
        return parse(everywhere, name, values, file.resolve().parent, False)

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
            with info_file.changing(self._shelf.file) as own:
                own[name]["file_sha1"] = found

    def accept(self, name: str) -> DatasetEntry:
        """Record the present content as the right one; the SHA-1 before goes into the entry's `history` with the time.

        A set that was split is split again with the same seed and shares: the old letters were about other rows.

        Raises:
            DataError: if it is a sample (restore it instead), its file is missing, or it was split and has broken rows now.
        """
        entry = self.get(name)
        if entry.sample:
            raise DataError(problem("data.sample_is_fixed", name))
        found = sha1_of(entry.file)
        letters = ""
        if entry.parts and found != entry.sha1:
            from core.data import split  # loads numpy, which most commands do without

            letters = split.again(entry)
        with info_file.changing(self._shelf.file) as own:
            before = own[name].get("file_sha1")
            if before != found:
                own[name]["history"] = [*own[name].get("history", []), {"file_sha1": before, "replaced": _now()}]
                own[name]["file_sha1"] = found
                own[name].pop("rows", None)
                if own[name].pop("parts", None) and letters and entry.parts:
                    how = (entry.parts.seed, entry.parts.shares, "question")
                    own[name] |= {
                        "rows": len(letters),
                        "parts": self._shelf.write_parts(entry.file.stem, letters, *how),
                    }
        return self.get(name)

    def accept_findings(self, name: str, codes: Sequence[str]) -> DatasetEntry:
        """Record that a person knows of these findings of the doctor, for exactly the present content."""
        self.verify(name)
        entry = self.get(name)
        accepted.add(self.workspace, entry.sha1 or sha1_of(entry.file), codes)
        return self.get(name)

    def rename(self, name: str, new_name: str) -> DatasetEntry:
        """Give an own set another name; its files stay where they are.

        Raises:
            DataError: if there is no such set, it is a sample, or the name is taken.
        """
        new_name = self._shelf.free_name(new_name)
        with self._shelf.changing(name) as (own, values):
            if new_name != name and new_name in own:
                raise DataError(problem("data.name_taken", new_name))
            del own[name]
            own[new_name] = values
        return self.get(new_name)

    def describe(self, name: str, description: str) -> DatasetEntry:
        """Change the description of an own set."""
        with self._shelf.changing(name) as (_, values):
            values["description"] = " ".join(description.split())
        return self.get(name)

    def set_parts(
        self, name: str, letters: str, seed: int = 0, shares: Sequence[float] = (1.0, 0.0, 0.0), grouped: str = ""
    ) -> DatasetEntry:
        """Record how an own set is split: a letter a row in reading order (see `versions.Parts`). "" makes it whole again.

        Raises:
            DataError: if there are more or fewer letters than rows, or it is a sample.
        """
        if letters:
            rows = self.get(name).rows or importing.counted(self.get(name).file, self.get(name).reading)[0]
            if len(letters) != rows or set(letters) - set("tvex"):
                raise DataError(problem("data.parts_count", name, letters=len(letters), rows=rows))
        with self._shelf.changing(name) as (_, values):
            before = values.pop("parts", None)
            if letters:
                values["parts"] = self._shelf.write_parts(
                    Path(values["file_name"]).stem, letters, seed, shares, grouped
                )
        stale = (self.workspace.root / before["file_name"]).resolve() if before else None
        ours = stale and stale.suffix == ".parts" and stale.is_relative_to(self.workspace.data)
        if stale and ours and stale not in self._shelf.needed():  # the registry may have been written by anybody
            stale.unlink(missing_ok=True)
        return self.get(name)

    def new_version(
        self,
        name: str,
        write: Callable[[Path], Reading],
        made_by: str,
        letters: Callable[[], str] | None = None,
        progress: Progress = silent,
    ) -> DatasetEntry:
        """Let `write` fill a file, and make it the content of the set; what it was before stays in `versions`.

        Args:
            write: writes JSONL to the path it gets and says how it is read.
            made_by: what made it, such as `fix:duplicates,empty`.
            letters: asked after `write` for the split of the new rows. Without it a split stays if the rows are as many.

        Raises:
            DataError: if it is a sample, the new rows cannot be read, or somebody changed the set meanwhile.
        """
        entry = self.get(name)
        if entry.sample:
            raise DataError(problem("data.is_sample", name))
        require_space(self.workspace.data, entry.file.stat().st_size, name)
        with importing.scratch(self.workspace) as folder:
            aside = folder / f"{name}.v{len(entry.versions) + 2}.jsonl"
            values = self._content(aside, write(aside), progress)
            parts = versions.carried(name, entry.parts, values["rows"], letters)
            with self._shelf.changing(name) as (own, before):
                if (before.get("file_sha1") or "").lower() != entry.sha1:
                    raise DataError(problem("data.changed_meanwhile", name))
                values["file_name"] = self._shelf.relative(importing.place(aside, self.workspace.data / aside.name))
                values |= {"made_by": made_by, "recognised": entry.recognised}
                if parts and entry.parts:
                    how = (entry.parts.seed, entry.parts.shares, entry.parts.grouped)
                    values["parts"] = self._shelf.write_parts(Path(values["file_name"]).stem, parts, *how)
                own[name] = versions.replaced(before, values)
        return self.get(name)

    def undo(self, name: str) -> DatasetEntry:
        """Make the version before the present one the content again; the present one goes to the trash.

        Raises:
            DataError: if it is a sample or has no older version.
        """
        with self._shelf.changing(name) as (own, values):
            if not values.get("versions"):
                raise DataError(problem("data.no_version", name))
            before = trash.files_of(self.workspace, values["versions"][-1])
            if not before[0].is_file():
                raise DataError(problem("data.file_missing", name, file=str(before[0])))
            undone = versions.content_of(values)
            folder = trash.put(self.workspace, name, undone, version=True)
            own[name] = versions.reverted(values)
        trash.move(self.workspace, folder, undone, self._shelf.needed())
        return self.get(name)

    def remove(self, name: str) -> None:
        """Take an own entry out of the registry and move its files to the trash, unless another entry needs them.

        Raises:
            DataError: if there is no such entry, or it is a sample.
        """
        with self._shelf.changing(name) as (own, values):
            folder = trash.put(self.workspace, name, values)
            del own[name]
        trash.move(self.workspace, folder, values, self._shelf.needed())

    def forget(self, name: str, source: Path) -> None:
        """Take back an `add` of `source` that did not come to its end: the entry goes, and the files that it brought."""
        with self._shelf.changing(name) as (own, values):
            del own[name]
        brought = set(trash.files_of(self.workspace, values)) - self._shelf.needed() - {source.resolve()}
        for file in brought:
            if file.is_relative_to(self.workspace.data):
                file.unlink(missing_ok=True)

    def trash(self) -> list[Trashed]:
        """Return what was removed or undone, the latest first."""
        return trash.listing(self.workspace)

    def empty_trash(self) -> int:
        """Delete for good what was removed or undone, and return how many sets and versions that were."""
        return trash.empty(self.workspace)

    def restore(self, id: str) -> DatasetEntry:
        """Bring a removed set back, or make an undone version the content of its set again.

        Raises:
            DataError: if it is not in the trash, its name is taken meanwhile, or its set is gone.
        """
        return self.get(self._shelf.restore(id))

    def _values(self) -> dict[str, tuple[Any, Path]]:
        """Return the values of every entry with the file that has them, the samples first."""
        sources = (self._samples, self._shelf.file)
        return {name: (values, source) for source in sources for name, values in info_file.read(source).items()}

    def _parsed(self, name: str, values: Any, source: Path, known: Mapping[str, frozenset[str]]) -> DatasetEntry:
        sha1 = values.get("file_sha1") if isinstance(values, dict) else None
        codes = known.get(sha1.lower(), frozenset()) if isinstance(sha1, str) else frozenset()
        entry = parse(self.workspace, name, values, source.parent, source == self._samples, codes)
        if spreads(entry.reading):  # the rows of a registered set are spread already
            return replace(entry, problem=problem("data.bad_entry", name, key="options", wanted=SPREAD_ENTRY))
        return entry

    def _entry_of(self, file: Path, name: str) -> DatasetEntry | None:
        """Return the own entry of this name, if `file` is its present content, or the same."""
        entry = self.entries().get(name)
        if entry is None or entry.problem is not None:
            return None
        return entry if entry.file == file or sha1_of(file) == entry.sha1 else None

    def _content(self, file: Path, reading: Reading, progress: Progress) -> dict[str, Any]:
        """Return what an entry says of the rows of a file, all of which were read and converted."""
        rows, kind = importing.counted(file, reading, progress)
        return {"file_sha1": sha1_of(file), **values_of(reading), "kind": kind, "rows": rows, "made": _now()}


def _moving(rows: Path, reading: Reading) -> Callable[[Path], Reading]:
    """Return what makes a written file the rows of a new version."""

    def move(aside: Path) -> Reading:
        rows.replace(aside)
        return reading

    return move


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
