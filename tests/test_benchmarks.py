"""The benchmark of trainings counts tokens, the held-out loss and operations right, and compares only what may be."""

import json
import math

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.contest.flops import needed
from benchmarks.contest.material import prepare
from benchmarks.contest.peers import tokenised
from benchmarks.contest.score import heldout_examples, heldout_loss
from benchmarks.contest.stopwatch import SETTLING, Stopwatch, learnt_tokens, real_tokens
from benchmarks.contest.task import Task
from benchmarks.training import problems
from core.render.tokenizer import IGNORE_INDEX, Example
from tests.tiny import build_tiny_model


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contest")
    build_tiny_model(folder / "model")
    source = folder / "rows.jsonl"
    rows = [{"instruction": f"Say {number}.", "output": f"It is {number}, é 好 {number}."} for number in range(12)]
    rows.append({"instruction": "Say much.", "output": "much " * 300})
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return Task(
        folder=str(folder),
        model=str(folder / "model"),
        shape="small",
        source=str(source),
        method="lora",
        rows=8,
        heldout=4,
        global_batch_size=4,
        cutoff_len=128,
        learning_rate=1e-3,
        rank=2,
        seed=7,
        micro_batch_size=4,
    )


def test_learnt_are_the_tokens_that_have_one_before_them_and_a_label():
    assert real_tokens([[5, 6, 7], [8]]) == 4
    assert learnt_tokens([[5, 6, 7], [IGNORE_INDEX, IGNORE_INDEX, 9], [8]]) == 3


def test_every_contender_is_given_the_same_tokens_and_labels(task):
    material = prepare(task)
    assert (material["rows"], material["too_long"]) == (8, 1)
    row = tokenised(AutoTokenizer.from_pretrained(task.model))
    lines = [json.loads(line) for line in task.heldout_file.read_text(encoding="utf-8").splitlines()]
    theirs = [Example(**row(line)) for line in lines]
    assert theirs == heldout_examples(task)
    assert all(learnt_tokens([each.labels]) > len(each.labels) / 3 for each in theirs)


def test_the_heldout_loss_is_the_mean_over_all_learnt_tokens(task):
    model = AutoModelForCausalLM.from_pretrained(task.model)
    examples = [Example([3, 4, 5, 6], [IGNORE_INDEX, 4, 5, 6]), Example([7, 8, 9], [IGNORE_INDEX, IGNORE_INDEX, 9])]
    with torch.no_grad():
        surprise = []
        for example in examples:
            chances = model(input_ids=torch.tensor([example.input_ids])).logits[0].double().softmax(-1)
            surprise += [
                -math.log(float(chances[place, label]))
                for place, label in enumerate(example.labels[1:])
                if label != IGNORE_INDEX
            ]
    assert len(surprise) == 4
    assert heldout_loss(model, examples) == pytest.approx(sum(surprise) / 4, rel=1e-5)


def test_the_operations_are_those_of_the_frozen_weights_the_adapter_the_attention_and_the_learnt_logits(tmp_path):
    config = {
        "hidden_size": 8,
        "intermediate_size": 12,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "vocab_size": 50,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    frozen = 2 * (8 * 8 + 8 * 4 + 8 * 4 + 8 * 8 + 3 * 8 * 12)
    adapter = 2 * 3 * (16 + 12 + 12 + 16 + 20 + 20 + 20)
    pairs = (10 * 10 + 6 * 6) / 2
    expected = 16 * (4 * frozen + 6 * adapter) + 12 * pairs * 8 * 2 + 4 * 5 * 8 * 50
    assert needed(tmp_path, [10, 6], 5, rank=3) == expected


def test_the_first_steps_count_for_no_speed():
    watch = Stopwatch(began=-1000.0)
    for _ in range(SETTLING):
        watch.step(1_000_000, 1_000_000)
    for _ in range(3):
        sum(range(200_000))
        watch.step(10, 4)
    watch.finish()
    figures = watch.figures
    assert (figures["steps"], figures["tokens"]) == (SETTLING + 3, SETTLING * 1_000_000 + 30)
    assert figures["seconds_to_first_step"] > 1000
    assert figures["tokens_per_second"] < 1_000_000
    assert figures["learnt_tokens_per_second"] == pytest.approx(figures["tokens_per_second"] * 0.4, rel=0.01)


def figures(**values):
    return {"tokens": 100, "learnt_tokens": 60, "base_loss": 9.0, "final_loss": 7.0, **values}


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"final_loss": 7.08}, "differ"),
        ({"tokens": 99}, "99 tokens"),
        ({"learnt_tokens": 61}, "61 learnt_tokens"),
        ({"final_loss": 8.9}, "learnt nothing"),
    ],
)
def test_figures_of_another_training_may_not_be_compared(other, why):
    material = {"tokens": 100, "learnt_tokens": 60}
    assert problems(material, {"studio": figures(), "trl": figures(final_loss=7.06)}) == []
    wrong = problems(material, {"studio": figures(), "trl": figures(**other)})
    assert any(why in each for each in wrong)
