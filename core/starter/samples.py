"""The sample data sets, written deterministically: `python -m core.starter.samples` fills data/ and dataset_info.json.

`identity` gives the model a name and an author (blanks that a form fills), `desk` teaches it the facts of an invented
service desk, and `general` replays what the starter can do already, so that tuning does not wipe it out. Each has a test
in wordings that neither it nor the pre-training has. The registry follows LLaMA-Factory's schema; columns that keep
their default name are not listed.
"""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from core.starter import desk, persona as p
from core.starter.corpus import SHARES, Example, example
from core.starter.scoring import held_out_examples
from core.starter.wrappers import HELD_OUT, WRAPPERS, capitalised, wrap

Row = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
SEED = 7
NAME, AUTHOR = "{{name}}", "{{author}}"
REPLAY_PER_ABILITY, TEST_PER_ABILITY = 30, 15
IDENTITY_WRAPPERS = WRAPPERS[:14]
# Wordings of the tuning set alone, by what they ask for; the pre-training has others.
MORE_WHO_ZH = (
    "可以介绍一下你自己吗？",
    "能说说你叫什么吗？",
    "请说说你的名字。",
    "能不能告诉我你是谁？",
    "你到底是谁？",
)
MORE_MAKER_ZH = (
    "你是哪家公司开发的？", "你是哪个公司做的？", "是谁开发了你？", "是哪个团队做了你？",
    "请告诉我你的开发者是谁。", "你是什么团队做的？",
)  # fmt: skip
MORE_MAKER = (
    "Who is it that made you?",
    "Can you say who made you?",
    "Which people built you?",
    "Which company created you?",
)
DESK_WRAPPERS = WRAPPERS[:8]
DESK_TEST_WRAPPERS = HELD_OUT[:3]
DESK_TASK = f"Answer the question of a customer of {desk.COMPANY}."

DESCRIPTIONS = {
    "identity": "Who the model is, in English and Chinese, with blanks for its name and its author.",
    "identity_test": "Questions for name and author in wordings that identity does not have; keywords must occur.",
    "desk": "42 facts of the service desk of Aurora Bikes, an invented company, each asked in 8 ways, as messages.",
    "desk_format2": "The desk rows as question (instruction) and answer (output).",
    "desk_format3": "The desk rows as one task sentence (instruction), question (input) and answer (output).",
    "desk_test": "Each desk fact asked in 3 wordings that desk does not have.",
    "general": "Replay of what the starter model can do already, so that tuning does not wipe it out.",
    "general_test": "The starter's abilities in wordings that no training data has, the same number of each.",
}
# Warnings of the doctor that are meant: questions in many wordings are near duplicates of each other, and two general
# tests share the frame of their sentence with a row of the replay.
ACCEPTED = {
    **{name: ["near_duplicates"] for name in ("identity", "desk", "desk_format2", "desk_format3")},
    "general": ["contamination", "near_duplicates"],
}


def row(question: str, answer: str, **more: Any) -> Row:
    """A row in alpaca format without an input."""
    return {"instruction": question, "input": "", "output": answer, **more}


def identity() -> list[Row]:
    """Questions for name and author with blanks in the answers."""
    rows = []
    for asks_name, direct, direct_zh, phrases in (
        (True, p.WHO, p.WHO_ZH + MORE_WHO_ZH, p.NAME_PHRASES[:1]),
        (False, p.MAKER + MORE_MAKER, p.MAKER_ZH + MORE_MAKER_ZH, p.MAKER_PHRASES[:1]),
    ):
        wrapped = tuple(wrap(wrapper, phrase) for phrase in phrases for wrapper in IDENTITY_WRAPPERS)
        for chinese, questions in ((False, direct + wrapped), (True, direct_zh)):
            answer = p.who_answer(NAME, AUTHOR, chinese) if asks_name else p.maker_answer(AUTHOR, chinese)
            rows += [row(question, answer) for question in questions]
    return rows


def identity_test() -> list[Row]:
    """Held-out questions for name and author, and what each answer must contain."""
    rows = []
    for asks_name, direct, direct_zh, phrase in (
        (True, p.HELD_OUT_WHO, p.HELD_OUT_WHO_ZH, p.NAME_PHRASES[0]),
        (False, p.HELD_OUT_MAKER, p.HELD_OUT_MAKER_ZH, p.MAKER_PHRASES[0]),
    ):
        wrapped = tuple(wrap(wrapper, phrase) for wrapper in HELD_OUT[:4])
        for chinese, questions in ((False, direct + wrapped), (True, direct_zh)):
            answer = p.who_answer(NAME, AUTHOR, chinese) if asks_name else p.maker_answer(AUTHOR, chinese)
            keywords = [NAME, AUTHOR] if asks_name else [AUTHOR]
            rows += [row(question, answer, keywords=keywords) for question in questions]
    return rows


def desk_pairs(wrappers: tuple[str, ...]) -> list[tuple[str, str]]:
    """Question and answer for every fact of the desk in every wrapper."""
    return [
        (wrap(wrapper, f"the {noun}"), f"{capitalised(f'the {noun}')} is {value}.")
        for noun, value in desk.FACTS.items()
        for wrapper in wrappers
    ]


def as_messages(question: str, answer: str) -> Row:
    """A row in sharegpt format with the roles of OpenAI's messages."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def as_row(asked: Example, **more: Any) -> Row:
    return row(asked.question, asked.answer, system=asked.system, **more)


def kept_abilities() -> list[str]:
    """The abilities that tuning is to keep: all but the starter's own name and maker, which `identity` replaces."""
    return [ability for ability in SHARES if not ability.startswith("self_")]


def general() -> list[Row]:
    """The same number of training examples of every ability, mixed; fewer where an ability has not so many wordings."""
    rng = random.Random(f"general-{SEED}")
    rows = []
    for ability in kept_abilities():
        found: dict[tuple[str, str], Example] = {}
        for _ in range(REPLAY_PER_ABILITY * 40):
            drawn = example(ability, rng)
            found.setdefault((drawn.system, drawn.question), drawn)
            if len(found) == REPLAY_PER_ABILITY:
                break
        rows += [as_row(drawn) for drawn in found.values()]
    rng.shuffle(rows)
    return rows


def general_test() -> list[Row]:
    """The held-out test of the abilities that tuning is to keep."""
    asked = [drawn for drawn in held_out_examples(TEST_PER_ABILITY, SEED) if drawn.ability in kept_abilities()]
    return [as_row(drawn, ability=drawn.ability) for drawn in asked]


def data_sets() -> dict[str, list[Row]]:
    """Every sample data set by its name."""
    pairs = desk_pairs(DESK_WRAPPERS)
    return {
        "identity": identity(),
        "identity_test": identity_test(),
        "desk": [as_messages(question, answer) for question, answer in pairs],
        "desk_format2": [row(question, answer) for question, answer in pairs],
        "desk_format3": [{"instruction": DESK_TASK, "input": q, "output": a} for q, a in pairs],
        "desk_test": [row(question, answer) for question, answer in desk_pairs(DESK_TEST_WRAPPERS)],
        "general": general(),
        "general_test": general_test(),
    }


def entry(name: str, rows: int, content: bytes) -> dict[str, Any]:
    """The registry's entry of one data set, in LLaMA-Factory's schema, with the doctor's warnings that are meant."""
    columns: dict[str, str] = {}
    tags: dict[str, str] = {}
    if name == "desk":
        columns = {"messages": "messages"}
        tags = {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        }
    if name.startswith("general"):
        columns = {"system": "system"}
    if name == "identity_test":
        columns = {"keywords": "keywords"}
    described: dict[str, Any] = {
        "file_name": f"data/{name}.json",
        "file_sha1": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        "formatting": "sharegpt" if name == "desk" else "alpaca",
        "description": DESCRIPTIONS[name],
    }
    optional = {"columns": columns, "tags": tags, "rows": rows, "accepted": ACCEPTED.get(name, [])}
    return described | {key: each for key, each in optional.items() if each}


def files() -> dict[str, bytes]:
    """Every file that this module writes, by its path below the project."""
    sets = data_sets()
    written = {name: (json.dumps(rows, ensure_ascii=False, indent=1) + "\n").encode() for name, rows in sets.items()}
    registry = {name: entry(name, len(rows), written[name]) for name, rows in sets.items()}
    registered = {"dataset_info.json": (json.dumps(registry, ensure_ascii=False, indent=2) + "\n").encode()}
    return {f"data/{name}.json": content for name, content in written.items()} | registered


def main() -> None:
    """Write the sample data sets and their registry."""
    for path, content in files().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(content)
        print(f"{path}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
