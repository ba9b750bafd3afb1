"""Writing records in other formats: what comes back is what went out, and what cannot be carried is told before."""

import json
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.data.canonical import from_dict, to_dict
from core.data.entry import reading_of
from core.data.export import FORMATS, export
from core.data.formats import recognise, records
from core.data.problems import Problems
from core.data.readers import iter_rows, sample_rows
from core.data.reading import Reading
from core.errors import DataError
from core.progress import Cancelled
from core.records import (
    Conversation,
    Document,
    Message,
    Preference,
    Prompt,
    Record,
    Text,
    Tokenised,
    ToolCall,
    UnpairedPreference,
)

TEXTS = (  # what readers get wrong: quotes, line breaks, marks of JSON and CSV, other scripts, spaces at the ends
    "plain", "two\nlines", " spaces \n", "null", 'say "hi", then; go\t', "你好，世界！", "👩‍🚀 é", "[1, 2]", "true",
    '["a", "b"]', '{"a": 1}', "0042", "\u2028 and \u0085", "<|im_start|>", "{{name}}", "a,b", "'", "\\n", "# head",
    "line\r\nline", "lone\rreturn",
)  # fmt: skip
TOOLS = '[{"name": "look", "parameters": {"at": "sky"}}]'
QUESTION, ANSWER = Message("user", "q"), Message("assistant", "a")
CHAT = Conversation((QUESTION, ANSWER), "x:1")
CALLING = Message("assistant", "", (ToolCall("look", '{"at": "sky"}'),))
TOOL_CHAT = Conversation((QUESTION, CALLING, Message("tool", "blue"), ANSWER), "x:1", tools=TOOLS)


class Chance:
    """Makes records at random, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self) -> str:
        return " ".join(self.random.choices(TEXTS, k=self.random.randint(1, 4)))

    def maybe(self, value: Any, otherwise: Any) -> Any:
        return value if self.random.random() < 0.4 else otherwise

    def turns(self, pairs: int) -> tuple[Message, ...]:
        return tuple(Message(role, self.text()) for _ in range(pairs) for role in ("user", "assistant"))  # type: ignore[arg-type]

    def single(self) -> Conversation:
        return Conversation(self.turns(1), "x:1")

    def plain(self) -> Conversation:
        system = self.maybe((Message("system", self.text()),), ())
        keywords = self.maybe((self.text(), "two"), ())
        turns = self.turns(self.random.randint(1, 3))
        return Conversation((*system, *turns), "x:1", keywords, self.maybe(TOOLS, ""))

    def calling(self) -> Conversation:
        calls = tuple(
            ToolCall("look", json.dumps({"at": self.text()}, ensure_ascii=False))
            for _ in range(self.random.randint(1, 2))
        )
        turns = (Message("user", self.text()), Message("assistant", "", calls), Message("tool", self.text()))
        plain = self.plain()
        return self.maybe(replace(plain, messages=(*plain.messages, *turns, Message("assistant", self.text()))), plain)

    def detailed(self) -> Conversation:
        """Return one with all that OpenAI's messages can say: ids, names, and turns that are not learnt."""
        found = self.calling()
        messages = [replace(each, name=self.maybe("tool_1", "")) for each in found.messages]
        messages = [replace(each, train=each.role != "assistant" or self.maybe(False, True)) for each in messages]
        calls = [tuple(replace(call, id="c1") for call in each.tool_calls) for each in messages]
        return replace(found, messages=tuple(replace(m, tool_calls=c) for m, c in zip(messages, calls, strict=True)))

    def everything(self) -> Record:
        docs = (Document(self.text(), "t", True), Document(self.text()))
        full = replace(self.detailed(), task="qa", label="good", docs=docs, meta={"group": "g"})
        prompt = Prompt(messages=self.turns(1)[:1], where="x:1", task="t")
        tokens = Tokenised(input_ids=(1, 2, 3), labels=(-100, 2, 3), where="x:1")
        return self.random.choice(
            [full, self.plain(), self.preference(), self.unpaired(), self.running(), prompt, tokens]
        )

    def preference(self) -> Preference:
        asked = (*self.turns(self.random.randint(0, 1)), Message("user", self.text()))
        better, worse = ((Message("assistant", self.text()),) for _ in range(2))
        return Preference(messages=asked, chosen=better, rejected=worse, where="x:1", tools=self.maybe(TOOLS, ""))

    def unpaired(self) -> UnpairedPreference:
        messages = self.turns(self.random.randint(1, 2))
        return UnpairedPreference(messages=messages, desirable=self.maybe(True, False), where="x:1")

    def running(self) -> Text:
        return Text(text=self.text(), where="x:1")


MADE: dict[str, Callable[[Chance], Record]] = {
    "canonical": Chance.everything,
    "messages": Chance.detailed,
    "alpaca": Chance.plain,
    "format2": Chance.single,
    "format3": Chance.single,
    "sharegpt": Chance.calling,
    "prompt_completion": Chance.single,
    "preference": Chance.preference,
    "kto": Chance.unpaired,
    "text": Chance.running,
    "csv": Chance.plain,
    "parquet": Chance.detailed,
    "llama_factory": Chance.calling,
}


def read(file: Path, reading: Reading | None = None) -> list[Record]:
    """Read a file back as a person would: by what it is recognised as, with `keep` for everything that is asked."""
    if reading is None:
        rows = list(sample_rows(file, 1000, 1000))
        fit = recognise(rows, file.name).fits[0]
        kept = {each.key: "keep" for each in fit.questions if "keep" in each.choices}
        reading = Reading(fit.reading.format, {**fit.reading.options, **kept})
    problems = Problems(file.name)
    found = list(records(iter_rows(file, problems), reading, file.name, problems))
    problems.stop_if_any()
    return found


def unplaced(found: Iterable[Record]) -> list[Record]:
    return [replace(each, where="") for each in found]


def asking(sentence: str, record: Record) -> Record:
    assert isinstance(record, Conversation)
    return replace(
        record, messages=(Message("user", f"{sentence}\n{record.messages[0].content}"), *record.messages[1:])
    )


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_exported_is_read_back_as_it_was(tmp_path: Path, format: str, seed: int) -> None:
    chance = Chance(seed)
    given = [MADE[format](chance) for _ in range(80)]
    if format == "format3":
        given = [asking("Answer as Lumen.", each) for each in given]
    files = export(iter(given), format, tmp_path / "out")
    if format == "llama_factory":
        info = json.loads((tmp_path / "out" / "dataset_info.json").read_text(encoding="utf-8"))
        back = read(tmp_path / "out" / info["out"]["file_name"], reading_of(info["out"]))
        assert [file.name for file in files] == ["dataset_info.json", "out.jsonl"]
    else:
        (file,) = files
        back = read(file, Reading("canonical") if format == "canonical" else None)
    assert unplaced(back) == unplaced(given)


def test_every_format_is_written_and_read_in_these_tests() -> None:
    assert set(MADE) == set(FORMATS)


@pytest.mark.parametrize(
    ("format", "record", "code"),
    [
        ("alpaca", TOOL_CHAT, "tool_calls"),
        ("csv", TOOL_CHAT, "tool_calls"),
        ("alpaca", Conversation((QUESTION, replace(ANSWER, train=False))), "untrained"),
        ("sharegpt", Conversation((QUESTION, replace(ANSWER, train=False))), "untrained"),
        ("alpaca", Conversation((replace(QUESTION, name="Ann"), ANSWER)), "names"),
        ("sharegpt", Conversation((QUESTION, replace(CALLING, content="Let me see."), ANSWER)), "words_with_calls"),
        ("prompt_completion", Conversation((Message("system", "s"), QUESTION, ANSWER)), "system"),
        ("prompt_completion", Conversation((QUESTION, ANSWER, QUESTION, ANSWER)), "turns"),
        ("prompt_completion", replace(CHAT, tools=TOOLS), "tools"),
        ("messages", Conversation((QUESTION, Message("assistant", " "))), "empty"),
        ("alpaca", Conversation((QUESTION,)), "order"),
        ("messages", Text(text="t"), "kind"),
        ("preference", CHAT, "kind"),
        ("kto", CHAT, "kind"),
        ("text", CHAT, "kind"),
        ("parquet", Prompt(messages=(QUESTION,)), "kind"),
        ("llama_factory", Preference(messages=(QUESTION,), chosen=(CALLING, ANSWER), rejected=(ANSWER,)), "turns"),
    ],
)
def test_what_a_format_cannot_carry_is_told_and_nothing_is_written(
    tmp_path: Path, format: str, record: Record, code: str
) -> None:
    bad = replace(record, where="x:7")
    fine = {"preference": Chance(1).preference(), "kto": Chance(1).unpaired(), "text": Text(text="t")}.get(format, CHAT)
    with pytest.raises(DataError) as caught:
        export([fine, bad, fine, bad], format, tmp_path / "out")
    (told,) = caught.value.problems
    assert (told.code, told.where, told.values["rows"]) == (f"data.lacks_{code}", "x:7", 2)
    assert told.say("en") != told.say("zh")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced_and_nothing_is_left_of_an_export_that_was_cancelled(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text("mine")
    with pytest.raises(DataError, match="never replaces"):
        export([CHAT], "alpaca", tmp_path / "mine.json")
    assert (tmp_path / "mine.json").read_text() == "mine"

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        export([CHAT] * 2000, "messages", tmp_path / "new", stop)
    with pytest.raises(DataError):
        export([], "messages", tmp_path / "new")
    with pytest.raises(DataError, match="messages"):
        export([CHAT], "word", tmp_path / "new")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.json"]


def test_the_ending_is_the_formats(tmp_path: Path) -> None:
    assert export([CHAT], "csv", tmp_path / "a.json") == [tmp_path / "a.json.csv"]
    assert export([CHAT], "alpaca", tmp_path / "deep" / "a.json") == [tmp_path / "deep" / "a.json"]
    (row,) = json.loads((tmp_path / "deep" / "a.json").read_text())
    assert row == {"instruction": "q", "input": "", "output": "a"}


def test_format2_and_format3_are_made_of_each_other(tmp_path: Path) -> None:
    bare = [Conversation((Message("user", f"q{number}"), ANSWER)) for number in range(3)]
    (three,) = export(bare, "format3", tmp_path / "three", task_sentence="Answer for Aurora.")
    rows = json.loads(three.read_text())
    assert rows[0] == {"instruction": "Answer for Aurora.", "input": "q0", "output": "a"}
    (two,) = export(read(three), "format2", tmp_path / "two")
    assert [row["instruction"] for row in json.loads(two.read_text())] == ["q0", "q1", "q2"]
    assert unplaced(read(two)) == unplaced(bare)
    (again,) = export(read(three), "format3", tmp_path / "again")
    assert again.read_text() == three.read_text()


def test_closed_book_questions_lose_their_passages(tmp_path: Path) -> None:
    docs = (Document("Rain falls."), Document("Sun shines.", "", True))
    asked = "<DOCUMENT>Rain falls.</DOCUMENT>\n<DOCUMENT>Sun shines.</DOCUMENT>\nWhy wet?"
    record = Conversation((Message("user", asked), ANSWER), docs=docs)
    (file,) = export([record], "format2", tmp_path / "a")
    assert json.loads(file.read_text())[0]["instruction"] == "Why wet?"
    passage = Conversation((Message("user", "Rain falls.\n\nWhy?"), ANSWER), docs=docs[:1])
    (file,) = export([passage], "format3", tmp_path / "b")
    (row,) = json.loads(file.read_text())
    assert (row["instruction"], row["input"]) == ("Answer the following question.", "Why?")


def test_a_folder_for_llama_factory_has_an_entry_for_each_kind_of_row(tmp_path: Path) -> None:
    chance = Chance(5)
    given: list[Record] = [CHAT, chance.preference(), chance.unpaired(), chance.running(), TOOL_CHAT]
    export(given, "llama_factory", tmp_path / "My Set")
    info = json.loads((tmp_path / "My Set" / "dataset_info.json").read_text())
    assert set(info) == {"my_set", "my_set_preference", "my_set_kto", "my_set_text"}
    back = [
        each for entry in info.values() for each in read(tmp_path / "My Set" / entry["file_name"], reading_of(entry))
    ]
    key = repr
    assert sorted(map(key, unplaced(back))) == sorted(map(key, unplaced(given)))


def test_the_canonical_form_keeps_everything() -> None:
    chance = Chance(9)
    for _ in range(200):
        record = chance.everything()
        back = from_dict(json.loads(json.dumps(to_dict(record))), record.where)
        assert (back, back.meta) == (record, record.meta)


def test_the_canonical_form_is_as_agreed() -> None:
    record = replace(TOOL_CHAT, label="x", docs=(Document("d", "t", True),), meta={"source": "s"})
    assert to_dict(record) == {
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "", "tool_calls": [
                {"type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}]},
            {"role": "tool", "content": "blue"},
            {"role": "assistant", "content": "a"},
        ],
        "tools": TOOLS,
        "label": "x",
        "docs": [{"text": "d", "title": "t", "is_oracle": True}],
        "meta": {"source": "s"},
    }  # fmt: skip
    assert to_dict(replace(CHAT, messages=(QUESTION, replace(ANSWER, train=False))))["messages"][1]["train"] is False
