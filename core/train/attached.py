"""A base model loaded and made ready to be trained: its method attached, what is frozen in the dtype of the products."""

from pathlib import Path
from typing import Any

import torch
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
    frozen = TRAITS[settings.method.name].adapter
    base = load_base(folder, bits=bits_of(settings), dtype=_HALF.get(stored_dtype(folder)) if frozen else None)
    grow(base, tokenizer_folder)
    model = method.attach(base, settings)
    if frozen and settings.method.name != "pissa":  # whose base is what its start leaves over, to the last digit
        hold_frozen_in(model, dtype_of(settings))
    return model, method.groups(model, settings)


def dtype_of(settings: RunSettings) -> torch.dtype:
    """Return the dtype of the products: bfloat16 where the hardware is fast at it, unless the settings say more."""
    found: torch.dtype = compute_dtype() if settings.compute.dtype == "auto" else getattr(torch, settings.compute.dtype)
    return found


def hold_frozen_in(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert what is frozen and not quantised; what is quantised will be dequantised to this dtype."""
    for weight in model.parameters():
        if not weight.requires_grad and weight.is_floating_point():
            weight.data = weight.data.to(dtype)
        if (state := getattr(weight, "quant_state", None)) is not None:
            state.dtype = dtype
