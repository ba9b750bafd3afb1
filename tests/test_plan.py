"""What is said before the start is what happens: steps, tokens, splits, and the advice."""

import json
from collections import Counter

import pytest
import yaml

from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.errors import DataError, StudioError
from core.runs.directory import find, listing
from core.settings import from_dict
from core.train.examples import run_data
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
    # 22 tokens of ChatML, the answer and its stop among them; a question of 301 letters, nine of 4
    assert (made.lost_rows, made.lost_tokens) == (0.1, pytest.approx(323 / (323 + 9 * 26)))
    assert "plan.lost_tokens" in [each.code for each in made.warnings]
    with pytest.raises(DataError, match="10 of 10 are longer"):
        plan(workspace, settings(data__train="mixed", batch__cutoff_len=16))


def test_a_weight_makes_the_pass_longer_and_is_told_per_source(workspace, tmp_path):
    add(workspace, tmp_path, "my_identity", 10, answer="I am {n} things.")
    chosen = {"data__train": "facts, my_identity", "data__validation_share": 0, "data__weights": {"my_identity": 4}}
    made = plan(workspace, settings(**chosen, schedule__epochs=2, batch__global_batch_size=8))
    assert (made.examples, made.steps) == (210, 60)  # 200 + 4 x 10 exposures a pass, 30 steps of 8
    facts, identity = made.sources
    assert (facts.exposures, facts.repetitions) == (200, 2)
    assert (identity.examples, identity.exposures, identity.repetitions) == (10, 40, 8)
    # one row of identity learns 14 bytes and the stop; all rows of facts are counted by hand from their text
    learnt = sum(len(f"The number {n} is {n}.") + 1 for n in range(200))
    assert facts.learnt_tokens == learnt
    assert identity.share == pytest.approx(40 * 15 / (40 * 15 + learnt))
    assert made.learnt_tokens == 40 * 15 + learnt


def test_the_passes_show_what_the_weights_say(workspace, tmp_path):
    add(workspace, tmp_path, "more", 30)
    model = workspace.models / "tiny"
    chosen = {"data__train": "facts, more", "data__validation_share": 0, "seed": 1}
    weighed = settings(**chosen, data__weights={"facts": 0.5, "more": 3.0})
    data = run_data(workspace, weighed, model, None)
    passes = [data.of_pass(number).tolist() for number in range(4)]
    assert [len(each) for each in passes] == [190] * 4 == [data.per_pass] * 4
    shown = Counter(place for each in passes for place in each)
    assert {shown[place] for place in range(200)} == {2}
    assert {shown[place] for place in range(200, 230)} == {12}
    assert run_data(workspace, weighed, model, None).of_pass(3).tolist() == passes[3]
    whole = run_data(workspace, settings(**chosen), model, None)
    assert whole.of_pass(0).tolist() == whole.of_pass(5).tolist() == list(range(230))


def test_half_a_pass_repeats_no_row_more_than_once(workspace):
    made = plan(workspace, settings(data__validation_share=0, schedule__epochs=10, schedule__max_steps=5))
    assert made.sources[0].repetitions == pytest.approx(5 * 8 / 200)


def test_balance_draws_sets_together(workspace, tmp_path):
    add(workspace, tmp_path, "few", 50)
    chosen = settings(data__train="facts, few", data__balance=0, data__validation_share=0)
    assert [source.exposures for source in plan(workspace, chosen).sources] == [125, 125]


def test_tasks_of_a_set_are_weighed_and_balanced_on_their_own(workspace, tmp_path):
    tasks = ["QA"] * 30 + ["SUM"] * 10
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}], "task": task}
        for n, task in enumerate(tasks)
    ]
    (tmp_path / "tagged.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Registry(workspace).add(tmp_path / "tagged.jsonl", "tagged", formatting="canonical")

    def shown(**chosen):
        made = plan(workspace, settings(data__train="facts, tagged", data__validation_share=0, **chosen))
        assert not [each for each in made.warnings if each.code == "plan.weight_unused"]
        return {source.name: source.exposures for source in made.sources}

    assert shown() == {"facts": 200, "tagged:QA": 30, "tagged:SUM": 10}
    weights = {"tagged": 2, "tagged:SUM": 3}
    assert shown(data__weights=weights) == {"facts": 200, "tagged:QA": 60, "tagged:SUM": 30}
    assert shown(data__balance=0) == {"facts": 120, "tagged:QA": 90, "tagged:SUM": 30}  # at most three times their rows


def split(workspace, name, letters):
    Registry(workspace).set_parts(name, letters, 7, (0.9, 0.05, 0.05), "question")


def test_a_split_set_trains_its_training_part_and_validates_with_its_own(workspace):
    split(workspace, "facts", "t" * 150 + "v" * 20 + "e" * 25 + "x" * 5)
    made = plan(workspace, settings(data__validation_share=0.5))
    assert (made.examples, made.validation_examples) == (150, 20)
    assert made.sources[0].examples == 150


def test_a_split_without_validation_rows_keeps_some_back_from_the_training_part(workspace):
    split(workspace, "facts", "t" * 150 + "e" * 50)
    made = plan(workspace, settings(data__validation_share=0.2))
    assert made.examples + made.validation_examples == 150
    assert 15 <= made.validation_examples <= 45


def test_another_split_is_another_plan(workspace):
    split(workspace, "facts", "t" * 150 + "v" * 20 + "e" * 30)
    assert plan(workspace, settings()).examples == 150
    split(workspace, "facts", "t" * 120 + "v" * 20 + "e" * 60)
    assert plan(workspace, settings()).examples == 120


def test_a_set_may_train_and_test_when_it_is_split(workspace):
    split(workspace, "facts", "t" * 150 + "v" * 20 + "e" * 30)
    assert "plan.test_is_trained" not in warned(workspace, data__test="facts")
    split(workspace, "facts", "t" * 180 + "v" * 20)
    assert "plan.test_is_trained" in warned(workspace, data__test="facts")


def test_a_run_remembers_its_split_and_refuses_another(workspace):
    split(workspace, "facts", "t" * 150 + "v" * 20 + "e" * 30)
    recorded = prepare(workspace, settings()).config["data"][0]
    registry = Registry(workspace)
    assert check_pinned(registry, recorded).name == "facts"
    split(workspace, "facts", "v" * 20 + "t" * 150 + "e" * 30)
    with pytest.raises(DataError, match="split anew"):
        check_pinned(registry, recorded)
    assert check_pinned(registry, {"name": "facts", "sha1": recorded["sha1"]}).name == "facts"  # from before splits


def test_what_is_unwise_about_the_mixture_is_told(workspace, tmp_path):
    assert "plan.general_missing" in warned(workspace)
    assert "plan.weight_unused" in warned(workspace, data__weights={"fcts": 2})
    assert "plan.much_repeated" in warned(workspace, data__weights={"facts": 20})
    assert "plan.much_repeated" not in warned(workspace, data__weights={"facts": 2})


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
