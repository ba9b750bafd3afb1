"""NEFTune: how much noise, where, and that nothing but training sees it."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM

from core.models.load import load_base
from core.render.tokenizer import Example
from core.settings import from_dict
from core.train.methods import method_of
from core.train.noise import example_lengths, noise
from core.train.trainer import Trainer
from tests.tiny import build_tiny_model
from tests.trained import settings_of

ALPHA, WIDTH = 5.0, 64


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def model(folder):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).train()


def embedded(model, **inputs):
    """Return what the first layer is given, (B, T, d)."""
    seen = []
    hook = model.model.layers[0].register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0]), with_kwargs=True
    )
    with torch.no_grad():
        model(**inputs)
    hook.remove()
    return seen[0]


def added(model, ids, **inputs):
    """Return the noise on each embedding, (B, T, d)."""
    with noise(model, ALPHA):
        noisy = embedded(model, input_ids=ids, **inputs)
    return noisy - model.get_input_embeddings()(ids).detach()


def test_the_noise_is_uniform_up_to_alpha_over_the_root_of_length_times_width(model):
    found = added(model, torch.arange(100)[None])
    limit = ALPHA / math.sqrt(100 * WIDTH)
    assert float(found.abs().max()) == pytest.approx(limit, rel=1e-2)
    assert float(found.abs().max()) <= limit * (1 + 1e-5)
    assert float(found.std()) == pytest.approx(limit / math.sqrt(3), rel=0.02)  # of a uniform distribution
    assert abs(float(found.mean())) < 0.02 * limit


def test_in_a_pack_the_length_is_that_of_each_example(model):
    lengths = [10, 90, 40]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    found = added(model, torch.arange(140)[None] % 256, position_ids=positions)[0]
    for part, length in zip(found.split(lengths), lengths, strict=True):
        assert float(part.abs().max()) == pytest.approx(ALPHA / math.sqrt(length * WIDTH), rel=0.05)


def test_padding_does_not_count_as_length(model):
    mask = torch.zeros(2, 80, dtype=torch.long)
    mask[0, :80], mask[1, :20] = 1, 1
    found = added(model, torch.zeros(2, 80, dtype=torch.long), attention_mask=mask)
    for row, length in enumerate((80, 20)):
        assert float(found[row, :length].abs().max()) == pytest.approx(ALPHA / math.sqrt(length * WIDTH), rel=0.05)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_a_short_row_behind_virtual_tokens_has_its_own_length(model, name, alone):
    """Whether the whole model is called, or the decoder alone as a training does."""
    tuned = method_of(settings_of(name, 16)).attach(model, settings_of(name, 16)).train()
    ids, mask = torch.arange(160).view(2, 80), torch.ones(2, 80, dtype=torch.long)
    mask[1, 20:] = 0
    seen = []
    called = model.get_decoder() if alone else tuned
    with noise(tuned, ALPHA), torch.no_grad():
        hook = model.get_input_embeddings().register_forward_hook(lambda _, inputs, output: seen.append(output))
        for _ in range(2):  # nothing is left over from a call
            called(input_ids=ids, attention_mask=mask)
        hook.remove()
    plain = model.get_input_embeddings()(ids)
    for noisy in seen:
        for row, length in enumerate((80, 20)):
            limit = float((noisy - plain)[row, :length].abs().max())
            assert limit == pytest.approx(ALPHA / math.sqrt(length * WIDTH), rel=0.05)
    assert len(seen) == 2


def test_of_a_wider_mask_the_last_columns_are_those_of_the_tokens(model):
    mask = torch.zeros(2, 90, dtype=torch.long)
    mask[0, :], mask[1, :30] = 1, 1
    found = []
    embedding = model.get_input_embeddings()
    with noise(model, ALPHA), torch.no_grad():
        decoder = model.get_decoder()
        before = decoder.register_forward_pre_hook(
            lambda _, args, kwargs: (args, kwargs | {"attention_mask": mask[:, 10:]}), with_kwargs=True
        )
        hook = embedding.register_forward_hook(lambda _, inputs, output: found.append(output))
        model(input_ids=torch.zeros(2, 80, dtype=torch.long), attention_mask=mask)
        before.remove()
        hook.remove()
    noisy = found[0] - embedding(torch.zeros(2, 80, dtype=torch.long)).detach()
    for row, length in enumerate((80, 20)):
        assert float(noisy[row].abs().max()) == pytest.approx(ALPHA / math.sqrt(length * WIDTH), rel=0.05)


def test_lengths_are_read_from_positions_that_restart():
    positions = torch.tensor([[0, 1, 2, 0, 0, 1], [0, 1, 2, 3, 4, 5]])
    assert example_lengths(positions).tolist() == [[3, 3, 3, 1, 2, 2], [6] * 6]
    assert example_lengths(torch.tensor([[4, 5, 0, 1]])).tolist() == [
        [2, 2, 2, 2]
    ]  # a row that begins inside an example


def test_a_length_is_forgotten_after_its_call(model):
    packed = torch.cat([torch.arange(10)] * 10)[None]
    with noise(model, ALPHA):
        embedded(model, input_ids=torch.arange(100)[None], position_ids=packed)
        noisy = model.get_input_embeddings()(torch.arange(100)[None]).detach()  # as PEFT's prompt tuning asks it
    found = noisy - model.get_input_embeddings()(torch.arange(100)[None]).detach()
    assert float(found.abs().max()) < 1.01 * ALPHA / math.sqrt(100 * WIDTH)


def test_a_model_that_answers_or_is_validated_sees_no_noise(model):
    ids = torch.arange(50)[None]
    model.eval()
    assert float(added(model, ids).abs().max()) == 0


def test_afterwards_and_without_alpha_there_is_no_noise(model):
    ids = torch.arange(50)[None]
    plain = model.get_input_embeddings()(ids).detach()
    added(model, ids)
    assert torch.equal(embedded(model, input_ids=ids), plain)
    with noise(model, None):
        assert torch.equal(embedded(model, input_ids=ids), plain)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_noise_is_drawn_anew_and_the_same_for_the_same_seed(model):
    ids = torch.arange(50)[None]
    drawn = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn += [added(model, ids), added(model, ids)]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[4])


def some_examples():
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, 256, (12,), generator=draw).tolist() for _ in range(8)]
    return [Example(ids, ids) for ids in rows]


def a_trainer(folder, **settings):
    torch.manual_seed(3)
    chosen = from_dict(
        {"data": {"train": ["x"]}, "method": {"name": "lora"}},
        {"compute.dtype": "float32", "optim.learning_rate": 1e-2, "batch.global_batch_size": 4, **settings},
    )
    method = method_of(chosen)
    return Trainer(method.attach(load_base(folder, bits=16), chosen), some_examples(), 256, chosen)


@pytest.mark.parametrize("packing", [True, False])
def test_a_training_with_noise_learns_otherwise_and_is_validated_without(folder, packing):
    quiet, noisy = (
        a_trainer(folder, **{"optim.neftune_alpha": alpha, "batch.packing": packing}) for alpha in (None, 30.0)
    )
    before = [trainer.validate(some_examples()) for trainer in (quiet, noisy)]
    assert before[0] == before[1]
    between, losses = [], {quiet: [], noisy: []}
    for trainer in (quiet, noisy):
        for step in trainer.steps():
            losses[trainer].append(step.loss)
            if trainer is noisy:
                between += [trainer.validate(some_examples()), trainer.validate(some_examples())]
    assert losses[quiet][0] != pytest.approx(losses[noisy][0], rel=1e-3)
    assert between[0::2] == between[1::2]
