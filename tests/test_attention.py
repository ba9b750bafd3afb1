"""Attention inside each example, compared with attention written down as a formula."""

import math

import pytest
import torch
from torch import nn

from core.train.attention import EXPLICIT_UP_TO, attention_within_examples

HEADS, SHARED, WIDTH = 4, 2, 8


def by_formula(query, key, value, lengths, scale, window, softcap):
    """softmax(mask(q k)) v in float64, token by token."""
    found = torch.zeros(query.shape[2], HEADS, WIDTH, dtype=torch.float64)
    start = 0
    for length in lengths:
        for head in range(HEADS):
            k, v = (each[0, head // (HEADS // SHARED)].double() for each in (key, value))
            for at in range(start, start + length):
                first = start if window is None else max(start, at - window + 1)
                scores = k[first : at + 1] @ query[0, head, at].double() * scale
                if softcap:
                    scores = softcap * torch.tanh(scores / softcap)
                found[at, head] = torch.softmax(scores, 0) @ v[first : at + 1]
        start += length
    return found[None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (4, None), (None, 2.0), (4, 2.0)])
def test_each_example_attends_to_itself_alone(dtype, scale, window, softcap):
    draw, lengths = torch.Generator().manual_seed(1), [5, 1, 12, 3]
    query = torch.randn(1, HEADS, 21, WIDTH, generator=draw).to(dtype)
    key, value = (torch.randn(1, SHARED, 21, WIDTH, generator=draw).to(dtype) for _ in range(2))
    borders = torch.tensor(
        [0, *torch.tensor(lengths).cumsum(0).tolist(), 21], dtype=torch.int32
    )  # the last one is empty
    found, _ = attention_within_examples(
        nn.Module(),
        query,
        key,
        value,
        None,
        scaling=scale,
        sliding_window=window,
        softcap=softcap,
        cu_seq_lens_q=borders,
    )
    expected = by_formula(query, key, value, lengths, scale or 1 / math.sqrt(WIDTH), window, softcap)
    assert found.dtype == dtype
    assert torch.allclose(found.double(), expected, atol=1e-5 if dtype == torch.float32 else 0.03)


def test_long_and_short_examples_in_bfloat16_agree_where_the_way_changes():
    draw = torch.Generator().manual_seed(1)
    for length in (EXPLICIT_UP_TO, EXPLICIT_UP_TO + 1):
        q, k, v = (torch.randn(1, heads, length, WIDTH, generator=draw) for heads in (HEADS, SHARED, SHARED))
        borders = torch.tensor([0, length], dtype=torch.int32)
        exact, _ = attention_within_examples(nn.Module(), q, k, v, None, cu_seq_lens_q=borders)
        rough, _ = attention_within_examples(
            nn.Module(), q.bfloat16(), k.bfloat16(), v.bfloat16(), None, cu_seq_lens_q=borders
        )
        assert float((rough.float() - exact).abs().max()) < 0.03


def test_values_may_be_narrower_than_keys():
    draw, lengths = torch.Generator().manual_seed(1), [5, 1, 12, 3]
    query, key = (torch.randn(1, heads, 21, WIDTH, generator=draw).bfloat16() for heads in (HEADS, SHARED))
    value = torch.randn(1, SHARED, 21, WIDTH // 2, generator=draw).bfloat16()
    borders = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32)
    found, _ = attention_within_examples(nn.Module(), query, key, value, None, cu_seq_lens_q=borders)
    wide = torch.cat([value, torch.zeros_like(value)], -1)
    expected = by_formula(query, key, wide, lengths, 1 / math.sqrt(WIDTH), None, None)[..., : WIDTH // 2]
    assert found.shape == expected.shape
    assert torch.allclose(found.double(), expected, atol=0.03)


@pytest.mark.parametrize("lengths", [[5, 1, 40, 3], [EXPLICIT_UP_TO + 8, 33, 7, EXPLICIT_UP_TO + 1, 60]], ids=str)
@pytest.mark.parametrize("window", [None, 4])
def test_gradients_stay_inside_each_example(window, lengths):
    """Of the products in bfloat16, whose backward pass is ours, held against autograd through a mask in float64."""
    draw = torch.Generator().manual_seed(2)
    total = sum(lengths)
    query = torch.randn(1, HEADS, total, WIDTH, generator=draw).bfloat16().requires_grad_()
    key, value = (torch.randn(1, SHARED, total, WIDTH, generator=draw).bfloat16().requires_grad_() for _ in range(2))
    at_output = torch.randn(1, total, HEADS, WIDTH, generator=draw).bfloat16()
    borders = torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=torch.int32)
    found, _ = attention_within_examples(
        nn.Module(), query, key, value, None, sliding_window=window, cu_seq_lens_q=borders
    )
    got = torch.autograd.grad(found, [query, key, value], at_output)

    owner = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
    place = torch.arange(total)
    seen = (owner[:, None] == owner) & (place[:, None] >= place) & (place[:, None] - place < (window or total))
    q, k, v = (each.detach().double().requires_grad_() for each in (query, key, value))
    keys, values = (each.repeat_interleave(HEADS // SHARED, 1) for each in (k, v))
    scores = (q @ keys.transpose(2, 3) / math.sqrt(WIDTH)).masked_fill(~seen, float("-inf"))
    expected = torch.softmax(scores, -1) @ values
    assert float((found.detach().double() - expected.transpose(1, 2)).norm() / expected.norm()) < 0.01
    wanted = torch.autograd.grad(expected.transpose(1, 2), [q, k, v], at_output.double())
    for one, other in zip(got, wanted, strict=True):
        assert float((one.double() - other).norm() / other.norm()) < 0.01
