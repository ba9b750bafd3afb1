"""LoRA+: LoRA whose B learns faster than its A, because at the same rate A's part of the update dominates in wide models.

Hayou et al. 2024 found ratios around 16; the learning rate of the settings is A's.
"""

from typing import Any

from torch import nn

from core.settings import RunSettings
from core.train.methods.adapter import fresh_adapter, restore_adapter, save_adapter
from core.train.methods.method import Method
from core.train.optimizers import param_groups


def two_rates(model: nn.Module, settings: RunSettings) -> list[dict[str, Any]]:
    """Return the param groups, those of B at `lora.plus_ratio` times the rate."""
    ratio = settings.lora.plus_ratio
    return param_groups(model, settings.optim.weight_decay, lambda name: ratio if ".lora_B." in name else 1.0)


METHOD = Method(fresh_adapter, save_adapter, restore_adapter, two_rates)
