"""Whether a saved folder is the one that was written: every file with its size and SHA-256, in the marker that completes it.

A marker is written last, so that a folder without one is not complete; one whose files differ from it was cut off or altered
later, by a full disk, a failing one or somebody's hand.
"""

import hashlib
import json
from pathlib import Path

from core.runs.directory import COMPLETE


def seal(folder: Path) -> None:
    """Write the marker of a folder that holds everything it should."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != COMPLETE)
    listed = {str(file.relative_to(folder)): {"bytes": file.stat().st_size, "sha256": _sha256(file)} for file in files}
    (folder / COMPLETE).write_text(json.dumps({"files": listed}, indent=1), encoding="utf-8")


def is_intact(folder: Path) -> bool:
    """Tell whether a folder is complete and holds what was written, byte by byte."""
    try:
        listed = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))["files"]
        return bool(listed) and all(_is_same(folder / name, about) for name, about in listed.items())
    except (OSError, ValueError, KeyError, TypeError):  # no marker, one of an older studio, or an altered one
        return False


def _is_same(file: Path, about: dict[str, object]) -> bool:
    return file.stat().st_size == about["bytes"] and _sha256(file) == about["sha256"]


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
