"""The files of a model folder, read without loading them: config.json and the headers of the weights. No torch here."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import ModelError, problem


def config(folder: Path) -> dict[str, Any]:
    """Return config.json of a model folder."""
    return json.loads((folder / "config.json").read_text(encoding="utf-8"))


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that transformers loads: one, or those that the index names, there or not.

    Some folders hold the same weights a second time in another layout, which are left alone.

    Raises:
        ModelError: if the index cannot be read.
    """
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.is_file():
        return [whole]
    if not index.is_file():
        return sorted(folder.glob("*.safetensors"))
    try:
        names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ModelError(problem("model.broken_weights", index.name)) from error
    if not all(isinstance(name, str) and Path(name).name == name for name in names):  # none may lead out of the folder
        raise ModelError(problem("model.broken_weights", index.name))
    return sorted(folder / name for name in names)


def headers(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the weight files hold: tensor name -> dtype, shape, offsets.

    Raises:
        ModelError: if a file is damaged.
    """
    found = {name: each for file in weight_files(folder) for name, each in header(file).items()}
    return {name: each for name, each in found.items() if "shape" in each}


def header(file: Path) -> dict[str, Any]:
    """Read the header of a safetensors file.

    Raises:
        ModelError: if the file is not one, or shorter than its header says.
    """
    size = file.stat().st_size
    with file.open("rb") as stream:
        start = stream.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        if length > min(size, 100_000_000):
            raise ModelError(problem("model.broken_weights", file.name))
        try:
            found = json.loads(stream.read(length))
        except ValueError as error:
            raise ModelError(problem("model.broken_weights", file.name)) from error
    if not isinstance(found, dict) or any(end + 8 + length > size for end in _ends(found)):
        raise ModelError(problem("model.broken_weights", file.name))
    return found


def count(shape: list[int]) -> int:
    """Return how many numbers a tensor of this shape has."""
    total = 1
    for side in shape:
        total *= side
    return total


def _ends(header: dict[str, Any]) -> Iterator[int]:
    return (tensor["data_offsets"][1] for tensor in header.values() if "data_offsets" in tensor)
