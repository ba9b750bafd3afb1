"""Answers of a batch written step by step, without what transformers' `generate` does around each step.

Keys and values stand in memory that has room for the next tokens, instead of being copied for each one, and rows that have
ended leave the batch. Models whose `generate` has a way of its own, or that remember more than keys and values, keep to it.
"""

import inspect
from typing import Any

import torch
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from core.evaluate.choosing import Choosing

_ROOM = 64  # tokens that memory is taken for at a time; chosen by us
_LEAVE = 0.75  # of the rows are still writing: then the others leave. All moves together copy the cache 3 times at most
_NEEDED = {"input_ids", "attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep"}
_OWN_WAYS = ("prepare_inputs_for_generation", "_prepare_cache_for_generation", "_update_model_kwargs_for_generation")


def can_step(model: PreTrainedModel) -> bool:
    """Tell whether a model answers by nothing but its forward pass on keys and values."""
    if model.config.is_encoder_decoder or getattr(model, "_is_stateful", False):
        return False
    if any(getattr(type(model), name, None) is not getattr(GenerationMixin, name) for name in _OWN_WAYS):
        return False
    if not inspect.signature(type(model).forward).parameters.keys() >= _NEEDED:
        return False
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def step_by_step(
    model: PreTrainedModel, ids: torch.Tensor, mask: torch.Tensor, stops: torch.Tensor, choosing: Choosing, most: int
) -> torch.Tensor:
    """Return up to `most` tokens after each prompt, (B, most); what follows a stop token in a row means nothing.

    Args:
        ids: the prompts, padded at the left, (B, T).
        mask: 0 at padding, (B, T).
        stops: tokens that end an answer.
    """
    cache = DynamicCache(config=model.config)
    cache.layers = [_Roomy() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    if not cache.layers:
        cache.layer_class_to_replicate = _Roomy
    found = ids.new_zeros(len(ids), most)
    rows = torch.arange(len(ids), device=ids.device)  # those in the batch
    ended = torch.zeros_like(rows, dtype=torch.bool)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    mask = torch.cat([mask, mask.new_ones(len(mask), most)], 1)
    width = ids.shape[1]
    for step in range(most):
        logits = model(
            input_ids=ids, attention_mask=mask[:, : width + step], position_ids=places, past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        ).logits[:, -1]  # fmt: skip
        chosen = choosing.next(logits)
        found[rows, step] = chosen
        ended |= torch.isin(chosen, stops)
        writing = len(rows) - int(ended.sum())  # the one time in a step that the CPU waits for a GPU
        if not writing:
            break
        ids, places = chosen[:, None], places[:, -1:] + 1
        if writing <= _LEAVE * len(rows):
            kept = (~ended).nonzero()[:, 0]
            rows, ended, ids, places, mask = (each[kept] for each in (rows, ended, ids, places, mask))
            cache.batch_select_indices(kept)
            choosing.keep(kept)
    return found


class _Roomy(DynamicLayer):
    """Keys and values of one layer, (B, heads, T, width) each, at the beginning of memory with room for more tokens."""

    keys: torch.Tensor
    values: torch.Tensor

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self._memory: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        before, new_states = self.get_seq_length(), (key_states, value_states)
        end = before + key_states.shape[2]
        if not self._memory or end > self._memory[0].shape[2]:
            held = (self.keys, self.values)
            self._memory = [_with_room(old, new, end) for old, new in zip(held, new_states, strict=True)]
        for memory, new in zip(self._memory, new_states, strict=True):
            memory[:, :, before:end] = new
        self.keys, self.values = (memory[:, :, :end] for memory in self._memory)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        if self._memory:
            end = self.get_seq_length()
            self._memory = [memory[indices] for memory in self._memory]
            self.keys, self.values = (memory[:, :, :end] for memory in self._memory)


def _with_room(old: torch.Tensor, new: torch.Tensor, end: int) -> torch.Tensor:
    """Return memory for `end` tokens and more, of the shape of `new`, that begins with what is in `old`."""
    memory = new.new_empty(*new.shape[:2], end + _ROOM, new.shape[3])
    if old.numel():
        memory[:, :, : old.shape[2]] = old
    return memory
