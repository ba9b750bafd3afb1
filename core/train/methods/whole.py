"""The common ground of freeze and full: the model's own weights are trained, and a complete model folder is saved."""

from pathlib import Path

import torch
from torch import nn
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel


def train_only(model: PreTrainedModel, parts: list[nn.Module]) -> PreTrainedModel:
    """Freeze a model except for these parts of it.

    What is trained is held in float32, because steps are smaller than what bfloat16 tells apart: at a rate of 1e-5 a weight
    of 0.1 would never move.
    """
    model.requires_grad_(False)
    for part in parts:
        for weight in part.parameters():
            weight.data = weight.data.to(torch.float32)
            weight.requires_grad_(True)
    return model


def save_whole(model: PreTrainedModel, folder: Path) -> None:
    """Write weights and config; each weight in the precision that it was trained in."""
    model.generation_config = GenerationConfig()  # the base's own file is put beside it, valid for transformers or not
    model.save_pretrained(folder, safe_serialization=True)


def restore_whole(model: PreTrainedModel, folder: Path) -> None:
    saved = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )
    model.load_state_dict(saved.state_dict())
