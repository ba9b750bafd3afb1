"""The training loop is exact: however the batch is cut, whatever happened before, and nothing but the adapter moves."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from core.errors import RunError
from core.models.load import load_adapter, load_base
from core.models.methods import bits_of
from core.render.tokenizer import IGNORE_INDEX, Example
from core.settings import from_dict
from core.train.batches import batches, total_steps
from core.train.checkpoint import save
from core.train.methods import METHODS, method_of
from core.train.schedule import learning_rate
from core.train.trainer import Trainer
from tests.tiny import build_tiny_model


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def some_examples(count=24, seed=0):
    draw = torch.Generator().manual_seed(seed)
    examples = []
    for _ in range(count):
        length = int(torch.randint(6, 30, (1,), generator=draw))
        ids = torch.randint(0, 256, (length,), generator=draw).tolist()
        examples.append(Example(ids, [IGNORE_INDEX] * (length // 2) + ids[length // 2 :]))
    return examples


def a_trainer(folder, examples=None, *, method="lora", of_pass=None, **settings):
    torch.manual_seed(3)
    chosen = from_dict(
        {"data": {"train": ["x"]}, "method": {"name": method}, "compute": {"dtype": "float32"}},
        {"optim.learning_rate": 1e-2, "schedule.epochs": 2, "schedule.warmup_share": 0, **settings},
    )
    base = load_base(folder, bits=bits_of(chosen))
    return Trainer(method_of(chosen).attach(base, chosen), examples or some_examples(), 256, chosen, of_pass)


def test_the_batch_may_be_cut_in_any_way(model_folder):
    losses = {}
    for micro in (1, 2, 8):
        cut = {"batch.global_batch_size": 8, "batch.micro_batch_size": micro}
        losses[micro] = [step.loss for step in a_trainer(model_folder, **cut).steps()]
    assert losses[8] == pytest.approx(losses[1], rel=1e-4)
    assert losses[8] == pytest.approx(losses[2], rel=1e-4)


def test_the_loss_is_the_mean_over_learnt_tokens_of_the_batch(model_folder):
    examples = some_examples(4)
    trainer = a_trainer(model_folder, examples, **{"batch.global_batch_size": 4, "schedule.max_steps": 1})
    with torch.no_grad():
        summed, tokens = 0.0, 0
        for example in examples:  # one by one, no padding, by the formula
            logits = trainer.model(input_ids=torch.tensor([example.input_ids])).logits[0]
            for position, label in enumerate(example.labels[1:]):
                if label != IGNORE_INDEX:
                    summed -= float(functional.log_softmax(logits[position], -1)[label])
                    tokens += 1
    assert next(iter(trainer.steps())).loss == pytest.approx(summed / tokens, rel=1e-5)


def test_the_validation_loss_does_not_depend_on_the_batch(model_folder):
    trainer = a_trainer(model_folder)
    examples = some_examples(20, seed=5)
    alone = [(trainer.validate([one]), sum(label >= 0 for label in one.labels[1:])) for one in examples]
    weighted = sum(loss * tokens for loss, tokens in alone) / sum(tokens for _, tokens in alone)
    assert trainer.validate(examples) == pytest.approx(weighted, rel=1e-5)


@pytest.mark.parametrize("method", ["lora", "qlora"])
def test_training_lowers_the_loss_and_moves_only_the_adapter(model_folder, method):
    trainer = a_trainer(model_folder, method=method, **{"schedule.epochs": 12})
    before = {name: weight.detach().clone() for name, weight in trainer.model.named_parameters()}
    losses = [step.loss for step in trainer.steps()]
    assert losses[-1] < losses[0] - 0.3
    for name, weight in trainer.model.named_parameters():
        moved = not torch.equal(before[name], weight)
        assert moved == ("lora_" in name), name


def test_gradients_through_four_bits_are_those_of_the_dequantised_weights_also_after_an_evaluation(model_folder):
    """bitsandbytes 0.50.2 repacks its layers in the first evaluation on some CPUs and loses the gradient then."""
    import bitsandbytes

    quantised = load_base(model_folder, bits=4)
    plain = load_base(model_folder)
    for name, module in quantised.named_modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
            plain.get_submodule(name).weight.data = weight.to(torch.float32)
    ids = torch.tensor([some_examples(1)[0].input_ids])

    def gradient(model):
        embedded = model.get_input_embeddings()(ids).detach().requires_grad_(True)
        model(inputs_embeds=embedded, labels=ids).loss.backward()
        return embedded.grad.flatten()

    expected = gradient(plain)
    for _ in range(2):
        got = gradient(quantised.train())
        assert float(functional.cosine_similarity(expected, got, dim=0)) > 0.9999
        assert float((expected - got).norm() / expected.norm()) < 0.01
        with torch.no_grad():
            quantised.eval()(input_ids=ids)


def test_the_same_seed_gives_the_same_run_and_another_another(model_folder):
    first, again, other = ([step.loss for step in a_trainer(model_folder, seed=seed).steps()] for seed in (1, 1, 2))
    assert first == again != other


def test_a_loss_that_is_no_number_stops_before_the_weights_are_spoilt(model_folder):
    trainer = a_trainer(model_folder)
    for name, weight in trainer.model.named_parameters():
        if "embed" in name:
            weight.data[:] = math.inf
    before = {n: w.detach().clone() for n, w in trainer.model.named_parameters() if "lora_" in n}
    with pytest.raises(RunError, match="came apart at step 1"):
        next(iter(trainer.steps()))
    assert all(torch.equal(before[n], w) for n, w in trainer.model.named_parameters() if n in before)


def test_a_loss_that_is_scaled_is_the_same_training(model_folder):
    """As on a card that computes in float16; a power of two rounds nothing in float32."""
    plain, scaled = (a_trainer(model_folder, **{"optim.max_grad_norm": 0.05, "schedule.epochs": 3}) for _ in range(2))
    scaled._scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=True)
    expected, found = list(plain.steps()), list(scaled.steps())
    assert expected[0].grad_norm > 0.1  # so that clipping has something to do
    assert [step.loss for step in found] == pytest.approx([step.loss for step in expected], rel=1e-6)
    assert [step.grad_norm for step in found] == pytest.approx([step.grad_norm for step in expected], rel=1e-5)
    weights = dict(plain.model.named_parameters())
    for name, weight in scaled.model.named_parameters():
        assert torch.allclose(weight, weights[name], rtol=1e-5, atol=1e-7), name


def test_a_step_whose_scaled_gradient_is_too_large_is_left_out(model_folder):
    """The scale is halved until it fits; nothing is spoilt, and nobody says that the training came apart."""
    trainer = a_trainer(model_folder, **{"schedule.epochs": 3})
    trainer._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, enabled=True)
    trained = [weight for weight in trainer.model.parameters() if weight.requires_grad]
    moved = []
    before = [weight.detach().clone() for weight in trained]
    for step in trainer.steps():
        assert step.scaled
        assert math.isfinite(step.loss)
        assert all(bool(torch.isfinite(weight).all()) for weight in trained)
        changed = any(not torch.equal(weight, was) for weight, was in zip(trained, before, strict=True))
        assert changed == math.isfinite(step.grad_norm)
        moved.append(changed)
        before = [weight.detach().clone() for weight in trained]
    assert not moved[0]
    assert moved[-1]


def test_every_example_is_seen_once_a_pass():
    stream = batches(lambda _: range(21), 4, seed=1)
    passes = [[index for _ in range(6) for index in next(stream)] for _ in range(3)]
    assert all(sorted(each) == list(range(21)) for each in passes)
    assert passes[0] != passes[1] != passes[2]


@pytest.mark.parametrize("lengths", [None, np.arange(100, 121)])
def test_batches_go_on_where_they_were_left(lengths):
    whole = batches(lambda number: np.arange(21) if number % 2 else np.arange(20, -1, -1), 4, seed=1, lengths=lengths)
    for taken in range(15):
        expected = next(whole)
        later = batches(
            lambda number: np.arange(21) if number % 2 else np.arange(20, -1, -1), 4, 1, taken=taken, lengths=lengths
        )
        assert next(later).tolist() == expected.tolist()


def test_padded_batches_hold_examples_of_similar_length():
    lengths = np.random.default_rng(0).permutation(64)
    stream = batches(lambda _: range(64), 8, seed=1, lengths=lengths)
    padding = [int((lengths[batch].max() - lengths[batch]).sum()) for batch in (next(stream) for _ in range(8))]
    assert max(padding) == sum(range(8))  # each holds eight lengths that follow one another


def test_a_trainer_shows_what_each_pass_says(model_folder):
    examples = some_examples(6)
    asked = []

    def of_pass(number):
        asked.append(number)
        return [0, 1] if number % 2 else [2, 3]

    trainer = a_trainer(model_folder, examples, of_pass=of_pass, **{"batch.global_batch_size": 1, "schedule.epochs": 3})
    tokens = [step.tokens for step in trainer.steps()]
    lengths = [len(example.input_ids) for example in examples]
    assert set(asked) == {0, 1, 2, 3}  # the next pass is read while this one ends
    assert [sorted(tokens[at : at + 2]) for at in (0, 2, 4)] == [
        sorted(lengths[2:4]), sorted(lengths[:2]), sorted(lengths[2:4])
    ]  # fmt: skip


def test_a_saved_adapter_answers_as_the_trained_one(model_folder, tmp_path):
    trainer = a_trainer(model_folder)
    list(trainer.steps())
    save(trainer.model, METHODS["lora"], model_folder, tmp_path / "final")
    assert {"COMPLETE", "adapter_model.safetensors", "tokenizer.json", "chat_template.jinja"} <= {
        file.name for file in (tmp_path / "final").iterdir()
    }
    loaded = load_adapter(load_base(model_folder), tmp_path / "final")
    ids = torch.tensor([some_examples(1)[0].input_ids])
    with torch.no_grad():
        assert torch.allclose(trainer.model.eval()(input_ids=ids).logits, loaded(input_ids=ids).logits, atol=1e-5)


def test_the_steps_are_counted_as_they_are_taken(model_folder):
    assert total_steps(100, 8, 3, None) == 39
    assert total_steps(100, 8, 0.5, None) == 7
    assert total_steps(100, 8, 3, 10) == 10
    assert total_steps(50, 1, 1.1, None) == 55  # of which floats make 55.000000000000007
    assert total_steps(100, 1, 1.1, None) == 110
    assert total_steps(100, 1, 1.101, None) == 111
    trainer = a_trainer(model_folder, **{"batch.global_batch_size": 5})
    assert len(list(trainer.steps())) == trainer.total_steps == 10


def test_the_rate_rises_then_falls():
    rates = [learning_rate(step, 100, 1.0, "cosine", 0.1) for step in range(1, 101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == pytest.approx(rates[10], rel=0.01)
    assert rates[-1] == pytest.approx(0.02)
    assert learning_rate(50, 100, 1.0, "constant", 0.0) == 1.0
    assert learning_rate(50, 100, 1.0, "linear", 0.0) == 0.5
