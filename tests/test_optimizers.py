"""The optimizers do what their papers say, on the weights they should, at the rate of the schedule."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from core.settings import from_dict
from core.train.optimizers import optimizer, param_groups
from core.train.schedule import learning_rate
from tests.tiny import build_tiny_model

PAGED = ["paged_adamw_32bit", "paged_adamw_8bit"]
ALL = ["adamw", *PAGED, "adafactor"]


def chosen(name, **settings):
    return from_dict({"data": {"train": ["x"]}}, {"optim.name": name, "optim.learning_rate": 1e-2, **settings})


def a_group(*weights, lr_factor=1.0, weight_decay=0.0):
    return {"params": list(weights), "lr_factor": lr_factor, "weight_decay": weight_decay}


def a_weight(*shape, seed=0, scale=0.5):
    return nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * scale)


def gradients(shape, steps, seed=9):
    draw = torch.Generator().manual_seed(seed)
    return [
        torch.randn(shape, generator=draw) * 10.0 ** torch.randint(-3, 0, (1,), generator=draw) for _ in range(steps)
    ]


def stepped(made, weight, given):
    for gradient in given:
        weight.grad = gradient.clone()
        made.step()
    return weight.detach().numpy()


def adamw_by_hand(start, given, rate, decay, betas=(0.9, 0.999), eps=1e-8):
    """Loshchilov and Hutter 2019, algorithm 2, in float64."""
    weight, first, second = start.astype(np.float64), 0.0, 0.0
    for step, gradient in enumerate((each.double().numpy() for each in given), 1):
        first = betas[0] * first + (1 - betas[0]) * gradient
        second = betas[1] * second + (1 - betas[1]) * gradient**2
        unbiased = second / (1 - betas[1] ** step)
        weight = weight - rate * decay * weight - rate * (first / (1 - betas[0] ** step)) / (np.sqrt(unbiased) + eps)
    return weight


def adafactor_by_hand(start, given, rate, decay):
    """Shazeer and Stern 2018, algorithm 4 with their constants, without relative step sizes, in float64."""
    weight, rows, columns = start.astype(np.float64), 0.0, 0.0
    for step, gradient in enumerate((each.double().numpy() for each in given), 1):
        kept = 1 - step**-0.8
        squared = gradient**2 + 1e-30
        rows = kept * rows + (1 - kept) * squared.mean(1)
        columns = kept * columns + (1 - kept) * squared.mean(0)
        update = gradient / np.sqrt(np.outer(rows, columns) / rows.mean())
        update /= max(1.0, np.sqrt((update**2).mean()))
        weight = weight - rate * decay * weight - rate * update
    return weight


@pytest.mark.parametrize("name", ["adamw", "paged_adamw_32bit"])
def test_adamw_steps_as_by_hand_at_the_rate_and_the_decay_of_each_group(name):
    plain, decayed = a_weight(7, 5), a_weight(7, 5)
    start, given = plain.detach().numpy().copy(), gradients((7, 5), 12)
    made = optimizer([a_group(plain, lr_factor=4.0), a_group(decayed, weight_decay=0.3)], chosen(name))
    for gradient in given:
        plain.grad, decayed.grad = gradient.clone(), gradient.clone()
        made.step()
    assert plain.detach().numpy() == pytest.approx(adamw_by_hand(start, given, 4e-2, 0.0), abs=1e-6)
    assert decayed.detach().numpy() == pytest.approx(adamw_by_hand(start, given, 1e-2, 0.3), abs=1e-6)


def test_adafactor_steps_as_by_hand_at_our_own_rate():
    weight = a_weight(6, 9)
    start, given = weight.detach().numpy().copy(), gradients((6, 9), 12)
    found = stepped(optimizer([a_group(weight, weight_decay=0.2)], chosen("adafactor")), weight, given)
    assert found == pytest.approx(adafactor_by_hand(start, given, 1e-2, 0.2), abs=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_a_weight_that_starts_at_zero_moves_by_the_rate(name):
    """Half of a LoRA does; an optimizer that scales by the weight's own size would leave it there."""
    weight = nn.Parameter(torch.zeros(64, 64))
    found = stepped(optimizer([a_group(weight)], chosen(name)), weight, gradients((64, 64), 1))
    assert np.sqrt((found**2).mean()) == pytest.approx(1e-2, rel=0.2)


def test_eight_bit_states_are_eight_bits_and_step_nearly_alike():
    weights = {name: a_weight(128, 96) for name in ("adamw", "paged_adamw_8bit")}
    start, given = weights["adamw"].detach().numpy().copy(), gradients((128, 96), 30)
    made = {name: optimizer([a_group(weight)], chosen(name)) for name, weight in weights.items()}
    moved = {name: stepped(made[name], weight, given) - start for name, weight in weights.items()}
    difference = np.linalg.norm(moved["adamw"] - moved["paged_adamw_8bit"]) / np.linalg.norm(moved["adamw"])
    assert 0 < difference < 0.05
    state = made["paged_adamw_8bit"].state[weights["paged_adamw_8bit"]]
    assert [state[name].dtype for name in ("state1", "state2")] == [torch.uint8, torch.uint8]
    kept = [made["adamw"].state[weights["adamw"]][name] for name in ("exp_avg", "exp_avg_sq")]
    assert [each.dtype for each in kept] == [torch.float32, torch.float32]


def test_adafactor_keeps_a_row_and_a_column():
    weight = a_weight(300, 200)
    made = optimizer([a_group(weight)], chosen("adafactor"))
    stepped(made, weight, gradients((300, 200), 1))
    kept = [value for value in made.state[weight].values() if torch.is_tensor(value) and value.numel() > 1]
    assert sum(value.numel() for value in kept) == 500
    assert {value.dtype for value in kept} == {torch.float32}


@pytest.mark.parametrize("name", ALL)
def test_an_optimizer_goes_on_where_its_state_was_saved(name):
    given = gradients((80, 64), 8)
    whole, broken = a_weight(80, 64), a_weight(80, 64)
    expected = stepped(optimizer([a_group(whole)], chosen(name)), whole, given)
    first = optimizer([a_group(broken)], chosen(name))
    stepped(first, broken, given[:5])
    again = optimizer([a_group(broken)], chosen(name))
    again.load_state_dict(first.state_dict())
    assert stepped(again, broken, given[5:]) == pytest.approx(expected, abs=1e-7)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def names_of(model, group):
    names = {id(weight): name for name, weight in model.named_parameters()}
    return {names[id(weight)] for weight in group["params"]}


def test_matrices_decay_and_norms_and_embeddings_do_not(tiny):
    groups = {group["weight_decay"]: names_of(tiny, group) for group in param_groups(tiny, 0.1)}
    assert groups[0.0] == {"model.embed_tokens.weight", "model.norm.weight"} | {
        f"model.layers.{layer}.{name}_layernorm.weight" for layer in (0, 1) for name in ("input", "post_attention")
    }
    assert all(name.endswith("_proj.weight") for name in groups[0.1])
    assert len(groups[0.1]) == 2 * 7
    line = nn.Linear(3, 2)
    assert {g["weight_decay"]: names_of(line, g) for g in param_groups(line, 0.1)} == {0.1: {"weight"}, 0.0: {"bias"}}


def test_only_what_is_trained_is_in_the_groups_once_and_at_its_own_rate(tiny):
    for name, weight in tiny.named_parameters():
        weight.requires_grad = "layers.1" in name
    try:
        groups = param_groups(tiny, 0.0, lambda name: 16.0 if "mlp" in name else 1.0)
    finally:
        tiny.requires_grad_(True)
    by_factor = {group["lr_factor"]: names_of(tiny, group) for group in groups}
    assert {len(names) for names in by_factor.values()} == {3, 6}
    assert all("layers.1.mlp" in name for name in by_factor[16.0])
    assert sum(len(group["params"]) for group in groups) == 9


@pytest.mark.parametrize("name", ALL)
def test_weight_decay_shrinks_what_it_should_and_nothing_else(name):
    line = nn.Linear(32, 16)
    before = {key: value.clone() for key, value in line.state_dict().items()}
    made = optimizer(param_groups(line, 0.5), chosen(name))
    for _ in range(3):
        for weight in line.parameters():
            weight.grad = torch.zeros_like(weight)
        made.step()
    assert line.weight.detach().numpy() == pytest.approx((before["weight"] * (1 - 1e-2 * 0.5) ** 3).numpy(), abs=1e-6)
    assert torch.equal(line.bias, before["bias"])


def test_schedules_have_the_values_of_their_formulas():
    """Ten steps, two of them warm-up, peak 1; by hand."""
    rates = {
        kind: [learning_rate(step, 10, 1.0, kind, 0.2) for step in range(1, 11)]
        for kind in ("constant", "linear", "cosine")
    }
    rise = [1 / 3, 2 / 3]
    assert rates["constant"] == pytest.approx([*rise, *[1.0] * 8])
    assert rates["linear"] == pytest.approx([*rise, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0.02])
    half, quarter = math.sqrt(0.5), math.cos(math.pi / 8)
    small = math.cos(3 * math.pi / 8)
    fall = [(1 + x) / 2 for x in (quarter, half, small, 0.0, -small, -half, -quarter)]
    assert rates["cosine"] == pytest.approx([*rise, *fall, 0.02], abs=1e-12)


@pytest.mark.parametrize("kind", ["constant", "linear", "cosine"])
def test_a_schedule_never_reaches_zero_nor_passes_its_peak(kind):
    for total in (1, 2, 7, 1000):
        rates = [learning_rate(step, total, 3e-4, kind, 0.05) for step in range(1, total + 1)]
        assert min(rates) > 0
        assert max(rates) <= 3e-4
