"""What a fine-tuning method is: how it is put on a base model, at which rates it learns, and what it saves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn
from transformers import PreTrainedModel

from core.settings import RunSettings
from core.train.optimizers import param_groups


def one_rate(model: nn.Module, settings: RunSettings) -> list[dict[str, Any]]:
    """Return the param groups of everything that is trained, all at the same rate."""
    return param_groups(model, settings.optim.weight_decay)


@dataclass(frozen=True)
class Method:
    """A method is four functions.

    attach(base, settings): freeze the base, and return the model with what is to be trained having `requires_grad`.
    save(model, folder): write an adapter as PEFT does, or a complete model as transformers does.
    restore(model, folder): give a freshly attached model what `save` wrote, to train on.
    groups(model, settings): torch's param groups, each with `params`, `lr_factor` and `weight_decay`.
    """

    attach: Callable[[PreTrainedModel, RunSettings], nn.Module]
    save: Callable[[Any, Path], None]
    restore: Callable[[Any, Path], None]
    groups: Callable[[nn.Module, RunSettings], list[dict[str, Any]]] = one_rate
