"""A LoRA layer's forward and backward in as few passes over its activations as it takes.

PEFT computes W x + s B A x as it is written: the input is cast to float32 and back, and the layer's output is written four
times and its gradient as often. Here the small product is scaled, and added inside the product that makes it. The result is
the same; the input and the small product are kept for the backward pass.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn import functional


def use_lean_lora(model: nn.Module) -> int:
    """Give every plain LoRA layer of a model the lean forward, and return to how many it was given.

    Layers with dropout, DoRA or a base that is neither linear nor in 4 bits keep PEFT's.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer) and _is_plain(module)]
    for layer in layers:
        layer.forward = partial(_forward, layer, type(layer).forward)
    return len(layers)


def _is_plain(layer: Any) -> bool:
    names = layer.active_adapters
    if len(names) != 1 or names[0] not in layer.lora_A or layer.lora_variant or layer.fan_in_fan_out:
        return False
    base, name = layer.get_base_layer(), names[0]
    linear = type(base) is nn.Linear or type(base).__name__ == "Linear4bit"
    without_bias = layer.lora_A[name].bias is None and layer.lora_B[name].bias is None
    return linear and without_bias and isinstance(layer.lora_dropout[name], nn.Identity)


def _forward(
    layer: Any, usual: Callable[..., torch.Tensor], x: torch.Tensor, *args: Any, **kwargs: Any
) -> torch.Tensor:
    if layer.disable_adapters or layer.merged or args or kwargs:
        return usual(layer, x, *args, **kwargs)
    name = layer.active_adapters[0]
    device = x.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
    base = layer.get_base_layer()
    found: torch.Tensor = _LoraLinear.apply(
        x, layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name], partial(_weight, base, dtype),
        base.bias, dtype,
    )  # fmt: skip
    return found


def _weight(base: Any, dtype: torch.dtype) -> torch.Tensor:
    """Return the frozen weight (out, in), dequantised where it is in 4 bits."""
    state = getattr(base.weight, "quant_state", None)
    if state is None:
        return base.weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(base.weight.data, state).to(dtype)


class _LoraLinear(torch.autograd.Function):
    """y = x W^T + s (x A^T) B^T (+ bias); x (..., in), W (out, in), A (r, in), B (out, r)."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, scaling: float,
        weight: Callable[[], torch.Tensor], bias: torch.Tensor | None, dtype: torch.dtype,
    ) -> torch.Tensor:  # fmt: skip
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        with torch.autocast(x.device.type, enabled=False):
            y = functional.linear(rows, weight(), None if bias is None else bias.to(dtype))
            small = (rows @ a.to(dtype).T).mul_(scaling)
            y.addmm_(small, b.to(dtype).T)
        ctx.save_for_backward(rows, small, a, b)
        ctx.scaling, ctx.weight, ctx.given = scaling, weight, x.dtype
        return y.view(*x.shape[:-1], y.shape[-1])

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> Any:
        rows, small, a, b = ctx.saved_tensors
        dtype = rows.dtype
        at_y = outputs[0].reshape(-1, outputs[0].shape[-1]).to(dtype)
        a_, b_ = a.to(dtype), b.to(dtype)
        at_small = (at_y @ b_).mul_(ctx.scaling)
        at_a = (at_small.T @ rows).to(a.dtype)
        at_b = (small.T @ at_y).T.to(b.dtype)
        at_x = None
        if ctx.needs_input_grad[0]:
            at_x = (at_y @ ctx.weight()).addmm_(at_small, a_)
            at_x = at_x.view(*outputs[0].shape[:-1], at_x.shape[-1]).to(ctx.given)
        return at_x, at_a, at_b, None, None, None, None
