"""Many models from one load, asked in batches: each answers as it does alone, greedy or drawn, whatever the batch."""

import gc

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.generation import RepetitionPenaltyLogitsProcessor, TopPLogitsWarper

from core.evaluate import perplexity
from core.evaluate.asking import Asked
from core.evaluate.choosing import Choosing, Decoding
from core.evaluate.generate import Said, answer, batches, said
from core.evaluate.stepping import can_step
from core.models.load import forget_defaults, load_base, load_both, load_many
from core.records import Message
from core.render.tokenizer import IGNORE_INDEX, ChatTokenizer, Example
from core.train.methods import METHODS
from tests.architectures import FAMILIES, VOCABULARY, build, build_hybrid
from tests.tiny import build_tiny_model, write_adapter
from tests.trained import attached, greedy, settings_of

PROMPTS = [[10 + n, 40, 7 * n + 3, *range(60, 60 + 5 * n)] for n in range(6)]
NEW_TOKENS = 12
NUMBERS = torch.Generator().manual_seed(3)
QUESTIONS = [torch.randint(3, VOCABULARY, (n,), generator=NUMBERS).tolist() for n in (3, 17, 9, 1, 24)]


class Spelled:
    """Stands where a tokenizer does: an answer is its token ids, and some of them end it."""

    pad_id = 0
    stop_ids = (2, 5, 9, 17)

    def decode(self, ids):
        return " ".join(map(str, ids))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def tokenizer(base):
    return ChatTokenizer.load(base)


@pytest.fixture(scope="module")
def saved(base, tmp_path_factory):
    """What trainings could have made of the base: two LoRA adapters, a whole model, DoRA, prefix and prompt."""
    folder = tmp_path_factory.mktemp("saved")
    found = {name: write_adapter(folder / name, base, seed=seed) for seed, name in enumerate(("first", "second"), 1)}
    found["whole"] = build_tiny_model(folder / "whole", seed=9)
    for name in ("dora", "prefix", "prompt"):
        torch.manual_seed(4)
        model = attached(base, settings_of(name, 16))
        for weight in model.parameters():
            if weight.requires_grad:
                weight.data = weight.data + 0.3 * torch.randn(weight.shape)
        METHODS[name].save(model, folder / name)
        found[name] = folder / name
    return found


@pytest.fixture(scope="module")
def alone(base, saved, tokenizer):
    """What each says in plain transformers and PEFT, one prompt at a time, without a cache."""
    found = {}
    for who, folder in {"base": None, **saved}.items():
        model = AutoModelForCausalLM.from_pretrained(folder if who == "whole" else base, dtype=torch.float32)
        if who not in ("base", "whole"):
            model = PeftModel.from_pretrained(model, folder)
        ids = [greedy(model.eval(), prompt, NEW_TOKENS, tokenizer.stop_ids) for prompt in PROMPTS]
        found[who] = [Said(tokenizer.decode(each), len(each), len(each) < NEW_TOKENS) for each in ids]
    return found


@pytest.fixture
def many(base, saved):
    return load_many(base, saved)


def asked_of(many, tokenizer, decoding=None, context=0):
    told = []
    asked = Asked(many, dict.fromkeys(many.names, tokenizer), context, decoding or Decoding(NEW_TOKENS), told.append)
    return asked, told


def test_everybody_answers_as_alone_from_one_load_in_any_order(many, saved, alone, tokenizer):
    asked, told = asked_of(many, tokenizer)
    assert many.names == ("base", *saved)
    for who in [*many.names, *reversed(many.names)]:
        assert asked.ask(who, PROMPTS) == alone[who], who
    assert len({tuple(each) for each in map(str, alone.values())}) > 1
    assert len(set(map(str, alone.values()))) == len(many.names)
    assert (told, asked.unanswered) == ([], 0)
    assert [many.virtual_tokens(who) for who in many.names] == [0, 0, 0, 0, 0, 5, 5]


def test_the_base_has_its_own_bits_back_and_no_layer_of_anybody_else(many, base):
    plain = load_base(base)
    for who in many.names:
        with many.speaking_as(who):
            pass
    assert [name for name, _ in many.model.named_modules()] == [name for name, _ in plain.named_modules()]
    for (name, weight), (_, own) in zip(many.model.named_parameters(), plain.named_parameters(), strict=True):
        assert torch.equal(weight, own), name


def test_whoever_spoke_before_speaks_again(many):
    ids = torch.tensor([PROMPTS[2]])
    many.speak_as("first")
    before = many.model(input_ids=ids).logits
    with many.speaking_as("prompt"), many.speaking_as("base"), many.speaking_as("whole"):
        assert not torch.equal(many.model(input_ids=ids).logits, before)
    assert torch.equal(many.model(input_ids=ids).logits, before)


@pytest.mark.parametrize("who", ["first", "whole", "prefix"])
def test_a_model_that_was_made_to_speak_goes_on_when_nobody_holds_the_others(base, saved, alone, tokenizer, who):
    model = load_both(base, saved[who]).model
    gc.collect()
    assert answer(model, tokenizer, PROMPTS, Decoding(NEW_TOKENS)) == alone[who]


def test_where_memory_runs_out_while_somebody_begins_to_speak_the_base_does(base, saved):
    many = load_many(base, {"tuned": saved["first"]})
    own = {name: weight.data_ptr() for name, weight in many.model.named_parameters()}

    class Full(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), more=None):
            if function is torch.ops.aten.mm.default:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return function(*arguments, **(more or {}))

    with pytest.raises(torch.OutOfMemoryError), Full():
        many.speak_as("tuned")
    assert {name: weight.data_ptr() for name, weight in many.model.named_parameters()} == own
    many.speak_as("tuned")
    assert {name: weight.data_ptr() for name, weight in many.model.named_parameters()} != own


def test_a_lora_adapter_of_a_small_float32_model_is_folded_in_and_of_another_it_is_not(base, saved):
    many = load_many(base, {"tuned": saved["first"]})
    with many.speaking_as("tuned"):
        assert not [name for name, _ in many.model.named_modules() if "lora" in name]
    quantised = load_many(base, {"tuned": saved["first"]}, bits=4)
    with quantised.speaking_as("tuned"):
        assert [name for name, _ in quantised.model.named_modules() if "lora" in name]
    assert not [name for name, _ in quantised.model.named_modules() if "lora" in name]


def test_questions_that_are_too_many_for_the_memory_are_asked_in_smaller_batches(base, saved, tokenizer):
    many = load_many(base, {"tuned": saved["first"]})
    asked, told = asked_of(many, tokenizer, Decoding(5))
    prompts = [[10 + number] * 4 for number in range(9)]
    expected = {who: asked.ask(who, prompts) for who in many.names}

    def refuse(_, inputs):
        if inputs[0].shape[0] > 2 or 12 in inputs[0]:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    many.model.get_input_embeddings().register_forward_pre_hook(refuse)
    for who in many.names:
        assert asked.ask(who, prompts) == [None if n == 2 else each for n, each in enumerate(expected[who])]
    assert [each.code for each in told] == [*["evaluate.smaller_batches"] * 3, "evaluate.no_memory"]
    assert told[0].values == {"before": 9, "now": 4}
    assert told[-1].values == {"tokens": 4}
    assert asked.unanswered == 2


def test_an_answer_has_the_room_that_its_question_leaves_in_the_context(many, tokenizer, alone):
    asked, _ = asked_of(many, tokenizer, context=len(PROMPTS[5]) + 2)
    assert [each.tokens for each in asked.ask("base", [PROMPTS[5]])] == [min(2, alone["base"][5].tokens)]
    asked, told = asked_of(many, tokenizer, context=len(PROMPTS[5]))
    assert asked.ask("base", [PROMPTS[5]]) == [None]
    assert (told, asked.unanswered) == ([], 0)


@pytest.mark.parametrize("family", [*FAMILIES, "hybrid"])
def test_answers_in_a_batch_are_those_of_transformers_one_at_a_time(family):
    model = (build_hybrid() if family == "hybrid" else build(family)).eval()
    forget_defaults(model)
    assert can_step(model) == (family not in ("hybrid", "phi3"))  # which have ways of their own
    most = 70 if family == "llama" else 24  # the first is longer than there is memory for at once
    config = GenerationConfig(
        do_sample=False, max_new_tokens=most, eos_token_id=list(Spelled.stop_ids), pad_token_id=Spelled.pad_id
    )
    expected = []
    for prompt in QUESTIONS:
        ids = torch.tensor([prompt])
        output = model.generate(inputs=ids, attention_mask=torch.ones_like(ids), generation_config=config)
        expected.append(said(Spelled(), output[0, len(prompt) :].tolist()))
    assert answer(model, Spelled(), QUESTIONS, Decoding(most)) == expected


@pytest.mark.parametrize("family", ["llama", "hybrid"])
def test_a_drawn_answer_depends_on_its_seed_and_prompt_and_not_on_its_batch(family):
    model = (build_hybrid() if family == "hybrid" else build(family)).eval()
    forget_defaults(model)
    drawn = Decoding(10, temperature=1.5, top_p=0.95, repetition_penalty=1.1, seed=7)
    together = answer(model, Spelled(), QUESTIONS, drawn)
    assert [answer(model, Spelled(), [each], drawn)[0] for each in QUESTIONS] == together
    assert answer(model, Spelled(), QUESTIONS[::-1], drawn)[::-1] == together
    other = Decoding(10, temperature=1.5, top_p=0.95, repetition_penalty=1.1, seed=8)
    assert answer(model, Spelled(), QUESTIONS, other) != together
    longer = answer(model, Spelled(), QUESTIONS, Decoding(12, 1.5, 0.95, 1.1, 7))
    assert all(long.text.startswith(short.text) for long, short in zip(longer, together, strict=True))


def test_tokens_are_drawn_as_often_as_their_probabilities_say():
    logits = torch.tensor([2.0, 1.5, 0.5, -1.0, 1.0, -3.0])
    decoding, count = Decoding(1, temperature=0.8, top_p=0.9, repetition_penalty=1.5), 8000
    prompts = [[0, 3, *(3 * int(digit) for digit in f"{n:013b}")] for n in range(count)]
    scores = RepetitionPenaltyLogitsProcessor(1.5)(torch.tensor([[0, 3]]), logits[None])
    expected = TopPLogitsWarper(0.9)(None, scores / 0.8).softmax(-1)[0]
    chosen = Choosing(decoding, prompts, torch.device("cpu")).next(logits.expand(count, -1))
    counts = chosen.bincount(minlength=6)
    assert (expected == 0).sum() >= 1
    assert ((counts == 0) == (expected == 0)).all()
    error = (expected * (1 - expected) / count).sqrt()
    assert ((counts / count - expected).abs() <= 4 * error).all()


def test_the_likeliest_token_under_a_penalty_is_that_of_transformers():
    model = build("llama").eval()
    forget_defaults(model)
    stops = list(Spelled.stop_ids)
    config = GenerationConfig(
        do_sample=False, max_new_tokens=20, repetition_penalty=1.3, eos_token_id=stops, pad_token_id=0
    )
    ids = torch.tensor([QUESTIONS[2]])
    output = model.generate(inputs=ids, attention_mask=torch.ones_like(ids), generation_config=config)
    expected = said(Spelled(), output[0, ids.shape[1] :].tolist())
    assert answer(model, Spelled(), QUESTIONS, Decoding(20, repetition_penalty=1.3))[2] == expected
    assert answer(model, Spelled(), QUESTIONS, Decoding(20))[2] != expected


def test_batches_hold_every_question_once_longest_first_and_within_their_limits():
    lengths = [5, 90, 40, 7, 60, 8, 95, 6]
    made = list(batches(lengths, new_tokens=10, context=100, tokens=200, rows=3))
    assert sorted(index for batch in made for index in batch) == list(range(8))
    flat = [lengths[index] for batch in made for index in batch]
    assert flat == sorted(lengths, reverse=True)
    assert made[0] == [6]  # 95 + 10 is past the context: alone
    for batch in made:
        width = max(lengths[index] for index in batch) + 10
        assert len(batch) == 1 or (len(batch) <= 3 and len(batch) * width <= 200)
    assert list(batches([], new_tokens=1, context=1, tokens=1, rows=1)) == []


def test_a_models_own_sampling_defaults_do_not_reach_greedy_answers(base, tokenizer):
    model = load_base(base)
    assert model.generation_config.temperature == 1.5
    forget_defaults(model)
    prompt = tokenizer.prompt_ids([Message("user", "Hi")])
    assert len({each.text for each in answer(model, tokenizer, [prompt] * 4, Decoding(12))}) == 1


def test_an_answer_ends_at_its_stop_token(tokenizer):
    ids = tokenizer._tokenizer.encode("你好<|im_end|>more<|endoftext|>", add_special_tokens=False).ids
    assert said(tokenizer, ids) == Said("你好", 6, ended=True)
    assert said(tokenizer, ids[:6]) == Said("你好", 6, ended=False)


def examples():
    """Rows of which the later two thirds are learnt; one of which nothing is."""
    rows = [Example(ids, [IGNORE_INDEX] * (len(ids) // 3) + ids[len(ids) // 3 :]) for ids in QUESTIONS]
    return [*rows, Example([4, 5], [4, IGNORE_INDEX])]


@pytest.mark.parametrize("family", [*FAMILIES, "hybrid"])
def test_the_loss_of_each_example_is_transformers_own(family):
    model = (build_hybrid() if family == "hybrid" else build(family)).eval()
    found = perplexity.losses(model, examples(), 0)
    assert [tokens for _, tokens in found] == [2, 12, 6, 0, 16, 0]
    for example, (nats, tokens) in zip(examples(), found, strict=True):
        if tokens:
            rows = {"input_ids": torch.tensor([example.input_ids]), "labels": torch.tensor([example.labels])}
            with torch.no_grad():
                assert nats == pytest.approx(float(model(**rows).loss) * tokens, rel=1e-5)


def test_logits_are_computed_for_some_places_at_a_time(monkeypatch):
    model = build("cohere").eval()
    rows = [Example([3 + n % 90 for n in range(250)], [3 + n % 90 for n in range(250)])]
    expected = perplexity.losses(model, rows, 0)
    monkeypatch.setitem(perplexity._LOGITS, "cpu", 1)
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda *given: seen.append(given[2].shape[1]))
    assert perplexity.losses(model, rows, 0)[0] == (pytest.approx(expected[0][0], rel=1e-6), 249)
    assert seen == [64, 64, 64, 57]


def test_everybodys_loss_is_that_of_the_model_alone(many, base, saved):
    row = Example(PROMPTS[5], PROMPTS[5])
    for who in ("base", "whole", "second", "prompt", "prefix"):
        with many.speaking_as(who):
            ((nats, tokens),) = perplexity.losses(many.model, [row], 0)
            logits = many.model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0, -len(row.labels) :]
        expected = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row.labels[1:]), reduction="sum")
        assert (nats, tokens) == (pytest.approx(float(expected), rel=1e-5), len(row.labels) - 1)


def test_losses_need_no_more_memory_than_there_is_and_leave_out_what_is_longer_than_the_context():
    model, rows = build("llama").eval(), [*examples(), Example([3] * 300, [3] * 300)]
    expected = perplexity.losses(model, rows, 0)
    assert expected[-1] == (0.0, 0)  # the model reads 256 tokens

    def refuse(_, inputs):
        if inputs[0].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    model.get_input_embeddings().register_forward_pre_hook(refuse)
    for (nats, tokens), (wanted, count) in zip(perplexity.losses(model, rows, 0), expected, strict=True):
        assert (nats, tokens) == (pytest.approx(wanted, rel=1e-5), count)
