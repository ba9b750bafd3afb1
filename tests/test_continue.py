"""A new run that goes on from the adapter of an earlier one."""

import json
import shutil

import pytest

from core.data.registry import Registry
from core.errors import StudioError
from core.prompts.store import PromptStore
from core.runs import events
from core.settings import from_dict
from core.train import going_on, resume
from core.train.plan import plan
from core.train.prepare import prepare
from core.workspace import Workspace
from tests.tiny import build_tiny_model
from tests.worker_process import start


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("workspace"))
    build_tiny_model(workspace.models / "tiny")
    build_tiny_model(workspace.models / "other", seed=5)
    for name, word in (("sums", "plus"), ("products", "times")):
        rows = [
            {"instruction": f"What is {a} {word} {b}?", "output": f"{a} {word} {b}."}
            for a in range(8)
            for b in range(8)
        ]
        (workspace.root / f"{name}.json").write_text(json.dumps(rows))
        Registry(workspace).add(workspace.root / f"{name}.json", name=name)
    PromptStore(workspace).save("brief", "Be brief.")
    return workspace


def chosen(**settings):
    return from_dict({}, {
        "model.path": "models/tiny", "data.train": ["sums"], "data.validation_share": 0.2, "method.name": "lora",
        "optim.learning_rate": 5e-3, "schedule.max_steps": 6, "schedule.epochs": 50,
        "batch.global_batch_size": 4, "checkpoint.every_steps": 3, **settings,
    })  # fmt: skip


def trained(workspace, **settings):
    run = prepare(workspace, chosen(**settings))
    start(run.path).join(120)
    told = events.read_from(run.log)[0]
    assert run.status == "finished", told[-1]
    return run, [each for each in told if isinstance(each, events.Validated)]


@pytest.fixture(scope="module")
def earlier(workspace):
    return trained(workspace)


@pytest.mark.parametrize("settings", [
    {}, {"method.name": "qlora"}, {"method.name": "pissa"}, {"method.name": "prompt", "optim.learning_rate": 0.3},
    {"method.name": "full", "optim.learning_rate": 1e-3},
], ids=lambda settings: settings.get("method.name", "lora"))  # fmt: skip
def test_it_begins_where_the_earlier_run_ended_with_a_schedule_of_its_own(workspace, settings):
    run, before = trained(workspace, **settings)
    further, after = trained(workspace, **settings, **{"model.adapter": run.name})
    assert before[-1].loss < 0.99 * before[0].loss  # it has learnt something to begin with
    assert after[0].loss == pytest.approx(before[-1].loss, rel=2e-3 if settings else 1e-6)
    assert further.config["continued"]["run"] == run.name
    steps = [each for each in events.read_from(further.log)[0] if isinstance(each, events.StepFinished)]
    assert [each.step for each in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[0].learning_rate == further.settings.optim.learning_rate / 2  # warm-up begins anew


def test_the_earlier_run_may_be_deleted(workspace, earlier):
    run, _ = trained(workspace)
    further = prepare(workspace, chosen(**{"model.adapter": run.name}))
    shutil.rmtree(run.path)
    start(further.path).join(120)
    assert further.status == "finished"
    assert resume.resumable(further) is None
    shutil.rmtree(further.path / going_on.START)
    with pytest.raises(StudioError, match="not there as it was"):
        going_on.required(further)


def test_a_damaged_adapter_is_not_gone_on_from_and_leaves_no_half_made_run(workspace):
    run, _ = trained(workspace)
    file = run.path / "final" / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    before = sorted(workspace.runs.iterdir())
    with pytest.raises(StudioError, match="is damaged"):
        prepare(workspace, chosen(**{"model.adapter": run.name}))
    assert sorted(workspace.runs.iterdir()) == before


@pytest.mark.parametrize(("settings", "code", "where"), [
    ({"lora.rank": 8}, "continue.other_setting", "lora.rank"),
    ({"method.name": "qlora"}, "continue.other_setting", "method.name"),
    ({"lora.targets": ["q_proj"]}, "continue.other_setting", "lora.targets"),
    ({"model.path": "models/other"}, "continue.other_base", "model.path"),
    ({"model.adapter": "nobody"}, "run.missing", "nobody"),
    ({"model.adapter": "../runs"}, "path.name", ""),
])  # fmt: skip
def test_what_does_not_fit_together_is_told_before_the_start(workspace, earlier, settings, code, where):
    asked = chosen(**{"model.adapter": earlier[0].name, **settings})
    with pytest.raises(StudioError) as caught:
        prepare(workspace, asked)
    assert (code, where) in [(each.code, each.where) for each in caught.value.problems]


def test_it_advises_to_repeat_what_was_learnt_before_and_says_its_schedule(workspace, earlier):
    asked = chosen(**{"model.adapter": earlier[0].name, "data.train": ["products"], "prompt.name": "brief"})
    told = {each.code: each for each in plan(workspace, asked).warnings}
    assert told["continue.replay"].values["names"] == "sums"
    assert told["continue.other_prompt"].values["before"] == "none"
    assert told["continue.schedule"].values["steps"] == 6
    same = plan(workspace, chosen(**{"model.adapter": earlier[0].name, "data.train": ["sums", "products"]}))
    assert "continue.replay" not in {each.code for each in same.warnings}
    assert not any(each.code.startswith("continue.") for each in plan(workspace, chosen()).warnings)
