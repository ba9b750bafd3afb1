"""Under which name a tokenised set is kept: everything that its tokens depend on, by content and not by path or time."""

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from core.data.entry import DatasetEntry
from core.data.readers import files_of
from core.render.model_files import state_of

_CORE = Path(__file__).parent.parent
_CODE = ("data", "render", "tokens", "records.py")  # of ours that says what a row becomes
_LIBRARIES = ("tokenizers", "jinja2")
_TODAY = b"strftime_now"  # a template that asks for it writes the date into every prompt


def key_of(entry: DatasetEntry, folder: Path, system_prompt: str | None) -> str:
    """Return the name under which the rows of `entry` are kept, tokenised with the tokenizer and template in `folder`.

    The parts of a split are not in it: every row is tokenised, and whoever trains takes those of a part.
    """
    reading = [entry.reading.format, sorted(entry.reading.options.items())]
    model = _model(folder, state_of(folder))
    parts = [_content(entry.file, tuple(_states(entry.file))), reading, model, system_prompt or "", _code()]
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:32]


def state(file: Path) -> list[tuple[str, int, int]]:
    """Return size and time of change, of a folder those of its files: what tells that it was changed while it was read."""
    return [*_states(file)]


def _states(file: Path) -> Iterator[tuple[str, int, int]]:
    for each in files_of(file) if file.is_dir() else [file]:
        found = each.stat()
        yield str(each), found.st_size, found.st_mtime_ns


@lru_cache(maxsize=64)
def _content(file: Path, states: tuple[tuple[str, int, int], ...]) -> list[tuple[str, str]]:
    """Return the name inside of `file` and the SHA-1 of each file; read once for each state of it."""
    found = []
    for name, _, _ in states:
        with open(name, "rb") as stream:
            found.append((Path(name).relative_to(file).as_posix(), hashlib.file_digest(stream, "sha1").hexdigest()))
    return found


def _model(folder: Path, states: tuple[tuple[str, int, int], ...]) -> list[str]:
    digest, dated = _model_files(folder, states)
    return [digest, date.today().isoformat() if dated else ""]


@lru_cache(maxsize=64)
def _model_files(folder: Path, states: tuple[tuple[str, int, int], ...]) -> tuple[str, bool]:
    digest, dated = hashlib.sha256(), False
    for name, size, _ in states:
        file = folder / name
        content = (file if file.is_file() else folder / "additional_chat_templates" / name).read_bytes()
        digest.update(f"{name} {size}\n".encode() + content)
        dated = dated or _TODAY in content
    return digest.hexdigest(), dated


@lru_cache(maxsize=1)
def _code() -> str:
    """Return a hash of our code that makes tokens of rows: a number that somebody has to raise would be forgotten."""
    digest = hashlib.sha256()
    for place in _CODE:
        path = _CORE / place
        files = [path] if path.is_file() else [each for each in path.rglob("*") if each.suffix in (".py", ".jinja")]
        for file in sorted(files):
            digest.update(f"{file.relative_to(_CORE)}\n".encode() + file.read_bytes())
    digest.update(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    return digest.hexdigest()
