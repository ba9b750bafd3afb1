"""Write what was learnt so that it is complete or absent, even when the machine dies half-way."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import nn

from core.models.companions import write_companions
from core.runs.directory import COMPLETE
from core.runs.intact import seal
from core.train.methods.method import Method
from core.train.resume import FILES
from core.train.state import write_state
from core.workspace import DISK_FULL

_ASIDE = ".part"


def save(
    model: nn.Module, method: Method, model_folder: Path, target: Path, state: dict[str, Any] | None = None
) -> None:
    """Write adapter or whole model, tokenizer and template into `target`: complete or absent, even when killed half-way.

    With `state`, which `Trainer.state` gives, a training can go on from there.

    Raises:
        OSError: if the disk is full; what was in `target` before is still there.
    """
    with _complete_or_absent(target) as aside:
        method.save(model, aside)
        write_companions(model_folder, aside)
        if state is not None:
            write_state(state, aside)


def copy(checkpoint: Path, target: Path) -> None:
    """Write what was learnt up to a checkpoint into `target`, just as `save` did without a state: complete or absent."""
    with _complete_or_absent(target) as aside:
        for file in checkpoint.iterdir():
            if file.name not in (*FILES, COMPLETE):
                shutil.copy2(file, aside / file.name)


def remove(checkpoint: Path) -> None:
    """Remove a checkpoint; who is killed half-way leaves one that does not call itself complete."""
    (checkpoint / COMPLETE).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def remove_unfinished(checkpoints: Path) -> None:
    """Remove what was being saved, or removed, when somebody was killed."""
    for left in checkpoints.glob("step-*"):
        if left.name.endswith(_ASIDE) or not (left / COMPLETE).exists():
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _complete_or_absent(target: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which becomes `target` when everything in it is on the disk."""
    aside = target.with_name(target.name + _ASIDE)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        with _as_os_error():
            yield aside
        seal(aside)
        for file in (*aside.rglob("*"), aside):
            _to_disk(file)
        if target.exists():  # a damaged one, or the result of before the run went on
            remove(target)
        aside.replace(target)
        _to_disk(target.parent)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)  # on a full disk it would keep even the error from being written
        raise


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Turn what safetensors says of a full disk into what everything else says."""
    try:
        yield
    except SafetensorError as error:
        for number in DISK_FULL:
            if f"os error {number})" in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


def _to_disk(path: Path) -> None:
    """Make sure that a file or folder survives a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
