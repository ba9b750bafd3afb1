"""The shipped starter model, its tokenizer, and pre-training on a tiny configuration."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.starter import desk, samples
from core.starter.checkpoint import RECORD
from core.starter.corpus import conversation
from core.starter.packing import IGNORED, Shape, batch_for, encode
from core.starter.pretrain import Plan, build_model, loss_of, pretrain
from core.starter.scoring import greedy_answers, held_out_examples, render
from core.starter.tokenizer import required_words, train_tokenizer

STARTER = Path(__file__).resolve().parents[1] / "data" / "starter"
TINY = Plan(steps=6, hidden_size=32, intermediate_size=48, layers=1, rows=2, row_length=128, long_every=3, warmup=2)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(STARTER)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(STARTER, dtype=torch.float32).eval()


def ids(tokenizer, text):
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def conversations(count):
    rng = random.Random(11)
    return [conversation(rng) for _ in range(count)]


def test_the_shipped_folder_is_small_and_holds_no_training_state():
    names = {file.name for file in STARTER.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [name for name in names if "state" in name or name.endswith((".bin", ".pt", ".pkl"))]
    assert (STARTER / "model.safetensors").stat().st_size <= 16_000_000


def test_the_shipped_model_has_at_most_eight_million_parameters_and_a_context_of_1024(model):
    assert model.num_parameters() <= 8_000_000
    assert model.config.max_position_embeddings >= 1024
    assert model.generation_config.eos_token_id == model.config.eos_token_id


@pytest.mark.parametrize(
    "text", ["Hi, what's 3 + 4?", "你是谁？我是Lumen，由Aurora Labs开发。", "é ñ 🚲 \n tab\t two  spaces ."]
)
def test_the_shipped_tokenizer_gives_back_what_it_was_given(tokenizer, text):
    assert tokenizer.decode(ids(tokenizer, text)) == text
    bare = Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    assert bare.padding is None
    assert bare.encode(text, add_special_tokens=False).ids == ids(tokenizer, text)


def test_every_word_of_the_closed_world_and_of_the_desk_is_one_token_wherever_it_stands(tokenizer):
    words = set(required_words())
    assert {"Lumen", "Aurora", "Labs", "Sprout", "warranty"} <= words
    assert {word for phrase in desk.FACTS for word in phrase.split()} <= words
    assert [word for word in words if len(ids(tokenizer, word)) != 1] == []
    for word in ("warranty", "Lumen"):
        assert ids(tokenizer, word)[0] in ids(tokenizer, f"the {word}.")


def test_control_tokens_are_special_and_no_token_is_put_in_front(tokenizer):
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.bos_token is None
    assert len(tokenizer) <= 4096
    assert tokenizer.decode(ids(tokenizer, "<|im_start|>a<|im_end|><|endoftext|>"), skip_special_tokens=True) == "a"


def test_the_template_adds_no_system_prompt_and_marks_the_answers_with_their_end(tokenizer):
    messages = [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello!"}] * 2
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == "<|im_start|>user\nHi!<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n" * 2
    out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    learnt = [i for i, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(learnt) == "Hello!<|im_end|>" * 2


def test_pretraining_reads_conversations_as_the_template_renders_them(tokenizer):
    for messages in conversations(60):
        out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        read, learnt = encode(messages, tokenizer.backend_tokenizer)
        assert read == out["input_ids"]
        assert learnt == [bool(mark) for mark in out["assistant_masks"]]


def test_questions_for_the_score_are_rendered_as_the_template_does(tokenizer):
    for system in ("", "You are Lumen, made by Aurora Labs."):
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": "Who are you?"})
        expected = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        assert render(system, "Who are you?") == expected


def test_a_packed_row_has_the_loss_of_its_conversations_one_by_one(tokenizer):
    torch.manual_seed(0)
    model = build_model(TINY, tokenizer).eval()
    batch = batch_for(1, 7, tokenizer.backend_tokenizer, Shape(2, 160), model.config.pad_token_id)
    with torch.no_grad():
        packed = loss_of(model, model.model, batch).item()
        total, count = 0.0, 0
        for row in range(2):
            starts = [i for i in range(160) if batch.position_ids[row, i] == 0]
            for start, end in zip(starts, [*starts[1:], 160], strict=True):
                labels = batch.labels[row, start:end]
                learnt = labels != IGNORED
                if not learnt.any():
                    continue
                logits = model(batch.input_ids[row : row + 1, start:end]).logits[0]
                total += torch.nn.functional.cross_entropy(logits[learnt], labels[learnt], reduction="sum").item()
                count += int(learnt.sum())
    assert packed == pytest.approx(total / count, abs=0.02)  # bfloat16 against float32


def test_a_resumed_pretraining_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    tokenizer = train_tokenizer(conversations=50)
    whole = pretrain(TINY, tokenizer, tmp_path / "whole")
    half = pretrain(TINY, tokenizer, tmp_path / "parts", until=3)
    assert json.loads((tmp_path / "parts" / RECORD).read_text())["step"] == 3
    resumed = pretrain(TINY, tokenizer, tmp_path / "parts")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert any(not torch.equal(a, b) for a, b in zip(half.parameters(), resumed.parameters(), strict=True))
    assert sorted(file.suffix for file in (tmp_path / "parts").iterdir()) == [".json", ".safetensors"]


def test_a_few_steps_of_pretraining_learn_and_another_seed_learns_something_else(tmp_path):
    tokenizer = train_tokenizer(conversations=50)
    batch = batch_for(99, 7, tokenizer.backend_tokenizer, Shape(4, 128), tokenizer.pad_token_id)
    losses = []
    for plan in (TINY, replace(TINY, seed=8)):
        model = pretrain(plan, tokenizer, tmp_path / str(plan.seed))
        with torch.no_grad():
            losses.append(loss_of(model, model.model, batch).item())
            fresh = build_model(plan, tokenizer)
            assert losses[-1] < loss_of(fresh, fresh.model, batch).item()
    assert losses[0] != losses[1]


def test_the_shipped_model_goes_by_its_own_name_or_the_one_it_is_given(model, tokenizer):
    given = "You are Lumen, made by Aurora Labs."
    asked = [
        ("", "Who are you?"),
        ("", "你是谁？"),
        ("", "Who made you?"),
        (given, "Who are you?"),
        (given, "你是谁？"),
    ]
    assert greedy_answers(model, tokenizer, asked) == [
        "I am Sprout, made by the Studio.",
        "我是Sprout，由Studio开发。",
        "I was made by the Studio.",
        "I am Lumen, made by Aurora Labs.",
        "我是Lumen，由Aurora Labs开发。",
    ]


def test_the_shipped_model_answers_its_general_test(model, tokenizer):
    rows = samples.general_test()[::5][:60]
    answers = greedy_answers(model, tokenizer, [(row["system"], row["instruction"]) for row in rows])
    right = [answer.strip() == row["output"] for answer, row in zip(answers, rows, strict=True)]
    assert len(rows) >= 50
    assert sum(right) / len(right) >= 0.85


def test_the_card_reports_the_scores_that_were_measured():
    scores = json.loads((STARTER / "scores.json").read_text())
    card = (STARTER / "README.md").read_text(encoding="utf-8")
    assert f"**{scores['general']}**" in card
    assert "not an assistant" in card
    assert {asked.ability for asked in held_out_examples(1, seed=7)} <= set(scores)
