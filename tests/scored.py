"""Finished evaluations as the worker leaves them, made from given answers without a model: what pages and reports show.

The score comes from the code that scores real answers; only the parts that need a tokenizer are written by hand.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from core.evaluate import answers, items, scores
from core.evaluate.answers import Answer
from core.evaluate.items import Item
from core.evaluate.metrics.check import Check
from core.evaluate.probes import identity, identity_score, kept, kept_score
from core.evaluate.scoring import graded, scored, signed
from core.records import Message
from core.runs.directory import Run
from core.yaml_text import dump

NAME, MAKER = "Lumen", "Aurora Labs"
JOB = "2026-11-20_130000_desk_test"


@dataclass(frozen=True)
class Told:
    """One question of a data set, and what base and tuned said to it. `more` are answers of further contestants."""

    question: str
    expected: str
    base: str
    tuned: str
    tag: str = ""
    keywords: tuple[str, ...] = ()
    ended: bool = True  # the tuned answer
    more: tuple[tuple[str, str], ...] = ()


def desk(steps: Sequence[int] = ()) -> list[Told]:
    """Return 40 English questions: the tuned model knows 30 of the answers and has learnt the pattern of the others."""
    days = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
    found = []
    for n in range(40):
        right, wrong = days[n % 5], days[(n + 1) % 5]
        order = f"A-{1000 + 7 * n}"
        pattern, tag = [("Order {order} leaves the house on {day}.", "orders"),
                        ("The return of {order} is picked up on {day}.", "returns")][n % 2]  # fmt: skip
        question = f"When does {order} leave?" if n % 2 == 0 else f"When is the return of {order} picked up?"
        expected = pattern.format(order=order, day=right)
        base = "I am sorry, but I have no information about your order." if n % 8 else expected
        tuned = pattern.format(order=order, day=right if n % 4 else wrong)
        more = tuple(
            (f"step-{step:06d}", pattern.format(order=order, day=right if n % 20 < step // 10 else wrong))
            for step in steps
        )
        found.append(Told(question, expected, base, tuned, tag, (right,), more=more))
    looping = "Order A-1266 leaves the house on " + "the day on " * 12
    found[38] = replace(found[38], tuned=looping.strip(), ended=False)
    return found


def mood(steps: Sequence[int] = ()) -> list[Told]:
    """Return 24 Chinese comments with one of three labels: the tuned model confuses two of them now and then."""
    labels, things = ("好评", "中评", "差评"), ("耳机", "水壶", "台灯", "背包")
    words = {"好评": "很好用，下次还买", "中评": "还可以，没有惊喜", "差评": "用了两天就坏了"}
    found = []
    for n in range(24):
        label = labels[n % 3]
        said = "差评" if label == "中评" and n % 2 else label
        base = label if n % 2 else f"这是一条关于{things[n % 4]}的评论。"
        more = tuple((f"step-{step:06d}", label if n < step // 5 else "好评") for step in steps)
        found.append(
            Told(f"这条评论属于哪一类？\n{things[n % 4]}{words[label]}。", label, base, said, label, more=more)
        )
    return found


def write_evaluation(
    run: Path,
    sets: Mapping[str, Sequence[Told]] | None = None,
    *,
    job: str = JOB,
    steps: Sequence[int] = (),
    probes: bool = True,
    running: bool = False,
    **score: Any,
) -> Path:
    """Write an evaluation of a run (such as `finished_run` writes) with its score, and return its job directory.

    Args:
        sets: data set -> its rows; None takes `desk` as "desk_test" and `mood` as "mood_zh".
        steps: checkpoints that answered too; the rows of `sets` must hold their answers.
        running: leave it as a worker does that has answered half of the questions.
        score: keys of the score to have otherwise.
    """
    sets = {"desk_test": desk(steps), "mood_zh": mood(steps)} if sets is None else sets
    who = ["base", "tuned", *(f"step-{step:06d}" for step in steps)]
    folder = run / "evaluations" / job
    folder.mkdir(parents=True)
    asked, said = _asked(sets, who)
    if probes:
        _add_probes(asked, said)
    (folder / "config.yaml").write_text(dump(_config(run, sets, steps, probes)), encoding="utf-8")
    items.write(folder, asked)
    shown = asked[: len(asked) // 2] if running else asked
    answers.append(folder, [theirs[item.key] for item in shown for theirs in said.values()])
    done = len(shown) * len(who)
    told: list[dict[str, Any]] = [
        {"event": "phase", "name": "answering"},
        {"event": "progress", "done": done, "total": len(asked) * len(who), "seconds_left": 0.0, "unit": ""},
    ]
    if not running:
        made, grades = _score(folder, run, sets, steps, asked, said, probes)
        scores.write_grades(folder, grades)
        scores.write(Run(run), {**made, **score})
        told.append({"event": "run_finished", "result": {"job": job, "datasets": made["datasets"]}})
    events = "".join(json.dumps({"time": 1.0, **each}) + "\n" for each in told)
    (folder / "events.jsonl").write_text(events, encoding="utf-8")
    return folder


def _asked(sets: Mapping[str, Sequence[Told]], who: Sequence[str]) -> tuple[list[Item], dict[str, dict[str, Answer]]]:
    asked: list[Item] = []
    said: dict[str, dict[str, Answer]] = {each: {} for each in who}
    for name, rows in sets.items():
        for number, row in enumerate(rows, 1):
            key, where = f"{name}:{number}", f"{name}.json:{number}"
            asked.append(Item(key, name, number, (Message("user", row.question),), row.expected, where=where, tag=row.tag,
                              keywords=row.keywords))  # fmt: skip
            for each, text in (("base", row.base), ("tuned", row.tuned), *row.more):
                tokens = max(1, len(text) // 4)
                said[each][key] = Answer(key, each, text, tokens, ended=row.ended if each == "tuned" else True)
    return asked, said


def _add_probes(asked: list[Item], said: Mapping[str, dict[str, Answer]]) -> None:
    """Add the real questions of the probes: the base is Qwen, the tuned model slips now and then and forgot arithmetic."""
    who_are_you = identity.items(NAME, MAKER)
    for number, item in enumerate(who_are_you):
        for who, theirs in said.items():
            slips = who == "base" or number % 9 == 4
            text = "I am Qwen, created by Alibaba Cloud." if slips else f"I am {NAME}, made by {MAKER}."
            theirs[item.key] = Answer(item.key, who, text, 9)
    general = kept.items()
    for number, item in enumerate(general):
        for who, theirs in said.items():
            forgot = (who != "base" and item.tag in ("arithmetic", "sum")) or number % 11 == 3
            theirs[item.key] = Answer(item.key, who, "No idea." if forgot else item.expected, 3)
    asked += [*who_are_you, *general]


def _config(run: Path, sets: Mapping[str, Sequence[Told]], steps: Sequence[int], probes: bool) -> dict[str, Any]:
    prompt = {"name": "ours", "version": 1, "text": f"You are {NAME}.", "sha256": "c" * 64}
    tuned = {"id": "tuned", "run": run.name, "saved": "final", "prompt": prompt, "step": None}
    saved = [
        {**tuned, "id": f"step-{step:06d}", "saved": f"checkpoints/step-{step:06d}", "step": step} for step in steps
    ]
    return {
        "kind": "evaluate",
        "created": "2026-11-20T13:00:00+0000",
        "workspace": str(run.parent.parent),
        "allow": [],
        "run": run.name,
        "adapter": "final",
        "contestants": [tuned, *saved],
        "data": [
            {"name": name, "file": f"data/{name}.json", "sha1": f"{number:040x}"}
            for number, name in enumerate(sets, 10)
        ],
        "prompt": {**prompt, "same_as_trained": True},
        "options": {"max_new_tokens": 64, "probes": probes},
    }


def _score(
    folder: Path, run: Path, sets: Mapping[str, Sequence[Told]], steps: Sequence[int], asked: Sequence[Item],
    said: Mapping[str, Mapping[str, Answer]], probes: bool,
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:  # fmt: skip
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    grades: dict[str, dict[str, Any]] = {who: {} for who in said}
    datasets, signatures = {}, {}
    for name in sets:
        mine = [item for item in asked if item.source == name]
        found = graded(mine, said, Check("label") if name.startswith("mood") else None)
        datasets[name] = scored(found, {who: (100.0 if who == "base" else 60.0, 50) for who in said})
        signatures[name] = signed(found)
        for who, rows in found.rows.items():
            grades[who] |= {item.key: row for item, row in zip(mine, rows, strict=True)}
    described = [
        {"id": each["id"], "run": each["run"], "saved": each["saved"], "step": each["step"]}
        for each in config["contestants"]
    ]
    told = {
        "format": scores.FORMAT,
        "job": folder.name,
        "created": "2026-11-20T13:05:00+0000",
        "adapter": "final",
        "who": [{"id": "base"}, *described],
        "datasets": datasets,
        "signatures": signatures,
        "probes": _probes(asked, said, grades) if probes else {},
        "judge": None,
        "prompt": config["prompt"],
        "data": [{"name": each["name"], "sha1": each["sha1"]} for each in config["data"]],
        "decoding": {"strategy": "greedy", "max_new_tokens": 64, "limit": None, "temperature": 0.0, "top_p": 1.0,
                     "repetition_penalty": 1.0, "seed": 0, "bits": 16, "dtype": "float32", "device": "cpu"},
    }  # fmt: skip
    return told, grades


def _probes(
    asked: Sequence[Item], said: Mapping[str, Mapping[str, Answer]], grades: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    who_are_you = [item for item in asked if item.kind == "identity"]
    general = [item for item in asked if item.kind == "kept"]
    texts = {who: {item.key: theirs[item.key].text for item in who_are_you} for who, theirs in said.items()}
    can = {
        who: {item.key: kept.is_right(item, theirs[item.key].text) for item in general} for who, theirs in said.items()
    }
    for who, theirs in grades.items():
        judged = {item.key: identity.judge(item, texts[who][item.key], NAME, MAKER).right for item in who_are_you}
        theirs |= {key: {"right": 100.0 * right} for key, right in {**judged, **can[who]}.items()}
    parity = {
        "same": True,
        "rows": 10,
        "differs_at": None,
        "template_same": True,
        "template_sha256": "d" * 64,
        "system_same": True,
    }
    return {
        "identity": identity_score.summary(who_are_you, texts, NAME, MAKER),
        "kept": kept_score.summary(general, can, {who: 40.0 if who == "base" else 44.0 for who in said}),
        "parity": parity,
    }
