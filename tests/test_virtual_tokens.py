"""Prefix and prompt tuning on every family: what is learnt stands before each text, however it is padded or asked."""

import pytest
import torch
from peft import PeftModel
from transformers import GenerationConfig

from core.errors import ModelError
from core.train.methods import METHODS
from core.train.methods.freeze import decoder_layers
from tests import architectures
from tests.architectures import FAMILIES, build_hybrid
from tests.trained import greedy, logits, settings_of

QUESTIONS = [[3, 4, 5, 6, 7, 8, 9], [10, 11, 12], [40, 41, 42, 43, 44]]
WINDOWS = (
    "mistral",
    "gemma2",
    "gemma3_text",
    "phi3",
)  # a prefix is lost sight of earlier in a padded row; see the module


def build(family):
    """A model that does not only repeat what it reads, as one with large embeddings does."""
    base = architectures.build(family)
    with torch.no_grad():
        base.get_input_embeddings().weight.mul_(0.1)
    return base


def attached(name, base):
    torch.manual_seed(1)
    model = METHODS[name].attach(base, settings_of(name, 16)).eval()
    with torch.no_grad():
        model.prompt_encoder["default"].embedding.weight.mul_(1.5)
    return model


def in_one_batch(model, questions, count):
    """Greedy answers to questions that are padded at the left, with a cache."""
    longest = max(map(len, questions))
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in questions])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in questions])
    how = GenerationConfig(do_sample=False, max_new_tokens=count, pad_token_id=0, eos_token_id=999)
    with torch.no_grad():
        return model.generate(inputs=ids, attention_mask=mask, generation_config=how)[:, longest:].tolist()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_plain_peft_says_the_same_to_what_was_saved(name, family, tmp_path):
    base = build(family)
    plain = [logits(base.eval(), ids) for ids in QUESTIONS]
    model = attached(name, base)
    METHODS[name].save(model, tmp_path)
    peft = PeftModel.from_pretrained(build(family), tmp_path).eval()
    for ids, untuned in zip(QUESTIONS, plain, strict=True):
        said = logits(model, ids)
        assert torch.allclose(said, logits(peft, ids), atol=1e-4)
        assert not torch.allclose(said, untuned, atol=1e-2)
        with model.disable_adapter():
            assert torch.equal(logits(model.get_base_model(), ids), untuned)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_answers_in_a_padded_batch_are_those_to_each_question_alone_without_a_cache(name, family):
    model = attached(name, build(family))
    alone = [greedy(model, ids, 12, stops=()) for ids in QUESTIONS]
    assert [in_one_batch(model, [ids], 12)[0] for ids in QUESTIONS] == alone
    if name == "prompt" or family not in WINDOWS:
        assert in_one_batch(model.get_base_model(), QUESTIONS, 12) == alone
    with model.disable_adapter():
        before = in_one_batch(model.get_base_model(), QUESTIONS, 12)
    assert before == in_one_batch(build(family).eval(), QUESTIONS, 12) != alone


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["prefix", "prompt"])
def test_the_decoder_alone_gives_the_hidden_states_of_the_given_tokens_and_the_gradient_of_the_learnt_ones(
    name, family
):
    model = attached(name, build(family))
    inner, learnt = model.get_base_model(), model.prompt_encoder["default"].embedding.weight
    expected = [inner.get_decoder()(input_ids=torch.tensor([ids])).last_hidden_state[0] for ids in QUESTIONS]
    (gradient,) = torch.autograd.grad(sum(each.sin().sum() for each in expected), learnt)
    assert gradient.norm() > 0
    longest = max(map(len, QUESTIONS))
    ids = torch.tensor([each + [0] * (longest - len(each)) for each in QUESTIONS])
    mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in QUESTIONS])
    for more in ({}, {"position_ids": torch.arange(longest)[None]}):
        hidden = inner.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False, **more).last_hidden_state
        assert hidden.shape == (3, longest, 64)
        found = [row[: len(each)] for row, each in zip(hidden, QUESTIONS, strict=True)]
        assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(found, expected, strict=True))
        (got,) = torch.autograd.grad(sum(each.sin().sum() for each in found), learnt)
        assert (got - gradient).norm() < 1e-3 * gradient.norm()


def test_a_model_whose_layers_do_not_all_keep_keys_and_values_has_no_prefix_but_a_prompt():
    with pytest.raises(ModelError) as caught:
        attached("prefix", build_hybrid())
    assert [each.code for each in caught.value.problems] == ["method.no_prefix"]
    assert "lfm2" in caught.value.say("zh")
    model = attached("prompt", build_hybrid())
    alone = [greedy(model, ids, 12, stops=()) for ids in QUESTIONS]
    assert in_one_batch(model, QUESTIONS, 12) == alone


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_of_every_family_is_found(family):
    model = build(family)
    assert len(decoder_layers(model)) == 2
    METHODS["freeze"].attach(model, settings_of("freeze", 16))
    learns = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert learns
    assert all("layers.1." in name for name in learns)
