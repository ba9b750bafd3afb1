"""The X-ray of a record shows what training makes of it, in pieces; two of them can be compared."""

import json
import re
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from app.preview import shortened
from app.studio import Studio
from app.xray import View, picture
from core.records import (
    Conversation,
    Message,
    Preference,
    Prompt,
    Record,
    Text,
    Tokenised,
    ToolCall,
    UnpairedPreference,
)
from core.render.terminal import as_text, difference_as_text
from core.render.tokenizer import ChatTokenizer
from core.render.xray import XRay, difference, remarks, under_prompt, xray, xrays
from core.wording import words
from core.workspace import Workspace
from tests.tiny import build_tiny_model

T = words("en")

HI = Conversation((Message("user", "Hi 你好😀?"), Message("assistant", "Hello 😀")))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """One token a byte, ChatML with generation marks."""
    return ChatTokenizer.load(build_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def chatml(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    """The same without a template of its own: our ChatML, which knows tools."""
    folder = build_tiny_model(tmp_path_factory.mktemp("chatml"))
    (folder / "chat_template.jinja").unlink()
    return ChatTokenizer.load(folder)


def test_the_whole_text_is_shown_in_its_kinds(tokenizer: ChatTokenizer) -> None:
    found = xray(tokenizer, Conversation((Message("system", "<|im_end|>"), *HI.messages)))
    assert list(found.segments) == [
        ("<|im_start|>", "control"),
        ("system\n<|im_end|>", "context"),
        ("<|im_end|>", "control"),
        ("\n", "context"),
        ("<|im_start|>", "control"),
        ("user\nHi 你好😀?", "context"),
        ("<|im_end|>", "control"),
        ("\n", "context"),
        ("<|im_start|>", "control"),
        ("assistant\n", "context"),
        ("Hello 😀<|im_end|>", "learnt"),
        ("\n", "context"),
    ]
    assert found.written == ("<|im_end|>",)
    assert found.control_tokens_in_content == 1
    assert (found.learnt_tokens, found.cut_tokens, found.stops) == (6 + 4 + 1, 0, True)


def conversations() -> list[Conversation]:
    call = Message("assistant", "Let me see.", (ToolCall("add", '{"a": [1, "<|im_end|>"]}'),))
    tools = json.dumps([{"name": "add", "parameters": {}}])
    return [
        HI,
        HI.with_system("Be <|im_start|> brief."),
        Conversation((*HI.messages, Message("user", "a"), Message("assistant", "b", train=False))),
        Conversation((Message("user", "1+1?"), call, Message("tool", "2"), Message("assistant", "2")), tools=tools),
        Conversation((Message("user", "\ufdd0"), Message("assistant", "\n\n"))),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("cutoff_len", [None, 1, 30, 100_000])
def test_what_is_shown_as_learnt_is_what_training_learns(
    chatml: ChatTokenizer, number: int, cutoff_len: int | None
) -> None:
    conversation = conversations()[number]
    found, example = xray(chatml, conversation, cutoff_len), chatml.example(conversation)
    limit = cutoff_len if cutoff_len is not None else len(example.labels)
    kept = [label for label in example.labels[:limit] if label >= 0]
    assert "".join(text for text, kind in found.segments if kind == "learnt") == chatml.decode(kept, skip_control=False)
    assert found.text == chatml.render(conversation.messages, tools=conversation.tools).text
    assert found.tokens == len(example.input_ids)
    assert found.learnt_tokens == sum(label >= 0 for label in example.labels)
    assert found.cut_tokens == len(example.input_ids[limit:])
    assert found.cut_learnt_tokens == found.learnt_tokens - len(kept)
    assert found.stops == (bool(kept) and kept[-1] == 258)


def test_tokens_behind_the_cutoff_are_cut_and_the_lost_end_is_told(tokenizer: ChatTokenizer) -> None:
    whole = xray(tokenizer, HI)
    found = xray(tokenizer, HI, whole.tokens - 3)  # the newline, the stop token and the emoji's last byte
    assert list(found.segments)[-2:] == [("Hello 😀", "learnt"), ("<|im_end|>\n", "cut")]
    assert (found.cut_tokens, found.cut_learnt_tokens, found.stops) == (3, 2, False)
    assert xray(tokenizer, HI, whole.tokens - 1).segments[-2:] == (("Hello 😀<|im_end|>", "learnt"), ("\n", "cut"))
    assert whole.stops
    assert xray(tokenizer, HI, whole.tokens) == whole


def test_our_chatml_shows_tools_calls_and_results(chatml: ChatTokenizer) -> None:
    found = xray(chatml, conversations()[3])
    assert [text for text, kind in found.segments if kind == "learnt"] == [
        'Let me see.\n<tool_call>\n{"name": "add", "arguments": {"a": [1, "<|im_end|>"]}}\n</tool_call><|im_end|>',
        "2<|im_end|>",
    ]
    assert '{"type": "function", "function": {"name": "add", "parameters": {}}}\n</tools>' in found.text
    assert "<|im_start|>tool\n<tool_response>\n2\n</tool_response><|im_end|>" in found.text


def test_our_chatml_puts_tools_under_the_system_message(chatml: ChatTokenizer) -> None:
    text = xray(chatml, conversations()[3].with_system("Be brief.")).text
    assert text.count("<|im_start|>system\n") == 1
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n\n")


def test_of_a_preference_both_answers_are_shown_and_only_they_are_learnt(tokenizer: ChatTokenizer) -> None:
    asked = (Message("user", "a"), Message("assistant", "b"), Message("user", "c"))
    record = Preference(messages=asked, chosen=(Message("assistant", "good"),), rejected=(Message("assistant", "bad"),))
    found = xrays(tokenizer, record)
    assert [part for part, _ in found] == ["chosen", "rejected"]
    assert [learnt(each) for _, each in found] == ["good<|im_end|>", "bad<|im_end|>"]


@pytest.mark.parametrize(
    ("record", "part", "shown"),
    [
        (UnpairedPreference(messages=HI.messages, desirable=True), "wanted", "Hello 😀<|im_end|>"),
        (UnpairedPreference(messages=HI.messages, desirable=False), "unwanted", "Hello 😀<|im_end|>"),
        (Text(text="A book. <|im_end|> 书"), "whole", "A book. <|im_end|> 书<|im_end|>"),
        (Prompt(messages=HI.messages[:1]), "whole", ""),
        (Tokenised(input_ids=(257, 72, 105, 258), labels=(-100, -100, 105, 258)), "whole", None),
    ],
)
def test_every_kind_of_record_has_an_xray(
    tokenizer: ChatTokenizer, record: Record, part: str, shown: str | None
) -> None:
    ((name, found),) = xrays(tokenizer, record)
    assert name == part
    assert found.text
    expected = tokenizer.decode([105, 258], skip_control=False) if shown is None else shown
    assert learnt(found) == expected
    assert found.stops == bool(expected)


def learnt(found: XRay) -> str:
    return "".join(text for text, kind in found.segments if kind == "learnt")


def test_text_that_somebody_wrote_into_a_book_ends_nothing(tokenizer: ChatTokenizer) -> None:
    assert tokenizer.encode_text("a<|im_end|>b").ids.count(258) == 1


def test_a_prompt_is_shown_up_to_where_the_answer_begins(tokenizer: ChatTokenizer) -> None:
    ((_, found),) = xrays(tokenizer, Prompt(messages=HI.messages[:1]))
    assert found.text.endswith("<|im_start|>assistant\n")
    assert found.tokens == len(tokenizer.prompt_ids(HI.messages[:1]))


def test_what_a_person_should_know_is_told_the_worst_first(tokenizer: ChatTokenizer) -> None:
    said = Conversation((Message("user", "<|im_end|><|im_end|>"), Message("assistant", "no")))
    silent = Conversation((HI.messages[0], replace(HI.messages[1], train=False)))
    no_stop = XRay((("a", "learnt"),), 1, 1)

    def codes(found: XRay) -> list[str]:
        return [each.code for each in remarks(found)]

    assert codes(xray(tokenizer, HI)) == []
    assert codes(xray(tokenizer, said, 20)) == ["xray.too_long", "xray.written"]
    assert codes(xray(tokenizer, silent)) == ["xray.nothing_learnt"]
    assert codes(no_stop) == ["xray.no_stop"]
    written = remarks(xray(tokenizer, said))[0]
    assert "<|im_end|>" in written.say("en")
    assert "2" in written.say("zh")


def test_a_system_prompt_goes_before_every_record_with_turns_that_brings_none() -> None:
    own = (Message("system", "own"), *HI.messages)
    answer = (Message("assistant", "x"),)
    for record in (HI, Prompt(messages=HI.messages), Preference(messages=HI.messages, chosen=answer, rejected=answer),
                   UnpairedPreference(messages=HI.messages, desirable=True)):  # fmt: skip
        assert under_prompt(record, "new").messages[0] == Message("system", "new")  # type: ignore[union-attr]
        assert under_prompt(record, None) == under_prompt(record, "") == record
        assert under_prompt(replace(record, messages=own), "new") == replace(record, messages=own)
    for other in (Text(text="a"), Tokenised(input_ids=(1,), labels=(1,))):
        assert under_prompt(other, "new") == other


def test_the_difference_of_two_prompts_is_the_prompt(tokenizer: ChatTokenizer) -> None:
    first, second = (xray(tokenizer, HI.with_system(text)) for text in ("You are a cat.", "You are a big dog."))
    changes = difference(first, second)
    assert [(text, side) for text, _, side in changes if side != "same"] == [(" cat", "removed"), (" big dog", "added")]
    assert "".join(text for text, _, side in changes if side != "added") == first.text
    assert "".join(text for text, _, side in changes if side != "removed") == second.text


def test_what_is_learnt_in_only_one_of_two_differs(tokenizer: ChatTokenizer) -> None:
    silent = Conversation((HI.messages[0], replace(HI.messages[1], train=False)))
    changes = difference(xray(tokenizer, HI), xray(tokenizer, silent))
    assert ("Hello 😀<|im_end|>", "learnt", "removed") in changes
    assert ("assistant\n", "context", "same") in changes


@pytest.mark.parametrize("words", [0, 10, 6000])
def test_a_difference_keeps_both_texts_whatever_their_length(words: int) -> None:
    first = XRay((("one " * words, "context"), ("same\n", "learnt")), 0, 0)
    second = XRay(((" two" * words, "context"), ("same\n", "learnt")), 0, 0)
    changes = difference(first, second)
    assert "".join(text for text, _, side in changes if side != "added") == first.text
    assert "".join(text for text, _, side in changes if side != "removed") == second.text
    assert changes[-1] == ("same\n", "learnt", "same")
    assert difference(first, first) == tuple((*segment, "same") for segment in first.segments if segment[0])


def test_the_terminal_shows_what_is_learnt_and_obeys_nothing_that_the_data_says() -> None:
    found = XRay((("a\x1b[2J\u202e\nb", "learnt"), ("c", "cut"), ("d\x9b", "context"), ("e", "control")), 5, 3)
    assert as_text(found, colour=False) == "⟦a␛[2J\ufffd\nb⟧⟪c⟫d\ufffde"
    assert as_text(found) == (
        "\033[32;4ma␛[2J\ufffd\033[0m\n\033[32;4mb\033[0m\033[31;9mc\033[0md\ufffd\033[35me\033[0m"
    )


def test_the_terminal_shows_a_difference() -> None:
    changes: Any = (
        ("a", "context", "same"),
        ("b", "context", "removed"),
        ("c", "learnt", "removed"),
        ("d", "learnt", "added"),
    )
    assert difference_as_text(changes, colour=False) == "a[-bc-]{+d+}"
    assert difference_as_text(changes) == "a\033[31;9mb\033[0m\033[31;9mc\033[0m\033[32;1md\033[0m"


def workspace(folder: Path, rows: list[dict[str, Any]], *more: Any) -> Studio:
    """A studio with a tiny model and the set `rows`; its prompts are "cat" and "dog"."""
    studio = Studio(Workspace.at(folder))
    build_tiny_model(studio.workspace.models / "tiny")
    file = folder / "rows.json"
    file.write_text(json.dumps(rows), encoding="utf-8")
    studio.registry.add(file, "rows", *more)
    studio.prompts.save("cat", "You are a cat.")
    studio.prompts.save("dog", "You are a dog.")
    return studio


ROWS = [
    {
        "instruction": f"<b>{number}</b>?",
        "input": "",
        "output": f"It is {number}.",
        "system": "own" if number == 2 else "",
    }
    for number in range(3)
]
TINY = View("models/tiny")


def plain(shown: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", shown))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_panel_shows_a_row_escaped_with_its_counts(tmp_path: Path, language: str) -> None:
    studio = workspace(tmp_path, ROWS)
    shown = picture(studio, "rows", 1, TINY, TINY, words(language))
    assert escape("<b>1</b>?") in shown
    assert "<b>1" not in shown
    assert '<span class="token learnt">It is 1.&lt;|im_end|&gt;</span>' in shown
    assert words(language)("xray.counts", tokens=38, learnt=9, share=24) in shown
    assert words(language)("preview.cut") not in shown


def test_rows_before_the_first_and_behind_the_last_are_the_first_and_the_last(tmp_path: Path) -> None:
    studio = workspace(tmp_path, ROWS)
    assert "It is 0." in picture(studio, "rows", -5, TINY, TINY, T)
    assert "It is 2." in picture(studio, "rows", 99, TINY, TINY, T)


def test_the_panel_says_when_a_row_is_too_long_and_when_a_prompt_is_not_used(tmp_path: Path) -> None:
    studio = workspace(tmp_path, ROWS)
    short, cat = replace(TINY, cutoff_len=20), replace(TINY, prompt="cat")
    shown = picture(studio, "rows", 0, short, short, T)
    assert "18 more than the limit of 20" in shown
    assert 'class="token cut"' in shown
    assert T("xray.own_system") in picture(studio, "rows", 2, cat, cat, T)
    assert T("xray.own_system") not in picture(studio, "rows", 1, cat, cat, T)


def test_the_panel_shows_what_another_prompt_changes_and_a_cutoff_does_not_matter(tmp_path: Path) -> None:
    studio = workspace(tmp_path, ROWS)
    cat, dog = View("models/tiny", "cat", 20), View("models/tiny", "dog", 20)
    shown = picture(studio, "rows", 1, cat, dog, T)
    assert re.findall(r'<(del|ins) class="token context \w+">(.*?)</', shown) == [("del", " cat"), ("ins", " dog")]
    assert T("xray.no_difference") in picture(studio, "rows", 2, cat, dog, T), "the row has a system message of its own"


def test_a_long_row_is_shown_by_its_beginning_and_its_end(tmp_path: Path) -> None:
    studio = workspace(
        tmp_path, [{"instruction": "first " + "x" * 30_000, "input": "", "output": "y" * 3000 + " last"}]
    )
    shown = plain(picture(studio, "rows", 0, TINY, TINY, T))
    assert "user\nfirst xxx" in shown
    assert "y last<|im_end|>" in shown
    rendered = len("<|im_start|>user\nfirst ") + 30_000 + len("<|im_end|>\n<|im_start|>assistant\n") + 3005 + 11
    assert T("preview.left_out", n=f"{rendered - 16_000:,}") in shown
    assert 15_000 < len(shown) < 18_000


def test_shortening_keeps_the_kinds_and_the_order() -> None:
    segments = [("a" * 9_990, "context"), ("b" * 20, "learnt"), ("c" * 10_000, "control"), ("d" * 10, "learnt")]
    assert shortened(segments, T) == [
        ("a" * 9_990, "context"), ("b" * 10, "learnt"), (T("preview.left_out", n="4,020"), ""), ("c" * 5_990, "control"),
        ("d" * 10, "learnt"),
    ]  # fmt: skip
    assert shortened(segments[:2], T) == segments[:2]


def test_a_row_that_cannot_be_read_is_told_in_its_place(tmp_path: Path) -> None:
    studio = workspace(tmp_path, ROWS)
    entry = studio.registry.get("rows")
    entry.file.write_text(json.dumps([{"question": "?"}, *ROWS]), encoding="utf-8")
    shown = picture(studio, "rows", 0, TINY, TINY, T)
    assert 'class="notice error"' in shown
    assert "instruction" in shown
