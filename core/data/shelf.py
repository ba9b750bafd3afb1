"""The person's own registry file and the data folder beside it: what the registry does to both under the lock."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.data import importing, info_file, trash, versions
from core.errors import DataError, problem
from core.workspace import Workspace, checked_name

INFO = "dataset_info.json"


class Shelf:
    """Entries are plain values of dataset_info.json here; `core.data.entry` says what they mean."""

    def __init__(self, workspace: Workspace, samples: Path) -> None:
        self.workspace = workspace
        self.file = workspace.root / INFO
        self._samples = samples

    def read(self) -> dict[str, Any]:
        return info_file.read(self.file)

    def free_name(self, name: str) -> str:
        """Return a name for an own set as it is written.

        Raises:
            PathError: if it cannot be a name.
            DataError: if it is a sample's.
        """
        name = checked_name(name)
        if name in info_file.read(self._samples):
            raise DataError(problem("data.is_sample", name))
        return name

    @contextmanager
    def changing(self, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Give all entries and the one of this name to change; what is changed is written if the block ends well.

        Raises:
            DataError: if there is no such entry, or it is a sample.
        """
        with info_file.changing(self.file) as own:
            if not isinstance(own.get(name), dict):
                samples = info_file.read(self._samples)
                code = "data.is_sample" if name in samples else "data.unknown"
                raise DataError(problem(code, name, known=", ".join({**samples, **own}) or "-"))
            yield own, own[name]

    def put(self, name: str, source: Path, rows: Path, values: dict[str, Any]) -> None:
        """Write the entry of a new set, and move its rows to where they stay, unless they are `source` and lie there.

        The same content again only changes how it is read and described; how it is split stays.

        Raises:
            DataError: if the name belongs to other content.
        """
        with info_file.changing(self.file) as own:
            existing = own.get(name)
            if existing is not None and existing.get("file_sha1") != values["file_sha1"]:
                raise DataError(problem("data.name_taken", name))
            if existing is None:
                stays = rows == source.resolve() and not importing.is_scratch(rows)
                target = self.workspace.data / f"{name}{rows.suffix.lower()}"
                values["file_name"] = self.relative(rows if stays else importing.place(rows, target))
            replaced = set(versions.CONTENT) - {"file_name", "parts"}
            kept = {key: each for key, each in (existing or {}).items() if key not in replaced}
            own[name] = {**kept, **values, **({"parts": kept["parts"]} if "parts" in kept else {})}

    def restore(self, id: str) -> str:
        """Bring something back from the trash and return the name of its set; see `Registry.restore`."""
        folder, record = trash.find(self.workspace, id)
        name = record["name"]
        with info_file.changing(self.file) as own:
            if record["version"] and name not in own:
                raise DataError(problem("data.unknown", name, known=", ".join(own) or "-"))
            if not record["version"] and (name in own or name in info_file.read(self._samples)):
                raise DataError(problem("data.name_taken", name))
            values, copied = trash.bring_back(self.workspace, folder, record)
            own[name] = versions.replaced(own[name], values) if record["version"] else values
        trash.drop(folder, copied)
        return name

    def write_parts(self, stem: str, letters: str, seed: int, shares: Sequence[float], grouped: str) -> dict[str, Any]:
        """Write the letters of a split and return what an entry says of it."""
        file, values = versions.write_parts(self.workspace.data, stem, letters, seed, shares, grouped)
        return {"file_name": self.relative(file), **values}

    def needed(self) -> set[Path]:
        """Return the files that the own entries use."""
        own = self.read().values()
        return {file for values in own if isinstance(values, dict) for file in trash.files_of(self.workspace, values)}

    def relative(self, file: Path) -> str:
        return file.relative_to(self.workspace.root).as_posix()
