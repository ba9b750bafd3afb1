"""PiSSA: LoRA that starts at the main directions of each weight instead of at nothing (Meng et al. 2024).

A and B start as the r leading singular vectors of W, scaled so that s B A is W's best approximation of rank r, and the frozen
weight becomes what is left: W - s B A. The sum is W, so that training begins at the base model.

What was learnt, s (B A - B0 A0), is a LoRA of rank 2 r on the untouched W. That is what is saved: it loads on the base as it
was published, and can be merged like any other. It needs A0 and B0, which are therefore kept beside the model.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedModel

from core.errors import SettingsError, problem
from core.settings import RunSettings
from core.train.methods.adapter import WEIGHTS, fresh_adapter
from core.train.methods.method import Method

_EXACT_UP_TO = 1_024  # the shorter side of a matrix; chosen by us: the exact SVD of one of 4,096 takes about a minute
_A, _B = ".lora_A.weight", ".lora_B.weight"


def attach(base: PreTrainedModel, settings: RunSettings) -> PeftModel:
    """Put a PiSSA adapter on the base, whose adapted weights lose what the adapter starts with.

    Raises:
        SettingsError: if the rank is higher than a layer has singular values.
    """
    sides = [min(module.weight.shape) for module in base.get_decoder().modules() if isinstance(module, nn.Linear)]
    exact = max(sides) <= _EXACT_UP_TO
    model = fresh_adapter(base, settings, init_lora_weights="pissa" if exact else "pissa_niter_16")
    start = get_peft_model_state_dict(model, save_embedding_layers=False)
    most = min(weight.shape[0] for name, weight in start.items() if name.endswith(_A))
    if most < settings.lora.rank:
        raise SettingsError(problem("method.rank_over_layer", "lora.rank", value=settings.lora.rank, most=most))
    model.pissa_start = {name: weight.cpu().clone() for name, weight in start.items() if name.endswith((_A, _B))}
    return model


def save(model: PeftModel, folder: Path) -> None:
    """Write a LoRA of twice the rank that gives the untouched base the same answers."""
    weights = {
        name: weight.cpu() for name, weight in get_peft_model_state_dict(model, save_embedding_layers=False).items()
    }
    for name, before in model.pissa_start.items():
        halves = (weights[name], before if name.endswith(_A) else -before)
        weights[name] = torch.cat(halves, dim=0 if name.endswith(_A) else 1)
    config = copy.deepcopy(model.peft_config["default"])
    config.init_lora_weights, config.inference_mode = True, True
    config.r *= 2
    config.lora_alpha *= 2  # s = alpha/r stays
    config.save_pretrained(folder)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


def restore(model: PeftModel, folder: Path) -> None:
    """Take a saved adapter apart again: what it learnt, and what the base's weights have lost to it."""
    weights = load_file(folder / WEIGHTS)
    start = {}
    for name in model.pissa_start:
        first, second = weights[name].chunk(2, dim=0 if name.endswith(_A) else 1)
        weights[name], start[name] = first.contiguous(), second if name.endswith(_A) else -second
    for layer, lost, loses in zip(_layers(model), _products(model.pissa_start), _products(start), strict=True):
        if not torch.equal(lost, loses):  # a fast SVD is drawn at random, and another machine rounds otherwise
            weight = layer.get_base_layer().weight
            weight.data += layer.scaling["default"] * (lost - loses).to(weight.device, weight.dtype)
    model.pissa_start = start
    set_peft_model_state_dict(model, weights)


def _layers(model: PeftModel) -> Iterator[Any]:
    return (model.get_submodule(name.removesuffix(_A)) for name in model.pissa_start if name.endswith(_A))


def _products(factors: dict[str, torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield B A of each layer."""
    return (factors[name.replace(_A, _B)] @ a for name, a in factors.items() if name.endswith(_A))


METHOD = Method(attach, save, restore)
