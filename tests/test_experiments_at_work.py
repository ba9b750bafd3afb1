"""Experiments as processes with trainings and evaluations of their own: compared, pruned, stopped, killed, gone on with."""

import os
import shutil
import signal
import time

import pytest

from core.errors import RunError
from core.evaluate import items
from core.experiments import in_words, trials
from core.experiments.ab import prepare_ab
from core.experiments.directory import Experiment, require_unfinished, runs_of
from core.experiments.space import RATE, Budget, Space
from core.experiments.sweep import prepare_sweep
from core.runs import events, process
from core.wording import words
from tests.experiment_process import start
from tests.sums import QUICK, TASK, recipe, sums_workspace

SLOWEST = 120  # seconds until an experiment must have ended


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return sums_workspace(tmp_path_factory.mktemp("workspace"))


def finish(job):
    worker = start(job)
    worker.join(SLOWEST)
    last = process.last_event(job)
    assert isinstance(last, events.RunFinished), (last, (job / "worker.log").read_text()[-3000:])
    return Experiment(job)


def told(run, kind):
    return [each for each in events.standing(events.read_from(run.log)[0]) if isinstance(each, kind)]


def learnt(run):
    return (run.path / "final" / "adapter_model.safetensors").read_bytes()


def until(what, seconds=SLOWEST):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.002)


ARMS = {"bare": {}, "task": {"data.train": "task", "optim.learning_rate": 1e-3}}


@pytest.fixture(scope="module")
def whole(workspace):
    return finish(prepare_ab(workspace, recipe(), ARMS, options=QUICK))


def test_two_arms_are_trained_on_equally_much(workspace, whole):
    runs = runs_of(workspace, whole)
    for planned in whole.config["runs"]:
        steps = told(runs[planned["key"]], events.StepFinished)
        assert (len(steps), sum(step.tokens for step in steps)) == (planned["steps"], planned["learnt_tokens"])
    cost = whole.result()["cost"]
    assert cost["runs"] == 2
    assert cost["learnt_tokens"] == sum(each["learnt_tokens"] for each in whole.config["runs"])
    assert cost["seconds"] > 0


def test_the_same_answers_are_expected_row_by_row_each_arm_asked_in_its_own_form(workspace, whole):
    result = whole.result()
    (dataset,) = result["datasets"]
    evaluation = workspace.runs / result["evaluation"]["run"] / "evaluations" / result["evaluation"]["job"]
    asked = items.read(evaluation)
    rows = list(
        zip(*([each for each in asked if each.source == name] for name in dataset["names"].values()), strict=True)
    )
    assert len(rows) == dataset["n"] == dataset["against"]["task"]["n"] == 12
    assert all(one.expected == other.expected for one, other in rows)
    assert all(other.question == f"{TASK}\n{one.question}" for one, other in rows)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_comparison_is_told_in_words(whole, language):
    lines = in_words.told(whole.result(), words(language))
    assert len(lines) == 3
    assert all("task" in line and "bare" in line for line in lines[:2])


def test_a_killed_comparison_goes_on_and_gives_the_same(workspace, whole):
    job = prepare_ab(workspace, recipe(), ARMS, options=QUICK)
    killed, worker = Experiment(job), start(job)
    until(lambda: (run := runs_of(workspace, killed).get("task/7")) and len(told(run, events.StepFinished)) > 1)
    os.kill(worker.pid, signal.SIGKILL)  # its training goes on to its end alone
    worker.join()
    assert killed.status == "lost"
    require_unfinished(killed)
    finish(job)
    assert len(killed.children()) == 3
    for key, run in runs_of(workspace, whole).items():
        if key != "evaluation":
            assert learnt(runs_of(workspace, killed)[key]) == learnt(run)
    assert killed.result()["datasets"] == whole.result()["datasets"]
    with pytest.raises(RunError):
        require_unfinished(killed)


def test_a_stopped_experiment_stops_its_training_and_resumes_it(workspace):
    arms = {"bare": {}, "slow": {"optim.learning_rate": 1e-3}}
    job = prepare_ab(workspace, recipe(**{"schedule.max_steps": 200}), arms, options=QUICK)
    experiment, worker = Experiment(job), start(job)
    until(lambda: (run := runs_of(workspace, experiment).get("bare/7")) and len(told(run, events.StepFinished)) > 2)
    os.kill(worker.pid, signal.SIGTERM)
    worker.join(SLOWEST)
    run = runs_of(workspace, experiment)["bare/7"]
    assert (experiment.status, run.status) == ("stopped", "stopped")
    step = told(run, events.StepFinished)[-1].step
    (job / "stop").unlink()
    worker = start(job)
    until(lambda: run.status == "running" and told(run, events.StepFinished)[-1].step > step)
    assert any(isinstance(each, events.Resumed) and each.step == step for each in events.read_from(run.log)[0])
    process.ask_to_stop(job)
    worker.join(SLOWEST)


def test_a_sweep_ends_hopeless_trials_and_goes_on_after_a_kill(workspace):
    space = Space(rates=(1e-2, 5e-3, 2e-2, 1e-7))
    settings = recipe(**{"schedule.max_steps": 8, "checkpoint.every_steps": 4, "seed": 2})
    whole = finish(prepare_sweep(workspace, settings, space, Budget(), floor=0, options=QUICK))
    result = whole.result()
    assert [(each["params"][RATE], each["state"]) for each in result["trials"]][-1] == (1e-7, "pruned")
    assert [each["state"] for each in result["trials"][:3]] == ["complete"] * 3
    assert result["trials"][result["best"]]["params"] == result["changes"]
    assert len(result["against"]) == 2

    job = as_after(whole, 2, whole.path.with_name("killed"))
    worker = start(job)
    until(lambda: (run := runs_of(workspace, Experiment(job)).get("trial/2")) and told(run, events.StepFinished))
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    again = finish(job).result()
    assert settled(again["trials"]) == settled(result["trials"])
    assert (again["best"], again["against"]) == (result["best"], result["against"])
    assert in_words.trial_rows(again, words("zh"))[1][0] == "1"


def as_after(whole, number, path):
    """Return a copy of a sweep as it was after so many trials."""
    path.mkdir()
    shutil.copy2(whole.path / "config.yaml", path)
    for trial in trials.read(whole.path)[:number]:
        trials.write(path, trial)
        for key in (f"trial/{trial.number}", f"trial/{trial.number}/evaluation"):
            Experiment(path).note_child(key, whole.children()[key])
    return path


def settled(told):
    return [{name: each[name] for name in ("number", "params", "state", "value", "kept", "losses", "steps")}
            for each in told]  # fmt: skip
