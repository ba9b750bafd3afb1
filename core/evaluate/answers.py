"""What was answered: one line an item and a model, appended batch by batch, so that a crash loses one batch at most."""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE = "answers.jsonl"


@dataclass(frozen=True)
class Answer:
    """What `who` said to an item. `tokens` are counted without the stop token; `ended` tells whether it ended by itself.

    An answer that did not end was cut at the longest length that was asked for. `asked` is False for a question that no
    memory or context was left for: nothing was said to it.
    """

    item: str
    who: str
    text: str
    tokens: int = 0
    ended: bool = True
    asked: bool = True


def append(job: Path, answers: Iterable[Answer]) -> None:
    """Append a batch with one write and hand it to the disk; what a kill cut off before it is cut away."""
    lines = "".join(json.dumps(asdict(each), ensure_ascii=False) + "\n" for each in answers).encode()
    with (job / FILE).open("ab+") as file:
        file.seek(0)
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def read(job: Path, offset: int = 0) -> tuple[list[Answer], int]:
    """Return the whole answers after byte `offset`, and the offset to pass next time; a half-written line waits.

    Lines of before there were contestants have none, and are left out.
    """
    try:
        with (job / FILE).open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    lines: Iterable[dict[str, Any]] = (json.loads(line) for line in whole.split(b"\n") if line)
    return [Answer(**line) for line in lines if "who" in line], offset + len(whole)
