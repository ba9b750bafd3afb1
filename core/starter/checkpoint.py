"""The resumable state of a pre-training: float32 weights and optimizer state as safetensors, the step as JSON.

Both files are written beside the old ones and renamed, the JSON last: a crash leaves the older state, never half a one. No
pickle is written or read.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

RECORD = "state.json"


def named_state(optimizers: list[torch.optim.Optimizer], names: dict[int, str]) -> dict[str, torch.Tensor]:
    """The optimizers' tensors as "optimizer.PARAMETER.KEY"; `names` gives the name of a parameter by its id."""
    return {
        f"optimizer.{names[id(parameter)]}.{key}": torch.as_tensor(value)
        for optimizer in optimizers
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def save_state(
    folder: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer], record: dict[str, Any]
) -> None:
    """Write the state after `record["step"]` steps into `folder` and drop the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    tensors = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
    tensors |= named_state(optimizers, names)
    file = folder / f"state-{record['step']}.safetensors"
    aside = file.with_suffix(".tmp")
    save_file({name: tensor.contiguous().cpu() for name, tensor in tensors.items()}, aside)
    os.replace(aside, file)
    aside = folder / f"{RECORD}.tmp"
    aside.write_text(json.dumps(record | {"tensors": file.name}, indent=1))
    os.replace(aside, folder / RECORD)
    for old in folder.glob("state-*.safetensors"):
        if old != file:
            old.unlink()


def load_state(folder: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any] | None:
    """Put the saved state into model and optimizers and return its record; None if there is no state."""
    if not (folder / RECORD).exists():
        return None
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    tensors = load_file(folder / record["tensors"])
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(tensors[f"model.{name}"])
    owners = {id(p): o for o in optimizers for group in o.param_groups for p in group["params"]}
    for key, tensor in tensors.items():
        if key.startswith("optimizer."):
            name, entry = key.removeprefix("optimizer.").rsplit(".", 1)
            parameter = parameters[name]
            value = tensor if entry == "step" else tensor.to(parameter.device)
            owners[id(parameter)].state[parameter][entry] = value
    return record
