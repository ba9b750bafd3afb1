"""When a training stops, which step is kept, and that nothing about its losses is hidden."""

import math
import os
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from core.errors import RunError
from core.models.load import load_base
from core.render.tokenizer import IGNORE_INDEX, Example
from core.runs import events
from core.runs.directory import Run, create
from core.settings import from_dict
from core.train.checkpoint import remove, save
from core.train.examples import RunData, Source
from core.train.loop import Loop
from core.train.methods import method_of
from core.train.resume import STATE
from core.train.stopping import Validations, superfluous
from core.train.trainer import Step, Trainer
from tests.tiny import build_tiny_model

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    return build_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def some_examples(count, seed=0, learnt=True):
    draw = torch.Generator().manual_seed(seed)
    examples = []
    for _ in range(count):
        ids = torch.randint(0, 256, (int(torch.randint(6, 30, (1,), generator=draw)),), generator=draw).tolist()
        answers = ids[len(ids) // 2 :] if learnt else [IGNORE_INDEX] * (len(ids) - len(ids) // 2)
        examples.append(Example(ids, [IGNORE_INDEX] * (len(ids) // 2) + answers))
    return examples


class Examples(list):
    """Examples in memory, with the numbers that a tokenised set has of its own."""

    @property
    def lengths(self):
        return np.array([len(each.input_ids) for each in self])

    @property
    def learnt(self):
        return np.array([sum(label != IGNORE_INDEX for label in each.labels[1:]) for each in self], dtype=np.int32)

    def __getitem__(self, at):
        return Examples(super().__getitem__(at)) if isinstance(at, slice) else super().__getitem__(at)


def some_data(train, *sources):
    """Return the data of a run whose `sources` (name, examples) are what is validated."""
    validation = Examples(example for _, examples in sources for example in examples)
    named = tuple(Source(name, 0, 0, 0, 0, 0, 0.0, validated=len(examples)) for name, examples in sources)
    told = (*named, Source("trained", len(train), 0, 0, 0, len(train), 1.0))
    return RunData(train=Examples(train), validation=validation, sources=told, parts=(), seed=7, cutoff_len=64)


class Training:
    """A run of the tiny model in its directory, with what it told."""

    def __init__(self, tmp_path, model_folder, data, plan=None, spoil=None, **settings):
        values = {
            "optim.learning_rate": 1e-2, "schedule.warmup_share": 0, "batch.global_batch_size": 4, "method.name": "lora",
            "compute.dtype": "float32", **settings,
        }  # fmt: skip
        self.settings = from_dict({"data": {"train": ["x"]}}, values)
        config = {
            "settings": self.settings.model_dump(mode="json"),
            "data": [],
            "model": {},
            "prompt": {},
            "plan": plan,
        }
        self.run = Run(create(tmp_path / "runs", "tiny", config))
        torch.manual_seed(3)
        method = method_of(self.settings)
        model = method.attach(load_base(model_folder, bits=16), self.settings)
        if spoil:
            spoil(model)
        self.trainer = Trainer(model, data.train, 256, self.settings)
        self.told = []
        save_to = partial(save, model, method, model_folder)
        self.loop = Loop(self.run, self.trainer, data, save_to, self.say, {})

    def say(self, event):
        events.append(self.run.log, event)
        self.told.append(event)

    def take(self):
        return self.loop.take()

    def of(self, kind):
        return [each for each in self.told if isinstance(each, kind)]

    def warned(self):
        return [each.code for each in self.of(events.Warned)]

    def steps_kept(self):
        return [int(folder.name.removeprefix("step-")) for folder in self.run.checkpoints()]


@pytest.fixture
def training(tmp_path, model_folder):
    return partial(Training, tmp_path, model_folder)


def test_patience_counts_validations_that_are_no_better_in_a_row():
    seen = Validations(patience=2)
    assert not seen.add(0, 5.0)
    assert [seen.add(step, loss) for step, loss in ((1, 4.0), (2, 4.5), (3, 3.9))] == [True, False, True]
    assert not seen.exhausted
    assert not seen.add(4, 3.9)  # equal is no better
    assert not seen.exhausted
    assert not seen.add(5, 4.2)
    assert seen.exhausted
    assert (seen.best_step, seen.best_loss) == (3, 3.9)


def test_no_patience_never_ends():
    seen = Validations()
    for step in range(100):
        seen.add(step, float(step))
    assert not seen.exhausted


def test_the_untrained_model_counts_for_patience_but_is_never_the_best():
    seen = Validations(patience=2)
    seen.add(0, 1.0)
    assert seen.add(1, 3.0)
    assert seen.add(2, 2.0)
    assert seen.exhausted
    assert seen.best_step == 2
    assert seen.worse_than_untrained


def test_a_loss_that_is_no_number_is_never_the_best():
    seen = Validations(patience=3)
    assert not seen.add(0, math.nan)
    assert not seen.add(1, math.nan)
    assert seen.add(2, 2.0)
    assert not seen.add(3, math.nan)
    assert seen.best_step == 2
    assert not seen.worse_than_untrained


def test_the_best_checkpoint_stays_besides_the_newest_regular_ones():
    assert superfluous([5, 10, 12, 15, 20], every=5, keep=2, best=12) == [5, 10]
    assert superfluous([5, 10, 12, 15, 17], every=5, keep=2, best=17) == [5, 12]
    assert superfluous([5, 10, 15], every=5, keep=2, best=5) == []
    assert superfluous([5, 10, 15], every=5, keep=9, best=None) == []


def test_the_last_checkpoint_stays_because_a_stopped_run_goes_on_from_it():
    assert superfluous([5, 10, 15, 17], every=5, keep=2, best=10) == [5]


def test_the_untrained_model_is_validated_first_and_every_source_by_itself(training):
    first, second = some_examples(5, seed=1), some_examples(9, seed=2)
    data = some_data(some_examples(16), ("general", first), ("desk:QA", second))
    run = training(data, **{"schedule.max_steps": 2, "log.validate_every_steps": 2})
    expected = {"general": run.trainer.validate(first), "desk:QA": run.trainer.validate(second)}
    together = run.trainer.validate([*first, *second])
    run.take()
    before, after = run.of(events.Validated)
    assert (before.step, after.step) == (0, 2)
    assert before.by_source == pytest.approx(expected, rel=1e-5)
    assert before.loss == pytest.approx(together, rel=1e-5)
    assert run.of(events.StepFinished)[0].step == 1
    assert run.told.index(before) < run.told.index(run.of(events.StepFinished)[0])


def test_a_single_source_has_no_table(training):
    run = training(some_data(some_examples(8), ("only", some_examples(4, seed=1))), **{"schedule.max_steps": 1})
    run.take()
    assert [each.by_source for each in run.of(events.Validated)] == [{}, {}]


def test_of_many_tasks_only_their_sets_are_validated_by_themselves(training):
    tasks = [(f"{name}:{number}", some_examples(1, seed=number)) for name in ("desk", "shop") for number in range(11)]
    run = training(some_data(some_examples(4), *tasks), **{"schedule.max_steps": 1})
    desk = [example for name, examples in tasks if name.startswith("desk") for example in examples]
    expected = run.trainer.validate(desk)
    run.take()
    assert run.of(events.Validated)[0].by_source.keys() == {"desk", "shop"}
    assert run.of(events.Validated)[0].by_source["desk"] == pytest.approx(expected, rel=1e-5)


def test_a_run_ends_when_the_validation_gets_no_better_and_keeps_its_best_step(training):
    """Random answers can only be learnt by heart: the loss of others rises."""
    data = some_data(some_examples(8), ("held back", some_examples(12, seed=5)))
    patient = {
        "schedule.patience": 2,
        "schedule.epochs": 50,
        "log.validate_every_steps": 3,
        "checkpoint.every_steps": 1000,
    }
    run = training(data, **patient)
    ended = run.take()
    losses = {each.step: each.loss for each in run.of(events.Validated)}
    trained = {step: loss for step, loss in losses.items() if step}
    best = min(trained, key=trained.get)
    assert (ended.reason, ended.step) == ("no_better", max(losses))
    assert ended.step < run.trainer.total_steps
    assert (ended.kept_step, ended.best_step) == (best, best)
    assert (ended.best_loss, ended.untrained_loss) == (losses[best], losses[0])
    kept = load_file(run.run.path / "final" / WEIGHTS)
    saved = load_file(run.run.path / "checkpoints" / f"step-{best:06d}" / WEIGHTS)
    assert all(torch.equal(kept[name], saved[name]) for name in saved)
    present = {name: weight for name, weight in run.trainer.model.named_parameters() if weight.requires_grad}
    assert not any(torch.equal(weight, kept[name.replace(".default", "")]) for name, weight in present.items())


def test_without_patience_the_last_step_is_kept_and_the_best_checkpoint_stays(training):
    data = some_data(some_examples(8), ("held back", some_examples(12, seed=5)))
    run = training(data, **{
        "schedule.max_steps": 24,
            "optim.learning_rate": 5e-2, "schedule.epochs": 50, "log.validate_every_steps": 2, "checkpoint.every_steps": 5,
        "checkpoint.keep": 1,
    })  # fmt: skip
    ended = run.take()
    assert (ended.reason, ended.step, ended.kept_step) == ("done", 24, 24)
    trained = {each.step: each.loss for each in run.of(events.Validated) if each.step}
    assert ended.best_step == min(trained, key=trained.get)
    assert ended.best_step < 15
    assert run.steps_kept() == [ended.best_step, 20]


def test_who_is_killed_while_a_checkpoint_is_removed_leaves_none_that_seems_complete(training, monkeypatch):
    run = training(some_data(some_examples(4)), **{"schedule.max_steps": 2, "checkpoint.every_steps": 1})
    run.take()
    (saved,) = run.run.checkpoints()

    def killed(folder):
        (folder / WEIGHTS).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(saved)
    assert saved.is_dir()
    assert run.run.checkpoints() == []


def test_checkpoints_of_which_there_are_too_many_are_removed_so(training, monkeypatch):
    removed = []
    real = shutil.rmtree
    monkeypatch.setattr(
        shutil, "rmtree", lambda at, *how, **more: removed.append((at, (at / "COMPLETE").exists())) or real(at, *how, **more)
    )  # fmt: skip
    steps = {"schedule.max_steps": 3, "schedule.epochs": 9, "checkpoint.every_steps": 1, "checkpoint.keep": 1}
    run = training(some_data(some_examples(4)), **steps)
    run.take()
    assert run.steps_kept() == [2]
    assert (run.run.path / "checkpoints" / "step-000001", False) in removed


def test_what_was_half_saved_by_somebody_who_was_killed_goes_at_the_start(training):
    run = training(some_data(some_examples(4)), **{"schedule.max_steps": 1})
    left = run.run.path / "checkpoints" / "step-000009.part"
    left.mkdir(parents=True)
    (left / WEIGHTS).touch()
    run.take()
    assert not left.exists()


def test_the_name_of_what_was_saved_is_on_the_disk_too(training, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino) or real(handle))
    run = training(some_data(some_examples(4)), **{"schedule.max_steps": 1})
    run.take()
    final = run.run.path / "final"
    assert synced[-2:] == [final.stat().st_ino, run.run.path.stat().st_ino]  # before the rename, and after it


def test_a_run_that_is_stopped_keeps_the_present_step(training):
    run = training(some_data(some_examples(16)), **{"schedule.epochs": 5})
    (run.run.path / "stop").touch()
    ended = run.take()
    assert (ended.reason, ended.step, ended.kept_step, ended.best_step) == ("stopped", 1, 1, None)
    assert (run.run.path / "final" / "COMPLETE").exists()


def test_a_training_that_makes_it_worse_says_so(training):
    data = some_data(some_examples(8), ("held back", some_examples(12, seed=5)))
    run = training(data, **{"optim.learning_rate": 0.1, "schedule.epochs": 10, "schedule.patience": 1})
    ended = run.take()
    assert ended.untrained_loss < ended.best_loss
    assert run.warned() == ["train.not_better"]


def test_what_a_step_measured_is_read_only_when_it_is_told(training, monkeypatch):
    """On a GPU, reading waits for the device."""
    read = []
    for name in ("loss", "grad_norm"):
        real = getattr(Step, name).fget
        monkeypatch.setattr(Step, name, property(lambda step, name=name, real=real: read.append(name) or real(step)))
    run = training(
        some_data(some_examples(16)), **{"schedule.max_steps": 10, "schedule.epochs": 9, "log.every_steps": 4}
    )
    run.take()
    assert [each.step for each in run.of(events.StepFinished)] == [4, 8, 10]
    assert sorted(read) == ["grad_norm"] * 3 + ["loss"] * 3


def test_speed_counts_all_tokens_and_no_validation(training, monkeypatch):
    data = some_data(some_examples(16), ("held back", some_examples(4, seed=5)))
    run = training(data, **{"schedule.max_steps": 4, "log.validate_every_steps": 1})
    validate = run.trainer.validate
    slow = lambda examples: torch.cuda is not None and (__import__("time").sleep(0.2) or validate(examples))  # noqa: E731
    monkeypatch.setattr(run.trainer, "validate", slow)
    run.take()
    last = run.of(events.StepFinished)[-1]
    tokens = sum(len(example.input_ids) for example in data.train)
    assert tokens / last.tokens_per_second < 0.6
    assert last.seconds_left == 0


def infinite(model):
    model.get_input_embeddings().weight.data[:] = math.inf


def test_a_validation_loss_that_is_no_number_is_told(training):
    run = training(some_data(some_examples(8), ("held back", some_examples(4, seed=5))), spoil=infinite)
    with pytest.raises(RunError, match="came apart at step 1"):
        run.take()
    assert math.isnan(run.of(events.Validated)[0].loss)
    assert run.warned() == ["train.validation_not_finite"]
    assert not (run.run.path / "final").exists()


def test_a_step_that_is_no_number_is_in_the_log_before_the_run_ends(training, monkeypatch):
    """Where the trainer leaves it to who reads: on a GPU it looks a step later."""
    monkeypatch.setattr(Step, "loss", property(lambda step: math.nan))
    run = training(some_data(some_examples(8)))
    with pytest.raises(RunError, match="came apart at step 1"):
        run.take()
    assert math.isnan(run.of(events.StepFinished)[0].loss)


def test_a_loss_of_exactly_zero_is_told_once(training):
    data = some_data(some_examples(8, learnt=False), ("held back", some_examples(4, seed=5, learnt=False)))
    run = training(data, **{"schedule.epochs": 2})
    run.take()
    assert [each.loss for each in run.of(events.StepFinished)] == [0.0] * 4
    assert sorted(run.warned()) == ["train.not_better", "train.zero_loss", "train.zero_validation_loss"]


def test_what_was_planned_stands_beside_what_was_measured(training):
    run = training(
        some_data(some_examples(8)), plan={"steps": 6, "seconds": 12.5, "memory_bytes": 900_000_000, "key": "x"}
    )
    ended = run.take()
    assert ended.planned == {"steps": 6, "seconds": 12.5, "memory_bytes": 900_000_000}
    assert ended.measured["steps"] == run.trainer.total_steps == 6
    assert 2e8 < ended.measured["memory_bytes"] < 2e10
    assert ended.measured["seconds"] > 0


@pytest.mark.parametrize("plan", [None, {}, {"steps": None}, "?"])
def test_a_run_without_a_plan_ends_as_well(training, plan):
    ended = training(some_data(some_examples(4)), plan=plan, **{"schedule.max_steps": 1}).take()
    assert ended.planned == {}


def test_a_best_step_that_is_gone_is_told_and_the_last_one_kept(training):
    data = some_data(some_examples(8), ("held back", some_examples(12, seed=5)))
    run = training(data, **{"schedule.patience": 2, "schedule.epochs": 50, "log.validate_every_steps": 3})

    def damage(event):
        run.say(event)
        if isinstance(event, events.Phase):  # the steps are over
            best = min((each for each in run.of(events.Validated) if each.step), key=lambda each: each.loss)
            file = run.run.path / "checkpoints" / f"step-{best.step:06d}" / WEIGHTS
            file.write_bytes(file.read_bytes()[:-1] + b"x")

    run.loop._say = damage
    ended = run.take()
    assert ended.reason == "no_better"
    assert ended.kept_step == ended.step > ended.best_step
    assert "train.best_gone" in run.warned()


def test_memory_that_is_too_small_for_a_validation_saves_the_steps_before_it(training):
    data = some_data(some_examples(16), ("general", some_examples(6, seed=1)))
    run = training(data, **{"schedule.max_steps": 5, "checkpoint.every_steps": 50, "log.validate_every_steps": 3})

    def refuse(module, _):
        if not run.trainer.model.training and run.of(events.StepFinished):
            raise torch.OutOfMemoryError("CUDA out of memory.")

    run.trainer.model.get_input_embeddings().register_forward_pre_hook(refuse)
    with pytest.raises(RunError, match="not enough memory"):
        run.take()
    assert run.steps_kept() == [3]


def test_memory_that_is_too_small_for_a_step_saves_those_before_it(training):
    run = training(some_data(some_examples(16)), **{"schedule.max_steps": 5, "checkpoint.every_steps": 50})

    def refuse(*_):
        if len(run.of(events.StepFinished)) >= 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    run.trainer.model.get_input_embeddings().register_forward_pre_hook(refuse)
    with pytest.raises(RunError, match="not enough memory"):
        run.take()
    assert run.steps_kept() == [3]
    assert (run.run.checkpoints()[0] / STATE).exists()
    assert run.trainer.pieces.checkpointing
