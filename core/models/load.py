"""Load a base model, and what a training made of it. Safetensors only, no code from the model's folder."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from torch import nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, GenerationConfig, PreTrainedModel
from transformers.utils import logging

from core.models.folding import Folded, foldable
from core.models.grow import grow
from core.models.virtual_tokens import VirtualTokens, load_virtual_tokens
from core.models.voice import Loud, Placed, Swapped, Voice, place

logging.disable_progress_bar()
BASE = "base"  # the name under which the untouched model speaks


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


def load_base(folder: Path, *, bits: int = 16, dtype: str | None = None, device: str | None = None) -> PreTrainedModel:
    """Load a model folder for training or answering.

    Args:
        bits: 4 quantises to NF4 with double quantisation (QLoRA, Dettmers et al. 2023), 8 to LLM.int8() (Dettmers et al.
            2022), on the CPU too; 16 does not quantise.
        dtype: of the weights that are not quantised; default: float32 on a CPU, the compute dtype on a GPU.
        device: default: a GPU where there is one.
    """
    device = device or pick_device()
    chosen = getattr(torch, dtype) if dtype else (torch.float32 if device == "cpu" else compute_dtype())
    options: dict[str, Any] = {"dtype": chosen, "use_safetensors": True, "local_files_only": True}
    if bits == 8:
        options["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    if bits == 4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_dtype() if device == "cuda" else chosen,
        )
    model = AutoModelForCausalLM.from_pretrained(folder, device_map={"": device}, **options)
    _use_exact_kernels(model)
    return model


def load_adapter(base: PreTrainedModel, adapter: Path) -> PeftModel:
    """Put a saved adapter on its freshly loaded base, for answering. The base itself then answers as the tuned model.

    Where the adapter's tokenizer has tokens that the base does not know, the base gets rows for them.
    """
    grow(base, adapter)
    if PeftConfig.from_pretrained(adapter).is_prompt_learning:
        return load_virtual_tokens(base, adapter)
    return PeftModel.from_pretrained(base, adapter, is_trainable=False, use_safetensors=True)


class Many:
    """A base model and any number of tuned ones in one load of its weights; each answers as it would alone.

    `model` answers as "base", inside `with speaking_as(who)` as `who`. What is LoRA's is folded in where that can be done
    exactly enough (`core.models.folding`).
    """

    def __init__(self, model: PreTrainedModel, voices: Mapping[str, Voice]) -> None:
        self.model = model
        self._voices = {BASE: Voice(), **voices}
        self._who = BASE
        self._now = ExitStack()

    @property
    def names(self) -> tuple[str, ...]:
        """Who can speak, the base first."""
        return tuple(self._voices)

    def virtual_tokens(self, who: str) -> int:
        """Return how many tokens of the context learnt ones take."""
        return self._voices[who].virtual_tokens

    @contextmanager
    def speaking_as(self, who: str) -> Iterator[None]:
        """Let `model` answer as `who`, and afterwards as whoever it was before."""
        before = self._who
        self.speak_as(who)
        try:
            yield
        finally:
            self.speak_as(before)

    def speak_as(self, who: str) -> None:
        """Let `model` answer as `who` from now on."""
        if who == self._who:
            return
        voice = self._voices[who]
        self._who = BASE  # and so it stays where memory runs out below
        self._now.close()
        with ExitStack() as parts:
            for part in voice.parts:
                parts.enter_context(part)
            self._now = parts.pop_all()
        self._who = who


@dataclass(frozen=True)
class BaseAndTuned:
    """Two models in one load of weights: `model` answers as the tuned one, and inside `with as_base()` as the base.

    virtual_tokens: how many tokens of its context learnt ones take.
    """

    model: PreTrainedModel
    as_base: Callable[[], AbstractContextManager[None]]
    virtual_tokens: int = 0


def load_many(folder: Path, tuned: Mapping[str, Path], *, bits: int = 16) -> Many:
    """Load a base model and what trainings made of it, adapters or whole models of any kind, for answering.

    Where one of them has learnt new tokens, the base and all others get rows for them as well, which no greedy answer ever
    uses: a new row is the mean of the others, and so is its logit.

    Args:
        folder: of the base model.
        tuned: what was saved, by the name it speaks under; "base" is taken.
        bits: of the base's weights, as in `load_base`.
    """
    model = load_base(folder, bits=bits).eval()
    for saved in tuned.values():
        grow(model, saved)
    return Many(model, {who: _voice(model, saved) for who, saved in tuned.items()})


def load_both(folder: Path, tuned: Path, *, bits: int = 16) -> BaseAndTuned:
    """Load a base model and one thing that a training made of it, as `load_many` does."""
    many = load_many(folder, {"tuned": tuned}, bits=bits)
    many.speak_as("tuned")
    return BaseAndTuned(many.model, lambda: many.speaking_as(BASE), many.virtual_tokens("tuned"))


def _voice(model: PreTrainedModel, tuned: Path) -> Voice:
    if not (tuned / "adapter_config.json").is_file():
        return Voice((Swapped(_differing(model, tuned)),))
    before = [(parent, name, child) for parent in model.modules() for name, child in parent.named_children()]
    adapter = load_adapter(model, tuned).eval()
    if isinstance(adapter, VirtualTokens):
        adapter.speak(False)
        return Voice((Loud(adapter),), adapter.count)
    changed = [(parent, name, plain) for parent, name, plain in before if getattr(parent, name) is not plain]
    adapted = [(parent, name, getattr(parent, name)) for parent, name, _ in changed]
    place(changed)
    del model.peft_config  # which PEFT leaves behind; it would warn that the next adapter is a second one
    folded = foldable(model, [layer for *_, layer in adapted])
    inside = set(folded)
    placed = [each for each in adapted if each[2] not in inside]
    return Voice((Folded(folded), Placed(placed, changed)))


def _differing(model: PreTrainedModel, tuned: Path) -> list[tuple[nn.Parameter, torch.Tensor]]:
    """Return the weights of a base that a whole tuned model has others for, with those; while they are read, all are held."""
    own = dict(model.named_parameters())
    dtype = str(model.dtype).removeprefix("torch.")
    loaded = load_base(tuned, dtype=dtype, device="cpu").named_parameters()
    changed = [
        (own[name], weight.data) for name, weight in loaded if not torch.equal(weight.data, own[name].data.cpu())
    ]
    return [(weight, other.to(model.device)) for weight, other in changed]


def forget_defaults(model: PreTrainedModel) -> None:
    """Drop the sampling defaults that a model brings: `generate` mixes them into whatever it is given."""
    model.generation_config = GenerationConfig()


def _use_exact_kernels(model: PreTrainedModel) -> None:
    """Let bitsandbytes' layers compute on a CPU with the dequantised weights, whether the model trains or answers (0.50.2).

    4 bits: on CPUs with AVX512-BF16 the first forward pass in eval mode repacks each layer for a fast kernel; from then on no
    gradient flows through the base weights, without a word (measured: cosine 0.04 with the true gradient). The packed form
    rounds its scales to bfloat16, so that answers would differ from what was trained, and some layer sizes crash.

    8 bits: in eval mode the activations are rounded to int8 as well, for kernels that only GPUs have. Measured on the
    starter, that moves logits by 1.7 % of the largest, and is no faster.
    """
    for module in model.modules():
        kind = type(module).__name__
        if kind == "Linear4bit":
            module.support_avx512bf16_for_cpu = False
        if kind == "Linear8bitLt" and module.weight.device.type == "cpu":
            module.register_forward_pre_hook(_as_in_training)


def _as_in_training(layer: Any, _: Any) -> None:
    layer.training = True  # all that Linear8bitLt does with it is to choose the product
    if layer.weight.SCB is None:
        # PEFT 0.21, dequantising for DoRA, "moves" the weight to the CPU it is on; the copy has no scales. The layer's state
        # has weight and scales, and is not made anew from the copy when that has no CB.
        layer.weight.CB = None
