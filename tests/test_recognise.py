"""Every kind of file is told from its rows, and its rows become what they mean."""

import json
from typing import Any

import pytest

from core.data.canonical import to_dict
from core.data.formats import recognise
from core.data.formats.rendered import parsed
from core.data.formats.values import RowError
from core.data.readers import Row
from core.records import Conversation, Message, Preference, Prompt, Text, Tokenised
from tests.told import CHAT, CHATML, COT, DOCS, LLAMA3, QA, RAFT, SHARED, TOOL_CHAT, found, read, turns

SURE: list[tuple[str, dict[str, Any], str, list[tuple[str, str]]]] = [  # kind, row, format, turns
    ("openorca", {"id": "1", "system_prompt": "s", "question": "q", "response": "a"}, "alpaca", [("system", "s"), *QA]),
    ("openorca", {"id": "1", "system_prompt": "", "question": "q", "response": "a"}, "alpaca", QA),
    ("alpaca", {"instruction": "i", "input": "j", "output": "a"}, "alpaca", [("user", "i\nj"), ("assistant", "a")]),
    ("alpaca", {"instruction": "q", "input": "", "output": "a", "system": "s"}, "alpaca", [("system", "s"), *QA]),
    ("alpaca", {" Instruction": "q", "OUTPUT ": "a", "Unnamed: 0": 3}, "alpaca", QA),
    ("alpaca", {"instruction": "q", "output": "a", "text": "### Instruction: q ### Response: a"}, "alpaca", QA),
    ("alpaca", {"instruction": "q", "output": 7, "__index_level_0__": 1}, "alpaca", [("user", "q"), ("assistant", "7")]),
    ("alpaca_history", {"instruction": "q", "output": "a", "history": [["x", "y"]]}, "alpaca",
     [("user", "x"), ("assistant", "y"), *QA]),
    ("alpaca_history", {"instruction": "q", "output": "a", "history": "[('x', 'y')]"}, "alpaca",
     [("user", "x"), ("assistant", "y"), *QA]),
    ("dolly", {"instruction": "i", "context": "c", "response": "a", "category": "qa"}, "alpaca",
     [("user", "i\nc"), ("assistant", "a")]),
    ("dolly", {"instruction": "i", "input": "c", "response": "a"}, "alpaca", [("user", "i\nc"), ("assistant", "a")]),
    ("prompt_completion", {"prompt": "q", "completion": "a"}, "alpaca", QA),
    ("prompt_completion", {"prompt": CHAT[:1], "completion": CHAT[1:]}, "columns", QA),
    ("prompt_response", {"prompt": "q", "response": "a"}, "alpaca", QA),
    ("query_response", {"query": "q", "response": "a"}, "alpaca", QA),
    ("input_target", {"input": "q", "target": "a"}, "alpaca", QA),
    ("input_target", {"input": "q", "targets": "a"}, "alpaca", QA),
    ("input_target", {"input": "q", "output": "a"}, "alpaca", QA),
    ("qa", {"question": "q", "answer": "a"}, "alpaca", QA),
    ("qa", {"question": "q", "answer": True}, "alpaca", [("user", "q"), ("assistant", "true")]),
    ("qa", {"instruction": "i", "input": "j", "answer": "a"}, "alpaca", [("user", "i\nj"), ("assistant", "a")]),
    ("qa", {"problem": "q", "solution": "a"}, "alpaca", QA),
    ("context_qa", {"context": "c", "question": "q", "answer": "a"}, "passage_qa", [("user", "c\n\nq"), ("assistant", "a")]),
    ("context_qa", {"article": "c", "question": "q", "answer": "a"}, "passage_qa", [("user", "c\n\nq"), ("assistant", "a")]),
    ("squad", {"id": "1", "title": "t", "context": "c", "question": "q", "answers": {"text": ["a"], "answer_start": [0]}},
     "passage_qa", [("user", "c\n\nq"), ("assistant", "a")]),
    ("messages", {"messages": CHAT}, "sharegpt", QA),
    ("messages", {"dialog": CHAT, "id": 1}, "sharegpt", QA),
    ("messages", {"conversations": json.dumps(CHAT)}, "sharegpt", QA),
    ("messages", {"messages": TOOL_CHAT, "tools": '[{"name": "look"}]'}, "sharegpt",
     [("user", "q"), ("assistant", ""), ("tool", "blue"), ("assistant", "a")]),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}, CHAT[1]]}, "sharegpt", QA),
    ("messages", {"messages": [{"role": "user", "content": [{"type": "text", "value": "q"}]}, CHAT[1]]}, "sharegpt", QA),
    ("sharegpt", {"conversations": SHARED, "system": "s"}, "sharegpt", [("system", "s"), *QA]),
    ("sharegpt", {"conversations": [{"from": "prompter", "value": "q"}, {"from": "bot", "value": "a"}]}, "sharegpt", QA),
    ("sharegpt", {"conversations": [{"from": "Human", "value": "q"}, {"from": "ChatGPT", "value": "a"}]}, "sharegpt", QA),
    ("sharegpt", {"conversations": [SHARED[0], {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
                                    {"from": "observation", "value": "1"}, SHARED[1]]}, "sharegpt",
     [("user", "q"), ("assistant", ""), ("tool", "1"), ("assistant", "a")]),
    ("messages", {"conversations": [{"from": "human", "text": "q"}, {"from": "gpt", "text": "a"}]}, "sharegpt", QA),
    ("messages", {"messages": [CHAT[0], CHAT[1], {"role": "human", "content": "q"}, CHAT[1]]}, "messages", [*QA, *QA]),
    ("interview", {"interview": [{"question": "q", "answer": "a"}] * 2}, "interview", [*QA, *QA]),
    ("interview", {"qa_pairs": [{"question": "q", "answer": "a"}]}, "interview", QA),
    ("pair_turns", {"conversation": [{"user": "q", "assistant": "a"}]}, "interview", QA),
    ("pair_turns", {"conversation": [{"human": "q", "gpt": "a"}]}, "interview", QA),
    ("pair_turns", {"conversation": [{"user": "q"}, {"assistant": "a"}]}, "interview", QA),
    ("alternating", {"dialog": ["q", "a"]}, "alternating", QA),
    ("alternating", {"id": "1", "data": ["q", "a"]}, "alternating", QA),
    ("rendered", {"text": CHATML}, "rendered", [("system", "s"), *QA]),
    ("rendered", {"text": LLAMA3}, "rendered", QA),
    ("rendered", {"text": "<s>[INST] <<SYS>>\ns\n<</SYS>>\n\nq [/INST] a </s>"}, "rendered", [("system", "s"), *QA]),
    ("rendered", {"text": "<start_of_turn>user\nq<end_of_turn>\n<start_of_turn>model\na<end_of_turn>\n"}, "rendered", QA),
    ("rendered", {"text": "### Human: q\n### Assistant: a"}, "rendered", QA),
    ("rendered", {"text": "### Human: q### Assistant: a### Human: q### Assistant: a"}, "rendered", [*QA, *QA]),
    ("rendered", {"text": "\n\nHuman: q\n\nAssistant: a"}, "rendered", QA),
    ("messages", {"prompt": "q", "prompt_id": "1", "messages": CHAT}, "sharegpt", QA),
    ("input_target", {"inputs": "q", "targets": "a"}, "alpaca", QA),
    ("pair_turns", {"conversation": [{"input": "q", "output": "a"}], "source": "x"}, "interview", QA),
    ("classification", {"text": "t", "label": "good"}, "classification",
     [("user", "Classify the text. Answer with one of: good.\n\nt"), ("assistant", "good")]),
    ("kto", {"prompt": "q", "completion": "a", "label": True}, "alpaca", QA),
    ("kto", {"messages": CHAT, "label": False}, "sharegpt", QA),
    ("kto", {"conversations": SHARED, "kto_tag": True}, "sharegpt", QA),
    ("kto", {"instruction": "q", "output": "a", "kto_tag": False}, "alpaca", QA),
    ("canonical", {"messages": CHAT, "meta": {"source": "x"}}, "canonical", QA),
    ("canonical", {"messages": CHAT, "task": "t"}, "canonical", QA),
    ("prompt_only", {"prompt": "q"}, "prompt", QA[:1]),
    ("prompt_only", {"prompt": CHAT[:1]}, "prompt", QA[:1]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "row", "format", "expected"), SURE, ids=[f"{n}_{e[0]}" for n, e in enumerate(SURE)])
def test_a_kind_that_leaves_no_doubt_is_told(kind: str, row: dict[str, Any], format: str, expected: Any) -> None:
    told = found(row, row)
    assert told.sure, told
    assert (told.fits[0].kind, told.fits[0].reading.format, told.fits[0].share) == (kind, format, 1.0)
    assert turns(read(told, row)) == expected


def test_pairs_of_answers_are_told_in_every_form() -> None:
    answers = {"chosen": "good", "rejected": "bad"}
    lists = {"chosen": [*CHAT[:1], {"role": "assistant", "content": "good"}],
             "rejected": [*CHAT[:1], {"role": "assistant", "content": "bad"}]}  # fmt: skip
    single = {"chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}}
    table: list[tuple[str, dict[str, Any], str]] = [
        ("preference", {"prompt": "q", **answers}, "alpaca"),
        ("preference", {"instruction": "q", "input": "", **answers}, "alpaca"),
        ("preference", {"system": "", "question": "q", **answers}, "alpaca"),
        ("preference_messages", lists, "preference"),
        ("preference_messages", {"prompt": "q", **lists}, "preference"),
        ("preference_messages", {"prompt": CHAT[:1], **{key: each[1:] for key, each in lists.items()}}, "preference"),
        ("preference_messages", {"conversations": SHARED[:1], **single}, "sharegpt"),
        ("preference_messages", {"prompt": "q", "messages": lists["chosen"], **lists}, "preference"),
        (
            "preference_messages",
            {"chosen": "\n\nHuman: q\n\nAssistant: good", "rejected": "\n\nHuman: q\n\nAssistant: bad"},
            "preference",
        ),
        ("preference_alt", {"chosen_messages": lists["chosen"], "rejected_messages": lists["rejected"]}, "preference"),
        ("preference_alt", {"prompt": "q", "response": "good", "rejected_response": "bad"}, "alpaca"),
        ("preference_alt", {"prompt": "q", "chosen_response": "good", "rejected_response": "bad"}, "alpaca"),
    ]
    for kind, row, format in table:
        told = found(row)
        assert told.sure, row
        assert (told.fits[0].kind, told.fits[0].reading.format) == (kind, format), row
        record = read(told, row)
        assert isinstance(record, Preference)
        assert turns(record) == QA[:1], row
        assert [m.content for m in (*record.chosen, *record.rejected)] == ["good", "bad"], row


def test_what_both_answers_begin_with_is_the_question_and_not_a_word_more() -> None:
    row = {"chosen": [*CHAT, CHAT[0], CHAT[1]], "rejected": [CHAT[0], {**CHAT[1], "content": "b"}, CHAT[0], CHAT[1]]}
    record = read(found(row), row)
    assert isinstance(record, Preference)
    assert turns(record) == QA[:1]
    assert [message.content for message in record.chosen] == ["a", "q", "a"]
    assert [message.content for message in record.rejected] == ["b", "q", "a"]


def test_only_the_completion_of_a_prompt_with_turns_is_learnt() -> None:
    row = {"prompt": [*CHAT, CHAT[0]], "completion": CHAT[1:]}
    record = read(found(row), row)
    assert isinstance(record, Conversation)
    assert turns(record) == [*QA, *QA]
    assert [message.train for message in record.messages] == [True, False, True, True]


def test_an_empty_last_turn_of_a_chat_format_is_where_the_model_was_to_answer() -> None:
    given = parsed("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n")
    assert given is not None
    assert [(message.role, message.content) for message in given] == QA[:1]
    assert parsed("no marks") is None


def test_texts_tokens_and_step_marks_are_told() -> None:
    told = found({"text": "Once upon a time", "source": "x", "id": 3})
    assert (told.sure, told.fits[0].kind) == (True, "text")
    assert read(told, {"text": "Once upon a time"}) == Text(text="Once upon a time", where="a.jsonl:1")
    ids = {"input_ids": [1, 2], "labels": [-100, 2], "attention_mask": [1, 1]}
    assert read(found(ids), ids) == Tokenised(input_ids=(1, 2), labels=(-100, 2), where="a.jsonl:1")
    steps = {"prompt": "q", "completions": ["one", "two"], "labels": [True, False]}
    assert found(steps).fits[0].kind == "stepwise"
    with pytest.raises(RowError) as caught:
        read(found(steps), steps)
    assert caught.value.code == "data.stepwise"


def test_raft_goes_before_alpaca_and_qa_and_its_rows_keep_their_passages() -> None:
    for context in (RAFT["context"], {"title": ["x", "y"], "sentences": ["Rain falls.", "Sun shines."]}, None):
        row = {**RAFT, "context": context, "answer": "wet", "output": "wet"}
        told = found(row)
        assert [fit.kind for fit in told.fits] == ["raft"]
        record = read(told, row, use="format2")
        assert isinstance(record, Conversation)
        assert [(doc.text, doc.is_oracle) for doc in record.docs] == [("Rain falls.", True), ("Sun shines.", False)]
        assert record.meta["group"] == read(told, {**row, "question": "Other?"}, use="format2").meta["group"]
    assert record.docs[1].title == ""
    other = read(told, {**RAFT, "oracle_context": "Sun shines."}, use="format2")
    assert other.meta["group"] != record.meta["group"]
    told = found(RAFT)
    assert "question + cot_answer + <DOCUMENT>" in told.fits[0].why.say()
    assert "100 %" in told.fits[0].why.say("zh")


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": f"{DOCS}Why wet?", "completion": f"{COT}<STOP>"},
        {"messages": [{"role": "user", "content": f"{DOCS}Why wet?"}, {"role": "assistant", "content": COT}]},
    ],
)
def test_raft_exports_without_cot_answer_are_told_by_their_marks(row: dict[str, Any]) -> None:
    told = found(row)
    assert [fit.kind for fit in told.fits] == ["raft_export"]
    record = read(told, row)
    assert isinstance(record, Conversation)
    assert record.answer == COT
    assert [doc.is_oracle for doc in record.docs] == [True, False]
    assert record.meta["group"]


def test_tool_calls_of_openai_and_of_llama_factory_become_the_same() -> None:
    openai = read(found({"messages": TOOL_CHAT}), {"messages": TOOL_CHAT})
    shared = [SHARED[0], {"from": "function_call", "value": '{"name": "look", "arguments": {"at": "sky"}}'},
              {"from": "observation", "value": "blue"}, SHARED[1]]  # fmt: skip
    factory = read(found({"conversations": shared}), {"conversations": shared})
    assert isinstance(openai, Conversation)
    assert isinstance(factory, Conversation)
    one, two = openai.messages[1].tool_calls[0], factory.messages[1].tool_calls[0]
    assert (one.name, one.arguments, one.id) == ("look", '{"at": "sky"}', "c1")
    assert (two.name, two.arguments, two.id) == ("look", '{"at": "sky"}', "")
    assert turns(openai) == turns(factory)


def test_rows_that_are_nothing_are_counted_and_named_and_do_not_hide_the_kind() -> None:
    told = found(*[{"question": "q", "answer": "a"}] * 49, {"oops": 1})
    assert told.sure
    assert (told.fits[0].share, told.odd, told.counts) == (0.98, ("50",), {"qa": 49, "": 1})
    assert "98 %" in told.fits[0].why.say()
    assert "99 %" in found(*[{"question": "q", "answer": "a"}] * 999, {"oops": 1}).fits[0].why.say(), "never 100"


@pytest.mark.parametrize(
    "row",
    [
        {"frage": "q", "antwort": "a"},
        {"Once upon a time": "there was"},
        {},
        {"text": 3},
        {"chosen": "a", "rejected": "b"},
        {"problem": "q", "solution": "s", "answer": "a"},
        {"premise": "p", "hypothesis": "h", "label": 1},
    ],
)
def test_unknown_columns_fit_nothing(row: dict[str, Any]) -> None:
    told = found(row)
    assert told.fits == ()
    assert not told.sure


def test_rows_inside_of_an_object_are_told_with_its_key() -> None:
    rows = [Row(1, {"question": "q", "answer": "a"}, within="data")]
    assert recognise(rows, "x.json").fits[0].why.values["evidence"] == '{"data": [question + answer]}'


def test_prompts_in_the_canonical_form_are_told_from_conversations_without_an_end() -> None:
    prompt = to_dict(Prompt(messages=(Message("user", "q"),)))
    assert found(prompt).fits[0].kind == "prompt_only"
    assert found({**prompt, "meta": {"g": "1"}}).fits[0].kind == "canonical"
    assert found({"messages": CHAT[:1]}).fits[0].kind == "messages"
