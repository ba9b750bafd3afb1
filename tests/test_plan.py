"""What is said before the start is what happens: steps, tokens, splits, and the advice."""

import json

import pytest
import yaml

from core.data.registry import Registry
from core.errors import DataError, StudioError
from core.runs.directory import find, listing
from core.settings import from_dict
from core.train.plan import plan
from core.train.prepare import prepare
from core.workspace import Workspace
from tests.tiny import build_tiny_model


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    build_tiny_model(workspace.models / "tiny")
    add(workspace, tmp_path, "facts", 200)
    return workspace


def add(workspace, folder, name, count, answer="The number {n} is {n}."):
    rows = [{"instruction": f"Which number is {n}?", "output": answer.format(n=n)} for n in range(count)]
    (folder / f"{name}.json").write_text(json.dumps(rows))
    Registry(workspace).add(folder / f"{name}.json", name=name)


def settings(**overrides):
    given = {path.replace("__", "."): value for path, value in overrides.items()}
    return from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["facts"]}}, given)


def warned(workspace, **overrides):
    return [each.code for each in plan(workspace, settings(**overrides)).warnings]


def test_the_steps_follow_from_the_examples(workspace):
    made = plan(workspace, settings(data__validation_share=0, batch__global_batch_size=8, schedule__epochs=3))
    assert (made.examples, made.validation_examples, made.steps) == (200, 0, 75)


def test_validation_rows_are_taken_from_training_and_stay_the_same_when_rows_are_added(workspace, tmp_path):
    first = plan(workspace, settings(data__validation_share=0.2))
    assert first.examples + first.validation_examples == 200
    assert 20 <= first.validation_examples <= 60
    assert plan(workspace, settings(data__validation_share=0.2)).validation_examples == first.validation_examples


def test_learnt_tokens_are_those_of_the_answers_with_their_stop(workspace, tmp_path):
    add(workspace, tmp_path, "one", 1, answer="Yes")
    made = plan(workspace, settings(data__train="one", data__validation_share=0))
    assert made.learnt_tokens == 4  # three bytes and <|im_end|>


def test_few_steps_are_answered_with_epochs_that_are_enough(workspace):
    assert "plan.few_steps" in warned(workspace, schedule__epochs=1)
    problem = next(
        each for each in plan(workspace, settings(schedule__epochs=1)).warnings if each.code == "plan.few_steps"
    )
    assert "plan.few_steps" not in warned(workspace, schedule__epochs=problem.values["epochs"])


def test_a_set_that_is_trained_and_tested_is_told(workspace):
    assert "plan.test_is_trained" in warned(workspace, data__test="facts")


def test_a_long_warm_up_is_told(workspace):
    assert "plan.long_warmup" in warned(workspace, schedule__warmup_share=0.5)


def test_a_small_model_wants_a_higher_rate(workspace):
    assert "plan.low_rate" in warned(workspace, optim__learning_rate=1e-5)
    assert "plan.low_rate" not in warned(workspace, optim__learning_rate=2e-3)


def test_long_rows_are_left_out_and_counted(workspace, tmp_path):
    rows = [{"instruction": "a" * (300 if n == 0 else 3) + str(n), "output": "b"} for n in range(10)]
    (tmp_path / "mixed.json").write_text(json.dumps(rows))
    Registry(workspace).add(tmp_path / "mixed.json", name="mixed")
    chosen = settings(data__train="mixed", batch__cutoff_len=100, data__validation_share=0)
    made = plan(workspace, chosen)
    assert (made.examples, made.dropped) == (9, 1)
    assert "plan.dropped" in [each.code for each in made.warnings]
    with pytest.raises(DataError, match="10 of 10 are longer"):
        plan(workspace, settings(data__train="mixed", batch__cutoff_len=16))


def test_a_prompt_is_context_and_not_learnt(workspace):
    without = plan(workspace, settings(prompt__name="none"))
    under = plan(workspace, settings(prompt__name="assistant"))
    assert under.learnt_tokens == without.learnt_tokens
    assert under.tokens > without.tokens


def test_preparing_writes_everything_down_once_and_verbatim(workspace):
    run = prepare(workspace, settings(prompt__name="assistant", name="mine"))
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    assert config["prompt"]["text"] == "You are a helpful assistant."
    assert config["data"][0]["sha1"] == Registry(workspace).get("facts").sha1
    assert len(config["model"]["fingerprint"]) == 64
    assert config["versions"]["torch"].startswith("2.")
    assert find(workspace, run.name).settings == settings(prompt__name="assistant", name="mine")
    assert run.status == "queued"


def test_all_problems_are_told_before_a_directory_is_made(workspace):
    with pytest.raises(StudioError) as caught:
        prepare(workspace, settings(data__train="facts, nothing", prompt__name="nobody", model__path="models/none/x"))
    assert len(caught.value.problems) == 3
    assert listing(workspace) == []
