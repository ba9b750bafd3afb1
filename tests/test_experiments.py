"""Several runs that answer one question: arms on equally much, sweeps under a budget, and what came out in words."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from core.data.registry import Registry
from core.errors import SettingsError
from core.experiments import ab_report, equal_tokens, in_words, search, trials
from core.experiments.ab import prepare_ab
from core.experiments.asked import task_rows
from core.experiments.curve import best_step, curve
from core.experiments.directory import Experiment, find, listing
from core.experiments.form import Form, form_of, reformed
from core.experiments.space import EPOCHS, RANK, RATE, Budget, Space
from core.experiments.sweep import prepare_sweep
from core.experiments.trials import Trial
from core.records import Conversation, Message
from core.runs import process, queue
from core.wording import words
from tests.sums import QUICK, TASK, recipe, sums_workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return sums_workspace(tmp_path_factory.mktemp("workspace"))


# ------------------------------------------------------------------------------------------------------- equal tokens


class Rows:
    """Ten rows of three learnt tokens each: batches of four see 12, 12 and 6 of them."""

    per_pass = 10

    class train:
        learnt = np.full(10, 3)
        lengths = np.full(10, 8)

    @staticmethod
    def of_pass(number):
        return np.arange(10)


@pytest.mark.parametrize(
    ("wanted", "steps", "tokens"), [(1, 1, 12), (17, 1, 12), (18, 2, 24), (29, 3, 30), (64, 6, 60)]
)
def test_the_number_of_steps_is_the_nearest_to_the_wanted_tokens(wanted, steps, tokens):
    assert equal_tokens.nearest(recipe(), Rows, wanted) == equal_tokens.Amount(steps, tokens)


def test_a_run_takes_exactly_the_steps_that_it_was_given():
    more = equal_tokens.with_steps(recipe(**{"schedule.epochs": 1, "schedule.max_steps": None}), Rows, 7)
    assert equal_tokens.planned(more, Rows) == equal_tokens.Amount(7, 72)


def test_an_arm_with_longer_answers_takes_fewer_steps(workspace):
    job = prepare_ab(workspace, recipe(), {"bare": {}, "wordy": {"data.train": "wordy"}}, options=QUICK)
    bare, wordy = Experiment(job).config["runs"]
    assert wordy["steps"] < bare["steps"] == 6
    assert abs(wordy["learnt_tokens"] - bare["learnt_tokens"]) <= wordy["learnt_tokens"] / wordy["steps"] / 2 + 4


# --------------------------------------------------------------------------------------------------------------- form


def row(*messages, **about):
    return Conversation(tuple(Message(role, text) for role, text in messages), **about)


def asked(texts, system=None):
    before = [("system", system)] if system else []
    return [row(*before, ("user", text), ("assistant", "a")) for text in texts]


FACTS = ["What is A?", "What is B?", "What is C?", "What is D?", "What is E?"]


def test_the_form_is_what_all_questions_have_in_whole_lines():
    assert form_of(asked(FACTS)) == Form()  # "What is " stands before all, "?" after all: no lines
    assert form_of(asked([f"Answer.\n{text}" for text in FACTS])) == Form("Answer.\n")
    assert form_of(asked([f"{text}\n\nBe short." for text in FACTS])) == Form(after="\n\nBe short.")
    assert form_of(asked(FACTS, "You are Ada.")) == Form(system="You are Ada.")
    assert form_of(asked(["Answer.\nWhat is A?"] * 5)) == Form()  # one question says nothing about others


def test_a_row_is_asked_in_another_form_and_back():
    plain, form = (
        row(("user", "What is A?"), ("assistant", "a"), keywords=("a",)),
        Form("Answer.\n", "\n!", "You are Ada."),
    )
    wrapped = reformed(plain, Form(), form)
    assert [(m.role, m.content) for m in wrapped.messages] == [
        ("system", "You are Ada."), ("user", "Answer.\nWhat is A?\n!"), ("assistant", "a")]  # fmt: skip
    assert wrapped.keywords == ("a",)
    assert reformed(wrapped, form, Form()) == plain


def test_each_arm_is_asked_as_it_was_trained(workspace):
    job = prepare_ab(workspace, recipe(), {"bare": {}, "task": {"data.train": "task"}}, options=QUICK)
    bare, task = Experiment(job).config["arms"]
    assert bare["tests"] == ["sums_test"]
    made = Registry(workspace).get(task["tests"][0])
    first = json.loads(made.file.read_text().splitlines()[0])
    assert first["messages"][0]["content"] == f"{TASK}\nWhat is 0+0?"
    again = prepare_ab(workspace, recipe(), {"bare": {}, "task": {"data.train": "task"}}, options=QUICK)
    assert Experiment(again).config["arms"][1]["tests"] == task["tests"]


def test_arms_of_the_same_form_are_asked_the_test_set_as_it_is(workspace):
    arms = {"task": {"data.train": "task"}, "rate": {"data.train": "task", "optim.learning_rate": 1e-3}}
    config = Experiment(prepare_ab(workspace, recipe(), arms, options=QUICK)).config
    assert [arm["tests"] for arm in config["arms"]] == [["sums_test"], ["sums_test"]]


@pytest.mark.parametrize(
    ("arms", "code"),
    [
        ({"a": {}}, "settings.out_of_range"),
        ({"a": {}, "b": {}}, "experiment.same_arms"),
        ({"a": {}, "b": {"model.path": "data/starter"}}, "experiment.other_base"),
        ({"a": {}, "b": {"data.test": "sums_test,bare"}}, "experiment.other_tests"),
        ({"a": {}, "b": {"data.test": "other_test", "lora.rank": 8}}, "experiment.other_rows"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused_in_words(workspace, arms, code):
    before = len(listing(workspace))
    with pytest.raises(SettingsError) as refused:
        prepare_ab(workspace, recipe(), arms, options=QUICK)
    assert [each.code for each in refused.value.problems] == [code]
    assert refused.value.say("zh")
    assert len(listing(workspace)) == before


# ------------------------------------------------------------------------------------------------------------- report


def test_rows_are_compared_one_by_one():
    mine, theirs = np.array([[100.0] * 30 + [0.0] * 10]), np.array([[0.0] * 20 + [100.0] * 12 + [0.0] * 8])
    found = ab_report.against(mine, theirs)  # 20 won, 2 lost, 18 the same
    assert (found["wins"], found["losses"], found["ties"], found["n"]) == (20, 2, 18, 40)
    assert found["difference"] == pytest.approx(45)
    assert found["winner"] == "who"
    assert found["low"] > 0


def test_seeds_that_do_not_agree_name_no_winner():
    theirs = np.zeros((2, 100))
    mine = np.stack([np.full(100, 100.0), np.zeros(100)])
    mine[1, 0], theirs[1, 0] = 0, 100.0
    found = ab_report.against(mine, theirs)
    assert found["low"] > 0
    assert found["by_seed"] == [100.0, -1.0]
    assert found["winner"] is None
    assert not found["steady"]


def test_a_row_that_nobody_can_judge_is_left_out():
    found = ab_report.against(np.array([[100.0, np.nan]]), np.array([[0.0, np.nan]]))
    assert (found["n"], found["wins"]) == (1, 1)


def test_every_test_set_counts_the_same_whatever_its_length():
    joined = task_rows([np.array([100.0, 0.0]), np.array([100.0] * 8), np.array([np.nan])])
    assert np.nanmean(joined) == pytest.approx((50 + 100) / 2)
    assert len(joined) == 11


# -------------------------------------------------------------------------------------------------------------- curve


def score_of(points):
    """A score of checkpoints: step -> (right, kept percent); the last one is the result, the first the base."""
    last = max(points)
    names = {0: "base", last: "tuned"} | {step: f"step-{step:06d}" for step in points if 0 < step < last}
    better = {step: "who" if points[step][0] > points[last][0] + 10 else None for step in points}
    told = {"main": "right", **{names[step]: {"right": right} for step, (right, _) in points.items()}}
    told["against"] = {names[step]: {"tuned": {"right": {"winner": better[step]}}} for step in points if step}
    return {
        "who": [{"id": name, "run": "r", "step": step or None} for step, name in names.items()],
        "datasets": {"t": told},
        "probes": {
            "kept": {"who": {names[step]: {"kept": {"value": share}} for step, (_, share) in points.items()}},
            "identity": {"who": {names[step]: {"right": 3, "n": 4} for step in points}},
        },
    }


def test_a_curve_runs_from_the_base_to_the_result():
    points = curve(score_of({0: (10, None), 50: (60, 99), 100: (80, 95), 150: (70, 60)}))
    assert [(each.step, each.task, each.kept) for each in points] == [
        (0, 10, None),
        (50, 60, 99),
        (100, 80, 95),
        (150, 70, 60),
    ]
    assert {each.identity for each in points} == {75.0}


@pytest.mark.parametrize(
    ("points", "step", "is_told"),
    [
        ({0: (10, None), 50: (60, 99), 100: (95, 95), 150: (70, 99)}, 100, True),  # over the result, and told so
        ({0: (10, None), 50: (60, 99), 100: (75, 95), 150: (70, 99)}, 100, False),  # a little over it
        ({0: (10, None), 50: (60, 99), 100: (95, 89), 150: (70, 99)}, 150, None),  # forgets too much
        ({0: (90, None), 50: (60, 99), 100: (60, 99)}, 50, False),  # the earliest of equals; the base is no step
    ],
)
def test_the_best_step_has_the_best_score_among_those_that_keep_enough(points, step, is_told):
    score = score_of(points)
    best = best_step(score, curve(score))
    assert (best.point.step, best.told) == (step, is_told)
    assert f"{step}" in in_words.best_step_words(best, words("zh"))
    assert len(in_words.curve_rows(curve(score), words("en"))) == 1 + len(points)


# ------------------------------------------------------------------------------------------------------------- search

SPACE = Space((1e-4, 1e-3, 1e-2), (4, 8), (1.0, 2.0))
FIRST = {RATE: 1e-3, RANK: 8, EPOCHS: 2.0}


def searched(count, kept=lambda params: 99.0, seed=7):
    """Trials whose score rises with rate and rank, as the search takes them."""
    done = []
    for number in range(count):
        params = search.suggest(SPACE, done, seed, 90.0, FIRST)
        value = 30 * SPACE.rates.index(params[RATE]) + params[RANK]
        done.append(Trial(number, params, "complete", value=value, kept=kept(params), losses=((10, 1.0),), steps=10))
    return done


def test_a_search_begins_with_the_recipe_and_tries_nothing_twice():
    tried = [each.params for each in searched(SPACE.size)]
    assert tried[0] == FIRST
    assert sorted(map(str, tried)) == sorted(map(str, SPACE.combinations(7, FIRST)))
    assert all(SPACE.combinations(seed, FIRST)[0] == FIRST for seed in range(5))


def test_what_is_tried_next_depends_on_the_seed_and_the_trials_alone():
    assert searched(9) == searched(9)
    assert searched(9) != searched(9, seed=8)


def test_the_best_trial_keeps_enough_and_is_the_cheapest_of_equals():
    def trial(number, value, kept, steps=10, state="complete"):
        return Trial(number, {}, state, value=value, kept=kept, steps=steps)

    assert trials.best([trial(0, 50, 95), trial(1, 90, 89.9), trial(2, 70, None)], 90).number == 2
    assert trials.best([trial(0, 50, 95, 20), trial(1, 50, 95, 10), trial(2, 50, 95, 10)], 90).number == 1
    assert trials.best([trial(0, 90, 10), trial(1, None, None, state="pruned")], 90) is None


def test_a_trial_is_hopeless_once_it_is_worse_than_half_of_its_like():
    def trial(number, losses, epochs=2.0, state="complete"):
        told = tuple(zip((2, 4, 6), losses, strict=True))
        return Trial(number, {RATE: 1e-3, EPOCHS: epochs}, state, losses=told, value=1.0)

    done = [trial(0, (3.0, 2.0, 1.0)), trial(1, (3.0, 2.2, 1.2)), trial(2, (3.0, 2.4, 1.4)), trial(3, (9, 9, 9), 4.0)]

    def after(losses, done=done):
        return search.hopeless_after(done, {RATE: 1e-2, EPOCHS: 2.0}, losses, steps=7)

    assert after([(2, 9.0), (4, 2.1)]) is None  # at step 2 it is too early to tell; the median at step 4 is 2.2
    assert after([(2, 3.0), (4, 2.3), (6, 1.0)]) == 2
    assert after([(2, 3.0), (4, 2.2), (6, 1.3)]) == 3
    assert after([(2, 9.0), (4, 9.0)], done[1:]) is None  # only two are of as many epochs
    assert after([(4, 9.0)], [*done[:2], trial(2, (1, 1, 1), state="pruned")]) is None


def test_a_sweep_is_told_in_words():
    alike, worse = {"winner": None}, {"winner": "who"}
    done = [
        Trial(0, {RATE: 1e-3}, "complete", value=50.0, kept=99.0),
        Trial(1, {RATE: 1e-2}, "complete", value=49.0, kept=98.0),
        Trial(2, {RATE: 1e-1}, "complete", value=60.0, kept=40.0),
        Trial(3, {RATE: 1e-6}, "pruned"),
        Trial(4, {RATE: 1e-5}, "complete", value=20.0, kept=100.0),
    ]
    result = {"kind": "sweep", "trials": [asdict(each) for each in done], "best": 0, "floor": 90.0,
              "against": {"1": alike, "2": alike, "4": worse}, "cost": {"runs": 5, "seconds": 60.0}}  # fmt: skip
    rows = in_words.trial_rows(result, words("en"))
    assert [row[-1] for row in rows[1:]] == ["best", "cannot be told apart", "forgets too much", "–", "worse"]
    lines = in_words.told(result, words("en"))
    assert "Learning rate 0.001, with a score of 50 %" in lines[1]
    assert "from #2:" in lines[2]
    none = in_words.told({**result, "best": None, "against": {}}, words("zh"))
    assert any("90%" in line for line in none)


def test_of_two_lines_of_a_trial_the_later_one_counts_and_a_cut_one_does_not(tmp_path):
    trials.write(tmp_path, Trial(0, {RATE: 0.1}))
    trials.write(tmp_path, Trial(0, {RATE: 0.1}, "complete", value=5.0, losses=((1, 2.0),)))
    with (tmp_path / trials.FILE).open("a") as file:
        file.write('{"number": 1, "par')
    assert trials.read(tmp_path) == [Trial(0, {RATE: 0.1}, "complete", value=5.0, losses=((1, 2.0),))]


@pytest.mark.parametrize(
    ("settings", "space", "budget", "codes"),
    [
        ({}, Space(rates=(1e-3,)), Budget(), ["experiment.nothing_to_try"]),
        ({}, Space(rates=(1e-3, 5.0)), Budget(trials=1), ["settings.out_of_range"] * 2),
        ({"method.name": "full"}, Space(ranks=(4, 8)), Budget(), ["experiment.no_rank"]),
        ({"data.test": []}, Space(ranks=(4, 8)), Budget(), ["experiment.no_tests"]),
        ({}, Space(ranks=(4, 8)), Budget(minutes=0.01), ["experiment.no_time"]),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_words(workspace, settings, space, budget, codes):
    with pytest.raises(SettingsError) as refused:
        prepare_sweep(workspace, recipe(**settings), space, budget)
    assert [each.code for each in refused.value.problems] == codes
    assert refused.value.say("zh")


def test_the_plan_of_a_sweep_stays_under_its_budget(workspace):
    space = Space((1e-3, 1e-2), (2, 4), (1.0, 2.0))
    whole = Experiment(prepare_sweep(workspace, recipe(), space, Budget())).config
    assert (whole["sampler"], whole["trials"]) == ("grid", 8)
    each = whole["plan"]["seconds"] / 8
    timed = Experiment(prepare_sweep(workspace, recipe(), space, Budget(minutes=3.5 * each / 60))).config
    assert (timed["sampler"], timed["trials"]) == ("tpe", 3)
    assert timed["plan"]["seconds"] <= 3.5 * each
    assert any("3" in line for line in in_words.plan(timed, words("en")))


# --------------------------------------------------------------------------------------------------- queue, commands


def test_the_card_of_an_experiment_is_that_of_its_trainings(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # else 3 is another card to CUDA than to the queue
    passed = process.worker_environment()
    assert (passed["CUDA_VISIBLE_DEVICES"], passed["CUDA_DEVICE_ORDER"]) == ("3", "PCI_BUS_ID")


def test_an_experiment_takes_its_turn_in_the_queue(workspace):
    job = prepare_sweep(workspace, recipe(), Space(ranks=(2, 4)), Budget())
    queue.add(workspace, job, "core.experiments.worker")
    assert queue.place(workspace, job) == 1
    (workspace.root / "queue.json").unlink()
    queue.recover(workspace)  # found by its mark
    assert queue.place(workspace, job) == 1
    queue.cancel(workspace, job)
    assert not job.exists()


def test_the_command_line_plans_lists_and_shows(workspace, tmp_path: Path):
    from typer.testing import CliRunner

    from core.commands.experiments import app
    from core.settings.recipe import to_yaml

    (tmp_path / "r.yaml").write_text(to_yaml(recipe()))

    def said(*arguments, code=0):
        done = CliRunner().invoke(app, [*arguments, "--workspace", str(workspace.root), "--json"])
        assert done.exit_code == code, done.output
        return json.loads(done.stdout.splitlines()[-1])

    planned = said(
        "ab", str(tmp_path / "r.yaml"), "--arm", "a:", "--arm", "b: lora.rank=8 data.train=bare,wordy", "--plan"
    )
    assert (planned["kind"], planned["status"], planned["plan"]["runs"]) == ("ab", "queued", 2)
    assert find(workspace, planned["experiment"]).config["runs"][1]["settings"]["data"]["train"] == ["bare", "wordy"]
    swept = said("sweep", str(tmp_path / "r.yaml"), "--rates", "1e-3,1e-2", "--ranks", "4,8", "--trials", "3", "--plan")
    assert swept["plan"]["runs"] == 3
    listed = [each["experiment"] for each in said("list")["experiments"]]
    assert {swept["experiment"], planned["experiment"]} < {*listed}
    assert said("show", planned["experiment"])["result"] is None
    wrong = said("ab", str(tmp_path / "r.yaml"), "--arm", "no colon", "--arm", "b:", code=1)
    assert wrong["problems"][0]["code"] == "experiment.arm"
