"""What an evaluation leaves in its directory, as it comes in a bundle: whether each line is one that can be read.

The files are written by core/evaluate, which this package does not know; tests/test_bundles.py compares the two.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from core.wording import has

LONGEST = 100  # characters of a name; chosen by us
_CALLED = r"^(base|tuned|(run:[^:]+:)?(final|step-[0-9]{1,12})|run:[^:]+)$"  # as `contestants` calls them


def is_short(name: str) -> bool:
    return len(name) <= LONGEST


def told(code: str) -> AfterValidator:
    """Return what refuses a word that stands for a sentence nobody has: `code` is where its sentence is, before the dot."""

    def known(word: str) -> str:
        if not has(f"{code}.{word}"):
            raise ValueError(word)
        return word

    return AfterValidator(known)


_STRICT = ConfigDict(strict=True, allow_inf_nan=False)


class _Line(BaseModel):
    """Of a file whose lines are read into dataclasses: a key that those do not have cannot be read."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


Who = Annotated[str, Field(pattern=_CALLED, max_length=2 * LONGEST)]
Values = dict[str, float | None]
Count = Annotated[int, Field(ge=0)]


class _ToolCall(_Line):
    name: str
    arguments: str
    id: str = ""


class _Message(_Line):
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[_ToolCall] = []
    name: str = ""
    train: bool = True


class _Document(_Line):
    text: str
    title: str = ""
    is_oracle: bool = False


class _Item(_Line):
    key: str
    source: str
    row: int
    messages: list[_Message]
    expected: str
    kind: Literal["data", "identity", "kept"] = "data"
    where: str = ""
    tag: str = ""
    under: Annotated[str, told("probe.under")] = "trained"
    keywords: list[str] = []
    tools: str = ""
    docs: list[_Document] = []

    @model_validator(mode="after")
    def _of_a_known_probe(self) -> "_Item":
        if self.kind != "data" and not has(f"probe.{self.source}"):
            raise ValueError(self.source)
        return self


class _Answer(_Line):
    item: str
    who: Who
    text: str
    tokens: Count = 0
    ended: bool = True
    asked: bool = True


class _Grade(_Line):
    item: str
    who: Who
    values: Values


class _Vote(_Line):
    item: str
    order: Annotated[list[Who], Field(min_length=2, max_length=2)]
    choice: Literal["left", "right", "tie", "both_bad"]
    time: float


class _Undo(_Line):
    undo: str
    time: float


class _Verdict(_Line):
    item: str
    who: Who
    other: Who
    verdict: Literal["who", "other", "tie", "unsure"]
    picks: list[Literal["first", "second", "tie"] | None]
    judge: str
    rubric_sha256: str
    unread: str = ""


Sound = Callable[[Any], bool]


def fits(kind: Any) -> Sound:
    own = isinstance(kind, type) and issubclass(kind, BaseModel)
    shape: TypeAdapter[Any] = TypeAdapter(kind, config=None if own else _STRICT)

    def sound(values: Any) -> bool:
        try:
            shape.validate_python(values)
        except ValidationError:
            return False
        return True

    return sound


_is_answer = fits(_Answer)
LINES: Mapping[str, Sound] = {  # file -> whether one of its lines can be read
    "items.jsonl": fits(_Item),
    "answers.jsonl": lambda line: (
        "who" not in line or _is_answer(line)
    ),  # those of before there were contestants are not read
    "grades.jsonl": fits(_Grade),
    "votes.jsonl": fits(_Vote | _Undo),
    "judged.jsonl": fits(_Verdict),
}
LIMITS = "batches.json"
_is_pair = fits(Annotated[list[Annotated[int, Field(ge=1, strict=True)]], Field(min_length=2, max_length=2)])


def is_passed_over(name: str, line: bytes) -> bool:
    """Tell whether the reader of a file passes over a line that is no JSON; of answers only one that is not whole yet."""
    torn = name == "answers.jsonl" and not line.endswith(b"\n")
    return torn or line == b"\n" or name in ("events.jsonl", "votes.jsonl", "judged.jsonl")


def are_limits(file: Path) -> bool:
    """Tell whether a file holds the most tokens and the most rows of a batch."""
    try:
        return _is_pair(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, RecursionError):
        return False
