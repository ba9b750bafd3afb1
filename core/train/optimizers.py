"""The optimizers, made from param groups; and which weights decay.

A group is a dict with `params`, `weight_decay` and `lr_factor`: each step, its rate is the schedule's times that factor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from core.settings import RunSettings


def param_groups(
    model: nn.Module, weight_decay: float, lr_factor: Callable[[str], float] = lambda _: 1.0
) -> list[dict[str, Any]]:
    """Return the groups of all weights of `model` that are trained; `lr_factor` is asked with each weight's name.

    Matrices decay. Biases, norms and other vectors do not, and neither do embeddings, whose rows would shrink whenever their
    token is absent from a batch (as in GPT-3 and most trainings since).
    """
    found: dict[tuple[float, float], list[nn.Parameter]] = {}
    seen: set[int] = set()  # a tied output layer is its embedding
    for path, module in model.named_modules():
        for name, weight in module.named_parameters(prefix=path, recurse=False):
            if weight.requires_grad and id(weight) not in seen:
                seen.add(id(weight))
                kept = weight.ndim < 2 or isinstance(module, nn.Embedding) or "trainable_tokens" in name
                found.setdefault((lr_factor(name), 0.0 if kept else weight_decay), []).append(weight)
    return [
        {"params": weights, "lr_factor": factor, "weight_decay": decay} for (factor, decay), weights in found.items()
    ]


def optimizer(groups: Sequence[dict[str, Any]], settings: RunSettings) -> torch.optim.Optimizer:
    """Return the optimizer that `optim.name` names, over `groups`, at the peak rate times each group's factor.

    Paging moves an optimizer's memory from the GPU into the machine's. On a CPU it is there already, and what comes out is
    the same arithmetic unpaged (`conflicts.notes` says so); bitsandbytes (0.50.2) keeps states in 8 bits on a CPU too.
    AdamW is fused: on a CPU, for a LoRA of the starter, 0.7 ms a step where one weight after the other takes 3.3 ms.
    """
    rate = settings.optim.learning_rate
    made = [{**group, "lr": rate * group["lr_factor"]} for group in groups]
    on_gpu = any(weight.device.type == "cuda" for group in made for weight in group["params"])
    match settings.optim.name:
        case "adafactor":
            from transformers.optimization import Adafactor

            # The rate is ours: neither a share of the weights' own size (a LoRA starts at 0) nor 1 / sqrt(step).
            return Adafactor(made, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False)
        case "paged_adamw_8bit":
            from bitsandbytes.optim import AdamW8bit, PagedAdamW8bit

            return (PagedAdamW8bit if on_gpu else AdamW8bit)(made, lr=rate)
        case "paged_adamw_32bit" if on_gpu:
            from bitsandbytes.optim import PagedAdamW32bit

            return PagedAdamW32bit(made, lr=rate)
        case _:
            return torch.optim.AdamW(made, lr=rate, fused=True)
