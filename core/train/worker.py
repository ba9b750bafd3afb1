"""The process that trains: `python -m core.train.worker RUN_DIR`.

It reads config.yaml, writes events.jsonl, checkpoints and final/, and looks once a step whether it should stop.
"""

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.errors import ModelError, problem
from core.models import folder as models
from core.models.fetching import fetch
from core.models.load import pick_device
from core.models.methods import TRAITS, virtual_tokens
from core.models.new_tokens import tokenizer_folder
from core.progress import Announced
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run
from core.runs.listening import JobListener
from core.runs.work import run_worker
from core.train.allocator import keep_freed_memory
from core.train.attached import attached_model
from core.train.checkpoint import save
from core.train.conflicts import model_facts, notes
from core.train.examples import RunData, run_data
from core.train.going_on import required
from core.train.loop import Loop
from core.train.machine import machine
from core.train.memory import MOST_TOKENS, fitting
from core.train.methods import method_of
from core.train.recording import Recorder
from core.train.resume import Position, compared, last_intact, made_with
from core.train.state import read_state
from core.train.trainer import Trainer
from core.workspace import Workspace

Say = Callable[[events.Event], None]


def work(job: Path) -> None:
    """Train the run in `job` until it is done or asked to stop."""
    keep_freed_memory()
    run = Run(job)
    signal.signal(signal.SIGTERM, lambda *_: (job / "stop").touch())  # a polite end saves, as Stop does
    recorder = Recorder(run)
    say = recorder.say
    workspace = Workspace.at(run.config["workspace"], tuple(run.config["allow"]))
    position = _position(run, workspace, say)
    say(events.Phase(name="checking_data"))
    model_folder = _model(run, workspace)
    spoken = _spoken(run, workspace, model_folder)
    tokenizer = ChatTokenizer.load(spoken)
    data = _verified_data(run, workspace, model_folder, say)
    say(events.Phase(name="loading_model"))
    torch.manual_seed(run.settings.seed)
    facts, here = model_facts(model_folder), machine()
    model, groups = attached_model(model_folder, run.settings, spoken)
    if (begun := required(run)) is not None:
        method_of(run.settings).restore(model, begun)
    longest = virtual_tokens(run.settings) + max(
        int(each.lengths.max()) for each in (data.train, data.validation) if len(each)
    )
    fits = fitting(facts.size, run.settings, here, here.free, longest, MOST_TOKENS[here.device])
    trainer = Trainer(
        model, data.train, tokenizer.pad_id, run.settings, data.of_pass, groups, tokens=fits.tokens,
        checkpointing=fits.checkpointing, tell=say,
    )  # fmt: skip
    saving = partial(save, model, method_of(run.settings), spoken)
    loop = Loop(run, trainer, data, saving, say, made_with(run, models.fingerprint(model_folder)))
    if position is not None:
        state = read_state(position.folder)
        method_of(run.settings).restore(model, position.folder)
        trainer.restore(state)
        loop.go_on(position.step, _told_until(run, position.log_bytes), state["seconds"])
    say(
        events.RunStarted(
            total_steps=trainer.total_steps,
            examples=len(data.train),
            validation_examples=len(data.validation),
            tokens=data.learnt_tokens,
            dropped=data.dropped,
            trainable_parameters=trainer.trainable_parameters,
            device=pick_device(),
            micro_batch_size=trainer.pieces.examples,
            micro_batch_tokens=trainer.pieces.tokens,
            checkpointing=trainer.pieces.checkpointing,
            packed=trainer.forward.layout.packs,
        ),
    )
    if trainer.forward.layout.packs < (run.settings.batch.packing and TRAITS[run.settings.method.name].packs):
        say(events.Warned(code="train.not_packed", where="batch.packing"))
    for note in notes(run.settings, facts, here):
        say(events.Warned(code=note.code, where=note.where, values=note.values))
    say(events.Phase(name="training"))
    with recorder.reporting(workspace):
        ended = loop.take()
        say(ended)
    if ended.reason == "stopped":
        say(events.RunStopped(step=ended.step))
    else:
        say(events.RunFinished(result=_result(ended)))


def _result(ended: events.TrainingEnded) -> dict[str, Any]:
    """Return what a list of runs shows of a training: its steps, the best of them, and the one that is kept."""
    named = {
        "steps": ended.step,
        "kept_step": ended.kept_step,
        "best_step": ended.best_step,
        "best_loss": ended.best_loss,
    }
    return {name: value for name, value in named.items() if value is not None}


def _position(run: Run, workspace: Workspace, say: Say) -> Position | None:
    """Return where an earlier worker of the run was, None when there was none or nothing of it is saved.

    Raises:
        StudioError: if the run's data, model, prompt or settings are others by now.
    """
    if not run.log.exists() or not run.log.stat().st_size:
        return None
    position, damaged = last_intact(run)
    found = compared(workspace, run, position, damaged)  # or raises: then nothing that was told is taken back
    say(events.Resumed(step=position.step if position else 0))
    for each in found:
        say(events.Warned(code=each.code, where=each.where, values=each.values))
    return position


def _told_until(run: Run, log_bytes: int) -> list[events.Event]:
    """Return what stood in the run's log when it was so long."""
    told, _ = events.read_from(run.log, until=log_bytes)
    return events.standing(told)


def _model(run: Run, workspace: Workspace) -> Path:
    """Return the folder of the run's base model, downloaded where it was not here yet, and checked to be the same one."""
    path, expected = run.settings.model.path, run.config["model"]["fingerprint"]
    revision = run.config["model"].get("revision")
    try:
        folder = models.find_model(workspace, path, revision)
    except ModelError as error:
        if error.problems[0].code != "model.not_cached":
            raise
        fetch(run.path, path, revision)
        folder = models.find_model(workspace, path, revision)
    found = models.fingerprint(folder)
    if expected not in (None, found):
        raise ModelError(problem("model.other_base", path, run=run.name))
    return folder


def _spoken(run: Run, workspace: Workspace, model_folder: Path) -> Path:
    """Return the folder with the tokenizer that the run saves; in the run where it was made, as a cache may be cleared."""
    made = tokenizer_folder(workspace, run.settings, model_folder)
    if made == model_folder:
        return model_folder
    return Path(shutil.copytree(made, run.path / "tokenizer", dirs_exist_ok=True))


def _verified_data(run: Run, workspace: Workspace, model_folder: Path, say: Say) -> RunData:
    """Return the run's data, after checking that every file is the one the run was prepared with."""
    registry = Registry(workspace)
    for recorded in run.config["data"]:
        check_pinned(registry, recorded)
    listener = Announced(JobListener(run.path, say, "bytes"), "tokenising")
    data = run_data(workspace, run.settings, model_folder, run.config["prompt"]["text"], listener)
    if data.dropped:
        values = {"dropped": data.dropped, "cutoff": data.cutoff_len}
        say(events.Warned(code="plan.dropped", where="batch.cutoff_len", values=values))
    for remark in data.remarks():
        say(events.Warned(code=remark.code, where=remark.where, values=remark.values))
    return data


if __name__ == "__main__":
    run_worker(work)
