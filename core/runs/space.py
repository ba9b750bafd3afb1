"""What a run takes on the disk, and which of its checkpoints nobody needs any more."""

import os
import shutil
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.errors import RunError, problem
from core.runs import digest
from core.runs.digest import Digest
from core.runs.directory import COMPLETE, STATE, Run, busy, step_of
from core.runs.intact import is_intact


@dataclass(frozen=True)
class Space:
    """Bytes by what they are. `adapter` is what the training made: an adapter or a whole model."""

    adapter: int
    checkpoints: int
    rest: int  # logs, scores, answers

    @property
    def total(self) -> int:
        return self.adapter + self.checkpoints + self.rest


def of(run: Path) -> Space:
    """Return what a run takes. What vanishes while it is counted takes nothing."""
    parts = {"final": 0, "checkpoints": 0}
    whole = size(run, parts)
    return Space(parts["final"], parts["checkpoints"], whole - sum(parts.values()))


def size(folder: Path, parts: dict[str, int] | None = None) -> int:
    """Return the bytes of the files under a folder, no links followed; `parts` gets those of the folders it names."""
    total = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    found = size(Path(entry.path))
                    total += found
                    if parts is not None and entry.name in parts:
                        parts[entry.name] = found
                else:
                    total += entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return total
    return total


def unneeded(run: Run, *, sure: bool = True) -> list[Path]:
    """Return the checkpoints that nobody needs: not the last one, not the one to go on from, not the best of the validation.

    Args:
        sure: read the newest ones, to know which a run can go on from. Without, they are believed to be as they were written,
            which is quick and good enough to tell a size.
    """
    saved = run.checkpoints()
    steps = {step_of(each) for each in saved}
    validated = [each for each in digest.read(run.log, Digest()).validated if each[0] in steps]
    best = min(validated, key=lambda each: each[1], default=None)
    kept = {step_of(each) for each in saved[-1:]} | ({int(best[0])} if best else set())
    if run.status != "finished":
        with_state = (each for each in reversed(saved) if (each / STATE).exists())
        kept |= {step_of(each) for each in islice((each for each in with_state if not sure or is_intact(each)), 1)}
    return [each for each in saved if step_of(each) not in kept]


def clean(run: Run) -> int:
    """Remove the checkpoints that nobody needs and return the bytes that this freed.

    Raises:
        RunError: while the run is working or waiting, or is being evaluated or merged: these may read a checkpoint.
    """
    require_idle(run)
    freed = 0
    for checkpoint in unneeded(run):
        freed += size(checkpoint)
        (checkpoint / COMPLETE).unlink(missing_ok=True)  # killed half-way, it does not call itself complete
        shutil.rmtree(checkpoint)
    os.utime(run.path)  # so that whoever keeps what was known of the run looks again
    return freed


def require_idle(run: Run) -> None:
    """Check that nothing works on the run or waits to.

    Raises:
        RunError: if something does.
    """
    found = busy(run, "running", "queued")
    if found:
        raise RunError(problem("runs.in_use", run.name, job=found[0].name))
