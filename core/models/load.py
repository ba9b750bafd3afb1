"""Load a base model and put an adapter on it. Safetensors only, no code from the model's folder."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig, PreTrainedModel
from transformers.utils import logging

logging.disable_progress_bar()


def pick_device() -> str:
    """Return "cuda" where a GPU can be used, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def compute_dtype() -> torch.dtype:
    """Return bfloat16 where the hardware is fast at it, else float32.

    On a CPU that is one with AVX512-BF16 or AMX: a bfloat16 product ran 3 to 7 times as fast there; elsewhere it is
    emulated and slower than float32.
    """
    if torch.cuda.is_available():
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16", False) else torch.float32


def load_base(folder: Path, *, four_bit: bool, dtype: str | None = None, device: str | None = None) -> PreTrainedModel:
    """Load a model folder for training or answering.

    Args:
        four_bit: quantise to NF4 with double quantisation (QLoRA, Dettmers et al. 2023), on the CPU too.
        dtype: of the weights that are not quantised; default: float32 on a CPU, the compute dtype on a GPU.
        device: default: a GPU where there is one.
    """
    device = device or pick_device()
    chosen = getattr(torch, dtype) if dtype else (torch.float32 if device == "cpu" else compute_dtype())
    options: dict[str, Any] = {"dtype": chosen, "use_safetensors": True, "local_files_only": True}
    if four_bit:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_dtype() if device == "cuda" else chosen,
        )
    model = AutoModelForCausalLM.from_pretrained(folder, device_map={"": device}, **options)
    _use_exact_kernel(model)
    return model


def load_adapter(base: PreTrainedModel, adapter: Path) -> PeftModel:
    """Put a saved adapter on its base, for answering."""
    return PeftModel.from_pretrained(base, adapter, is_trainable=False, use_safetensors=True)


def forget_defaults(model: PreTrainedModel) -> None:
    """Drop the sampling defaults that a model brings: `generate` mixes them into whatever it is given."""
    model.generation_config = GenerationConfig()


def _use_exact_kernel(model: PreTrainedModel) -> None:
    """Switch off bitsandbytes' repacking of 4-bit layers for its fast CPU kernel; it is neither exact nor safe.

    On CPUs with AVX512-BF16 the first forward pass in eval mode repacks each layer; from then on no gradient flows through
    the base weights, without a word (bitsandbytes 0.50.2; measured: cosine 0.04 with the true gradient). The packed form
    rounds its scales to bfloat16, so that answers would differ from what was trained, and some layer sizes crash.
    """
    for module in model.modules():
        if type(module).__name__ == "Linear4bit":
            module.support_avx512bf16_for_cpu = False
