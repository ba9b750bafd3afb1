"""Evaluations of tiny random models: batches, the worker, its answers and scores."""

import json

import pytest

from core.data.registry import Registry
from core.errors import DataError, RunError
from core.evaluate import scores
from core.evaluate.metrics import METRICS
from core.evaluate.options import Options
from core.evaluate.prepare import prepare
from core.evaluate.rows import rows
from core.progress import Cancelled
from core.prompts.store import SystemPrompt
from core.runs import events, process, supervisor
from core.runs.directory import Run
from core.workspace import Workspace
from tests.tiny import build_tiny_model, build_tiny_run, write_adapter

ROWS = [
    {"instruction": "Hi", "input": "", "output": "Hello!"},
    {"instruction": "What is the capital of France?", "input": "", "output": "Paris", "keywords": ["Paris"]},
    {"instruction": "你是谁？", "input": "", "output": "我是小助手。"},
    {"instruction": "Say it again.", "input": "It is late.", "output": "It is late.",
     "history": [["Are you there?", "Yes."]]},
    {"instruction": "Count to three, slowly and with care, and then stop.", "input": "", "output": "One two three."},
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace.at(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def base(workspace):
    return build_tiny_model(workspace.models / "tiny", context=400)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapter"), base)


@pytest.fixture(scope="module")
def data(workspace):
    add(workspace, "five", ROWS)
    add(workspace, "long", [{"instruction": "a" * 600, "input": "", "output": "b"}, ROWS[0]])
    return Registry(workspace)


def add(workspace, name, rows):
    file = workspace.data / f"{name}.json"
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    columns = {"keywords": "keywords"} if any("keywords" in row for row in rows) else None
    return Registry(workspace).add(file, name=name, columns=columns)


@pytest.fixture
def run(workspace, base, adapter, data):
    return Run(build_tiny_run(workspace.root, base, adapter=adapter, prompt="You are Lumen.", test=["five"]))


def asked(**values):
    return Options(probes=False, **values)


def evaluate(job):
    """Evaluate here, which saves the seconds that a new process needs to import torch; return the events."""
    from core.evaluate.worker import work

    work(job)
    return events.read_from(job / "events.jsonl")[0]


def evaluate_in_a_worker(job):
    supervisor.launch(job, "core.evaluate.worker").join()
    seen, _ = events.read_from(job / "events.jsonl")
    assert seen[-1].event == "run_finished", (job / "worker.log").read_text()[-3000:]
    return seen


def alone(base, adapter, questions, new_tokens):
    """What plain transformers and peft answer, one question at a time, without padding: base and tuned."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    tokenizer = AutoTokenizer.from_pretrained(base)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tuned = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    greedy = {"do_sample": False, "temperature": None, "top_p": None, "max_new_tokens": new_tokens}
    greedy |= {"eos_token_id": [256, 258], "pad_token_id": 256}
    for model in (plain, tuned.base_model.model):
        model.generation_config = GenerationConfig()
    found = []
    for messages in questions:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        answers = [model.generate(**ids, **greedy)[0, ids["input_ids"].shape[1] :] for model in (plain, tuned)]
        found.append(tuple(tokenizer.decode(answer, skip_special_tokens=True) for answer in answers))
    return found


def test_base_and_tuned_answer_in_batches_as_they_do_alone_in_plain_transformers(run, workspace, base, adapter):
    job = prepare(workspace, run, options=asked(max_new_tokens=10))
    seen = evaluate_in_a_worker(job)
    found = rows(job)
    system = {"role": "system", "content": "You are Lumen."}
    turns = [[{"role": "user", "content": row["instruction"]}] for row in ROWS]
    turns[3] = [
        {"role": "user", "content": "Are you there?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Say it again.\nIt is late."},
    ]
    expected = alone(base, adapter, [[system, *each] for each in turns], 10)
    assert [(row.text("base"), row.text("tuned")) for row in found] == expected
    assert any(before != after for before, after in expected)
    assert [row.item.expected for row in found] == [row["output"] for row in ROWS]
    assert [row.item.row for row in found] == [1, 2, 3, 4, 5]
    assert found[1].item.keywords == ("Paris",)
    assert found[3].item.question.splitlines()[-1] == "It is late."
    assert [event.name for event in seen if event.event == "phase"] == [
        "checking_data", "loading_model", "answering", "perplexity", "scoring",
    ]  # fmt: skip
    assert [(event.done, event.total) for event in seen if event.event == "progress"][-1] == (10, 10)  # five of each
    assert not [event for event in seen if event.event == "warned"]


def test_scores_are_written_with_what_is_needed_to_repeat_them(run, workspace, data):
    job = prepare(workspace, run, options=asked(max_new_tokens=6))
    finished = evaluate(job)[-1]
    (score,) = scores.read(run)
    assert score["job"] == job.name
    assert score["datasets"] == finished.result["datasets"]
    assert score["datasets"]["five"]["n"] == 5
    for which in ("base", "tuned"):
        assert set(score["datasets"]["five"][which]) == set(METRICS)
        assert score["datasets"]["five"]["perplexity"][which] > 1
    assert score["data"] == [{"name": "five", "sha1": data.get("five").sha1}]
    assert score["prompt"]["text"] == "You are Lumen."
    assert score["prompt"]["same_as_trained"] is True
    assert score["decoding"] | {"device": ""} == {
        "strategy": "greedy", "max_new_tokens": 6, "limit": None, "temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.0,
        "seed": 0, "bits": 16, "dtype": "float32", "device": "",
    }  # fmt: skip
    assert "tok:13a" in score["signatures"]["five"]["bleu"]
    second = prepare(workspace, run, options=asked(max_new_tokens=6, limit=2))
    evaluate(second)
    assert [each["job"] for each in scores.read(run)] == [job.name, second.name]
    assert scores.read(run)[-1]["datasets"]["five"]["n"] == 2


def test_another_system_prompt_is_used_and_said(run, workspace):
    job = prepare(workspace, run, prompt=SystemPrompt("none", 1, None, ""), options=asked(max_new_tokens=4))
    warned = [event for event in evaluate(job) if event.event == "warned"]
    assert [event.code for event in warned] == ["evaluate.other_prompt"]
    assert warned[0].values == {"used": "none", "trained": "tiny"}
    assert scores.read(run)[-1]["prompt"]["same_as_trained"] is False


def test_a_4_bit_run_is_asked_on_a_4_bit_base_and_a_question_beyond_the_context_counts_as_not_answered(
    workspace, base, adapter, data
):
    run = Run(build_tiny_run(workspace.root, base, adapter=adapter, method="qlora", test=["long"]))
    job = prepare(workspace, run, options=asked(max_new_tokens=4))
    warned = [event for event in evaluate(job) if event.event == "warned"]
    assert [(event.code, event.where) for event in warned] == [("evaluate.too_long", "long")]
    assert (warned[0].values["count"], warned[0].values["row"], warned[0].values["context"]) == (1, 1, 400)
    first, second = rows(job)
    assert (first.text("base"), first.text("tuned")) == ("", "")
    assert not first.answers["base"].asked
    assert second.text("base")
    assert scores.read(run)[-1]["decoding"]["bits"] == 4


def test_a_stop_ends_it_after_the_batch(run, workspace):
    job = prepare(workspace, run, options=asked(max_new_tokens=4))
    process.ask_to_stop(job)
    with pytest.raises(Cancelled):
        evaluate(job)
    assert not rows(job)
    assert not scores.read(run)


def test_a_file_that_changed_after_the_start_stops_the_worker(run, workspace):
    entry = add(workspace, "changing", ROWS[:1])
    job = prepare(workspace, run, ["changing"])
    entry.file.write_text(json.dumps(ROWS[:2]))
    supervisor.launch(job, "core.evaluate.worker").join()
    failed = process.last_event(job)
    assert failed.event == "run_failed"
    assert failed.problems[0]["code"] == "data.changed"
    with pytest.raises(DataError) as caught:
        prepare(workspace, run, ["changing", "unknown_set"])
    assert [each.code for each in caught.value.problems] == ["data.changed", "data.unknown"]


def test_what_cannot_be_evaluated_is_refused_before_the_start(run, workspace, base, adapter):
    with pytest.raises(RunError) as caught:
        prepare(workspace, run, [], options=asked())
    assert caught.value.problems[0].code == "evaluate.no_datasets"
    empty = Run(build_tiny_run(workspace.root, base, adapter=adapter, test=["five"]))
    (empty.path / "final" / "COMPLETE").unlink()
    with pytest.raises(RunError) as caught:
        prepare(workspace, empty)
    assert caught.value.problems[0].code == "run.no_adapter"
    assert not empty.jobs("evaluations")


def test_a_checkpoint_of_an_unfinished_run_can_be_evaluated(workspace, base, adapter, data):
    run = Run(build_tiny_run(workspace.root, base, adapter=adapter, test=["five"]))
    (run.path / "checkpoints").mkdir()
    (run.path / "final").rename(run.path / "checkpoints" / "step-000010")
    job = prepare(workspace, run, options=asked(max_new_tokens=2))
    evaluate(job)
    assert scores.read(run)[-1]["adapter"] == "checkpoints/step-000010"
