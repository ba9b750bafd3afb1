"""Attention inside each example of a packed row: its cost grows with the square of an example, not of the row.

It is registered with transformers' attention interface and reads the borders that `micro_batch.packed` gives. On a GPU one
flash-attention kernel does all examples; on a CPU each example is a product of its own.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

NAME = "within_examples"
# Tokens. Below, in bfloat16 on a CPU, plain products ran 1.9 to 3.2 times as fast as the fused kernel.
EXPLICIT_UP_TO = 512
_STEP = 32  # tokens; lengths of such products are multiples of it


def use_packed_attention(model: PreTrainedModel, dtype: torch.dtype) -> str:
    """Switch a model to attention within examples and return what does it; `model.set_attn_implementation` undoes it.

    On a GPU that is FlashAttention of the `kernels` package where that is installed and has it for this machine, else the
    varlen kernel of torch.
    """
    if model.device.type == "cuda" and dtype != torch.float32:
        try:
            model.set_attn_implementation("kernels-community/flash-attn2")
            return "flash-attn2"
        except (ImportError, OSError, ValueError, RuntimeError):  # not installed, not downloaded, not for this GPU
            pass
    model.set_attn_implementation(NAME)
    return NAME


def attention_within_examples(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Return the attention (1, T, H, D) of a packed row; query (1, H, T, D), key and value (1, K, T, D), K divides H."""
    if torch.is_autocast_enabled(query.device.type):  # rotary embeddings may have left float32
        query, key, value = (each.to(torch.get_autocast_dtype(query.device.type)) for each in (query, key, value))
    if query.device.type == "cuda" and query.dtype != torch.float32 and softcap is None and not dropout:
        return _on_gpu(query, key, value, scaling, sliding_window, cu_seq_lens_q, max_length_q), None
    borders = [query.shape[2]] if cu_seq_lens_q is None else cu_seq_lens_q.diff().tolist()
    lengths = [length for length in borders if length]
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    on_cpu = query.device.type == "cpu" and query.dtype == torch.bfloat16 and softcap is None and not dropout
    outputs, start = [], 0
    for short, some in groupby(lengths, lambda length: on_cpu and length <= EXPLICIT_UP_TO):
        for own in [list(some)] if short else ([length] for length in some):
            q, k, v = (each.narrow(2, start, sum(own)) for each in (query, key, value))
            start += sum(own)
            window = sliding_window if sliding_window is not None and sliding_window < max(own) else None
            if short:
                outputs.append(_Products.apply(q, k, v, own, scale, window))
            elif window is not None or softcap is not None:
                outputs.append(_explicit(q[0], k[0], v[0], scale, window, softcap, dropout).transpose(1, 2))
            else:
                outputs.append(
                    functional.scaled_dot_product_attention(
                        q, k, v, dropout_p=dropout, is_causal=True, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
                    ).transpose(1, 2)
                )
    return torch.cat(outputs, 1) if len(outputs) > 1 else outputs[0].contiguous(), None


class _Products(torch.autograd.Function):
    """softmax(q k) v of short examples as plain products, forward and backward; query (1, H, T, D), result (1, T, H, D).

    A product of a shape that was not met before costs half a millisecond of preparation on a CPU, as much as it takes itself.
    So lengths are rounded up: an example is given some tokens of the next one along. No token sees what comes after it; what
    those tokens would see has no weight, and what is written at their places, the next example overwrites.
    The queries that share a key head follow one another, token by token, and are rows of one product: (K, T * H / K, D).
    """

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int], scale: float,
        window: int | None,
    ) -> torch.Tensor:  # fmt: skip
        shared = key.shape[1]
        rows, keys, values = _by_key_head(query.transpose(1, 2), shared), key[0].contiguous(), value[0].contiguous()
        found, each = rows.new_empty(*rows.shape[:2], value.shape[3]), query.shape[1] // shared
        kept = []
        for start, length, end in _stretches(lengths, query.shape[2]):
            at, own = slice(start * each, end * each), slice(start, end)
            hidden = _short(window, each)[: (end - start) * each, : end - start].expand(shared, -1, -1)
            scores = torch.baddbmm(hidden, rows[:, at], keys[:, own].transpose(1, 2), alpha=scale)
            weights = torch.softmax(scores, -1)
            weights[:, length * each :] = 0
            torch.bmm(weights, values[:, own], out=found[:, at])
            kept.append(weights)
        ctx.save_for_backward(rows, keys, values, *kept)
        ctx.lengths, ctx.scale = lengths, scale
        return _by_token(found, each)

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> Any:
        rows, keys, values, *kept = ctx.saved_tensors
        shared, total, _ = keys.shape
        each = rows.shape[1] // total
        at_found = _by_key_head(outputs[0], shared)
        at_rows, at_keys, at_values = (torch.empty_like(tensor) for tensor in (rows, keys, values))
        for (start, _, end), weights in zip(_stretches(ctx.lengths, total), kept, strict=True):
            at, own = slice(start * each, end * each), slice(start, end)
            at_weights = torch.bmm(at_found[:, at], values[:, own].transpose(1, 2))
            at_scores = torch._softmax_backward_data(at_weights, weights, -1, weights.dtype).mul_(ctx.scale)
            torch.bmm(weights.transpose(1, 2), at_found[:, at], out=at_values[:, own])
            torch.bmm(at_scores, keys[:, own], out=at_rows[:, at])
            torch.bmm(at_scores.transpose(1, 2), rows[:, at], out=at_keys[:, own])
        return _by_token(at_rows, each).transpose(1, 2), at_keys[None], at_values[None], None, None, None


def _by_key_head(tensor: torch.Tensor, shared: int) -> torch.Tensor:
    """Return (1, T, H, D) as (K, T * H / K, D)."""
    _, total, heads, width = tensor.shape
    return tensor[0].reshape(total, shared, heads // shared, width).transpose(0, 1).reshape(shared, -1, width)


def _by_token(tensor: torch.Tensor, each: int) -> torch.Tensor:
    """Return (K, T * H / K, D) as (1, T, H, D)."""
    shared, rows, width = tensor.shape
    return tensor.view(shared, -1, each, width).transpose(0, 1).reshape(1, rows // each, shared * each, width)


def _stretches(lengths: list[int], total: int) -> Iterator[tuple[int, int, int]]:
    """Yield where each example begins, its length, and where what is computed with it ends."""
    start = 0
    for length in lengths:
        yield start, length, min(start + -(-length // _STEP) * _STEP, total)
        start += length


def _explicit(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, window: int | None,
    softcap: float | None, dropout: float,
) -> torch.Tensor:  # fmt: skip
    """Return softmax(q k / sqrt(d)) v of one example, (1, H, L, D); query (H, L, D), key and value (K, L, D).

    The queries that share a key head are rows of one product.
    """
    heads, length, width = query.shape
    shared = key.shape[0]
    hidden = _hidden(length, window, query.device, query.dtype).repeat(heads // shared, 1).expand(shared, -1, -1)
    rows = query.reshape(shared, -1, width)
    if softcap is None:
        scores = torch.baddbmm(hidden, rows, key.transpose(1, 2), alpha=scale)
    else:
        scores = softcap * torch.tanh(torch.bmm(rows, key.transpose(1, 2)) * (scale / softcap)) + hidden
    weights = functional.dropout(torch.softmax(scores, -1), dropout)
    return torch.bmm(weights, value).view(1, heads, length, width)


def _hidden(length: int, window: int | None, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return what is added to the scores (L, L): minus infinity where a token looks ahead or beyond its window."""
    hidden = torch.full((length, length), float("-inf"), device=device, dtype=dtype).triu(1)
    if window is not None:
        hidden += torch.full_like(hidden, float("-inf")).tril(-window)
    return hidden


@lru_cache(maxsize=8)
def _short(window: int | None, each: int) -> torch.Tensor:
    """Return that of the longest short example, each row so many times (L * each, L); that of another is its corner."""
    return _hidden(EXPLICIT_UP_TO, window, torch.device("cpu"), torch.bfloat16).repeat_interleave(each, 0)


def _on_gpu(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None, window: int | None,
    borders: torch.Tensor | None, longest: int | None,
) -> torch.Tensor:  # fmt: skip
    """Return the attention (1, T, H, D) with torch's varlen flash kernel (float16 and bfloat16)."""
    from torch.nn.attention.varlen import varlen_attn

    rows = query.shape[2]
    if borders is None or longest is None:
        borders, longest = torch.tensor([0, rows], dtype=torch.int32, device=query.device), rows
    found = varlen_attn(
        query[0].transpose(0, 1), key[0].transpose(0, 1), value[0].transpose(0, 1), borders, borders, longest, longest,
        scale=scale, window_size=(-1 if window is None else window - 1, 0), enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip
    return found[None]


AttentionInterface.register(NAME, attention_within_examples)
