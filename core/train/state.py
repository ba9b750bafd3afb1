"""The state of a training beside what it has learnt, on disk: tensors as safetensors, all else as JSON. Never a pickle.

A state is a tree of dicts whose leaves are tensors, numbers, texts, None and lists of those. Floats are written with all
their digits, so that what is read is what was written, bit by bit.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from core.train.resume import STATE, TENSORS

_TENSOR = "\0"  # stands before the name of a tensor where it is in the tree; no text of a setting has it


def write_state(state: dict[str, Any], folder: Path) -> None:
    """Write a state into a folder."""
    tensors: dict[str, torch.Tensor] = {}
    tree = _without_tensors(state, "", tensors)
    (folder / STATE).write_text(json.dumps(tree), encoding="utf-8")
    save_file(tensors, folder / TENSORS)


def read_state(folder: Path) -> dict[str, Any]:
    """Return the state that `write_state` wrote; its tensors are on the CPU."""
    tree = json.loads((folder / STATE).read_text(encoding="utf-8"))
    found: dict[str, Any] = _with_tensors(tree, load_file(folder / TENSORS))
    return found


def _without_tensors(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        # A copy: several of bitsandbytes' states share one table, which safetensors would refuse.
        tensors[path] = value.detach().cpu().contiguous().clone()
        return _TENSOR + path
    if isinstance(value, dict):
        return {str(key): _without_tensors(each, f"{path}/{key}", tensors) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(each, f"{path}/{number}", tensors) for number, each in enumerate(value)]
    return value


def _with_tensors(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, str) and value.startswith(_TENSOR):
        return tensors[value.removeprefix(_TENSOR)]
    if isinstance(value, dict):
        return {key: _with_tensors(each, tensors) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_tensors(each, tensors) for each in value]
    return value
