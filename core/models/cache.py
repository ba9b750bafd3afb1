"""Models of the hub that lie on this machine, in the cache that all programs of Hugging Face share. No network here.

models--ORG--NAME/refs/main            the commit that was looked at last
models--ORG--NAME/snapshots/COMMIT/    the files, as links into blobs/
models--ORG--NAME/blobs/               their contents, named by their hash
"""

import re
from pathlib import Path

from huggingface_hub import constants

_NAME = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")


def is_hub_name(text: str) -> bool:
    """Tell whether a text can name a model of the hub: ORG/NAME."""
    return _NAME.fullmatch(text) is not None and ".." not in text and "--" not in text


def storage(name: str) -> Path:
    """Return the folder of the cache that belongs to a model of the hub, there or not."""
    return Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"


def cached(name: str, revision: str | None = None) -> Path | None:
    """Return the folder of a model that was downloaded, at a commit or at the last one; None where there is none."""
    ref = storage(name) / "refs" / "main"
    commit = revision or (ref.read_text(encoding="utf-8").strip() if ref.is_file() else "")
    folder = storage(name) / "snapshots" / commit
    return folder if _COMMIT.fullmatch(commit) and (folder / "config.json").is_file() else None


def revision_of(folder: Path) -> str | None:
    """Return the commit that a folder of the cache holds, None for a folder that is elsewhere."""
    inside = folder.is_relative_to(Path(constants.HF_HUB_CACHE)) and folder.parent.name == "snapshots"
    return folder.name if inside else None


def cached_names() -> list[str]:
    """Return the models of the cache that have a config.json, by name."""
    found = (each.name.removeprefix("models--") for each in Path(constants.HF_HUB_CACHE).glob("models--*--*"))
    return sorted(name for each in found if cached(name := each.replace("--", "/", 1)) is not None)
