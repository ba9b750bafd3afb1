"""trackio: a local database that `trackio show` draws, or a Space of the hub where TRACKIO_SPACE_ID names one."""

import os
from collections.abc import Mapping

import trackio

from core.train.tracking.tracker import About


class Trackio:
    def __init__(self, about: About) -> None:
        project = os.environ.get("TRACKIO_PROJECT", "finetune-studio")
        self._run = trackio.init(
            project=project, name=about.name, config=dict(about.settings), resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self, result: Mapping[str, float]) -> None:
        self._run.log({f"result/{name}": value for name, value in result.items()}, step=int(result.get("step", 0)))
        self._run.finish()
