"""The story that the studio is for, replayed on the starter model: trained, asked and diagnosed for real.

The healthy run is what `studio demo` trains, but without its quantisation, with three and a half passes instead of six and a
quarter of the general data: enough to be healthy, in a third of the time. The others lack what it has: steps, the system
prompt that it is asked under, general data, one identity.
"""

import json

import pytest

from core.commands.demo import AUTHOR, NAME, RECIPE
from core.data.identity_sets import identity_sets
from core.data.readers import read_rows
from core.data.registry import Registry
from core.diagnose.rules import diagnose
from core.evaluate import scores
from core.evaluate.options import Options
from core.evaluate.prepare import prepare as prepare_evaluation
from core.prompts.store import PromptStore
from core.settings import load_recipe
from core.train.prepare import prepare as prepare_run
from core.workspace import Workspace

LIMIT = 40  # questions of each set and probe
ME = {"name": NAME, "author": AUTHOR}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("workspace"))
    registry = Registry(workspace)
    identity_sets(registry, NAME, AUTHOR)
    identity_sets(registry, "Nova", "Sun Works")
    desk = registry.get("desk")
    once = workspace.root / "once.json"  # each fact in one of its eight wordings
    once.write_text(json.dumps([row.values for row in read_rows(desk.file)][::8]), encoding="utf-8")
    registry.add(once, "desk_once", reading=desk.reading)
    return workspace


def trained(workspace, name, train, test, **settings):
    """Train the recipe of the demo with these sets and settings; `schedule__epochs` is the setting schedule.epochs."""
    from core.train.worker import work

    changed = {key.replace("__", "."): value for key, value in settings.items()}
    sets = {"name": name, "data.train": train, "data.test": test, "data.accept_warnings": True}
    sets |= {"method.name": "lora", "log.validate_every_steps": 1000}
    run = prepare_run(workspace, load_recipe(RECIPE, {**sets, **changed}))
    work(run.path)
    return run


def diagnosed(workspace, run, datasets=None, prompt=None, limit=LIMIT):
    """Ask base and tuned, and return the findings by their codes, in order."""
    from core.evaluate.worker import work

    work(prepare_evaluation(workspace, run, datasets, prompt=prompt, options=Options(limit=limit, max_new_tokens=40)))
    return {each.code: each for each in diagnose(workspace, run, scores.read(run)[-1])}


@pytest.fixture(scope="module")
def healthy(workspace):
    train, test = ["identity_lumen", "desk", "general"], ["identity_lumen_test", "desk_test", "general_test"]
    return trained(workspace, "healthy", train, test, schedule__epochs=3.5, data__weights={"general": 0.25})


def test_the_run_of_the_demo_has_no_finding(workspace, healthy):
    assert diagnosed(workspace, healthy) == {}


def test_an_identity_that_was_trained_under_a_prompt_is_gone_without_it(workspace):
    behind = {"prompt__name": "identity", "prompt__blanks": ME}
    run = trained(workspace, "behind", ["identity_lumen"], ["identity_lumen_test"], schedule__max_steps=12, **behind)
    found = diagnosed(workspace, run)
    assert [*found] == ["one_prompt_only"]
    assert found["one_prompt_only"].changes["prompt.name"] == "none"
    found = diagnosed(workspace, run, prompt=PromptStore(workspace).get("none"))
    assert [*found] == ["other_prompt"]


def test_eighteen_steps_were_too_few(workspace):
    train, test = ["identity_lumen", "desk", "general"], ["desk_test"]
    found = diagnosed(workspace, trained(workspace, "few", train, test, schedule__max_steps=18))
    assert [*found] == ["few_steps"]
    assert found["few_steps"].values["steps"] == 18
    assert found["few_steps"].values["tuned"] < 10
    assert found["few_steps"].changes == {"schedule.max_steps": None}


def test_a_few_facts_again_and_again_without_replay_are_learnt_by_heart_and_the_rest_is_forgotten(workspace):
    hard = {
        "log__validate_every_steps": 6,
        "schedule__epochs": 20,
        "optim__learning_rate": 1.5e-2,
        "data__validation_share": 0.3,
    }
    run = trained(workspace, "by_heart", ["desk_once"], ["desk_test"], **hard)
    found = diagnosed(workspace, run, [], limit=None)
    assert [*found] == ["forgot", "overfit_early"]
    assert found["forgot"].changes["data.train"] == ["desk_once", "general"]
    assert found["overfit_early"].values["last"] > 1.1 * found["overfit_early"].values["best"]
    assert found["overfit_early"].changes == {"optim.learning_rate": 0.0037}  # a quarter


def test_two_identities_in_one_mixture_contradict_each_other(workspace):
    train = ["identity_lumen", "identity_nova", "general"]
    both = {"data__weights": {"general": 0.1}, "batch__global_batch_size": 8, "schedule__epochs": 2}
    found = diagnosed(workspace, trained(workspace, "two", train, ["identity_lumen_test"], **both))
    assert [*found] == ["sets_contradict"]
    assert found["sets_contradict"].changes["data.train"] == ["identity_lumen", "general"]
