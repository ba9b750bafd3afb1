"""What a model could do before, can it still do it? A built-in test of small questions by ability, and ordinary prose.

The first abilities are those of the starter model, the others those of larger ones; what the base cannot do is left out, so
that one test serves both. An answer is right by the value in it: "7", "seven" and "The sum of 3 and 4 is 7." are the same.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import yaml

from core.data.overlap import plain
from core.evaluate.items import Item
from core.evaluate.probes.claims import word
from core.records import Message
from core.workspace import SAMPLES

SOURCE = "kept"
_QUESTIONS = SAMPLES / "probes" / "kept.yaml"
_PROSE = SAMPLES / "probes" / "prose.yaml"
_FENCE = re.compile(r"\A```\w*\s*\n(.*?)\n?```\Z", re.DOTALL)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True)
class Rule:
    """How an answer is right: it has a value of `right` and none of `wrong`, matches `pattern`, or is the JSON `json`.

    `of` are words of the question; where an answer repeats them, the repetition is not looked at.
    """

    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    of: str = ""
    pattern: str = ""
    json: dict[str, Any] | None = None

    def holds(self, text: str) -> bool:
        if self.json is not None:
            return _parsed(text) == self.json
        if self.pattern:
            return re.fullmatch(self.pattern, text.strip()) is not None
        said = _plain(text)
        said = said.replace(_plain(self.of), " ") if self.of else said
        return any(_has(said, each) for each in self.right) and not any(_has(said, each) for each in self.wrong)

    @property
    def shown(self) -> str:
        """The answer that is expected, for a person."""
        return (
            json.dumps(self.json, ensure_ascii=False) if self.json is not None else self.right[0] if self.right else ""
        )


@lru_cache
def questions() -> dict[str, tuple[str, str, Rule]]:
    """Return ability, question and rule by key, such as "kept:sum-1"."""
    found = {}
    for ability, rows in yaml.safe_load(_QUESTIONS.read_text(encoding="utf-8")).items():
        for number, row in enumerate(rows, 1):
            values = (tuple(row.get("right", ())), tuple(row.get("wrong", ())), row.get("of", ""))
            rule = Rule(*values, row.get("pattern", ""), row.get("json"))
            found[f"{SOURCE}:{ability}-{number}"] = (ability, row["ask"], rule)
    return found


def items() -> list[Item]:
    """Return the questions, without a system prompt: whoever asks puts the trained one before them."""
    return [
        Item(key, SOURCE, row, (Message("user", ask),), rule.shown, kind="kept", tag=ability)
        for row, (key, (ability, ask, rule)) in enumerate(questions().items(), 1)
    ]


def is_right(item: Item, text: str) -> bool:
    """Say whether an answer to one of `items` is right."""
    return questions()[item.key][2].holds(text)


def texts() -> list[str]:
    """Return twelve paragraphs of prose, English and Chinese, for perplexity."""
    return list(yaml.safe_load(_PROSE.read_text(encoding="utf-8")))


def _plain(text: str) -> str:
    return _THOUSANDS.sub("", plain(re.sub(r"[*_`#\\$€£¥%]", " ", text)))


def _has(said: str, value: str) -> bool:
    wanted = _plain(value)
    # A digit stands alone: 7 is not in 17 nor in 3.7; Chinese digits have no border.
    border = re.search(r"(?<!\d)(?<!\d\.)" + re.escape(wanted) + r"(?!\.?\d)", said) if wanted.isdigit() else True
    return bool(border) and bool(word(wanted).search(said))


def _parsed(text: str) -> Any:
    fenced = _FENCE.match(text.strip())
    try:
        return json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return None
