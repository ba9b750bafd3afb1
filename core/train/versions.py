"""The versions that a run was made with."""

import importlib.metadata
import platform

_SHOWN = ("torch", "transformers", "peft", "bitsandbytes", "tokenizers", "finetune-studio")


def versions() -> dict[str, str]:
    """Return package -> version of what a training depends on, Python included."""
    return {"python": platform.python_version(), **{name: _version(name) for name in _SHOWN}}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
