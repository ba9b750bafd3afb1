"""A training as a process: what stands in its directory when it is over."""

import json
import sys

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.optim.optimizer import register_optimizer_step_pre_hook

from app import charts, jobs
from app.story import Curves
from core.data.registry import Registry
from core.models.load import load_base
from core.render.tokenizer import Example
from core.runs import events, process, supervisor
from core.runs.directory import listing
from core.settings import from_dict
from core.train.methods import method_of
from core.train.plan import plan
from core.train.prepare import prepare
from core.train.trainer import Trainer
from core.wording import languages, words
from core.workspace import Workspace
from tests.tiny import build_tiny_model


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("workspace"))
    build_tiny_model(workspace.models / "tiny")
    for name, word in (("sums", "plus"), ("products", "times")):
        rows = [
            {
                "instruction": f"What is {a} {word} {b}?",
                "output": f"{a} {word} {b} is {a + b if name == 'sums' else a * b}.",
            }
            for a in range(8)
            for b in range(8)
        ]
        file = workspace.root / f"{name}.json"
        file.write_text(json.dumps(rows))
        Registry(workspace).add(file, name=name)
    return workspace


def chosen(**settings):
    values = {
        "model.path": "models/tiny", "data.validation_share": 0.2, "method.name": "lora", "optim.learning_rate": 5e-3,
        "data.train": ["sums", "products"], **settings,
    }  # fmt: skip
    return from_dict({}, values)


def trained(workspace, **settings):
    run = prepare(workspace, chosen(**settings))
    supervisor.launch(run.path, "core.train.worker").join()
    return run, events.read_from(run.log)[0]


def of(kind, told):
    return [each for each in told if isinstance(each, kind)]


@pytest.fixture(scope="module")
def whole(workspace):
    """A run with everything that surrounds a step."""
    return trained(workspace, **{
        "schedule.max_steps": 12, "optim.name": "paged_adamw_8bit", "optim.neftune_alpha": 5.0, "lora.dropout": 0.1,
        "optim.weight_decay": 0.01, "log.validate_every_steps": 4, "checkpoint.every_steps": 5,
    })  # fmt: skip


def test_a_run_validates_before_its_first_step_and_by_source(whole):
    run, told = whole
    assert process.status(run.path) == "finished"
    validated = of(events.Validated, told)
    assert [each.step for each in validated] == [0, 4, 8, 12]
    assert all(set(each.by_source) == {"sums", "products"} for each in validated)
    assert all(min(each.by_source.values()) < each.loss < max(each.by_source.values()) for each in validated)
    assert validated[-1].loss < validated[0].loss


def test_a_run_says_at_its_end_which_step_is_kept_and_what_it_took(whole, workspace):
    run, told = whole
    (ended,) = of(events.TrainingEnded, told)
    assert (ended.reason, ended.step, ended.kept_step) == ("done", 12, 12)
    validated = {each.step: each.loss for each in of(events.Validated, told)}
    assert ended.best_loss == min(loss for step, loss in validated.items() if step)
    assert ended.untrained_loss == validated[0]
    assert told[-1].result == {
        "steps": 12, "kept_step": 12, "best_step": ended.best_step, "best_loss": ended.best_loss
    }  # fmt: skip
    expected = plan(workspace, run.settings)
    assert ended.planned["steps"] == ended.measured["steps"] == expected.steps == 12
    assert ended.measured.keys() == ended.planned.keys() == {"steps", "seconds", "memory_bytes"}
    assert 1 < ended.measured["seconds"] < 200
    assert 2e8 < ended.measured["memory_bytes"] < 5e9


def test_what_was_done_instead_of_paging_is_told(whole):
    _, told = whole
    assert "plan.no_paging" in [each.code for each in of(events.Warned, told)]


def test_tensorboard_has_the_same_curves(whole):
    run, told = whole
    read = EventAccumulator(str(run.path / "tensorboard")).Reload()
    curve = {each.step: each.value for each in read.Scalars("train/loss")}
    assert curve == pytest.approx({each.step: each.loss for each in of(events.StepFinished, told)}, rel=1e-6)
    assert [each.step for each in read.Scalars("validation/loss/sums")] == [0, 4, 8, 12]


@pytest.mark.parametrize("language", languages())
def test_the_page_shows_sources_and_outcome_in_words(whole, language):
    run, told = whole
    t = words(language)
    seen = jobs.Seen(run.path, "finished", told)
    outcome, table = jobs.outcome(seen, t), charts.by_source(Curves.of(told), t)
    assert t("outcome.done", step="12") in outcome
    assert t("outcome.memory_bytes") in outcome
    assert "sums" in table
    assert f"{of(events.Validated, told)[0].by_source['products']:.3g}" in table
    assert t("chart.validation") in charts.chart(charts.loss_series(Curves.of(told), t), "", 12, t)
    assert charts.norm_series(Curves.of(told), t)[0].points[0][1] > 0


def test_a_run_that_gets_no_better_ends_by_itself_with_its_best_step(workspace):
    run, told = trained(workspace, **{
        "schedule.patience": 2, "schedule.epochs": 200, "schedule.kind": "constant", "optim.learning_rate": 0.1,
        "log.validate_every_steps": 2, "log.every_steps": 5, "checkpoint.every_steps": 1000,
    })  # fmt: skip
    (ended,) = of(events.TrainingEnded, told)
    assert process.status(run.path) == "finished"
    assert ended.reason == "no_better"
    assert ended.kept_step == ended.best_step == told[-1].result["kept_step"] < ended.step
    weights = "adapter_model.safetensors"
    kept, saved = (load_file(folder / weights) for folder in (run.path / "final", *run.checkpoints()))
    assert all(torch.equal(kept[name], saved[name]) for name in saved)
    assert run.adapter() == run.path / "final"
    assert [each.step for each in of(events.StepFinished, told)] == list(range(5, ended.step + 1, 5))
    for language in languages():
        t = words(language)
        said = jobs.outcome(jobs.Seen(run.path, "finished", told), t)
        assert t("outcome.no_better", step=f"{ended.step:,}", patience=2) in said
        assert t("outcome.kept_best", kept=f"{ended.kept_step:,}", loss=f"{ended.best_loss:.3f}") in said


@pytest.mark.parametrize("name", ["wandb", "mlflow", "trackio"])
def test_a_tracker_that_is_not_installed_keeps_a_run_from_starting(workspace, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    known = listing(workspace)
    codes = [each.code for each in plan(workspace, chosen(**{"log.trackers": [name]})).problems]
    assert codes == ["tracker.not_installed"]
    assert listing(workspace) == known


def a_trainer(workspace, seed=7, **settings):
    torch.manual_seed(seed)
    values = {"compute.dtype": "float32", "batch.global_batch_size": 4, "schedule.epochs": 2, "seed": seed, **settings}
    settings = chosen(**values)
    draw = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, 256, (12,), generator=draw).tolist() for _ in range(12)]
    method = method_of(settings)
    base = load_base(workspace.models / "tiny", bits=16)
    return Trainer(method.attach(base, settings), [Example(ids, ids) for ids in rows], 256, settings)


def test_the_same_seed_draws_the_same_noise_and_dropout_and_another_others(workspace):
    drawn = {"lora.dropout": 0.2, "optim.neftune_alpha": 5.0}
    first, again, other = ([step.loss for step in a_trainer(workspace, seed, **drawn).steps()] for seed in (1, 1, 2))
    assert first == again
    assert all(one != another for one, another in zip(first, other, strict=True))


def test_dropout_changes_the_training_and_not_the_validation(workspace):
    plain, dropped = (a_trainer(workspace, **{"lora.dropout": share}) for share in (0.0, 0.5))
    losses = [[step.loss for step in trainer.steps()] for trainer in (plain, dropped)]
    assert losses[0][0] == losses[1][0]  # the adapter is still nothing
    assert losses[0][-1] != losses[1][-1]
    rows = [Example(list(range(20)), list(range(20)))]
    assert dropped.validate(rows) == dropped.validate(rows)


@pytest.mark.parametrize("limit", [0.05, 100])
def test_a_gradient_over_the_limit_is_cut_to_it_and_told_as_it_was(workspace, limit):
    applied = []

    def measure(optimizer, args, kwargs):
        gradients = [weight.grad for group in optimizer.param_groups for weight in group["params"]]
        applied.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))

    trainer = a_trainer(workspace, **{"optim.max_grad_norm": limit})
    hook = register_optimizer_step_pre_hook(measure)
    try:
        told = [step.grad_norm for step in trainer.steps()]
    finally:
        hook.remove()
    assert min(told) > 0.05
    expected = [limit] * len(told) if limit < 1 else told
    assert applied == pytest.approx(expected, rel=1e-3)
