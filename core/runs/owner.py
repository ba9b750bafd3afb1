"""Which server may write: one for a workspace, the one that holds the lock WORKSPACE/studio.lock.

The system takes the lock from a process that dies, so a dead server holds none. A second server opens to look. It may ask for
the lock through the file `studio.takeover`; the first sees that within a second, lets its writing handlers end, and gives the
lock up. Running jobs are not disturbed: they belong to no server.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Condition

from filelock import FileLock, Timeout

from core.errors import Problem, ResourceError, problem
from core.runs import process
from core.workspace import Workspace

PATIENCE = 10.0  # seconds that the first server gets to answer; it looks every second
_ENDING = 5.0  # seconds that handlers get that are writing when another asks; chosen by us: below PATIENCE
_EVERY = 0.1


@dataclass(frozen=True)
class Server:
    """Who holds a workspace, or asks for it."""

    process: str  # its identity
    address: str
    since: float  # Unix time

    @property
    def pid(self) -> int:
        return int(self.process.partition(" ")[0])


class Owner:
    """The right of one server process to change a workspace. Safe to use from several threads."""

    def __init__(self, workspace: Workspace, address: str) -> None:
        self._me = Server(process.identity(os.getpid()), address, time.time())
        self._holder = workspace.root / "studio.json"
        self._request = workspace.root / "studio.takeover"
        self._lock = FileLock(workspace.root / "studio.lock", thread_local=False)
        self._handlers = Condition()
        self._writing = 0
        self._may_write = False
        self._retry_from = 0.0

    @property
    def writes(self) -> bool:
        return self._may_write

    def holder(self) -> Server | None:
        """Return the server that may write, as far as it has said so; None while nobody holds the workspace."""
        return _read(self._holder)

    def take(self) -> bool:
        """Take the right to write if nobody has it, and return whether this server has it now."""
        with self._handlers:
            if self._may_write:
                return True
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                return False
            _tell(self._holder, self._me)
            with contextlib.suppress(OSError):
                self._request.unlink()
            self._may_write = True
            return True

    def take_over(self) -> None:
        """Ask whoever has the right to give it up, and take it.

        Raises:
            ResourceError: if it does not answer; then nothing has changed.
        """
        _write(self._request, self._me)
        deadline = time.monotonic() + PATIENCE
        while not self.take():
            if time.monotonic() > deadline:
                self._request.unlink(missing_ok=True)
                raise ResourceError(self._unanswered())
            time.sleep(_EVERY)

    def keep_turn(self) -> None:
        """What the server does once a second: give the right up when asked, take it when nobody has it."""
        asking = _read(self._request)
        if asking is not None and (asking.process == self._me.process or process.living(asking.process) is None):
            asking = None
        if self._may_write and asking is not None:
            if self.give_up(asking):
                self._retry_from = time.monotonic() + PATIENCE  # the one who asked comes first
        elif not self._may_write and asking is None and time.monotonic() >= self._retry_from:
            self.take()

    def give_up(self, to: Server | None = None) -> bool:
        """Begin no more writing, wait for what is being written, let another server take the right, and say whether it may.

        What is written for longer keeps the lock: two that write would undo each other's work. A server that asked and waits
        no more gets nothing, for it has said so.
        """
        with self._handlers:
            if not self._may_write:
                return False
            self._may_write = False
            over = self._handlers.wait_for(lambda: self._writing == 0, _ENDING)
            if to is not None and (not over or _read(self._request) != to):
                self._may_write = True
                return False
            if not over:  # this server ends, and the system takes the lock when its process is gone
                return False
            if to is None:
                self._holder.unlink(missing_ok=True)
            else:
                _tell(self._holder, to)
            self._lock.release(force=True)
            return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around everything that changes the workspace.

        Raises:
            ResourceError: if this server may only look.
        """
        with self._handlers:
            if not self._may_write:
                raise ResourceError(problem("owner.read_only", address=self.where()))
            self._writing += 1
        try:
            yield
        finally:
            with self._handlers:
                self._writing -= 1
                self._handlers.notify_all()

    def where(self) -> str:
        """Return the address of the server that may write, "–" while there is none."""
        found = self.holder()
        return found.address if found else "–"

    def _unanswered(self) -> Problem:
        found = self.holder()
        return problem(
            "owner.no_answer", address=self.where(), pid=found.pid if found else "–", seconds=round(PATIENCE)
        )


def _tell(holder: Path, server: Server) -> None:
    """Write who has the workspace, if the disk takes it: the lock is what counts. A name that is no more true goes."""
    try:
        _write(holder, server)
    except OSError:
        with contextlib.suppress(OSError):
            holder.unlink()


def _write(file: Path, server: Server) -> None:
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    aside.write_text(json.dumps(asdict(server)), encoding="utf-8")
    aside.replace(file)


def _read(file: Path) -> Server | None:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        found = Server(str(values["process"]), str(values["address"]), float(values["since"]))
        found.pid  # noqa: B018  (raises when it is not a number)
    except (OSError, ValueError, TypeError, LookupError):  # nobody, or not ours
        return None
    return found
