"""A sign of life of a worker: the time of a file that it touches every few seconds.

A process can be there and do nothing: stopped by a signal, swapped out, hanging in a driver. Its process id cannot tell that
from work, and between two steps of a large model minutes may pass. A thread of the worker tells it.
"""

import contextlib
import threading
import time
from pathlib import Path

FILE = "heartbeat"
EVERY = 5.0  # seconds; chosen by us: a twelfth of the silence that the page speaks about


def start(job: Path) -> None:
    """Touch the file from now on, as long as this process lives and the directory is there."""
    threading.Thread(target=_beat, args=(job,), name="heartbeat", daemon=True).start()


def _beat(job: Path) -> None:
    while job.is_dir():
        with contextlib.suppress(OSError):  # a disk that is full or gone for a moment silences the sign, not the work
            (job / FILE).touch()
        time.sleep(EVERY)


def silent_for(job: Path) -> float | None:
    """Return the seconds since the worker's last sign of life; None if it never gave one, as that of an older studio."""
    try:
        last = (job / FILE).stat().st_mtime
        begun = (job / "worker.pid").stat().st_mtime
    except FileNotFoundError:
        return None
    return max(0.0, time.time() - last) if last >= begun else None  # the sign is that of the worker before
