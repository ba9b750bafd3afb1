"""The questions that rows raise, where two readings of the same columns are possible."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core.data.formats.classification import AS_THEY_ARE
from core.data.formats.look import Look, Match
from core.data.formats.raft import USES
from core.data.formats.rendered import family
from core.data.formats.spread import EACH, pairs_of
from core.data.formats.tags import STOP, has_reasoning, split_task
from core.data.formats.turns import is_messages
from core.data.formats.values import several

_OFTEN = (
    0.1  # share of rows; chosen by us: a tag or a repetition below it is an accident and not how the file is written
)
_CLASSES = 50  # chosen by us: more different labels than that are hardly classes
_HAN = re.compile(r"[\u4e00-\u9fff]")
_SPEAKERS = 8  # offered; chosen by us: who speaks less is no candidate for the assistant
MEANINGFUL = {  # columns that often hold what should be learnt: leaving one out is asked, never done silently
    "instruction", "input", "prompt", "question", "query", "context", "article", "passage", "paragraph", "choices",
    "options", "output", "response", "completion", "answer", "answers", "target", "targets", "messages", "conversations",
    "conversation", "dialog", "dialogue", "text", "sentence", "premise", "hypothesis", "rationale", "reasoning",
    "reasoning_content", "thinking", "kto_tag", "chosen", "rejected", "definition", "inputs", "problem", "solution", "image",
    "images", "videos", "audios",
}  # fmt: skip
_ABOUT = {  # columns beside a running text that are about it, and not part of it
    "id", "source", "url", "meta", "metadata", "timestamp", "date", "lang", "language", "license", "file", "path", "score",
    "language_score", "token_count", "dump", "title", "author", "created", "added", "version", "file_path",
}  # fmt: skip


ANSWERS = ("first", "longest", "all", EACH)  # what becomes of several answers


@dataclass(frozen=True)
class Ask:
    """A question before it has words; `values` fill its sentence."""

    key: str
    choices: tuple[str, ...]
    default: str | None
    values: dict[str, Any] = field(default_factory=dict)


def raft() -> list[Ask]:
    return [Ask("use", USES, None)]


def speaker(names: Sequence[str]) -> Ask:
    return Ask("assistant", tuple(names[:_SPEAKERS]), None, {"names": ", ".join(names[:_SPEAKERS])})


def about_pairs(rows: Sequence[tuple[Look, Match]], columns: dict[str, str]) -> list[Ask]:
    """Return the questions about question and answer columns."""
    asked = [look.text(_small(columns["prompt"])) for look, _ in rows]
    beside = [look.text(_small(columns.get("query", ""))) for look, _ in rows]
    answers = [look.raw(_small(columns["response"])) for look, _ in rows]
    decoded = [several(each) for each in answers]
    if all(
        each is not None for each in decoded
    ):  # a table holds lists as text; a single text that looks like one is none
        answers = decoded
    told = [each for each in answers if isinstance(each, str)]
    tasks = Counter(task for one, two in zip(asked, beside, strict=True) if (task := _task(one) or _task(two)))
    same = sum(one == two and bool(one.strip()) for one, two in zip(asked, beside, strict=True))
    export = rows[0][1].kind == "raft_export"
    asks = []
    if lists := sum(isinstance(each, list) and not is_messages(each) for each in answers):
        asks.append(Ask("answers", ANSWERS, None, {"rows": lists}))
    if marked := sum(map(has_reasoning, told)):
        asks.append(Ask("reasoning", ("keep", "strip"), "keep" if export else None, {"rows": marked}))
    if tasks.total() >= max(1, _OFTEN * len(rows)):
        names = ", ".join(sorted(tasks)[:5])
        asks.append(Ask("task", ("strip", "keep"), None, {"rows": tasks.total(), "tasks": names}))
    if stops := sum(each.rstrip().endswith(STOP) for each in told):
        asks.append(Ask("stop", ("strip", "keep"), "strip", {"rows": stops}))
    if same >= max(1, _OFTEN * len(rows)):
        asks.append(Ask("same_input", ("drop", "keep"), None, {"rows": same}))
    return [*asks, *about_template(asked)]


def about_interviews(rows: Sequence[tuple[Look, Match]], column: str) -> list[Ask]:
    """Return the question whether an interview of several pairs is one conversation."""
    longer = sum(len(pairs_of(look.value(_small(column)))) > 1 for look, _ in rows)
    return [Ask("turns", ("together", EACH), "together", {"rows": longer})] if longer else []


def about_template(asked: Sequence[str]) -> list[Ask]:
    """Return the question about prompts that are in a chat format already."""
    found = Counter(name for each in asked if (name := family(each)))
    if not found:
        return []
    return [Ask("template", ("parse", "keep"), None, {"rows": found.total(), "family": found.most_common(1)[0][0]})]


def about_passages(rows: Sequence[tuple[Look, Match]], columns: dict[str, str]) -> list[Ask]:
    """Return the questions about answers to a passage: several, none, or with reasoning before them."""
    given = [_answers(look.value(_small(columns["answer"]))) for look, _ in rows]
    several = sum(len(set(each)) > 1 for each in given)
    none = sum(not each for each in given)
    marked = sum(has_reasoning(text) for each in given for text in each[:1])
    asks = []
    if several:
        asks.append(Ask("answers", ANSWERS, None, {"rows": several}))
    if none:
        asks.append(Ask("unanswerable", ("en", "zh", "refuse"), None, {"rows": none}))
    if marked:
        asks.append(Ask("reasoning", ("keep", "strip"), None, {"rows": marked}))
    return asks


def unused(kind: str, rows: Sequence[tuple[Look, Match]], used: set[str]) -> list[Ask]:
    """Return the question whether columns may be left out that could hold something to learn."""
    taken = {_small(name) for name in used}
    found: Counter[str] = Counter()
    for look, match in rows:
        for name in look.names():
            if name not in taken and _matters(kind, look, name, match):
                found[name] += 1
    if not found:
        return []
    return [Ask("unused", ("leave_out",), None, {"columns": ", ".join(found)})]


def _matters(kind: str, look: Look, name: str, match: Match) -> bool:
    value = look.value(name)
    if value in ("", [], {}):
        return False
    if kind == "text":
        return isinstance(value, str | list | dict) and name not in _ABOUT
    if name == "text" and "response" in match.columns:  # Alpaca's own file repeats question and answer in a prompt
        return look.text(_small(match.columns["response"])) not in look.text("text")
    if name in ("prompt", "messages") and ("messages" in match.columns or "chosen" in match.columns):
        return not _repeats(look, name, match)
    return name in MEANINGFUL


def _repeats(look: Look, name: str, match: Match) -> bool:
    """Tell whether a column only says again what the conversation beside it says, as many sets have it."""
    said = {
        str(each.get("content", each.get("value")))
        for column in ("messages", "chosen")
        if is_messages(turns := look.value(_small(match.columns.get(column, ""))))
        for each in turns
    }
    given = look.value(name)
    again = [each.get("content", each.get("value")) for each in given] if is_messages(given) else [given]
    return all(str(each) in said for each in again)


@dataclass(frozen=True)
class Labels:
    """The different labels of a classification, and whether they are words that a model could say."""

    names: tuple[str, ...]
    are_words: bool

    @classmethod
    def of(cls, values: Sequence[Any]) -> "Labels":
        written = Counter(value if isinstance(value, str) else str(value) for value in values if value is not None)
        names = tuple(sorted(written, key=lambda name: (len(name), name) if name.isdigit() else (0, name)))
        bare = all(name.strip().lstrip("-").isdigit() or name.strip().lower() in ("true", "false") for name in names)
        few = len(names) <= _CLASSES and (len(names) <= 10 or len(names) * 2 <= len(values))
        return cls(names, few and not bare and not any("," in name for name in names))

    def ask(self) -> Ask:
        """Return what to call the classes: as they are where they are words, else a person has to say."""
        if self.are_words:
            return Ask("words", (AS_THEY_ARE,), AS_THEY_ARE, {"labels": ", ".join(self.names[:10])})
        offered = {2: ("negative, positive", "no, yes", "消极, 积极"), 3: ("negative, neutral, positive",)}
        choices = (*offered.get(len(self.names), ()), AS_THEY_ARE)
        return Ask("words", choices, None, {"labels": ", ".join(self.names[:10])})


def is_chinese(texts: Sequence[str]) -> bool:
    """Tell whether more than half of the texts have Chinese characters."""
    return sum(bool(_HAN.search(text)) for text in texts) * 2 > len(texts)


def _answers(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = value.get("text")
    listed = value if isinstance(value, list) else [value]
    return [str(each) for each in listed if each is not None and str(each).strip()]


def _task(text: str) -> str:
    return "" if family(text) else split_task(text)[0]


def _small(name: str) -> str:
    return name.strip().lower()
