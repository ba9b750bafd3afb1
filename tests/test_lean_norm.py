"""Frozen norms are computed in fewer passes: the same numbers and gradients as the model's own."""

import pytest
import torch
from torch import nn

from core.train.lean_norm import use_lean_norms
from tests.architectures import FAMILIES, build


def results(norm, x, at_y):
    x = x.clone().requires_grad_()
    y = norm(x)
    return y, *torch.autograd.grad(y, x, at_y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_lean_way_gives_what_the_model_gives(dtype):
    model = build("qwen3").to(dtype).requires_grad_(False)  # norms of the stream and of each head
    draw = torch.Generator().manual_seed(1)
    norms = [module for module in model.modules() if type(module).__name__ == "Qwen3RMSNorm"]
    given = [(3 * torch.randn(2, 7, len(norm.weight), generator=draw)).to(dtype) for norm in norms]
    at_y = [torch.randn(each.shape, generator=draw).to(dtype) for each in given]
    expected = [results(*each) for each in zip(norms, given, at_y, strict=True)]
    assert use_lean_norms(model) == len(norms)
    for found, (y, at_x) in zip(map(results, norms, given, at_y), expected, strict=True):
        assert torch.equal(found[0], y)
        assert torch.allclose(found[1].float(), at_x.float(), rtol=1e-5 if dtype == torch.float32 else 0.02, atol=1e-3)
        assert float((found[1].double() - at_x.double()).norm()) <= 0.01 * float(at_x.double().norm())


@pytest.mark.parametrize("family", FAMILIES)
def test_only_norms_that_are_what_they_seem_are_computed_so(family):
    """Gemma adds 1 to the weight, Phi has a bias, Cohere takes the mean away."""
    own = {"gemma", "gemma2", "gemma3_text", "phi", "cohere"}
    assert (use_lean_norms(build(family).requires_grad_(False)) == 0) == (family in own)
    assert use_lean_norms(build(family)) == 0  # trained weights want a gradient


def test_a_norm_that_wants_more_is_left_alone():
    class GatedRMSNorm(nn.RMSNorm):
        def forward(self, x, gate):
            return super().forward(x) * gate

    assert use_lean_norms(GatedRMSNorm(8).requires_grad_(False)) == 0


def test_a_norm_that_is_trained_later_keeps_its_gradient():
    model = build("llama").requires_grad_(False)
    assert use_lean_norms(model)
    norm = model.model.norm.requires_grad_(True)
    norm(torch.randn(1, 3, len(norm.weight))).sum().backward()
    assert norm.weight.grad is not None
