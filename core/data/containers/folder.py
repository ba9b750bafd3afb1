"""A folder or a ZIP archive as one input: the data files in it, in the order of their names, and nothing outside of it."""

import os
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from core.data.containers.row import MEGABYTE
from core.data.containers.sniff import SUFFIXES
from core.data.containers.source import Source, is_bomb
from core.errors import DataError, problem
from core.progress import Progress, silent

MOST_FILES = 10_000  # chosen by us: more are a mistake, such as a home folder
_DESCRIBING = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}  # of `datasets`
_ABOUT = ("readme", "license", "licence", "changelog", "citation", "notice", "contributing")  # texts that are no data


def files_of(folder: Path) -> list[Path]:
    """Return the data files of a folder, all levels, sorted.

    Hidden files, the descriptions that `datasets` writes and, beside data, texts such as README.md are left out.

    Raises:
        DataError: `data.no_files`, `data.too_many_files`, or `data.link_outside` for a link that leads out of the folder.
    """
    root = folder.resolve()
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [each for each in folders if not _hidden(each)]
        found += [Path(place) / each for each in files]
        if len(found) > MOST_FILES:
            raise DataError(problem("data.too_many_files", folder.name, most=MOST_FILES))
    names = [each.relative_to(folder).as_posix() for each in found]
    chosen = [folder / each for each in _data_files(names, folder.name)]
    for each in chosen:
        if not each.resolve().is_relative_to(root):
            raise DataError(problem("data.link_outside", each.relative_to(folder).as_posix()))
    return chosen


def folder_sources(folder: Path, progress: Progress = silent) -> Iterator[Source]:
    """Yield the sources of a folder's files, each named by its path inside of the folder."""
    files = files_of(folder)
    sizes = [each.stat().st_size for each in files]
    done, total = 0, sum(sizes)
    for file, size in zip(files, sizes, strict=True):
        yield Source.of(file, file.relative_to(folder).as_posix(), progress, done, total)
        done += size


@contextmanager
def zip_sources(source: Source) -> Iterator[list[Source]]:
    """Give the sources of an archive's members. Nothing is written to the disk.

    Raises:
        DataError: for a damaged archive (`data.zip`), a bomb, a member with a password, a link or a path that leads outside.
    """
    with source.binary() as stream:
        try:
            archive = zipfile.ZipFile(stream)
        except (
            zipfile.BadZipFile,
            EOFError,
            ValueError,
            RuntimeError,
        ) as error:  # RuntimeError: a newer kind of archive
            raise DataError(problem("data.zip", source.name, reason=str(error))) from error
        with archive:
            yield list(_members(archive, source))


def _members(archive: zipfile.ZipFile, source: Source) -> Iterator[Source]:
    infos = {each.filename: each for each in archive.infolist() if not each.is_dir()}
    if len(infos) > MOST_FILES:
        raise DataError(problem("data.too_many_files", source.name, most=MOST_FILES))
    total = sum(each.file_size for each in infos.values())
    if is_bomb(source.size, total):
        raise DataError(problem("data.bomb", source.name, size=source.size, unpacked=total // MEGABYTE))
    for name, info in infos.items():
        inside = PurePosixPath(name)
        if inside.is_absolute() or ".." in inside.parts or "\\" in name or stat.S_ISLNK(info.external_attr >> 16):
            raise DataError(problem("data.zip_path", source.name, member=name))
    done = 0
    for name in _data_files(list(infos), source.name):
        info = infos[name]
        if info.flag_bits & 1:
            raise DataError(problem("data.zip_password", source.name, member=name))
        yield _member(archive, info, source, done, total)
        done += info.file_size


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, source: Source, done: int, total: int) -> Source:
    inside = PurePosixPath(info.filename)
    packed = inside.suffix.lower() == ".gz"
    suffix = (inside.with_suffix("") if packed else inside).suffix.lower()
    size = info.file_size

    def opened() -> BinaryIO:
        try:
            return cast(BinaryIO, archive.open(info))
        except (RuntimeError, zipfile.BadZipFile) as error:  # RuntimeError: packed in a way that Python does not know
            raise DataError(problem("data.zip", source.name, reason=str(error))) from error

    def progress(read: int, of: int) -> None:
        source.progress(source.done + source.size * read // max(of, 1), source.total)

    return Source(info.filename, suffix, size, opened, packed, info.filename, progress, done, total)


def _data_files(names: list[str], where: str) -> list[str]:
    paths = [(name, PurePosixPath(name)) for name in names]
    data = [
        name
        for name, path in paths
        if path.suffix.lower() in SUFFIXES
        and not any(_hidden(part) for part in path.parts)
        and path.name not in _DESCRIBING
    ]
    if any(PurePosixPath(name).suffix.lower() not in (".md", ".txt") for name in data):
        data = [name for name in data if not _about(PurePosixPath(name))]
    if not data:
        others = ", ".join(sorted({path.suffix for _, path in paths if path.suffix})[:10]) or "-"
        raise DataError(problem("data.no_files", where, supported=", ".join(SUFFIXES), has=others))
    return sorted(data)


def _about(path: PurePosixPath) -> bool:
    return path.suffix.lower() in (".md", ".txt") and path.stem.lower().startswith(_ABOUT)


def _hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))
