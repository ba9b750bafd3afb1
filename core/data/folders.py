"""A folder of LLaMA-Factory: a dataset_info.json with the files beside it, each set registered as its entry says."""

from pathlib import Path

from core.data import info_file
from core.data.entry import DatasetEntry, parse
from core.data.importing import staged
from core.data.registry import INFO, Registry
from core.errors import DataError, Problem, StudioError, problem
from core.progress import Progress, silent
from core.workspace import Workspace


def lists_sets(folder: Path) -> bool:
    """Tell LLaMA-Factory's dataset_info.json from the one that `datasets` writes, which has a state.json beside it."""
    return (folder / INFO).is_file() and not (folder / "state.json").exists()


def add_folder(
    registry: Registry, folder: Path, *, prefix: str = "", progress: Progress = silent
) -> tuple[list[DatasetEntry], list[Problem]]:
    """Register every set of the folder that can be used; return them, and why each of the others cannot.

    `prefix` leads the names, for sets that would otherwise be called like others. Files outside of the folder are read only
    where the workspace may read.

    Raises:
        DataError: if the folder has no dataset_info.json, or it is not valid.
    """
    info = folder / INFO
    if not info.is_file():
        raise DataError(problem("data.no_info", str(folder)))
    if not info.resolve().is_relative_to(folder.resolve()):
        raise DataError(problem("data.link_outside", INFO))
    entries = info_file.read(info)
    opened = Workspace(registry.workspace.root, (*registry.workspace.allow, folder.resolve()))
    added: list[DatasetEntry] = []
    problems: list[Problem] = []
    for number, (name, values) in enumerate(entries.items()):
        entry = parse(opened, name, values, folder.resolve(), False)
        part = staged(progress, number / len(entries), (number + 1) / len(entries))
        try:
            added.append(_add(registry, entry, f"{prefix}{name}", part))
        except StudioError as error:
            problems += error.problems
    return added, problems


def _add(registry: Registry, entry: DatasetEntry, name: str, progress: Progress) -> DatasetEntry:
    if entry.problem is not None:
        raise DataError(entry.problem)
    if not entry.file.exists():
        raise DataError(problem("data.file_missing", entry.name, file=str(entry.file)))
    return registry.add(entry.file, name, description=entry.description, reading=entry.reading, progress=progress)
