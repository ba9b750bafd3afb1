"""Where the bytes of a file come from: a path, a gzip stream or a member of an archive, always handed on as UTF-8.

Nothing is read whole. Encodings are told by their mark or their zero bytes, a gzip stream that ends too early or unpacks to
a suspicious size is told, and progress counts the bytes of the file on the disk.
"""

import codecs
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, cast

from core.data.containers.row import CHUNK, MEGABYTE, Broken
from core.errors import DataError, problem
from core.progress import Progress, silent

BOMB_RATIO = 100  # chosen by us: text shrinks 3 to 20 times, and repetitive logs seldom more than 50
BOMB_BYTES = 1000 * MEGABYTE
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError)
_MARKS = (  # longest first: UTF-32's mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True)
class Source:
    """Bytes that can be opened again and again.

    `name` stands in messages, `file` in the rows (empty when the whole input is one file); `suffix` says what the name
    promises, in lower case and without `.gz`; `size` is what lies on the disk. `done` bytes of `total` were read before.
    """

    name: str
    suffix: str
    size: int
    opened: Callable[[], BinaryIO]
    packed: bool = False
    file: str = ""
    progress: Progress = field(default=silent, compare=False)
    done: int = 0
    total: int = 0
    path: Path | None = None

    @classmethod
    def of(cls, path: Path, file: str = "", progress: Progress = silent, done: int = 0, total: int = 0) -> "Source":
        """Return the source of one file on the disk; `file` is how a folder calls it.

        Raises:
            DataError: `data.unreadable`, if it is not there or cannot be opened.
        """
        name = file or path.name
        try:
            with path.open("rb"):
                size = path.stat().st_size
        except OSError as error:
            raise DataError(problem("data.unreadable", name, reason=error.strerror or str(error))) from error
        packed = path.suffix.lower() == ".gz"
        suffix = (path.with_suffix("") if packed else path).suffix.lower()
        plain = None if packed else path
        return cls(name, suffix, size, lambda: path.open("rb"), packed, file, progress, done, total or size, plain)

    def raw(self) -> Iterator[bytes]:
        """Yield the unpacked bytes as they are, in pieces of about 1 MB.

        Raises:
            Broken: if the packed stream is damaged or ends too early.
            DataError: `data.bomb`, if it unpacks to more than 1 GB and over 100 times its size; `data.unreadable`.
        """
        try:
            with self.opened() as physical:
                yield from self._unpacked(physical) if self.packed else self._plain(physical)
        except DAMAGED as error:  # of a member of an archive
            raise Broken("data.packed", reason=str(error)) from error
        except OSError as error:
            raise DataError(problem("data.unreadable", self.name, reason=error.strerror or str(error))) from error

    def chunks(self) -> Iterator[bytes]:
        """Yield the content as UTF-8 without a byte-order mark, in pieces of about 1 MB, none of them empty.

        Raises:
            Broken: as `raw` does, and `data.encoding` for UTF-16 or UTF-32 that is not valid.
        """
        pieces = self.raw()
        head = next(pieces, b"")
        encoding = encoding_of(head)
        if encoding in (None, "utf-8-sig"):
            start = len(codecs.BOM_UTF8) if encoding else 0
            if len(head) > start:
                yield head[start:] if start else head
            yield from pieces
            return
        assert encoding is not None
        decoder = codecs.getincrementaldecoder(encoding)()
        try:
            if text := decoder.decode(head):
                yield text.encode()
            for piece in pieces:
                if text := decoder.decode(piece):
                    yield text.encode()
            decoder.decode(b"", final=True)
        except UnicodeError as error:
            raise Broken("data.encoding", encoding=encoding.upper(), reason=str(error)) from error

    def binary(self) -> BinaryIO:
        """Return the unpacked bytes as a file that can be moved about in."""
        return cast(BinaryIO, gzip.GzipFile(fileobj=self.opened())) if self.packed else self.opened()

    def quiet(self) -> "Source":
        """Return the same source without progress, for looking into it before it is read."""
        return replace(self, progress=silent)

    def head(self) -> bytes:
        """Return the first bytes of `chunks` that are not blank, about 1 MB; nothing for a blank source or a damaged one."""
        try:
            return next((chunk for chunk in self.quiet().chunks() if chunk.strip()), b"")
        except Broken:
            return b""

    def is_blank(self) -> bool:
        """Return whether there is nothing but spaces in it. Damaged bytes are not nothing."""
        try:
            return not any(chunk.strip() for chunk in self.quiet().chunks())
        except Broken:
            return False

    def length(self) -> int:
        """Return about how many bytes `chunks` gives; what is packed or not in UTF-8 is read through for it."""
        length = 0
        with suppress(Broken):  # what lies before the damage is what can be read
            if not self.packed and encoding_of(next(self.quiet().raw(), b"")) in (None, "utf-8-sig"):
                return self.size
            for chunk in self.quiet().chunks():
                length += len(chunk)
        return length

    def _plain(self, physical: BinaryIO) -> Iterator[bytes]:
        done = self.done
        while piece := physical.read(CHUNK):
            done += len(piece)
            self.progress(done, self.total)
            yield piece

    def _unpacked(self, physical: BinaryIO) -> Iterator[bytes]:
        out = 0
        for piece in _gathered(gzip.GzipFile(fileobj=physical)):
            out += len(piece)
            if is_bomb(self.size, out):
                raise DataError(problem("data.bomb", self.name, size=self.size, unpacked=out // MEGABYTE))
            self.progress(min(self.done + physical.tell(), self.total), self.total)
            yield piece


def _gathered(stream: gzip.GzipFile) -> Iterator[bytes]:
    """Yield what a gzip stream holds in pieces of about 1 MB, and everything before the place where it is damaged."""
    piece = b""
    with stream:
        try:
            while more := stream.read1(CHUNK):
                piece += more
                if len(piece) >= CHUNK:
                    yield piece
                    piece = b""
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            if piece:
                yield piece
            if isinstance(error, EOFError):
                raise Broken("data.cut_off") from error
            raise Broken("data.packed", reason=str(error)) from error
    if piece:
        yield piece


def is_bomb(packed: int, unpacked: int) -> bool:
    """Return whether data unpacks to so much more than its size that it was made to fill a disk or memory."""
    return unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed


def encoding_of(head: bytes) -> str | None:
    """Return the encoding that the first bytes give away, or None for UTF-8 without a mark."""
    encoding = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if encoding is None and len(head) >= 2 and 0 in head[:2]:  # JSON and CSV begin with an ASCII character
        if head[:3] == b"\0\0\0" or head[1:4] == b"\0\0\0":
            return "utf-32-le" if head[1:4] == b"\0\0\0" else "utf-32-be"
        encoding = "utf-16-le" if head[1] == 0 else "utf-16-be"
    return encoding
