"""How the rows of a kind are read: its format, its columns, and the questions that its rows raise."""

from collections.abc import Callable, Sequence
from typing import Any

from core.data.entry import COLUMNS
from core.data.formats import asking, speakers
from core.data.formats.asking import Ask
from core.data.formats.look import Look, Match
from core.data.formats.turns import TAG_PAIRS, is_messages
from core.data.reading import Reading

Rows = Sequence[tuple[Look, Match]]  # the rows of a kind, with how each of them was matched
Told = tuple[Reading, list[Ask]]

SIMPLE = {"raft": "raft", "canonical": "canonical", "tokenised": "tokenised", "stepwise": "stepwise"}


def reading_of(kind: str, rows: Rows, others: set[str]) -> Told:
    """Return the reading and the questions of a kind. `others` are the columns that other readings of the file use."""
    columns: dict[str, str] = {}
    for _, match in rows:
        columns = {**match.columns, **columns}
    if kind in SIMPLE:
        return Reading(SIMPLE[kind], {}), asking.raft() if kind == "raft" else []
    make = _MAKERS.get(kind) or (_conversation if "messages" in columns and "prompt" not in columns else _columns)
    reading, asks = make(rows, columns)
    return reading, [*asks, *asking.unused(kind, rows, set(columns.values()) | others)]


def _columns(rows: Rows, columns: dict[str, str]) -> Told:
    """Read question and answer columns: as LLaMA-Factory's alpaca, or with choices where something has to be chosen."""
    options = _named(rows, columns)
    asks = asking.about_pairs(rows, columns)
    if rows[0][1].kind == "raft_export":
        options["documents"] = "tagged"
    if any(is_messages(value_of(look, name)) for look, _ in rows for name in _ends(columns)):
        options["of_messages"] = "yes"
    if asks or "of_messages" in options or "documents" in options:
        return Reading("columns", options), asks
    return Reading("alpaca", options), []


def _ends(columns: dict[str, str]) -> list[str]:
    return [columns[key] for key in ("prompt", "response") if key in columns]


def _named(rows: Rows, columns: dict[str, str]) -> dict[str, str]:
    """Return what differs from LLaMA-Factory's names; an `input` that has no part in the question is not read."""
    if "query" not in columns and any("input" in look for look, _ in rows) and columns.get("prompt") != "input":
        columns = {**columns, "query": ""}
    if "query" not in columns and columns.get("prompt") == COLUMNS["query"]:
        columns = {**columns, "query": ""}  # the question itself is called `input`
    return {key: name for key, name in columns.items() if COLUMNS.get(key) != name}


def _conversation(rows: Rows, columns: dict[str, str]) -> Told:
    """Read a column of messages: with tags where each role has one name, else by every usual name."""
    seen = speakers.seen(rows, columns["messages"])
    asks = speakers.asks(seen)
    options = {key: name for key, name in columns.items() if COLUMNS.get(key) != name}
    tags = speakers.tags(seen)
    if rows[0][1].kind == "raft_export":
        return Reading("messages", {**options, **tags, "documents": "tagged"}), asks
    if asks or not seen.one_name_each:
        return Reading("messages", {**options, **tags}), asks
    return Reading("sharegpt", {**options, **tags}), []


def _podcast(rows: Rows, columns: dict[str, str]) -> Told:
    seen = speakers.seen(rows, columns["messages"])
    options = {"messages": columns["messages"], "role_tag": seen.role_tag, "content_tag": seen.content_tag}
    return Reading("podcast", options), [asking.speaker(seen.names)]


def _preference(rows: Rows, columns: dict[str, str]) -> Told:
    """Read pairs of answers: texts beside a question as alpaca, single messages beside a conversation as sharegpt."""
    if "answers" in columns:
        return Reading(
            "preference", {"prompt": columns["prompt"], **_optional(columns), "answers": columns["answers"]}
        ), []
    asked = "prompt" in columns
    if all(_is_text(look, columns["chosen"]) and _is_text(look, columns["rejected"]) for look, _ in rows):
        asks = (
            asking.about_template([look.text(columns["prompt"].strip().lower()) for look, _ in rows]) if asked else []
        )
        if asked and not asks:
            return Reading("alpaca", _named(rows, columns)), []
        return Reading("preference", {**columns, **({} if asked else {"template": "parse"})}), asks
    if "messages" in columns:
        seen = speakers.seen(rows, columns["messages"])
        answer = all(
            set(TAG_PAIRS) & {_tags_of(look, columns[key])} for look, _ in rows for key in ("chosen", "rejected")
        )
        if answer and seen.one_name_each and not any("prompt" in match.columns for _, match in rows):
            options = {key: name for key, name in columns.items() if COLUMNS.get(key) != name}
            return Reading("sharegpt", {**options, **speakers.tags(seen)}), []
    seen = speakers.seen(rows, columns["chosen"])
    tags = {"role_tag": seen.role_tag, "content_tag": seen.content_tag} if seen.role_tag != "role" else {}
    return Reading("preference", {**columns, **tags}), []


def _optional(columns: dict[str, str]) -> dict[str, str]:
    return {key: columns[key] for key in ("query", "system") if key in columns}


def _is_text(look: Look, column: str) -> bool:
    return bool(look.text(column.strip().lower())) and not is_messages(value_of(look, column))


def _tags_of(look: Look, column: str) -> tuple[str, str]:
    """Return the keys of an answer that is one message."""
    given = value_of(look, column)
    return next((pair for pair in TAG_PAIRS if isinstance(given, dict) and set(pair) <= given.keys()), ("", ""))


def _passage_qa(rows: Rows, columns: dict[str, str]) -> Told:
    options = {key: name for key, name in columns.items() if key != name}
    return Reading("passage_qa", options), asking.about_passages(rows, columns)


def _classification(rows: Rows, columns: dict[str, str]) -> Told:
    options = {key: name for key, name in columns.items() if key != name}
    found = asking.Labels.of([value_of(look, columns["label"]) for look, _ in rows])
    texts = [look.text(columns["text"].strip().lower()) for look, _ in rows]
    options["language"] = "zh" if asking.is_chinese(texts) else "en"
    if found.are_words:
        options["classes"] = ", ".join(found.names)
    return Reading("classification", options), [found.ask()]


def _of_column(format: str, option: str, default: str) -> Callable[[Rows, dict[str, str]], Told]:
    def make(rows: Rows, columns: dict[str, str]) -> Told:
        name = next(iter(columns.values()))
        return Reading(format, {option: columns.get(option, name)} if columns.get(option, name) != default else {}), []

    return make


def _running_text(rows: Rows, columns: dict[str, str]) -> Told:
    return Reading("alpaca", {"prompt": columns["prompt"], "response": ""}), []


def _listed(format: str, default: str) -> Callable[[Rows, dict[str, str]], Told]:
    def make(rows: Rows, columns: dict[str, str]) -> Told:
        name = columns["messages"]
        return Reading(format, {"messages": name} if name != default else {}), []

    return make


def _interview(rows: Rows, columns: dict[str, str]) -> Told:
    reading, _ = _listed("interview", "interview")(rows, columns)
    return reading, asking.about_interviews(rows, columns["messages"])


_MAKERS: dict[str, Callable[[Rows, dict[str, str]], Told]] = {
    "podcast": _podcast,
    "preference": _preference,
    "preference_alt": _preference,
    "preference_messages": _preference,
    "squad": _passage_qa,
    "context_qa": _passage_qa,
    "classification": _classification,
    "rendered": _of_column("rendered", "text", "text"),
    "prompt_only": _of_column("prompt", "prompt", "prompt"),
    "text": _running_text,
    "interview": _interview,
    "pair_turns": _interview,
    "alternating": _listed("alternating", "conversations"),
}


def value_of(look: Look, column: str) -> Any:
    """Return what a row has in a column, by the name that the file writes."""
    return look.value(column.strip().lower())
