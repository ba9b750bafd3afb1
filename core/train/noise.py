"""NEFTune: noise on the embeddings while a model is trained (Jain et al. 2023, arXiv:2310.05914).

Uniform noise of up to alpha / sqrt(L * d) on each of the d numbers of a token's embedding, where L is the length of the
token's own example: in a packed row each example has its own, and padding counts for none.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def noise(model: nn.Module, alpha: float | None) -> Iterator[None]:
    """Add noise to what the input embedding of `model` (of transformers, or of PEFT around it) gives, until the end.

    Only in training mode: a validation in between is untouched. None adds nothing.
    """
    if alpha is None:
        yield
        return
    embedding = model.get_input_embeddings()
    lengths = _Lengths()
    around = [module for module in model.modules() if any(each is embedding for each in module.modules())]
    hooks = [
        # Before what others put in between: virtual tokens are nobody's length.
        *(
            each.register_forward_pre_hook(lengths.notice, with_kwargs=True, prepend=True)
            for each in around
            if each is not embedding
        ),
        embedding.register_forward_hook(lambda module, _, output: _noisy(module, output, alpha, lengths)),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Lengths:
    """What the last call of the model said about where its examples begin and end."""

    def __init__(self) -> None:
        self._position_ids: torch.Tensor | None = None
        self._attention_mask: torch.Tensor | None = None

    def notice(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the modules around the embedding; the outermost is called first."""
        self._position_ids = kwargs.get("position_ids", self._position_ids)
        self._attention_mask = kwargs.get("attention_mask", self._attention_mask)

    def of(self, shape: torch.Size) -> torch.Tensor | int:
        """Return the length of each token's example, (B, T) or (B, 1), and forget the call; shape is (B, T)."""
        mask, positions = self._attention_mask, self._position_ids
        self._attention_mask = self._position_ids = None
        if mask is not None and mask.dim() == 2 and len(mask) == shape[0] and mask.shape[1] >= shape[1]:
            return mask[:, -shape[1] :].sum(1, keepdim=True)  # what stands before the given tokens is no part of them
        if positions is not None and positions.shape[-1] == shape[-1]:
            return example_lengths(positions.expand(shape))
        return shape[-1]


def example_lengths(position_ids: torch.Tensor) -> torch.Tensor:
    """Return for each token the length of its example, where positions restart at 0 with each; (B, T) -> (B, T)."""
    rows, width = position_ids.shape
    starts = position_ids == 0
    starts[:, 0] = True
    numbers = starts.flatten().cumsum(0) - 1  # of the example, through all rows
    lengths = torch.zeros(rows * width, dtype=torch.long, device=position_ids.device)
    lengths.scatter_add_(0, numbers, torch.ones_like(numbers))
    return lengths[numbers].view(rows, width)


def _noisy(module: nn.Module, embedded: torch.Tensor, alpha: float, lengths: _Lengths) -> torch.Tensor:
    length = lengths.of(embedded.shape[:2])
    if not module.training:
        return embedded
    width = embedded.shape[2]
    if isinstance(length, int):
        limit: torch.Tensor | float = alpha / math.sqrt(length * width)
    else:
        limit = (alpha / (length.clamp(min=1) * width).sqrt()).unsqueeze(-1).to(embedded.dtype)
    return embedded + torch.empty_like(embedded).uniform_(-1, 1) * limit
