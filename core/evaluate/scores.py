"""Read and write what evaluations leave: a run's score files, and the grades of every answer. No torch here."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.runs.directory import Run

FORMAT = 2  # scores without one are of before there were contestants
GRADES = "grades.jsonl"


def read(run: Run) -> list[dict[str, Any]]:
    """Return the scores of every finished evaluation of a run, newest last."""
    found = [json.loads(file.read_text(encoding="utf-8")) for file in run.path.glob("scores/*.json")]
    return sorted(found, key=lambda score: (score["created"], score["job"]))


def of(run: Run, job: Path) -> dict[str, Any] | None:
    """Return the score of one evaluation, None before it has one."""
    try:
        found: dict[str, Any] = json.loads(_file(run, job.name).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


def write(run: Run, score: dict[str, Any]) -> Path:
    """Write one evaluation's scores, complete or not at all, and return the file."""
    file = _file(run, score["job"])
    file.parent.mkdir(exist_ok=True)
    aside = file.with_name(file.name + ".part")
    aside.write_text(json.dumps(score, ensure_ascii=False, indent=1, allow_nan=False), encoding="utf-8")
    return aside.replace(file)


def write_grades(job: Path, grades: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> None:
    """Write the values of every answer, contestant -> item's key -> metric -> value, complete or not at all."""
    aside = job / f"{GRADES}.part"
    with aside.open("w", encoding="utf-8") as file:
        for who, theirs in grades.items():
            for item, values in theirs.items():
                file.write(
                    json.dumps({"item": item, "who": who, "values": values}, ensure_ascii=False, allow_nan=False) + "\n"
                )
    aside.replace(job / GRADES)


def graded(job: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines that `write_grades` wrote, {"item", "who", "values"}; none before that."""
    try:
        lines = (job / GRADES).read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    yield from (json.loads(line) for line in lines if line)


def grades(job: Path) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return what `write_grades` wrote, contestant -> item's key -> metric -> value."""
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for line in graded(job):
        found.setdefault(line["who"], {})[line["item"]] = line["values"]
    return found


def _file(run: Run, job: str) -> Path:
    return run.path / "scores" / f"{job}.json"
