"""The folder of tokenised sets: made by one process at a time, and cleared of what nobody has used for long."""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISDIR

from filelock import FileLock, Timeout

from core.progress import Progress

MOST_BYTES = 10_000_000_000  # chosen by us: two thousand million tokens; more fills the disk of a laptop
MOST_SECONDS = 60 * 24 * 3600  # chosen by us: what was not used for two months is made again when it is wanted
_ASIDE, _LOCK = ".part", ".lock"


@contextmanager
def alone(folder: Path, progress: Progress, size: int) -> Iterator[Path]:
    """Give an empty folder beside `folder`, to be filled and renamed, while nobody else makes the same.

    Whoever waits can be called off through `progress`, of which it tells 0 of `size`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.with_name(folder.name + _LOCK))
    while True:
        try:
            lock.acquire(timeout=1)
            break
        except Timeout:
            progress(0, size)
    aside = folder.with_name(folder.name + _ASIDE)
    try:
        shutil.rmtree(aside, ignore_errors=True)  # what somebody left who was killed
        aside.mkdir()
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        lock.release()


def used(folder: Path) -> None:
    """Note that a set is used now."""
    with suppress(OSError):
        os.utime(folder)


def clear(sets: Path, keep: Path, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS) -> None:
    """Remove the sets that were not used for long, and of the others the oldest until they take no more than the limit.

    `keep` stays. Whoever reads a removed set goes on reading: the system keeps its files while they are open.
    """
    now = time.time()
    total = 0
    for changed, folder in sorted(_folders(sets), reverse=True):
        if folder.suffix == _ASIDE:
            _remove_left(folder)
            continue
        total += _size(folder)
        if folder != keep and (now - changed > most_seconds or total > most_bytes):
            remove(folder)
    for lock in sets.glob(f"*{_LOCK}"):
        with suppress(OSError):  # somebody has it, or removes it too
            if now - lock.stat().st_mtime > most_seconds:
                with FileLock(lock).acquire(timeout=0):
                    lock.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a set so that nobody meets half of it."""
    with suppress(OSError):  # somebody else removes it too
        doomed = folder.with_name(f"{folder.name}.{uuid.uuid4().hex}{_ASIDE}")
        folder.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _remove_left(aside: Path) -> None:
    """Remove what was left half-made by somebody who was killed; what is being made now is left alone."""
    lock = FileLock(aside.with_name(aside.name.partition(".")[0] + _LOCK))
    with suppress(Timeout), lock.acquire(timeout=0):
        shutil.rmtree(aside, ignore_errors=True)


def _folders(sets: Path) -> list[tuple[float, Path]]:
    """Return each folder with the time of its last use, without those that somebody renames or removes meanwhile."""
    found = []
    for each in sets.iterdir():
        with suppress(OSError):
            seen = each.stat()
            if S_ISDIR(seen.st_mode):
                found.append((seen.st_mtime, each))
    return found


def _size(folder: Path) -> int:
    with suppress(OSError):
        return sum(each.stat().st_size for each in folder.iterdir())
    return 0
