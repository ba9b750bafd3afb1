"""The studio as a contender: `Trainer` fed the way `core/train/worker.py` feeds it, with the settings' own defaults."""

from pathlib import Path

import torch

from benchmarks.contest.stopwatch import Stopwatch
from benchmarks.contest.task import Task
from core.render.tokenizer import ChatTokenizer
from core.settings import RunSettings, from_dict
from core.train.allocator import keep_freed_memory
from core.train.attached import attached_model
from core.train.examples import run_data
from core.train.methods import method_of
from core.train.trainer import Trainer
from core.workspace import Workspace


def studio(task: Task, watch: Stopwatch, adapter: Path) -> None:
    keep_freed_memory()
    model_folder, settings = Path(task.model), studio_settings(task)
    data = run_data(Workspace.at(task.workspace), settings, model_folder, None)
    torch.manual_seed(task.seed)
    model, groups = attached_model(model_folder, settings, model_folder)
    trainer = Trainer(model, data.train, ChatTokenizer.load(model_folder).pad_id, settings, data.of_pass, groups)
    for step in trainer.steps():
        watch.step(step.tokens, step.learnt_tokens)
    watch.finish()
    method_of(settings).save(model, adapter)


def studio_settings(task: Task) -> RunSettings:
    return from_dict(
        {
            "model": {"path": task.model},
            "data": {"train": ["train"], "validation_share": 0.0},
            "method": {"name": task.method},
            "lora": {"rank": task.rank, "alpha": task.alpha},
            "optim": {"learning_rate": task.learning_rate},
            "schedule": {
                "epochs": 1,
                "max_steps": 1 if task.only_first_step else None,
                "kind": "constant",
                "warmup_share": 0.0,
            },
            "batch": {"global_batch_size": task.global_batch_size, "cutoff_len": task.cutoff_len},
            "seed": task.seed,
        }
    )
