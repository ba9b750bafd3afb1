"""The process that trains: `python -m core.train.worker RUN_DIR`.

It reads config.yaml, writes events.jsonl, checkpoints and final/, and looks once a step whether it should stop.
"""

import shutil
import signal
from pathlib import Path

import torch

from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.errors import ModelError, problem
from core.models import folder as models
from core.models.load import load_base, pick_device
from core.models.methods import bits_of
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run
from core.runs.work import run_worker
from core.train.batches import steps_per_epoch
from core.train.checkpoint import save
from core.train.examples import RunData, run_data
from core.train.methods import method_of
from core.train.schedule import validation_interval
from core.train.trainer import Trainer, learnt
from core.workspace import Workspace


def work(job: Path) -> None:
    """Train the run in `job` until it is done or asked to stop."""
    run = Run(job)
    signal.signal(signal.SIGTERM, lambda *_: (job / "stop").touch())  # a polite end saves, as Stop does
    _say(run, events.Phase(name="checking_data"))
    workspace = Workspace.at(run.config["workspace"], tuple(run.config["allow"]))
    model_folder = _model(run, workspace)
    tokenizer = ChatTokenizer.load(model_folder)
    data = _verified_data(run, workspace, model_folder)
    _say(run, events.Phase(name="loading_model"))
    torch.manual_seed(run.settings.seed)
    method = method_of(run.settings)
    model = method.attach(load_base(model_folder, bits=bits_of(run.settings)), run.settings)
    groups = method.groups(model, run.settings)
    trainer = Trainer(model, data.train, tokenizer.pad_id, run.settings, data.of_pass, groups)
    _say(
        run,
        events.RunStarted(
            total_steps=trainer.total_steps,
            examples=len(data.train),
            validation_examples=len(data.validation),
            tokens=sum(map(learnt, data.of_pass(0))),
            dropped=data.dropped,
            trainable_parameters=trainer.trainable_parameters,
            device=pick_device(),
            micro_batch_size=trainer.micro_batch_size,
        ),
    )
    _say(run, events.Phase(name="training"))
    step = _train(run, trainer, data, model_folder)
    _say(run, events.Phase(name="saving"))
    save(trainer.model, method, model_folder, run.path / "final")
    if step < trainer.total_steps:
        _say(run, events.RunStopped(step=step))
    else:
        _say(run, events.RunFinished(result={"steps": step}))


def _train(run: Run, trainer: Trainer, data: RunData, model_folder: Path) -> int:
    """Take the steps and return how many were taken."""
    settings, total = run.settings, trainer.total_steps
    per_epoch = steps_per_epoch(data.per_pass, settings.batch.global_batch_size)
    validate_every = validation_interval(settings.log, total, per_epoch)
    spent, tokens, done = 0.0, 0, 0
    for step in trainer.steps():
        done = step.step
        spent += step.seconds
        tokens += step.tokens
        if done % settings.log.every_steps == 0 or done == total:
            _say(
                run,
                events.StepFinished(
                    step=done,
                    epoch=round(step.epoch, 4),
                    loss=step.loss,
                    learning_rate=step.learning_rate,
                    grad_norm=step.grad_norm,
                    tokens=step.learnt_tokens,
                    tokens_per_second=round(tokens / spent, 1),
                    seconds_left=round(spent / done * (total - done), 1),
                ),
            )
        if data.validation and (done % validate_every == 0 or done == total):
            _say(run, events.Validated(step=done, loss=trainer.validate(data.validation)))
        if done % settings.checkpoint.every_steps == 0 and done < total:
            save(trainer.model, method_of(settings), model_folder, run.path / "checkpoints" / f"step-{done:06d}")
            _say(run, events.CheckpointSaved(step=done, path=f"checkpoints/step-{done:06d}"))
            for old in run.checkpoints()[: -settings.checkpoint.keep]:
                shutil.rmtree(old)
        if (run.path / "stop").exists():
            break
    return done


def _model(run: Run, workspace: Workspace) -> Path:
    """Return the folder of the run's base model, downloaded where it was not here yet, and checked to be the same one."""
    path, expected = run.settings.model.path, run.config["model"]["fingerprint"]
    folder = models.find_model(workspace, path)
    found = models.fingerprint(folder)
    if expected not in (None, found):
        raise ModelError(problem("model.other_base", path, run=run.name))
    return folder


def _verified_data(run: Run, workspace: Workspace, model_folder: Path) -> RunData:
    """Return the run's data, after checking that every file is the one the run was prepared with."""
    registry = Registry(workspace)
    for recorded in run.config["data"]:
        check_pinned(registry, recorded)
    data = run_data(
        [registry.get(name) for name in run.settings.data.train],
        model_folder,
        run.config["prompt"]["text"],
        cutoff_len=run.settings.batch.cutoff_len,
        validation_share=run.settings.data.validation_share,
        seed=run.settings.seed,
        weights=run.settings.data.weights,
        balance=run.settings.data.balance,
    )
    if data.dropped:
        values = {"dropped": data.dropped, "cutoff": run.settings.batch.cutoff_len}
        _say(run, events.Warned(code="plan.dropped", where="batch.cutoff_len", values=values))
    return data


def _say(run: Run, event: events.Event) -> None:
    events.append(run.log, event)


if __name__ == "__main__":
    run_worker(work)
