"""Each part of a contest runs in a process of its own, so that its time and memory are its own."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contest.task import OUT_OF_MEMORY, Task

ROOT = Path(__file__).parent.parent.parent


def play(role: str, task: Task, name: str = "") -> dict[str, Any]:
    """Let a process play a role of `__main__` and return its result; nothing where the GPU's memory was too small.

    What it prints is kept in the task's folder, in a file of its name.

    Raises:
        SystemExit: if it failed, with the end of what it printed.
    """
    folder = Path(task.folder)
    task_file, result, log = folder / "task.json", folder / "result.json", folder / f"{name or role}.log"
    task_file.write_text(task.to_json(), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.contest", role, name, str(task_file), str(result)]
    with log.open("wb") as out:
        began = time.monotonic()
        code = subprocess.run([*command, str(began)], cwd=ROOT, stdout=out, stderr=subprocess.STDOUT).returncode
    if code == OUT_OF_MEMORY:
        say(f"{name}: out of memory with {task.micro_batch_size} rows at once")
        return {}
    if code:
        sys.exit(f"{name or role} failed:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")
    return json.loads(result.read_text(encoding="utf-8"))


def say(text: str) -> None:
    """Tell how far it is, beside the result on stdout."""
    print(text, file=sys.stderr, flush=True)
