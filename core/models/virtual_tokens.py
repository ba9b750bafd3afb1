"""Prefix and prompt tuning: learnt tokens that stand before every text, inside the decoder itself.

PEFT puts them there in its own `forward` and `generate`. Here the decoder gets them by a hook, for two reasons. Whoever calls
the decoder alone, as the training loop does to compute only the logits it needs, trains them all the same, and its hidden
states (B, T, H) belong to the tokens that it gave. And PEFT 0.21 forgets the position ids of a prompt, so that answers to
questions of different length in one batch come out wrong. What is saved is PEFT's format.
"""

from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModelForCausalLM, set_peft_model_state_dict
from safetensors.torch import load_file
from transformers import DynamicCache, PreTrainedModel


class VirtualTokens(PeftModelForCausalLM):
    """A base model whose decoder sees `count` learnt tokens before every text, unless the adapter is disabled."""

    def __init__(self, base: PreTrainedModel, config: PeftConfig) -> None:
        super().__init__(base, config)
        self.count: int = config.num_virtual_tokens
        self._prefix = config.peft_type == "PREFIX_TUNING"
        self._added = 0
        decoder = base.get_decoder()
        decoder.register_forward_pre_hook(self._put_before, with_kwargs=True)
        decoder.register_forward_hook(self._take_away)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model.generate(*args, **kwargs)

    def _put_before(
        self, decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        self._added = 0
        if self._adapters_disabled:
            return None
        given = (
            dict(zip(("input_ids", "attention_mask", "position_ids", "past_key_values"), args, strict=False)) | kwargs
        )
        cache = given.get("past_key_values")
        begins = cache is None or cache.get_seq_length() == 0
        tokens = given["input_ids"] if given.get("inputs_embeds") is None else given["inputs_embeds"]
        rows, device = tokens.shape[0], tokens.device
        if (mask := given.get("attention_mask")) is not None:  # (B, T) -> (B, count + T)
            given["attention_mask"] = torch.cat([mask.new_ones(rows, self.count), mask], dim=1)
        if (places := given.get("position_ids")) is not None:
            given["position_ids"] = places + self.count
        if begins and self._prefix:
            given["past_key_values"] = self._filled(cache, rows)
        elif begins:
            if places is not None:
                first = torch.arange(self.count, device=device).expand(places.shape[0], -1)
                given["position_ids"] = torch.cat([first, places + self.count], dim=1)
            words = (
                given["inputs_embeds"]
                if given.get("inputs_embeds") is not None
                else decoder.get_input_embeddings()(tokens)
            )
            given["inputs_embeds"] = torch.cat([self.get_prompt(rows).to(words.dtype), words], dim=1)
            given["input_ids"] = None
            self._added = self.count
        return (), given

    def _take_away(self, decoder: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Leave the hidden states of the given tokens only."""
        added, self._added = self._added, 0
        if added:
            output.last_hidden_state = output.last_hidden_state[:, added:]
        return output

    def _filled(self, cache: DynamicCache | None, rows: int) -> DynamicCache:
        """Return the cache with the learnt keys and values in it; each (rows, key heads, count, head width)."""
        cache = DynamicCache(config=self.base_model.config) if cache is None else cache
        for number, layer in enumerate(self.get_prompt(rows).layers):
            cache.update(layer.keys, layer.values, number)
        return cache


def load_virtual_tokens(base: PreTrainedModel, adapter: Path) -> VirtualTokens:
    """Put saved virtual tokens before a base model, for answering."""
    model = VirtualTokens(base, PeftConfig.from_pretrained(adapter))
    read_virtual_tokens(model, adapter)
    return model.requires_grad_(False)


def read_virtual_tokens(model: VirtualTokens, adapter: Path) -> None:
    """Replace the virtual tokens of a model by saved ones."""
    set_peft_model_state_dict(model, load_file(adapter / "adapter_model.safetensors"))
