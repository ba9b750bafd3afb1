"""`studio plan` and `studio presets`: one JSON object, measured by the run's own steps, and the same as what happens."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from core.commands.root import tree
from core.data.registry import Registry
from core.runs import events
from core.runs.directory import listing
from core.settings.presets import presets
from core.workspace import Workspace
from tests.tiny import build_tiny_model


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    build_tiny_model(workspace.models / "tiny")
    rows = [{"instruction": f"What is {n} plus {n}?", "output": f"{n} plus {n} is {2 * n}."} for n in range(200)]
    (tmp_path / "sums.json").write_text(json.dumps(rows))
    Registry(workspace).add(tmp_path / "sums.json", "sums")
    return workspace


@pytest.fixture
def recipe(tmp_path):
    values = {"model": {"path": "models/tiny"}, "data": {"train": ["sums"]}, "optim": {"learning_rate": 2e-3},
              "schedule": {"epochs": 1}, "batch": {"cutoff_len": 128}}  # fmt: skip
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def studio(workspace: Workspace, *arguments: object, code: int = 0) -> dict:
    given = [*map(str, arguments), "--workspace", str(workspace.root), "--json"]
    done = CliRunner().invoke(tree(), given)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout.splitlines()[-1])


def test_a_plan_is_one_object_with_everything_that_the_run_will_do(workspace, recipe):
    plan = studio(workspace, "plan", recipe, "--no-measure")
    assert (plan["examples"] + plan["validation_examples"], plan["dropped"], plan["lost_tokens"]) == (200, 0, 0)
    assert plan["steps"] == plan["steps_per_epoch"] == -(-plan["examples"] // 8)
    assert plan["basis"] == "estimate"
    assert plan["memory_bytes"] == sum(plan["memory"].values())
    assert set(plan["memory"]) >= {"weights", "trained", "gradients", "optimizer", "activations", "logits", "program"}
    assert plan["verdict"] == "fits"
    assert plan["sources"][0]["name"] == "sums"
    assert "plan.few_steps" in {each["code"] for each in plan["advice"]}
    assert plan["findings"] == {"sums": {"errors": [], "warnings": []}}
    assert listing(workspace) == []


def test_a_plan_measures_once_and_is_what_happens(workspace, recipe):
    """The probe's peak is that of the run: both have loaded the same libraries and the same model."""
    plan = studio(workspace, "plan", recipe)
    assert plan["basis"] == "probe"
    assert len(list(workspace.jobs.iterdir())) == 1
    assert studio(workspace, "train", recipe, "--plan") == plan | {
        "memory_free": pytest.approx(plan["memory_free"], rel=0.5)
    }
    assert len(list(workspace.jobs.iterdir())) == 1  # not measured again
    assert studio(workspace, "plan", recipe, "--lora.rank", "4", "--no-measure")["basis"] == "estimate"

    studio(workspace, "train", recipe)
    (run,) = listing(workspace)
    ended = next(each for each in events.read_from(run.log)[0] if isinstance(each, events.TrainingEnded))
    assert run.config["plan"]["steps"] == ended.measured["steps"] == ended.planned["steps"]
    assert ended.planned["memory_bytes"] == run.config["plan"]["memory_bytes"] == plan["memory_bytes"]
    assert ended.planned["memory_bytes"] == pytest.approx(ended.measured["memory_bytes"], rel=0.15)


def test_an_earlier_run_of_the_same_kind_tells_the_time(workspace, recipe):
    many = ["--schedule.epochs", "2", "--data.validation_share", "0"]
    studio(workspace, "train", recipe, *many)
    assert studio(workspace, "plan", recipe, *many, "--no-measure")["basis"] == "run"
    assert studio(workspace, "plan", recipe, *many, "--lora.rank", "2", "--no-measure")["basis"] == "estimate"


def test_a_plan_of_what_cannot_start_says_why_all_at_once(workspace, recipe):
    flags = ["--method.name", "full", "--method.bits", "4", "--lora.rank", "8", "--compute.checkpointing", "maybe"]
    answer = studio(workspace, "plan", recipe, *flags, code=1)
    assert [each["code"] for each in answer["problems"]] == ["settings.not_a_choice"]
    answer = studio(workspace, "plan", recipe, *flags[:-2], code=1)
    assert {each["code"] for each in answer["problems"]} == {"conflict.bits", "conflict.unread"}
    assert not workspace.jobs.exists()


def test_a_preset_is_given_by_name(workspace, recipe):
    plan = studio(workspace, "plan", recipe, "--preset", "teach_facts", "--no-measure")
    assert plan["epochs"] == presets()["teach_facts"]["schedule.epochs"]
    flags = ("--preset", "teach_facts", "--schedule.epochs", "2", "--no-measure")
    assert studio(workspace, "plan", recipe, *flags)["epochs"] == 2
    wrong = studio(workspace, "plan", recipe, "--preset", "teach_fats", code=1)
    assert wrong["problems"][0]["code"] == "settings.no_preset"


def test_presets_are_listed_with_the_reason_for_each():
    done = CliRunner().invoke(tree(), ["presets", "--json"])
    listed = json.loads(done.stdout.splitlines()[-1])["presets"]
    assert list(listed) == list(presets())
    assert all(each["why"] and each["settings"] for each in listed.values())
    assert "--lora.rank 64" in CliRunner().invoke(tree(), ["presets"]).stdout


def test_the_plan_is_a_table_where_no_json_is_asked_for(workspace, recipe):
    given = ["plan", str(recipe), "--no-measure", "--workspace", str(workspace.root)]
    text = CliRunner().invoke(tree(), given).stdout
    assert "200 rows" not in text  # ten of them validate
    assert "fits" in text
    assert "Activations" in text
