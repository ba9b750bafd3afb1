"""Answers to many questions, in large batches of similar length.

Measured on a 2-core CPU: batches of 64 sorted by length answer four times as many questions a second as unsorted batches
of 8; continuous batching is slower there. Padding is on the left, so that every answer begins where its question ends.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil
import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from core.evaluate.choosing import Choosing, Decoding
from core.evaluate.stepping import can_step, step_by_step
from core.render.tokenizer import ChatTokenizer

MOST_ROWS = {"cpu": 64, "cuda": 256}  # chosen by us: on 2 cores more rows gained nothing
_MEMORY_SHARE = 0.25  # of the free memory may hold keys and values; the rest is for activations and everybody else


def batches(lengths: Sequence[int], new_tokens: int, context: int, tokens: int, rows: int) -> Iterator[list[int]]:
    """Yield the indices of the questions in batches, longest first, so that a lack of memory shows at the start.

    A batch has at most `rows` questions and `tokens` tokens, padding and answers included, but at least one question.
    A question that leaves less room than `new_tokens` in the context goes alone, lest it shortens its neighbours' answers.
    """
    batch: list[int] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) == rows or (len(batch) + 1) * width > tokens or width > context):
            yield batch
            batch = []
        if not batch:
            width = lengths[index] + new_tokens
        batch.append(index)
    if batch:
        yield batch


def batch_limits(model: PreTrainedModel) -> tuple[int, int]:
    """Return how many tokens and rows a batch may have, from the memory that is free now."""
    device = model.device.type
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    bytes_per_token = 2 * config.num_hidden_layers * heads * width * torch.finfo(model.dtype).bits // 8
    return max(1, int(_MEMORY_SHARE * free / bytes_per_token)), MOST_ROWS.get(device, MOST_ROWS["cpu"])


@dataclass(frozen=True)
class Said:
    """An answer. `tokens` counts without the stop token; `ended` tells whether there was one, or the room was used up."""

    text: str
    tokens: int
    ended: bool


@torch.inference_mode()
def answer(
    model: PreTrainedModel, tokenizer: ChatTokenizer, prompts: Sequence[Sequence[int]], decoding: Decoding
) -> list[Said]:
    """Return the answer to each prompt, without control tokens. `prompts` are token ids, all in one batch."""
    longest = max(map(len, prompts))
    ids = torch.full((len(prompts), longest), tokenizer.pad_id)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    choosing = Choosing(decoding, prompts, model.device)
    if can_step(model):
        stops = torch.tensor(tokenizer.stop_ids, dtype=torch.long, device=model.device)
        found = step_by_step(model, ids, mask, stops, choosing, decoding.max_new_tokens)
    else:
        config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=decoding.max_new_tokens,
            eos_token_id=list(tokenizer.stop_ids),
            pad_token_id=tokenizer.pad_id,
        )
        chosen = LogitsProcessorList([] if choosing.is_greedy else [_Chosen(choosing)])
        found = model.generate(inputs=ids, attention_mask=mask, generation_config=config, logits_processor=chosen)
        found = found[:, longest:]
    return [said(tokenizer, row) for row in found.tolist()]


class _Chosen(LogitsProcessor):
    """Leaves `generate` no other token than the one that was chosen."""

    def __init__(self, choosing: Choosing) -> None:
        self._choosing = choosing

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        return torch.full_like(scores, float("-inf")).scatter_(1, self._choosing.next(scores)[:, None], 0.0)


def said(tokenizer: ChatTokenizer, ids: Sequence[int]) -> Said:
    """Return what stands before the first stop token; what follows in a batch is padding."""
    end = next((place for place, token in enumerate(ids) if token in tokenizer.stop_ids), None)
    return Said(tokenizer.decode(ids[:end]), len(ids) if end is None else end, end is not None)
