"""Prefix and prompt tuning: learnt tokens that stand before every text, inside the decoder itself.

PEFT puts them there in its own `forward` and `generate`. Here the decoder gets them by a hook, for two reasons. Whoever calls
the decoder alone, as the training loop does to compute only the logits it needs, trains them all the same, and its hidden
states (B, T, H) belong to the tokens that it gave. And PEFT 0.21 forgets the position ids of a prompt, so that answers to
questions of different length in one batch come out wrong. What is saved is PEFT's format.

A prompt stands right before the text of each row, behind what pads it at the left. A prefix cannot: it fills the cache first.
So with a prefix, a sliding window loses sight of it earlier in a padded row, by as many tokens as it is padded.
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
        self._given: torch.Tensor | None = None  # where the given tokens stand among all; None while nothing was added
        decoder = base.get_decoder()
        decoder.register_forward_pre_hook(self._put_before, with_kwargs=True)
        decoder.register_forward_hook(self._take_away)

    def speak(self, loud: bool) -> None:
        """Put the learnt tokens before every text from now on, or leave the base as it is."""
        self._adapters_disabled = not loud

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model(*args, **kwargs)

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model.generate(*args, **kwargs)

    def _put_before(
        self, decoder: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, dict[str, Any]] | None:
        self._given = None
        if self._adapters_disabled:
            return None
        names = ("input_ids", "attention_mask", "position_ids", "past_key_values")
        given = {"attention_mask": None, "position_ids": None, **dict(zip(names, args, strict=False)), **kwargs}
        cache, mask, places = given.get("past_key_values"), given["attention_mask"], given["position_ids"]
        begins = cache is None or cache.get_seq_length() == 0
        if places is not None:
            given["position_ids"] = places + self.count
        if mask is not None:
            given["attention_mask"] = torch.cat([mask.new_ones(len(mask), self.count), mask], dim=1)
        if self._prefix:
            if begins:
                given["past_key_values"] = self._filled(cache, _rows(given))
            return (), given
        padding = None if mask is None else (mask.cumsum(1) == 0).sum(1, keepdim=True)  # (B, 1): at the left
        if padding is not None:
            given["attention_mask"] = given["attention_mask"].gather(1, self._order(padding, mask.shape[1]))
        if begins:
            self._put_prompt_before(decoder, given, padding)
        return (), given

    def _put_prompt_before(self, decoder: Any, given: dict[str, Any], padding: torch.Tensor | None) -> None:
        """Make embeddings (B, count + T, H) of what is given, the prompt in each row behind its padding."""
        words = given.get("inputs_embeds")
        words = decoder.get_input_embeddings()(given["input_ids"]) if words is None else words
        rows, length, _ = words.shape
        if padding is None:
            padding = torch.zeros(rows, 1, dtype=torch.long, device=words.device)
        order = self._order(padding, length)
        together = torch.cat([self.get_prompt(rows).to(words.dtype), words], dim=1)
        given["inputs_embeds"] = together.gather(1, order[..., None].expand_as(together))
        given["input_ids"] = None
        if (places := given["position_ids"]) is not None:
            first = torch.arange(self.count, device=places.device).expand(rows, -1)
            given["position_ids"] = torch.cat([first, places.expand(rows, -1)], dim=1).gather(1, order)
        at = torch.arange(length, device=words.device)
        self._given = torch.where(at < padding, at, at + self.count)  # (B, T)

    def _order(self, padding: torch.Tensor, length: int) -> torch.Tensor:
        """Return where each of count + T places takes its token from, (B, count + T): padding, virtual tokens, text."""
        at = torch.arange(self.count + length, device=padding.device)
        behind = torch.where(at < padding + self.count, at - padding, at)
        return torch.where(at < padding, at + self.count, behind)

    def _take_away(self, decoder: Any, args: tuple[Any, ...], output: Any) -> Any:
        """Leave the hidden states of the given tokens only."""
        if self._given is not None:
            hidden = output.last_hidden_state
            places = self._given[..., None].expand(-1, -1, hidden.shape[-1])
            output.last_hidden_state, self._given = hidden.gather(1, places), None
        return output

    def _filled(self, cache: DynamicCache | None, rows: int) -> DynamicCache:
        """Return the cache with the learnt keys and values in it; each (rows, key heads, count, head width)."""
        cache = DynamicCache(config=self.base_model.config) if cache is None else cache
        for number, layer in enumerate(self.get_prompt(rows).layers):
            cache.update(layer.keys, layer.values, number)
        return cache


def _rows(given: dict[str, Any]) -> int:
    tokens = given.get("inputs_embeds")
    return len(given["input_ids"] if tokens is None else tokens)


def load_virtual_tokens(base: PreTrainedModel, adapter: Path) -> VirtualTokens:
    """Put saved virtual tokens before a base model, for answering."""
    model = VirtualTokens(base, PeftConfig.from_pretrained(adapter))
    read_virtual_tokens(model, adapter)
    return model.requires_grad_(False)


def read_virtual_tokens(model: VirtualTokens, adapter: Path) -> None:
    """Replace the virtual tokens of a model by saved ones."""
    set_peft_model_state_dict(model, load_file(adapter / "adapter_model.safetensors"))
