"""Download a model of the hub into the shared cache, so that a cut line or a killed process costs nothing that was there.

huggingface_hub (2.4) begins every file anew after a kill, and leaves what it had as rubbish. So the files are fetched here:
what is not complete keeps its name, the next download goes on behind its last byte (`Range`), and each
file is compared with the hash that the hub gives for it. A file appears under its name when it is whole, the model when all
are: then `refs/main` names the commit. Plain HTTP is all that is needed; hf_xet is not used.
"""

import hashlib
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from core.errors import ModelError, StudioError, problem
from core.models.cache import storage
from core.models.hub import Offer, RemoteFile, in_words, receive
from core.progress import Cancelled
from core.workspace import require_space

_AT_ONCE = 4  # files; chosen by us: more gains nothing on a home line, fewer leaves a fast one idle
_LOOKED_EVERY = 0.2  # seconds between two looks at how far it is
_SPARE = 50_000_000  # bytes that stay free on the disk
_TRIES = 5  # in a row that bring nothing, before the download gives up; what huggingface_hub has, too
Progress = Callable[[int, int], None]


def download(offer: Offer, progress: Progress) -> Path:
    """Fetch what is missing of a model and return its folder.

    Args:
        progress: hears (bytes that are there, bytes in all) several times a second, and may raise Cancelled: then what was
            fetched stays, and the next download goes on from there.

    Raises:
        ModelError: if the network or the hub fails, or a file is not the one that the hub announced.
        ResourceError: if the disk has too little space; nothing was fetched then.
        Cancelled: as `progress` raised it.
    """
    transfer = _Transfer(offer)
    require_space(storage(offer.name), transfer.missing() + _SPARE, offer.name)
    waiting: queue.SimpleQueue[RemoteFile] = queue.SimpleQueue()
    for file in sorted(offer.files, key=lambda file: file.size):  # the small ones first: they tell what the model is
        waiting.put(file)
    # Daemons: when somebody cancels, a thread may wait for the network for ten seconds more.
    threads = [threading.Thread(target=transfer.work, args=(waiting,), daemon=True) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            progress(transfer.done, offer.bytes)
            next(each for each in threads if each.is_alive() or each is threads[-1]).join(_LOOKED_EVERY)
    finally:
        transfer.over = True
    if transfer.error is not None:
        raise transfer.error
    progress(offer.bytes, offer.bytes)
    return transfer.finish()


class _Transfer:
    """The download of one model: what all its threads share."""

    def __init__(self, offer: Offer) -> None:
        self.offer = offer
        self.over = False
        self.error: StudioError | OSError | None = None
        self._storage = storage(offer.name)
        self._snapshot = self._storage / "snapshots" / offer.revision
        self._counted = threading.Lock()
        self._done = {file.name: self._there(file) for file in offer.files}

    @property
    def done(self) -> int:
        """The bytes that are on this machine."""
        return sum(self._done.values())

    def missing(self) -> int:
        return self.offer.bytes - self.done

    def work(self, waiting: "queue.SimpleQueue[RemoteFile]") -> None:
        """Fetch one file after the other, until none is left or something went wrong."""
        while not self.over:
            try:
                file = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._fetch(file)
            except Cancelled:
                return
            except (StudioError, OSError, HTTPError) as error:
                self._fail(error, file)

    def finish(self) -> Path:
        """Name the commit as the newest that is here, unless an older one was asked for, and return its folder."""
        ref = self._storage / "refs" / "main"
        if ref.is_file() and not self.offer.newest:
            return self._snapshot
        ref.parent.mkdir(parents=True, exist_ok=True)
        aside = ref.with_name(f"main.{os.getpid()}")
        aside.write_text(self.offer.revision, encoding="utf-8")
        aside.replace(ref)
        return self._snapshot

    def _fetch(self, file: RemoteFile) -> None:
        blob, pointer = self._blob(file), self._snapshot / file.name
        with self._alone(file):
            if not blob.is_file():
                partial = self._partial(file)
                partial.parent.mkdir(parents=True, exist_ok=True)
                self._fill(file, partial)
                partial.replace(blob)
        self._done[file.name] = file.size
        pointer.parent.mkdir(parents=True, exist_ok=True)
        if not pointer.exists():
            _link(blob, pointer)

    def _fill(self, file: RemoteFile, partial: Path) -> None:
        """Fetch the rest of a file and compare it with its hash. What does not fit is thrown away."""
        with _Sink(partial, file, lambda size: self._count(file, size)) as sink:
            self._persist(file, sink)
            fits = sink.fits()
        if not fits:
            partial.unlink()
            self._done[file.name] = 0
            raise ModelError(problem("model.download_damaged", f"{self.offer.name}/{file.name}"))

    def _persist(self, file: RemoteFile, sink: "_Sink") -> None:
        """Ask for the rest of a file until it is there; a line that breaks is tried again, from where it broke."""
        left = _TRIES
        while (had := sink.tell()) < file.size:
            failed: Exception | None = None
            try:
                receive(self.offer.name, self.offer.revision, file.name, sink)
            except HfHubHTTPError as error:
                status = error.response.status_code
                if status == 416 and had:  # the server has nothing behind what is here
                    sink.restart()
                elif status < 500 and status != 429:
                    raise
                failed = error
            except (HTTPError, ConnectionError) as error:
                failed = error
            left = _TRIES if sink.tell() > had else left - 1
            if not left:
                raise failed or ConnectionError("–")
            if failed is not None:
                self._count(file, sink.tell())
                time.sleep(1)

    def _count(self, file: RemoteFile, size: int) -> None:
        if self.over:
            raise Cancelled
        self._done[file.name] = size

    def _fail(self, error: Exception, file: RemoteFile) -> None:
        """Keep the first error, in words, and let the other threads end."""
        with self._counted:
            if self.over:
                return
            self.over = True
        if isinstance(error, StudioError):
            self.error = error
        elif isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            self.error = error  # the disk, which has words elsewhere
        elif isinstance(error, HfHubHTTPError):
            self.error = ModelError(in_words(error, self.offer.name))
        else:
            values = {"done": f"{self.done / 1e6:,.0f}", "total": f"{self.offer.bytes / 1e6:,.0f}"}
            reason = str(error) or type(error).__name__
            self.error = ModelError(problem("model.download_cut", self.offer.name, reason=reason, **values))

    def _there(self, file: RemoteFile) -> int:
        if self._blob(file).is_file():
            return file.size
        partial = self._partial(file)
        return min(file.size, partial.stat().st_size) if partial.exists() else 0

    def _blob(self, file: RemoteFile) -> Path:
        return self._storage / "blobs" / file.hash

    def _partial(self, file: RemoteFile) -> Path:
        return self._storage / "blobs" / f"{file.hash}.studio-part"

    @contextmanager
    def _alone(self, file: RemoteFile) -> Iterator[None]:
        """Keep a file to this download: another one of the same model waits, and then finds it there."""
        folder = Path(constants.HF_HUB_CACHE) / ".locks" / self._storage.name
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{file.hash}.lock")  # where huggingface_hub has it, too
        while True:
            try:
                lock.acquire(timeout=1)
                break
            except Timeout:
                self._count(file, self._there(file))
        try:
            yield
        finally:
            lock.release()


class _Sink:
    """A file that is written behind what it has, hashing as it goes."""

    def __init__(self, path: Path, file: RemoteFile, count: Callable[[int], None]) -> None:
        self._file = file
        self._count = count
        self._stream: IO[bytes] = path.open("a+b")
        self._digest, self._size = self._new_digest(), 0
        self._stream.seek(0)
        while chunk := self._stream.read(1 << 20):
            self._digest.update(chunk)
            self._size += len(chunk)
        if self._size > file.size:
            self.restart()

    def __enter__(self) -> "_Sink":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()

    def write(self, chunk: bytes) -> None:
        self._stream.write(chunk)
        self._digest.update(chunk)
        self._size += len(chunk)
        self._count(self._size)

    def tell(self) -> int:
        return self._size

    def restart(self) -> None:
        """Throw away what is there."""
        self._stream.truncate(0)
        self._digest, self._size = self._new_digest(), 0

    def fits(self) -> bool:
        return self._size == self._file.size and self._digest.hexdigest() == self._file.hash

    def _new_digest(self) -> Any:
        """Return the hash that the hub announces: SHA-256 of large files, git's own of small ones."""
        if self._file.large:
            return hashlib.sha256()
        return hashlib.sha1(b"blob %d\0" % self._file.size, usedforsecurity=False)


def _link(blob: Path, pointer: Path) -> None:
    try:
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    except OSError:  # a file system without links
        aside = pointer.with_name(f"{pointer.name}.{os.getpid()}")
        shutil.copyfile(blob, aside)
        aside.replace(pointer)
