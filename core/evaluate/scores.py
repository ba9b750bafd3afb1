"""Read what evaluations left: score files and answers, also while they are being written. No torch here."""

import json
from pathlib import Path
from typing import Any

from core.runs.directory import Run


def read(run: Run) -> list[dict[str, Any]]:
    """Return the scores of every finished evaluation of a run, newest last."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in run.path.glob("scores/*.json")]
    return sorted(found, key=lambda score: (score["created"], score["job"]))


def write(run: Run, score: dict[str, Any]) -> Path:
    """Write one evaluation's scores, complete or not at all, and return the file."""
    file = run.path / "scores" / f"{score['job']}.json"
    file.parent.mkdir(exist_ok=True)
    aside = file.with_name(file.name + ".part")
    aside.write_text(json.dumps(score, ensure_ascii=False, indent=1), encoding="utf-8")
    return aside.replace(file)


def answers(job: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Return the whole answers after byte `offset`, and the offset to pass next time."""
    try:
        with (job / "answers.jsonl").open("rb") as file:
            file.seek(offset)
            data = file.read()
    except FileNotFoundError:
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    return [json.loads(line) for line in whole.splitlines()], offset + len(whole)
