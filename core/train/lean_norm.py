"""A frozen root-mean-square norm's forward and backward in half the passes, with half the memory.

Models write it as seven operations in float32, and autograd keeps two of their results. Here the input is kept as it came,
and one number for each token. The result is the same to the last digit, and so is its gradient but for how it is rounded.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn


def use_lean_norms(model: nn.Module) -> int:
    """Give every frozen norm of a model that is x / rms(x) * w the lean forward, and return to how many it was given.

    Whether a norm is one of those is seen from what it computes. Gemma's has w + 1, and OLMo's multiplies by w before it
    rounds: they keep their own.
    """
    norms = [module for module in model.modules() if type(module).__name__.endswith("RMSNorm") and _is_plain(module)]
    for norm in norms:
        norm.forward = partial(_forward, norm, type(norm).forward, _epsilon(norm))
    return len(norms)


@torch.no_grad()
def _is_plain(norm: nn.Module) -> bool:
    names, weight = [name for name, _ in norm.named_parameters()], getattr(norm, "weight", None)
    if names != ["weight"] or not isinstance(weight, torch.Tensor) or weight.requires_grad or _epsilon(norm) is None:
        return False
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(2, *weight.shape, generator=draw).to(weight)
    try:
        return torch.equal(_RootMeanSquare.apply(x, weight, _epsilon(norm)), norm(x))
    except (TypeError, ValueError, RuntimeError):  # it wants more than x
        return False


def _epsilon(norm: nn.Module) -> Any:
    return getattr(norm, "variance_epsilon", getattr(norm, "eps", None))


def _forward(norm: Any, usual: Callable[..., torch.Tensor], epsilon: float, x: torch.Tensor) -> torch.Tensor:
    if norm.weight.requires_grad or x.dtype != norm.weight.dtype:
        return usual(norm, x)
    found: torch.Tensor = _RootMeanSquare.apply(x, norm.weight, epsilon)
    return found


class _RootMeanSquare(torch.autograd.Function):
    """y = w x / sqrt(mean(x^2) + eps); x (..., d), w (d,), which gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        precise = x.float()
        scale = precise.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, scale, weight)
        return weight * (precise * scale).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> Any:
        x, scale, weight = ctx.saved_tensors
        at_y, precise = (outputs[0] * weight).float(), x.float()
        share = (at_y * precise).mean(-1, keepdim=True).mul_(scale).mul_(scale)
        return torch.addcmul(at_y, precise, share, value=-1).mul_(scale).to(x.dtype), None, None
