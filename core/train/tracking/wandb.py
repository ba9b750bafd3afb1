"""Weights & Biases: with WANDB_API_KEY, or without a network where WANDB_MODE is offline; `wandb sync` sends it later."""

import os
from collections.abc import Mapping

import wandb

from core.train.tracking.tracker import About

_PATIENCE = 20  # seconds to connect; chosen by us: after wandb's own 90 a short run has ended and nobody was warned


class Wandb:
    def __init__(self, about: About) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "finetune-studio"),
            name=about.name,
            id=about.name,
            resume="allow",
            config=dict(about.settings),
            dir=about.folder,
            settings=wandb.Settings(
                console="off", disable_git=True, disable_code=True, silent=True, init_timeout=_PATIENCE
            ),
        )

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, result: Mapping[str, float]) -> None:
        self._run.summary.update({f"result/{name}": value for name, value in result.items()})
        self._run.finish()
