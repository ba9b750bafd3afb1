"""The fast way is the slow, obvious way: the same losses and gradients, for each family of models."""

import copy

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn import functional

from core.render.tokenizer import IGNORE_INDEX, Example
from core.settings import from_dict
from core.train.forward import Forward
from core.train.methods import method_of
from core.train.micro_batch import packed, padded
from core.train.trainer import Trainer, learnt
from tests.architectures import FAMILIES, VOCABULARY, build, build_hybrid

STOP = 2  # pad and stop token at once


def some_examples(count=10, seed=0):
    """Examples of 4 to 30 tokens; the second half of each is learnt, and ends with the stop token."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ids = draw.integers(3, VOCABULARY, size=int(draw.integers(4, 30))).tolist()
        ids[-1] = STOP
        found.append(Example(ids, [IGNORE_INDEX] * (len(ids) // 2) + ids[len(ids) // 2 :]))
    return found


def settings_of(**more):
    values = {"compute.dtype": "float32", "optim.learning_rate": 1e-2, "schedule.max_steps": 3, "schedule.epochs": 100,
              "schedule.warmup_share": 0, "batch.global_batch_size": 5, "lora.rank": 4, "method.name": "lora",
              **more}  # fmt: skip
    return from_dict({"data": {"train": ["x"]}}, values)


def attached(base, settings):
    torch.manual_seed(5)
    model = method_of(settings).attach(copy.deepcopy(base), settings)
    for name, weight in model.named_parameters():
        if "lora_B" in name:  # at zero, nothing would reach A
            torch.nn.init.normal_(weight, std=0.1)
    return model


def series(base, examples, tokens=None, **more):
    """Train three steps and return losses, gradient norms and the trained weights."""
    settings = settings_of(**more)
    model = attached(base, settings)
    trainer = Trainer(model, examples, STOP, settings, tokens=tokens)
    steps = [(step.loss, step.grad_norm) for step in trainer.steps()]
    weights = {name: weight.detach() for name, weight in model.named_parameters() if weight.requires_grad}
    return steps, weights, trainer.forward.layout


def slow_loss(model, examples):
    """One example after the other through the model's own forward: the mean over all learnt tokens."""
    total = 0.0
    for example in examples:
        logits = model(input_ids=torch.tensor([example.input_ids])).logits[0, :-1]
        total = total + functional.cross_entropy(logits, torch.tensor(example.labels[1:]), reduction="sum")
    return total / sum(map(learnt, examples))


@pytest.fixture(scope="module", params=FAMILIES)
def base(request):
    return build(request.param)


def test_every_family_packs_and_computes_only_the_logits_it_needs(base):
    layout = Forward(copy.deepcopy(base), torch.float32).layout
    assert layout.packs
    assert layout.lean


def test_loss_and_gradients_are_those_of_the_slow_way(base):
    """The weights of each LoRA layer as W + s B A, by hand, through the model's own forward, one example at a time."""
    settings, examples = settings_of(), some_examples(5)
    model = attached(base, settings)
    adapters = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    weights = {name: weight.detach() for name, weight in base.named_parameters()}
    scale = settings.lora_alpha / settings.lora.rank
    for name in [name for name in adapters if "lora_A" in name]:
        layer = name.removeprefix("base_model.model.").partition(".lora_A")[0]
        b = adapters[name.replace("lora_A", "lora_B")]
        weights[f"{layer}.weight"] = weights[f"{layer}.weight"] + scale * b @ adapters[name]

    def through(**inputs):
        return functional_call(base, weights, kwargs=inputs, tie_weights=True)

    expected = slow_loss(through, examples)
    gradients = torch.autograd.grad(expected, list(adapters.values()))
    trainer = Trainer(model, examples, STOP, settings)
    stepped = {}
    hooks = [weight.register_post_accumulate_grad_hook(lambda w: stepped.__setitem__(id(w), w.grad.clone()))
             for weight in adapters.values()]  # fmt: skip
    step = next(iter(trainer.steps()))
    for hook in hooks:
        hook.remove()
    assert step.loss == pytest.approx(float(expected.detach()), rel=1e-5)
    for (name, weight), gradient in zip(adapters.items(), gradients, strict=True):
        assert torch.allclose(stepped[id(weight)], gradient, rtol=1e-3, atol=1e-5 * float(gradient.abs().max())), name


def test_the_loss_is_transformers_own(base):
    """Of the same padded batch with the same labels, where the padding is the stop token."""
    examples = some_examples(5)
    batch = padded(examples, STOP)
    labels = torch.full_like(batch.inputs["input_ids"], IGNORE_INDEX)
    for row, example in enumerate(examples):
        labels[row, : len(example.labels)] = torch.tensor(example.labels)
    with torch.no_grad():
        expected = float(base(**batch.inputs, labels=labels).loss)
        forward = Forward(copy.deepcopy(base), torch.float32)
        tokens = sum(map(learnt, examples))
        assert float(forward.loss(packed(examples, STOP))) / tokens == pytest.approx(expected, rel=1e-5)
        plain = Forward(copy.deepcopy(base), torch.float32, packing=False)
        assert float(plain.loss(batch)) / tokens == pytest.approx(expected, rel=1e-5)


WAYS = {
    "one example at a time": {"batch.micro_batch_size": 1},
    "padded": {"batch.packing": False, "batch.micro_batch_size": 5},
    "in small packs": {"tokens": 40},
    "activations computed again": {"compute.checkpointing": "on"},
    "activations computed again, padded": {"compute.checkpointing": "on", "batch.packing": False},
}


def test_however_a_batch_goes_through_the_model_the_training_is_the_same(base):
    examples = some_examples()
    steps, weights, layout = series(base, examples)
    assert layout.packs
    losses = [loss for loss, _ in steps]
    assert len(set(losses)) == 3  # something is learnt
    for way, more in WAYS.items():
        if (
            more.get("batch.packing") is False
        ):  # shuffles otherwise, to pad less: the first step must hold the same rows
            more = {**more, "batch.global_batch_size": 10, "batch.micro_batch_size": 5}
            expected, reached, _ = series(base, examples, **{"batch.global_batch_size": 10})
        else:
            expected, reached = steps, weights
        other, others, _ = series(base, examples, **more)
        assert np.allclose(other, expected, rtol=1e-3), way
        for name, weight in reached.items():
            assert torch.allclose(others[name], weight, rtol=1e-2, atol=2e-3), f"{way}: {name}"


def test_a_model_that_mixes_along_the_row_is_not_packed():
    base, examples = build_hybrid(), some_examples()
    steps, _, layout = series(base, examples)
    assert not layout.packs
    alone, _, _ = series(base, examples, **{"batch.micro_batch_size": 1})
    assert np.allclose([loss for loss, _ in steps[:1]], [loss for loss, _ in alone[:1]], rtol=1e-4)
    assert Forward(build("llama"), torch.float32).layout.packs  # and the check does not say so of every model


def test_an_attention_that_sees_across_borders_is_noticed(monkeypatch):
    from core.train import attention

    def sees_all(module, query, key, value, mask, scaling=None, **_):
        found = functional.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=True
        )
        return found.transpose(1, 2), None

    monkeypatch.setitem(attention.AttentionInterface._global_mapping, attention.NAME, sees_all)
    model = build("llama")
    assert not Forward(model, torch.float32).layout.packs
    assert model.config._attn_implementation == "sdpa"  # as it was


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_an_example_is_the_same_whatever_stands_before_it(base, dtype):
    forward = Forward(copy.deepcopy(base).eval(), dtype)
    first, second, other = some_examples(3, seed=4)
    with torch.no_grad():
        alone, together = forward.loss(packed([second], STOP)), forward.loss(packed([first, second], STOP))
        before, behind_other = forward.loss(packed([first], STOP)), forward.loss(packed([other, second], STOP))
        exact = 1e-5 if dtype == torch.float32 else 2e-2
        assert float(together) == pytest.approx(float(alone + before), rel=exact)
        assert float(behind_other - forward.loss(packed([other], STOP))) == pytest.approx(float(alone), rel=exact * 2)
