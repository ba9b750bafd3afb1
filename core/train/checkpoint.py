"""Write what was learnt so that it is complete or absent, even when the machine dies half-way."""

import os
import shutil
from pathlib import Path

from torch import nn

from core.models import folder as models
from core.runs.directory import COMPLETE
from core.train.methods.method import Method


def save(model: nn.Module, method: Method, model_folder: Path, target: Path) -> None:
    """Write adapter or whole model, tokenizer and template into `target`: complete or absent, even when killed half-way."""
    aside = target.with_name(target.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        method.save(model, aside)
        models.copy_tokenizer(model_folder, aside)
        (aside / COMPLETE).touch()
        for file in (*aside.iterdir(), aside):
            _to_disk(file)
        aside.replace(target)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)  # on a full disk it would keep even the error from being written
        raise


def _to_disk(path: Path) -> None:
    """Make sure that a file or folder survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
