"""Memory that runs out in a step: the step is taken again in smaller pieces, and nothing but rounding changes."""

import random

import pytest
import torch

from core.errors import RunError
from core.models.load import load_base
from core.models.out_of_memory import is_out_of_memory
from core.render.tokenizer import Example
from core.train.methods import method_of
from core.train.shrinking import Pieces, smaller
from core.train.trainer import Trainer
from tests.test_stopping import some_examples
from tests.tiny import build_tiny_model
from tests.trained import settings_of

STEPS = 8


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


class Limited:
    """A trainer on a device that holds activations of so many tokens at once, from a step on; real losses, real gradients."""

    def __init__(self, base, most=None, from_step=1, examples=None, **settings):
        torch.manual_seed(3)
        values = {
            "schedule.max_steps": STEPS,
            "batch.global_batch_size": 8,
            "compute.checkpointing": "auto",
            **settings,
        }
        self.settings = settings_of("lora", 16, **values)
        model = method_of(self.settings).attach(load_base(base, bits=16), self.settings)
        self.told, self.taken = [], []
        self.trainer = Trainer(model, examples or some_examples(40), 256, self.settings, tell=self.told.append)
        self.most, self.from_step = most, from_step
        model.get_input_embeddings().register_forward_pre_hook(self.refuse)

    def refuse(self, _, inputs):
        held = inputs[0].numel() / (4 if self.trainer.pieces.checkpointing else 1)
        if self.most and len(self.taken) + 1 >= self.from_step and held > self.most:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {held} tokens")

    def run(self):
        for step in self.trainer.steps():
            self.taken.append(step)
        return self

    @property
    def losses(self):
        return [step.loss for step in self.taken]


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
def test_a_step_that_ran_out_of_memory_is_taken_again_in_smaller_pieces(base, packing):
    whole = Limited(base, **{"batch.packing": packing}).run()
    step = random.Random(7).randrange(2, STEPS)
    limited = Limited(base, most=70, from_step=step, **{"batch.packing": packing}).run()
    assert limited.told
    assert {each.step for each in limited.told} == {step}
    assert limited.losses == pytest.approx(whole.losses, abs=1e-5)
    assert [each.learnt_tokens for each in limited.taken] == [
        each.learnt_tokens for each in whole.taken
    ]  # same batches
    assert [each.tokens for each in limited.taken] == [each.tokens for each in whole.taken]
    assert limited.told[-1].micro_batch_size < 8
    assert not limited.told[-1].checkpointing


def test_when_one_example_is_too_much_activations_are_computed_again(base):
    whole = Limited(base).run()
    limited = Limited(base, most=12, from_step=3).run()
    assert [each.micro_batch_size for each in limited.told] == [4, 2, 1, 1]
    assert [each.checkpointing for each in limited.told] == [False, False, False, True]
    assert limited.losses == pytest.approx(whole.losses, abs=1e-5)


def test_when_nothing_helps_it_stops_with_the_largest_that_went_through_and_the_step_before_is_whole(base):
    ids = torch.randint(0, 256, (290,), generator=torch.Generator().manual_seed(1)).tolist()
    examples = [*some_examples(40), Example(ids, ids)]
    whole, limited = Limited(base, examples=examples).run(), Limited(base, most=40, examples=examples)
    with pytest.raises(RunError) as caught:
        limited.run()
    found, reached = caught.value.problems[0], len(limited.taken)
    assert 0 < reached < STEPS
    assert found.code == "train.out_of_memory"
    assert found.values["step"] == reached + 1
    assert found.values["tokens"] == 290
    assert 0 < found.values["fits"] <= 160  # computed again, four times as much is held here
    assert limited.losses == pytest.approx(whole.losses[:reached], abs=1e-5)
    state = limited.trainer.state()
    assert state["taken"] == reached
    assert {int(each["step"]) for each in state["optimizer"].values()} == {reached}


def test_memory_that_became_scarce_is_not_answered_with_a_length_that_went_through_before(base):
    limited = Limited(base, most=3, from_step=4)
    with pytest.raises(RunError) as caught:
        limited.run()
    assert caught.value.problems[0].code == "train.no_memory"
    assert len(limited.taken) == 3


def test_dropout_draws_the_same_when_a_step_is_taken_again(base):
    """With one example at a time from the start, what is cut smaller is cut as before."""
    values = {"lora.dropout": 0.3, "batch.micro_batch_size": 1}
    whole = Limited(base, **{**values, "compute.checkpointing": "on"}).run()
    limited = Limited(base, most=12, from_step=4, **values).run()
    assert limited.told[0].checkpointing
    assert limited.losses == pytest.approx(whole.losses, abs=1e-5)


def test_a_validation_that_does_not_fit_is_measured_in_halves(base):
    limited = Limited(base, most=70)
    free = Limited(base)
    examples = some_examples(17, seed=5)
    assert limited.trainer.validate(examples) == pytest.approx(free.trainer.validate(examples), rel=1e-5)


def test_smaller_pieces_begin_at_what_was_cut_and_not_at_the_limit():
    assert smaller(Pieces(64, 16_384, False), 10, 900, 120, True) == Pieces(5, 450, False)
    assert smaller(Pieces(5, 450, False), 5, 300, 200, True) == Pieces(3, 200, False)
    assert smaller(Pieces(1, 200, False), 1, 200, 200, True) == Pieces(1, 200, True)
    assert smaller(Pieces(1, 200, False), 1, 200, 200, False) is None
    assert smaller(Pieces(1, 200, True), 1, 200, 200, True) is None


def test_only_memory_is_taken_for_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert is_out_of_memory(
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")
    )
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)  # what the CPU's allocator says
    assert is_out_of_memory(caught.value)
