"""Which trackers a run reports to, and what they need before it starts. The libraries themselves are imported when used."""

import importlib
import importlib.util
import os
import sys
from functools import partial

from core.errors import Problem, problem
from core.settings import RunSettings
from core.train.tracking.background import InBackground
from core.train.tracking.tracker import About, Tracker

TRACKERS = {"tensorboard": "TensorBoard", "wandb": "Wandb", "mlflow": "Mlflow", "trackio": "Trackio"}  # file -> class


def check(settings: RunSettings) -> list[Problem]:
    """Return what is missing for the trackers that were chosen: a package, or a key in the environment."""
    found = []
    for name in settings.log.trackers:
        if importlib.util.find_spec(name) is None:
            command = f"{sys.executable} -m pip install {name}"
            found.append(problem("tracker.not_installed", "log.trackers", name=name, command=command))
        elif missing := _missing_key(name):
            command = f"export {missing}=…"
            values = {"name": name, "variable": missing, "command": command}
            found.append(problem("tracker.no_key", "log.trackers", **values))
    return found


def _missing_key(name: str) -> str:
    """Return the environment variable without which a tracker cannot send, "" when none is missing."""
    given = {key for key, value in os.environ.items() if value}
    if name == "wandb" and os.environ.get("WANDB_MODE") not in ("offline", "disabled") and "WANDB_API_KEY" not in given:
        return "WANDB_API_KEY"
    if name == "trackio" and "TRACKIO_SPACE_ID" in given and "HF_TOKEN" not in given:
        return "HF_TOKEN"
    return ""


def open_trackers(settings: RunSettings, about: About) -> list[InBackground]:
    """Return the trackers of a run: TensorBoard, and those that were chosen. None of them can fail here or keep waiting."""
    names = ("tensorboard", *settings.log.trackers)
    return [InBackground(name, partial(_connect, name), about) for name in names]


def _connect(name: str, about: About) -> Tracker:
    module = importlib.import_module(f"core.train.tracking.{name}")
    made: Tracker = getattr(module, TRACKERS[name])(about)
    return made
