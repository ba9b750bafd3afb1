"""Write what was learnt so that it is complete or absent, even when the machine dies half-way."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import nn

from core.models.companions import write_companions
from core.runs.directory import COMPLETE
from core.train.methods.method import Method

_ASIDE = ".part"


def save(model: nn.Module, method: Method, model_folder: Path, target: Path) -> None:
    """Write adapter or whole model, tokenizer and template into `target`: complete or absent, even when killed half-way."""
    with _complete_or_absent(target) as aside:
        method.save(model, aside)
        write_companions(model_folder, aside)


def copy(checkpoint: Path, target: Path) -> None:
    """Write what a checkpoint holds into `target`, just as `save` did: complete or absent."""
    with _complete_or_absent(target) as aside:
        shutil.copytree(checkpoint, aside, dirs_exist_ok=True)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint; who is killed half-way leaves one that does not call itself complete."""
    (checkpoint / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def remove_unfinished(checkpoints: Path) -> None:
    """Remove what was being saved when somebody was killed."""
    for left in checkpoints.glob(f"step-*{_ASIDE}"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _complete_or_absent(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which becomes `target` when everything in it is on the disk."""
    aside = target.with_name(target.name + _ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
        (aside / COMPLETE).touch()
        for file in (*aside.iterdir(), aside):
            _to_disk(file)
        aside.replace(target)
        _to_disk(target.parent)
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
