"""The loss of a micro-batch: cross entropy at the learnt tokens only, and the logits of only a few of them at a time.

Of a model with 150,000 tokens, the logits of 8,192 places are 4.9 GB in float32, and their gradient as much again. Here they
exist for one chunk, whose gradient is taken at once; what is kept is the gradient at the hidden states.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from core.train.arithmetic import logit_rows

Head = Callable[[torch.Tensor], torch.Tensor]  # hidden states (n, d) -> logits (n, V)


def summed_cross_entropy(
    hidden: torch.Tensor, targets: torch.Tensor, head: Head, vocabulary: int, weights: list[torch.Tensor]
) -> torch.Tensor:
    """Return the summed cross entropy, shape (), in float32 nats; hidden (n, d), targets (n,).

    `weights` are those of the head that are trained: the gradient reaches them and `hidden`.
    """
    chunk = logit_rows(hidden.device.type, vocabulary)
    if not torch.is_grad_enabled():
        return sum(
            (_loss(head, h, t) for h, t in zip(hidden.split(chunk), targets.split(chunk), strict=True)),
            torch.zeros((), device=hidden.device),
        )
    found: torch.Tensor = _InChunks.apply(hidden, targets, head, chunk, *weights)
    return found


def _loss(head: Head, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(head(hidden).float(), targets, reduction="sum")


def _loss_and_gradient(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the summed cross entropy, and its gradient at the logits (n, V): softmax minus one-hot.

    The logarithm of the softmax's denominator is taken from the likeliest token, whose softmax cannot be too small for it: a
    softmax alone is four times as fast on a CPU as its logarithm and the exponential of that.
    """
    precise = logits.float()
    softmax = torch.softmax(precise, -1)
    denominator = precise.amax(-1, keepdim=True) - softmax.amax(-1, keepdim=True).log()
    targets = targets[:, None]
    loss = (denominator - precise.gather(1, targets)).sum()
    softmax.scatter_add_(1, targets, softmax.new_full((1, 1), -1.0).expand_as(targets))
    return loss, softmax.to(logits.dtype)


class _InChunks(torch.autograd.Function):
    """Takes the gradients in the forward pass, chunk by chunk; the backward pass only scales them."""

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, targets: torch.Tensor, head: Head, chunk: int, *weights: torch.Tensor
    ) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        at_hidden = torch.empty_like(hidden)
        at_weights = [torch.zeros_like(weight) for weight in weights]
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            with torch.enable_grad():
                some = hidden[part].detach().requires_grad_()
                logits = head(some)
            loss, at_logits = _loss_and_gradient(logits.detach(), targets[part])
            at_hidden[part], *more = torch.autograd.grad(logits, [some, *weights], at_logits)
            for sum_, one in zip(at_weights, more, strict=True):
                sum_ += one
            total += loss
        ctx.save_for_backward(at_hidden, *at_weights)
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> Any:
        at_hidden, *at_weights = ctx.saved_tensors
        scaled = [gradient * outputs[0] for gradient in (at_hidden, *at_weights)]
        return scaled[0], None, None, None, *scaled[1:]
