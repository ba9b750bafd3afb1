"""4-bit and 8-bit layers: they are what they are called, and the gradient through them is that of the dequantised weights.

bitsandbytes 0.50.2 loses the gradient of 4-bit layers after an evaluation on some CPUs, and rounds the activations of 8-bit
layers when it evaluates; so everything is measured before, during and after an evaluation.
"""

import bitsandbytes
import pytest
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from core.models.load import load_base
from core.train.methods import method_of
from tests.tiny import build_tiny_model
from tests.trained import CASES, logits, settings_of

IDS = torch.tensor([[257, 9, 30, 71, 258, 12, 40, 200, 11, 5, 77]])
KINDS = {4: bitsandbytes.nn.Linear4bit, 8: bitsandbytes.nn.Linear8bitLt}
# DoRA multiplies W by the length of a sum with W in it, which PEFT takes for a constant, as the paper proposes (§4.3).
QUANTISED = [case for case in CASES if case[1] in KINDS]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def quantised_layers(model, bits):
    return {name: module for name, module in model.named_modules() if isinstance(module, KINDS[bits])}


def dequantised(model, base, bits):
    """The plain model with the weights that the quantised one has been left with."""
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    for name, module in quantised_layers(model, bits).items():
        if bits == 4:
            weight = bitsandbytes.functional.dequantize_4bit(module.weight.data, module.weight.quant_state)
        else:
            weight = module.weight.data.float() * module.weight.SCB[:, None] / 127
        plain.get_submodule(name).weight.data = weight.to(torch.float32)
    return plain


def gradient_at_the_embeddings(model):
    embedded = model.get_input_embeddings()(IDS).detach().requires_grad_(True)
    model(inputs_embeds=embedded, labels=IDS).loss.backward()
    return embedded.grad.flatten()


def test_every_linear_layer_but_the_output_has_so_many_bits_a_weight(base):
    for bits, dtype, per_byte in ((4, torch.uint8, 2), (8, torch.int8, 1)):
        model = load_base(base, bits=bits)
        layers = quantised_layers(model, bits)
        assert len(layers) == 14
        assert not isinstance(model.lm_head, KINDS[bits])
        for module in layers.values():
            assert module.weight.dtype == dtype
            assert module.weight.numel() * per_byte == module.in_features * module.out_features
        if bits == 4:
            states = [module.weight.quant_state for module in layers.values()]
            assert all(state.quant_type == "nf4" and state.nested for state in states)


@pytest.mark.parametrize(("bits", "most"), [(4, 0.12), (8, 0.012)])
def test_the_dequantised_weights_are_near_the_original_ones(base, bits, most):
    plain = AutoModelForCausalLM.from_pretrained(base)
    for name, weight in dequantised(load_base(base, bits=bits), base, bits).named_parameters():
        original = plain.get_parameter(name)
        assert (weight - original).norm() < most * original.norm()


@pytest.mark.parametrize("bits", [4, 8])
def test_gradients_are_those_of_the_dequantised_weights_also_after_an_evaluation(base, bits):
    model = load_base(base, bits=bits)
    plain = dequantised(model, base, bits)
    expected = gradient_at_the_embeddings(plain)
    for _ in range(3):
        got = gradient_at_the_embeddings(model.train())
        assert float(functional.cosine_similarity(expected, got, dim=0)) > 0.9999
        assert float((expected - got).norm() / expected.norm()) < 1e-4
        assert (logits(model.eval(), IDS[0]) - logits(plain.eval(), IDS[0])).abs().max() < 1e-3


@pytest.mark.parametrize(("name", "bits"), QUANTISED)
def test_what_is_learnt_gets_the_gradient_that_it_gets_on_the_dequantised_weights(base, name, bits):
    settings = settings_of(name, bits)
    quantised = load_base(base, bits=bits)
    plain = dequantised(quantised, base, bits)
    found = []
    for model in (quantised, plain):
        torch.manual_seed(4)
        tuned = method_of(settings).attach(model, settings)
        draw = torch.Generator().manual_seed(6)
        for weight in (each for each in tuned.parameters() if each.requires_grad):
            weight.data += 0.1 * torch.randn(weight.shape, generator=draw)
        for _ in range(2):
            tuned.zero_grad()
            tuned.train()(input_ids=IDS, labels=IDS).loss.backward()
            logits(tuned.eval(), IDS[0])
        found.append({name: weight.grad for name, weight in tuned.named_parameters() if weight.requires_grad})
    assert found[0].keys() == found[1].keys()
    assert found[0]
    for path, got in found[0].items():
        expected = found[1][path]
        assert expected.norm() > 0
        assert float((expected - got).norm() / expected.norm()) < 1e-3, path
