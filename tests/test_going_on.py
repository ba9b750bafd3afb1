"""A trainer that is restored goes on bit by bit as the one that was not interrupted."""

import numpy as np
import pytest
import torch

from core.models.methods import TRAITS
from core.train.methods import method_of
from core.train.trainer import Trainer
from tests.tiny import build_tiny_model
from tests.trained import attached, examples, settings_of


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.mark.parametrize("name", TRAITS)
def test_a_restored_training_is_the_one_that_was_not_interrupted(base, name, tmp_path):
    more = {
        "schedule.max_steps": 8,
        "batch.global_batch_size": 3,
        "optim.neftune_alpha": 5.0,
        "schedule.kind": "cosine",
    }
    if name in ("qlora", "lora", "rslora", "dora", "loraplus"):
        more["lora.dropout"] = 0.1
    settings = settings_of(name, TRAITS[name].bits[0], **more)

    def fresh(seed):
        model = attached(base, settings, seed)
        groups = method_of(settings).groups(model, settings)
        return model, Trainer(model, examples(base), 256, settings, groups=groups)

    _, whole = fresh(1)
    expected = [(step.step, step.loss, step.grad_norm) for step in whole.steps()]

    model, first = fresh(1)
    taken = []
    for step in first.steps():
        taken.append((step.step, step.loss, step.grad_norm))
        if step.step == 3:
            break
    method_of(settings).save(model, tmp_path)
    state = first.state()
    torch.manual_seed(99)  # somebody else draws in between
    np.random.seed(99)

    restored, later = fresh(2)
    method_of(settings).restore(restored, tmp_path)
    later.restore(state)
    taken += [(step.step, step.loss, step.grad_norm) for step in later.steps()]
    assert [step for step, _, _ in taken] == list(range(1, 9))
    exact = name != "pissa"  # which saves the difference to where it started
    for got, want in zip(taken, expected, strict=True):
        assert got == want if exact else got == pytest.approx(want, rel=1e-4)
