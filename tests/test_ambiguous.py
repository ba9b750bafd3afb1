"""What two readings fit is asked and never guessed: questions about columns, several readings, mixed files."""

from typing import Any

import pytest

from core.data.formats import FORMATS, records
from core.data.formats.values import RowError
from core.data.problems import Problems
from core.data.readers import Row
from core.data.reading import Reading
from core.records import Conversation
from core.wording import has
from tests.test_recognise import SURE
from tests.told import CHAT, CHATML, COT, DOCS, QA, RAFT, SHARED, found, read, turns

ASKED: list[tuple[dict[str, Any], str, str, dict[str, list[tuple[str, str]]]]] = [  # row, kind, key, answer -> turns
    (RAFT, "raft", "use", {
        "open_book": [("user", f"{DOCS}Why wet?"), ("assistant", COT)],
        "format2": [("user", "Why wet?"), ("assistant", COT)],
        "format3": [("user", "Answer the following question.\nWhy wet?"), ("assistant", COT)],
        "eval": [("user", f"{DOCS}Why wet?"), ("assistant", "wet")]}),
    ({"conversations": [{"from": "Lex", "text": "Hi."}, {"from": "Guest", "text": "Hello."},
                        {"from": "Guest", "text": "Again."}, {"from": "Lex", "text": "Why?"},
                        {"from": "Guest", "text": "So."}]}, "podcast", "assistant", {
        "Guest": [("user", "Hi."), ("assistant", "Hello.\nAgain."), ("user", "Why?"), ("assistant", "So.")],
        "Lex": [("user", "Hello.\nAgain."), ("assistant", "Why?")]}),
    ({"question": "q", "answer": "so <ANSWER>: a"}, "qa", "reasoning", {
        "keep": [("user", "q"), ("assistant", "so <ANSWER>: a")], "strip": QA}),
    ({"question": "q", "answer": "<think>so</think>\na"}, "qa", "reasoning", {"strip": QA}),
    ({"question": "q", "answer": ["a", "b longer"]}, "qa", "answers", {
        "first": QA, "longest": [("user", "q"), ("assistant", "b longer")],
        "all": [("user", "q"), ("assistant", "a\nb longer")]}),
    ({"prompt": "q", "response": ["a", "b", "c"]}, "prompt_response", "answers", {"first": QA}),
    ({"input": "[QA] q", "target": "a"}, "input_target", "task", {
        "strip": QA, "keep": [("user", "[QA] q"), ("assistant", "a")]}),
    ({"instruction": "q", "input": "q", "output": "a"}, "alpaca", "same_input", {
        "drop": QA, "keep": [("user", "q\nq"), ("assistant", "a")]}),
    ({"prompt": "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n", "response": "a"}, "prompt_response", "template", {
        "parse": QA}),
    ({"prompt": "\n\nHuman: q\n\nAssistant:", "chosen": "a", "rejected": "b"}, "preference", "template", {"parse": QA[:1]}),
    ({"messages": CHAT, "images": ["a.png"]}, "messages", "unused", {"leave_out": QA}),
    ({"messages": CHAT, "prompt": "other"}, "messages", "unused", {"leave_out": QA}),
    ({"definition": "d", "inputs": "q", "targets": "a"}, "input_target", "unused", {"leave_out": QA}),
    ({"question": "q", "choices": ["a", "b"], "answer": "a"}, "qa", "unused", {"leave_out": QA}),
    ({"instruction": "q", "context": "c", "output": "a"}, "alpaca", "unused", {"leave_out": QA}),
    ({"text": "t", "summary": "s"}, "text", "unused", {}),
    ({"messages": [CHAT[1], *CHAT]}, "messages", "leading", {"drop": QA}),
    ({"messages": [CHAT[0], CHAT[0], CHAT[1]]}, "messages", "repeated", {"join": [("user", "q\nq"), ("assistant", "a")]}),
    ({"context": "c", "question": "q", "answers": {"text": [], "answer_start": []}}, "squad", "unanswerable", {
        "en": [("user", "c\n\nq"), ("assistant", "The passage does not say.")]}),
    ({"context": "c", "question": "q", "answers": {"text": ["a", "b"]}}, "squad", "answers", {
        "first": [("user", "c\n\nq"), ("assistant", "a")]}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "kind", "key", "answers"), ASKED, ids=[f"{each[1]}_{each[2]}" for each in ASKED])
def test_what_is_not_clear_is_asked(row: dict[str, Any], kind: str, key: str, answers: Any) -> None:
    told = found(row)
    assert not told.sure
    (fit,) = [fit for fit in told.fits if fit.kind == kind]
    (question,) = [each for each in fit.questions if each.key == key]
    assert question.default is None
    assert question.why.say("en") != question.why.say("zh")
    for answer, expected in answers.items():
        assert answer in question.choices
        assert turns(read(told, row, kind, **{key: answer})) == expected


def test_numbers_as_labels_are_asked_for_words_and_a_label_without_one_is_told() -> None:
    rows = [{"text": "t", "label": 0}, {"text": "u", "label": 1}]
    told = found(*rows)
    (question,) = told.fits[0].questions
    assert (told.fits[0].kind, question.key, question.default) == ("classification", "words", None)
    record = read(told, rows[1], words="negative, positive")
    assert isinstance(record, Conversation)
    assert (record.answer, record.label) == ("positive", "positive")
    assert turns(record)[0] == ("user", "Classify the text. Answer with one of: negative, positive.\n\nu")
    with pytest.raises(RowError) as caught:
        read(told, {"text": "t", "label": 2}, words="negative, positive")
    assert caught.value.code == "data.unknown_class"
    assert found({"sentence": "t", "label": True}).fits[0].questions[0].default is None


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ({"instruction": "q", "output": "a", "conversations": SHARED}, {"alpaca", "sharegpt"}),
        ({"question": "q", "answer": "a", "prompt": "q", "response": "a"}, {"qa", "prompt_response"}),
        ({"prompt": "q", "completion": "a", "response": "b"}, {"prompt_completion", "prompt_response"}),
        ({"prompt": "p", "query": "q", "response": "a"}, {"prompt_response", "query_response"}),
        ({"messages": CHAT, "conversations": SHARED}, {"messages", "sharegpt"}),
        ({"messages": CHAT, "dialog": CHAT}, {"messages:messages", "messages:dialog"}),
        ({"instruction": "q", "output": ["good", "bad"]}, {"alpaca", "preference_alt"}),
        ({"prompt": "q", "response": ["good", "bad"]}, {"prompt_response", "preference_alt"}),
        ({"instruction": "q", "output": "a", "label": True}, {"alpaca", "kto"}),
        ({"prompt": "q", "completion": "a", "label": 1}, {"prompt_completion", "kto"}),
        ({"prompt": "q", "completion": "a", "label": "0"}, {"prompt_completion", "kto"}),
        ({"messages": CHAT, "kto_tag": 1}, {"messages", "kto"}),
        ({"text": CHATML, "label": "x"}, {"classification", "rendered"}),
        ({"context": "c", "question": "q", "answer": "a", "answers": {"text": ["a"]}}, {"context_qa", "squad"}),
    ],
)
def test_two_readings_of_the_same_columns_are_both_offered(row: dict[str, Any], kinds: set[str]) -> None:
    told = found(row, row)
    assert not told.sure
    assert {fit.kind for fit in told.fits} == kinds


def test_a_mixed_file_is_counted_by_kind_and_read_row_by_row_after_a_yes() -> None:
    rows = [{"instruction": "q", "output": "a"}, {"question": "q", "answer": "so <ANSWER>: a"}, {"messages": CHAT},
            {"question": "q", "answer": "a"}, {"zzz": 1}]  # fmt: skip
    told = found(*rows)
    assert told.counts == {"alpaca": 1, "qa": 2, "messages": 1, "": 1}
    assert told.odd == ("5",)
    mixed = told.fits[0]
    assert (mixed.kind, mixed.share, told.sure) == ("mixed", 0.8, False)
    assert [each.key for each in mixed.questions] == ["each_row", "qa:answer.reasoning"]
    reading = Reading("mixed", {**mixed.reading.options, "each_row": "by_its_kind", "qa:answer.reasoning": "strip"})
    problems = Problems("a.jsonl")
    read_rows = records([Row(n, row) for n, row in enumerate(rows, 1)], reading, "a.jsonl", problems)
    assert [turns(each) for each in read_rows] == [QA, QA, QA, QA]
    assert [(each.where, each.code) for each in problems.kept] == [("a.jsonl:5", "data.unknown_row")]


def test_a_role_that_nobody_knows_in_a_few_rows_makes_no_podcast_of_a_file() -> None:
    odd = {"messages": [CHAT[0], {"role": "narrator", "content": "a"}]}
    told = found(*[{"messages": CHAT}] * 19, odd)
    assert (told.sure, told.fits[0].kind) == (True, "messages")
    with pytest.raises(RowError) as caught:
        read(told, odd)
    assert caught.value.code == "data.unknown_role"
    assert found(odd, odd).fits[0].kind == "podcast"
    assert not found(*[{"messages": CHAT}] * 3, odd).sure


def test_a_column_of_null_is_as_if_it_were_not_there() -> None:
    rows = [{"question": "q", "answer": "a", "messages": None}, {"question": None, "answer": None, "messages": CHAT}]
    told = found(*rows)
    assert [fit.kind for fit in told.fits] == ["mixed", "qa", "messages"]


def test_every_kind_and_format_of_the_tables_is_tried_here() -> None:
    kinds = {each[0] for each in SURE} | {each[1] for each in ASKED}
    kinds |= {"preference", "preference_messages", "preference_alt", "tokenised", "stepwise", "raft_export", "mixed"}
    assert all(has(f"error.recognised.{kind}.{part}") for kind in kinds for part in ("what", "why", "fix"))
    assert all(has(f"format.{kind}") for kind in kinds)
    tried = {each[2] for each in SURE} | {"raft", "podcast", "preference", "tokenised", "stepwise", "mixed", "columns"}
    assert tried == set(FORMATS)


def test_every_answer_that_is_offered_has_words() -> None:
    offered = {choice for row, kind, _, _ in ASKED for fit in found(row).fits for each in fit.questions
               for choice in each.choices if kind != "podcast"}  # fmt: skip
    assert {choice for choice in offered if not has(f"recognised.choice.{choice}")} == set()
