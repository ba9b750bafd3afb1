"""What makes each method the one that it is, measured without the code under test: by hand, or by a formula of its paper."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.func import functional_call
from torch.nn import functional
from transformers import AutoModelForCausalLM, DynamicCache

from core.errors import SettingsError
from core.models.load import load_base, load_both
from core.models.methods import TRAITS
from core.models.virtual_tokens import load_virtual_tokens
from core.train.methods import METHODS, method_of
from core.train.methods.whole import train_only
from tests.tiny import build_tiny_model
from tests.trained import attached, logits, settings_of, train, trainer_of

IDS = [257, 9, 30, 71, 258, 12, 40, 200, 11]
LORA = [name for name, traits in TRAITS.items() if traits.mergeable and 16 in traits.bits]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def plain(base):
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()


def stirred(base, name, bits=16, **more):
    """A freshly attached model whose trained weights are no longer where they start."""
    model = attached(base, settings_of(name, bits, **more)).eval()
    draw = torch.Generator().manual_seed(7)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
    return model


def lora_layers(model):
    """Name in the base -> (weight, A, B, magnitude or None) of every adapted layer."""
    found = {}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A") and len(module.lora_A):
            magnitude = module.lora_magnitude_vector["default"].weight if len(module.lora_magnitude_vector) else None
            factors = (module.lora_A["default"].weight, module.lora_B["default"].weight)
            found[name.removeprefix("base_model.model.")] = (module.get_base_layer().weight, *factors, magnitude)
    return found


def by_hand(base, weights):
    """The logits of the plain base with some of its weights replaced."""
    replaced = {f"{name}.weight": weight for name, weight in weights.items()}
    return functional_call(plain(base), replaced, kwargs={"input_ids": torch.tensor([IDS])}).logits[0]


@pytest.mark.parametrize(
    ("name", "scale"), [("lora", 32 / 16), ("rslora", 32 / 4), ("loraplus", 32 / 16), ("pissa", 32 / 16)]
)
def test_the_scale_is_alpha_over_the_rank_and_with_rslora_over_its_root(base, name, scale):
    model = stirred(base, name, **{"lora.rank": 16, "lora.alpha": 32})
    weights = {layer: w + scale * b @ a for layer, (w, a, b, _) in lora_layers(model).items()}
    assert len(weights) == 14
    assert (by_hand(base, weights) - logits(model, IDS)).abs().max() < 1e-4


def test_the_gradients_of_a_lora_are_those_of_the_formula(base):
    model = stirred(base, "lora")
    layers = lora_layers(model)
    leaves = {layer: (a.detach().clone().requires_grad_(), b.detach().clone().requires_grad_())
              for layer, (_, a, b, _) in layers.items()}  # fmt: skip
    scale = 2 * 4 / 4  # alpha is twice the rank
    said = by_hand(base, {layer: w.detach() + scale * leaves[layer][1] @ leaves[layer][0]
                          for layer, (w, *_) in layers.items()})  # fmt: skip
    targets = torch.tensor(IDS[1:])
    functional.cross_entropy(said[:-1], targets).backward()
    functional.cross_entropy(model(input_ids=torch.tensor([IDS])).logits[0, :-1], targets).backward()
    for layer, (_, a, b, _) in layers.items():
        for got, expected in zip((a.grad, b.grad), (leaves[layer][0].grad, leaves[layer][1].grad), strict=True):
            assert expected.norm() > 0
            assert (got - expected).norm() < 1e-4 * expected.norm(), layer


def test_dora_learns_the_length_of_each_row_apart_from_its_direction(base):
    fresh = attached(base, settings_of("dora", 16))
    for weight, _, _, magnitude in lora_layers(fresh).values():
        assert torch.allclose(magnitude, weight.square().sum(1).sqrt())
    assert (logits(fresh.eval(), IDS) - logits(plain(base), IDS)).abs().max() < 1e-4
    model = stirred(base, "dora")
    weights = {}
    for layer, (w, a, b, magnitude) in lora_layers(model).items():
        turned = w + 2 * b @ a
        weights[layer] = magnitude[:, None] * turned / turned.square().sum(1, keepdim=True).sqrt()
    assert (by_hand(base, weights) - logits(model, IDS)).abs().max() < 1e-3


def test_pissa_starts_at_the_leading_singular_vectors_and_at_the_answers_of_the_base(base):
    model = attached(base, settings_of("pissa", 16)).eval()
    assert (logits(model, IDS) - logits(plain(base), IDS)).abs().max() < 1e-3
    original = dict(plain(base).named_parameters())
    for layer, (left, a, b, _) in lora_layers(model).items():
        weight = original[f"{layer}.weight"].detach().numpy().astype(np.float64)
        u, sizes, v = np.linalg.svd(weight)
        for number in range(4):
            column, row = b[:, number].detach().numpy(), a[number].detach().numpy()
            assert abs(column @ u[:, number]) / np.linalg.norm(column) == pytest.approx(1, abs=1e-4)
            assert abs(row @ v[number]) / np.linalg.norm(row) == pytest.approx(1, abs=1e-4)
            assert 2 * np.linalg.norm(column) * np.linalg.norm(row) == pytest.approx(sizes[number], rel=1e-4)
        best = (u[:, :4] * sizes[:4]) @ v[:4]
        assert np.allclose(left.detach().numpy(), weight - best, atol=1e-4)


def test_pissa_is_saved_as_a_lora_on_the_weights_that_the_base_was_published_with(tmp_path):
    trained = train(tmp_path, "pissa", 16)
    original = dict(plain(trained.base).named_parameters())
    saved = load_file(trained.folder / "adapter_model.safetensors")
    for layer, (left, a, b, _) in lora_layers(trained.model).items():
        at = f"base_model.model.{layer}"
        assert not torch.allclose(left, original[f"{layer}.weight"], atol=1e-2)  # the model in memory has another base
        sum_of_both = original[f"{layer}.weight"] + 2 * saved[f"{at}.lora_B.weight"] @ saved[f"{at}.lora_A.weight"]
        assert torch.allclose(sum_of_both, left + 2 * b @ a, atol=1e-4)


def test_pissa_is_taken_up_where_it_was_whatever_the_svd_gives_this_time(tmp_path):
    trained = train(tmp_path, "pissa", 16)
    fresh = attached(trained.base, trained.settings)
    for layer, (weight, a, b, _) in lora_layers(fresh).items():
        weight.data += 2 * b.data @ (0.5 * a.data)  # half of the start goes back into the base
        a.data *= 0.5
        fresh.pissa_start[f"base_model.model.{layer}.lora_A.weight"] *= 0.5
    METHODS["pissa"].restore(fresh, trained.folder)
    assert (logits(fresh.eval(), IDS) - logits(trained.model, IDS)).abs().max() < 1e-3
    METHODS["pissa"].save(fresh, tmp_path / "again")
    first, again = (load_file(each / "adapter_model.safetensors") for each in (trained.folder, tmp_path / "again"))
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_pissa_refuses_a_rank_that_a_layer_does_not_have(base):
    with pytest.raises(SettingsError) as caught:
        attached(base, settings_of("pissa", 16, **{"lora.rank": 33}))
    assert [(each.code, each.where) for each in caught.value.problems] == [("method.rank_over_layer", "lora.rank")]
    assert "32" in caught.value.say("zh")


@pytest.mark.parametrize(("name", "ratio"), [("lora", 1), ("loraplus", 5)])
def test_lora_plus_moves_b_so_many_times_faster_than_a(base, name, ratio):
    """AdamW's first step moves a weight by its rate, however large the gradient."""
    steps = {"lora.plus_ratio": ratio, "optim.learning_rate": 1e-3, "schedule.kind": "constant"}
    settings = settings_of(name, 16, **steps)
    model = stirred(base, name)
    before = {layer: (a.detach().clone(), b.detach().clone()) for layer, (_, a, b, _) in lora_layers(model).items()}
    next(iter(trainer_of(base, settings, model).steps()))
    for layer, (_, a, b, _) in lora_layers(model).items():
        for weight, start, rate in ((a, before[layer][0], 1e-3), (b, before[layer][1], ratio * 1e-3)):
            assert float((weight - start).detach().abs().max()) == pytest.approx(rate, rel=1e-3)


def test_named_layers_are_adapted_and_no_others(base):
    model = attached(base, settings_of("lora", 16, **{"lora.targets": "q_proj, v_proj"}))
    assert sorted({layer.rpartition(".")[2] for layer in lora_layers(model)}) == ["q_proj", "v_proj"]
    assert len(lora_layers(model)) == 4


@pytest.mark.parametrize("name", LORA)
def test_all_linear_layers_but_the_output_are_adapted_unless_somebody_names_them(base, name):
    adapted = {layer.rpartition(".")[2] for layer in lora_layers(attached(base, settings_of(name, 16)))}
    assert adapted == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}


def test_a_prompt_is_embeddings_that_stand_before_those_of_the_text(base):
    model = stirred(base, "prompt")
    learnt = model.prompt_encoder["default"].embedding.weight
    bare = plain(base)
    words = bare.get_input_embeddings()(torch.tensor([IDS]))
    expected = bare(inputs_embeds=torch.cat([learnt[None], words], dim=1)).logits[0, 5:]
    assert learnt.shape == (5, 64)
    assert (logits(model, IDS) - expected).abs().max() < 1e-5
    fresh = attached(base, settings_of("prompt", 16)).prompt_encoder["default"].embedding.weight
    distance = (fresh[:, None] - bare.get_input_embeddings().weight[None]).norm(dim=-1)
    assert (distance.min(dim=1).values == 0).all()  # each is the embedding of some token


def test_a_prefix_is_keys_and_values_of_each_layer_that_stand_before_those_of_the_text(base):
    model = stirred(base, "prefix")
    learnt = model.prompt_encoder["default"].embedding.weight.detach()  # (5, layers x 2 x key heads x head width)
    cache = DynamicCache()
    for number, (keys, values) in enumerate(learnt.view(1, 5, 2, 2, 2, 16).permute(2, 3, 0, 4, 1, 5)):
        cache.update(keys, values, number)
    expected = plain(base)(input_ids=torch.tensor([IDS]), past_key_values=cache).logits[0]
    assert (logits(model, IDS) - expected).abs().max() < 1e-5


def test_a_prefix_starts_as_if_tokens_of_the_vocabulary_stood_before_the_text(base):
    model = attached(base, settings_of("prefix", 16), seed=5).eval()
    torch.manual_seed(5)
    drawn = torch.randint(259, (5,)).tolist()
    expected = logits(plain(base), drawn + IDS)[5:]
    assert (logits(model, IDS) - expected).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_virtual_tokens_are_read_by_plain_peft_and_written_as_it_does(base, name, tmp_path):
    model = stirred(base, name)
    METHODS[name].save(model, tmp_path)
    assert set(load_file(tmp_path / "adapter_model.safetensors")) == {"prompt_embeddings"}
    loaded = load_virtual_tokens(load_base(base), tmp_path).eval()
    assert not any(weight.requires_grad for weight in loaded.parameters())
    assert (logits(loaded, IDS) - logits(model, IDS)).abs().max() < 1e-5


@pytest.mark.parametrize("layers", [1, 2])
def test_freeze_trains_the_last_layers_and_nothing_else(base, layers):
    model = attached(base, settings_of("freeze", 16, **{"method.layers": layers}))
    learns = {name for name, weight in model.named_parameters() if weight.requires_grad}
    kept = {name for name, _ in model.named_parameters()} - learns
    assert {name.split(".")[2] for name in learns} == {str(number) for number in range(2 - layers, 2)}
    assert len(learns) == 9 * layers
    assert {"model.embed_tokens.weight", "model.norm.weight"} <= kept


def test_full_trains_every_weight(base):
    model = attached(base, settings_of("full", 16))
    assert all(weight.requires_grad for weight in model.parameters())
    count = sum(weight.numel() for weight in load_file(base / "model.safetensors").values())
    assert trainer_of(base, settings_of("full", 16), model).trainable_parameters == count


def test_only_what_freeze_has_changed_is_held_twice(tmp_path):
    trained = train(tmp_path, "freeze", 16)
    both = load_both(trained.base, trained.folder)
    places = {name: weight.data_ptr() for name, weight in both.model.named_parameters()}
    with both.as_base():
        moved = {name for name, weight in both.model.named_parameters() if weight.data_ptr() != places[name]}
    assert moved == {name for name, weight in trained.model.named_parameters() if weight.requires_grad}
    assert {name: weight.data_ptr() for name, weight in both.model.named_parameters()} == places


def test_what_is_trained_of_a_bfloat16_model_is_held_in_float32_because_small_steps_would_be_lost(base):
    model = load_base(base, dtype="bfloat16")
    train_only(model, [model.model.layers[1]])
    dtypes = {weight.requires_grad: weight.dtype for weight in model.parameters()}
    assert dtypes == {True: torch.float32, False: torch.bfloat16}
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    settings = settings_of("freeze", 16, **{"optim.learning_rate": 1e-5, "compute.dtype": "bfloat16"})
    next(iter(trainer_of(base, settings, model).steps()))
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name]) != weight.requires_grad, name


@pytest.mark.parametrize("name", [name for name in TRAITS if 16 in TRAITS[name].bits])
def test_a_method_of_ours_is_the_same_whoever_asks_for_it(base, name):
    """The registry gives the method that the settings name, and its seed decides its start."""
    settings = settings_of(name, 16)
    assert method_of(settings) is METHODS[name]
    one, same, other = (attached(base, settings, seed=seed) for seed in (1, 1, 2))
    starts = [[w.detach().flatten() for w in each.parameters() if w.requires_grad] for each in (one, same, other)]
    assert all(torch.equal(a, b) for a, b in zip(starts[0], starts[1], strict=True))
    drawn = any(not torch.equal(a, b) for a, b in zip(starts[0], starts[2], strict=True))
    assert drawn == (name not in ("pissa", "freeze", "full"))
