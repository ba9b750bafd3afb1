"""Prompt tuning: a few learnt embeddings stand before every text, and the model itself stays as it is (Lester et al. 2021).

They start as embeddings of tokens drawn from the vocabulary, which the paper found better than random numbers.
"""

from peft import PromptTuningConfig, PromptTuningInit
from transformers import PreTrainedModel

from core.models.virtual_tokens import VirtualTokens
from core.settings import RunSettings
from core.train.methods.method import Method
from core.train.methods.virtual import restore_virtual, save_virtual


def attach(base: PreTrainedModel, settings: RunSettings) -> VirtualTokens:
    """Freeze the base and put `method.virtual_tokens` embeddings before its texts."""
    config = PromptTuningConfig(
        num_virtual_tokens=settings.method.virtual_tokens,
        prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        task_type="CAUSAL_LM",
    )
    return VirtualTokens(base, config)


METHOD = Method(attach, save_virtual, restore_virtual)
