"""The loss in chunks is the loss, and so are its gradients; what is computed is what is needed."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from core.render.tokenizer import IGNORE_INDEX, Example
from core.settings import from_dict
from core.train import loss as losses
from core.train.forward import Forward
from core.train.loss import summed_cross_entropy
from core.train.methods import method_of
from core.train.micro_batch import packed
from tests.architectures import build


@pytest.mark.parametrize("chunk", [1, 7, 1000])
@pytest.mark.parametrize("trained", [False, True])
def test_loss_and_gradients_do_not_depend_on_the_chunks(monkeypatch, chunk, trained):
    torch.manual_seed(0)
    head = nn.Linear(16, 50)
    head.requires_grad_(trained)
    hidden, targets = torch.randn(23, 16, requires_grad=True), torch.randint(0, 50, (23,))
    weights = [weight for weight in head.parameters() if trained]
    expected = functional.cross_entropy(head(hidden), targets, reduction="sum")
    gradients = torch.autograd.grad(3 * expected, [hidden, *weights])
    monkeypatch.setattr(losses, "logit_rows", lambda device, vocabulary: chunk)
    found = summed_cross_entropy(hidden, targets, head, 50, weights)
    assert torch.allclose(found, expected, rtol=1e-6)
    for got, want in zip(torch.autograd.grad(3 * found, [hidden, *weights]), gradients, strict=True):
        assert torch.allclose(got, want, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(summed_cross_entropy(hidden, targets, head, 50, weights), expected, rtol=1e-6)


def test_a_certain_mistake_has_its_full_price():
    """Its softmax is zero in float32: a logarithm of that would be infinite."""
    hidden = torch.tensor([[0.0, 300.0]], requires_grad=True)
    found = summed_cross_entropy(hidden, torch.tensor([0]), lambda each: each, 2, [])
    assert float(found) == pytest.approx(300.0)
    assert torch.autograd.grad(found, hidden)[0].tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_tied_and_trained_output_gets_its_gradient_from_both_its_places(monkeypatch, dtype):
    """In several chunks, and in mixed precision, where casts of the weight are kept between them."""
    ids = torch.arange(3, 60).tolist()
    example, model = Example(ids, ids), build("llama")
    head = model.get_output_embeddings().weight
    assert head is model.get_input_embeddings().weight
    expected = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids])).loss * (len(ids) - 1)
    want = torch.autograd.grad(expected, head)[0]
    monkeypatch.setattr(losses, "logit_rows", lambda device, vocabulary: 10)
    got = torch.autograd.grad(Forward(model, dtype).loss(packed([example], 0)), head)[0]
    assert functional.cosine_similarity(got.flatten(), want.flatten(), dim=0) > (
        0.9999 if dtype == torch.float32 else 0.99
    )
    assert float(got.norm()) == pytest.approx(float(want.norm()), rel=1e-4 if dtype == torch.float32 else 0.03)


def test_logits_are_computed_only_where_something_is_learnt():
    model = build("qwen3")
    forward, rows = Forward(model, torch.float32), []
    model.get_output_embeddings().register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    ids = list(range(3, 43))
    forward.loss(packed([Example(ids, [IGNORE_INDEX] * 30 + ids[30:])] * 3, 0))
    assert rows == [3 * 10]


def test_attention_costs_what_the_examples_cost_not_what_the_row_would():
    """Sixteen in a row are sixteen times the operations of one; if they saw each other, their scores would be 256 times."""
    forward = Forward(build("llama"), torch.float32)
    example = Example(list(range(3, 83)), list(range(3, 83)))

    def operations(count):
        batch = packed([example] * count, 0)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            forward.loss(batch)
        return counter.get_total_flops()

    assert operations(16) == 16 * operations(1)


def test_activations_are_computed_again_only_when_asked():
    model = build("llama")
    settings = from_dict({"data": {"train": ["x"]}, "method": {"name": "lora"}})
    tuned, calls = method_of(settings).attach(model, settings).train(), []
    model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: calls.append(1))
    forward = Forward(tuned, torch.float32)
    batch = packed([Example([3, 4, 5], [3, 4, 5])], 0)
    calls.clear()
    forward.loss(batch).backward()
    assert len(calls) == 1
    forward.recompute_activations()
    forward.loss(batch).backward()
    assert len(calls) == 3
    assert all(weight.grad is not None for name, weight in tuned.named_parameters() if "lora_" in name)
