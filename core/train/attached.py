"""A base model loaded and made ready to be trained: its method attached, what is frozen in the dtype of the products."""

from pathlib import Path
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from core.models.grow import grow
from core.models.inspection import stored_dtype
from core.models.load import compute_dtype, load_base
from core.models.methods import TRAITS, bits_of
from core.settings import RunSettings
from core.train.methods import method_of

_HALF = {"BF16": "bfloat16", "F16": "float16"}  # safetensors' names


def attached_model(
    folder: Path, settings: RunSettings, tokenizer_folder: Path
) -> tuple[nn.Module, list[dict[str, Any]]]:
    """Return the model to train, and the param groups of what is trained in it.

    Frozen weights of an adapter's base are held in the dtype that products are computed in: half the memory of float32, and
    nothing to convert at each step. Quantised ones are quantised from the weights as they are stored.
    """
    method = method_of(settings)
    name, stored = settings.method.name, stored_dtype(folder)
    exact = name == "pissa" or (
        not TRAITS[name].adapter and stored != "BF16"
    )  # float16 has too small a range to go on in
    base = load_base(folder, bits=bits_of(settings), dtype="float32" if exact else _HALF.get(stored, "float32"))
    grow(base, tokenizer_folder)
    model = method.attach(base, settings)
    if TRAITS[name].adapter:
        hold_frozen_in(model, dtype_of(settings), adapted=name != "pissa")
    return model, method.groups(model, settings)


def dtype_of(settings: RunSettings) -> torch.dtype:
    """Return the dtype of the products: bfloat16 where the hardware is fast at it, unless the settings say more."""
    found: torch.dtype = compute_dtype() if settings.compute.dtype == "auto" else getattr(torch, settings.compute.dtype)
    return found


def hold_frozen_in(model: nn.Module, dtype: torch.dtype, *, adapted: bool) -> None:
    """Convert what is frozen and not quantised; what is quantised will be dequantised to this dtype.

    Without `adapted`, weights that have an adapter stay as they are: PiSSA's are what its start left over, to the last digit.
    """
    layers = [module.get_base_layer() for module in model.modules() if isinstance(module, BaseTunerLayer)]
    kept = set() if adapted else {id(layer.weight) for layer in layers}
    for weight in model.parameters():
        if not weight.requires_grad and weight.is_floating_point() and id(weight) not in kept:
            weight.data = weight.data.to(dtype)
        if (state := getattr(weight, "quant_state", None)) is not None:
            state.dtype = dtype
