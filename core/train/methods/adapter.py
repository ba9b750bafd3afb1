"""The LoRA family's common ground: an adapter on the chosen linear layers of a frozen base, saved as PEFT writes it."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import PreTrainedModel

from core.models.grow import trainable_rows
from core.models.new_tokens import new_token_ids
from core.settings import RunSettings

WEIGHTS = "adapter_model.safetensors"  # PEFT's name


def fresh_adapter(base: PreTrainedModel, settings: RunSettings, **variant: Any) -> PeftModel:
    """Freeze the base and put a new adapter on its chosen linear layers; `variant` is what PEFT's LoraConfig calls it.

    Unless the settings name layers, these are all linear ones but the output (Dettmers et al. 2023, QLoRA, §4). Of tokens
    that the run adds to the base the rows are trained too.
    """
    targets = settings.lora.targets
    config = LoraConfig(
        r=settings.lora.rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora.dropout,
        target_modules="all-linear" if targets == ["all-linear"] else targets,
        task_type="CAUSAL_LM",
        trainable_token_indices=trainable_rows(base, new_token_ids(settings, Path(base.name_or_path))),
        **variant,
    )
    return get_peft_model(base, config)


def save_adapter(model: PeftModel, folder: Path) -> None:
    # Of the embeddings only the trained rows are written; PEFT would write all where they have grown.
    model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)


def restore_adapter(model: PeftModel, folder: Path) -> None:
    set_peft_model_state_dict(model, load_file(folder / WEIGHTS))
