"""How surprised a model is by what it should have said: the loss of each example, without the logits of whole batches.

The decoder runs on a batch of examples; what the model does after it is then done to some of the learnt places at a time. The
model's own forward pass does that, with the decoder's result handed in, so that scales and caps of the logits are in it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from core.models.out_of_memory import free_memory, is_out_of_memory
from core.render.tokenizer import IGNORE_INDEX, Example

# Chosen by us: tokens in a batch, padding included; numbers in the logits at a time, which take 4 bytes each, and twice.
_TOKENS = {"cpu": 4096, "cuda": 32_768}
_LOGITS = {"cpu": 2**24, "cuda": 2**27}


def losses(model: PreTrainedModel, examples: Sequence[Example], pad_id: int) -> list[tuple[float, int]]:
    """Return the summed loss of each example in nats, and of how many tokens it is the sum.

    The first token of an example has nothing before it and counts as not learnt. An example that is longer than the model's
    context is not looked at: nothing of it counts. The perplexity of all is exp(sum of nats / sum of tokens).
    """
    device, longest = model.device.type, getattr(model.config.get_text_config(), "max_position_embeddings", None)
    wanted = [n for n, each in enumerate(examples) if not longest or len(each.input_ids) <= longest]
    found = [(0.0, 0)] * len(examples)
    waiting = list(_batches([examples[n] for n in wanted], _TOKENS.get(device, _TOKENS["cpu"])))[::-1]
    while waiting:
        batch = waiting.pop()
        told = _tried(model, [examples[wanted[n]] for n in batch], pad_id)
        if told is None:
            free_memory()
            waiting += [batch[len(batch) // 2 :], batch[: len(batch) // 2]]
            continue
        for n, one in zip(batch, told, strict=True):
            found[wanted[n]] = one
    return found


def _batches(examples: Sequence[Example], tokens: int) -> Iterator[list[int]]:
    """Yield the indices of examples with something to learn, longest first, in batches of that many tokens."""
    batch: list[int] = []
    width = 0
    for n in sorted(range(len(examples)), key=lambda n: (-len(examples[n].input_ids), n)):
        if all(label == IGNORE_INDEX for label in examples[n].labels[1:]):
            continue
        if batch and (len(batch) + 1) * width > tokens:
            yield batch
            batch = []
        if not batch:
            width = len(examples[n].input_ids)
        batch.append(n)
    if batch:
        yield batch


def _tried(model: PreTrainedModel, examples: Sequence[Example], pad_id: int) -> list[tuple[float, int]] | None:
    """Return the losses of a batch, None where there was no memory for several examples at once."""
    try:
        return _of_batch(model, examples, pad_id)
    except (RuntimeError, MemoryError) as error:
        if len(examples) == 1 or not is_out_of_memory(error):
            raise
    return None


@torch.inference_mode()
def _of_batch(model: PreTrainedModel, examples: Sequence[Example], pad_id: int) -> list[tuple[float, int]]:
    width = max(len(each.input_ids) for each in examples)
    ids = torch.full((len(examples), width), pad_id)
    mask = torch.zeros_like(ids)
    following = torch.full_like(ids, IGNORE_INDEX)  # the label of the token after each place
    for row, each in enumerate(examples):
        length = len(each.input_ids)
        ids[row, :length] = torch.tensor(each.input_ids)
        mask[row, :length] = 1
        following[row, : length - 1] = torch.tensor(each.labels[1:])
    rows, places = (following != IGNORE_INDEX).nonzero(as_tuple=True)
    targets = following[rows, places].to(model.device)
    body: nn.Module = getattr(model, model.base_model_prefix)
    output = body(input_ids=ids.to(model.device), attention_mask=mask.to(model.device), use_cache=False)
    hidden = output.last_hidden_state[rows.to(model.device), places.to(model.device)]  # (N, H)
    at_once = max(64, _LOGITS.get(model.device.type, _LOGITS["cpu"]) // model.config.get_text_config().vocab_size)
    told = []
    with _handing(model, output) as hand:
        for some, wanted in zip(hidden.split(at_once), targets.split(at_once), strict=True):
            hand.last_hidden_state = some[None]
            logits = model(input_ids=wanted[None], use_cache=False).logits[0].float()
            told.append(functional.cross_entropy(logits, wanted, reduction="none").double())
    sums = torch.zeros(len(examples), dtype=torch.float64).index_add_(0, rows, torch.cat(told).cpu())
    return list(zip(sums.tolist(), rows.bincount(minlength=len(examples)).tolist(), strict=True))


@contextmanager
def _handing(model: PreTrainedModel, output: Any) -> Iterator[Any]:
    """Let a model's decoder return the yielded output, whatever it is asked; a copy of `output`."""
    handed = copy(output)
    name = model.base_model_prefix
    body = getattr(model, name)
    setattr(model, name, _Handing(handed))
    try:
        yield handed
    finally:
        setattr(model, name, body)


class _Handing(nn.Module):
    """Stands in a decoder's place."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self._output = output

    def forward(self, *_: Any, **__: Any) -> Any:
        return self._output
