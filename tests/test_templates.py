"""The chat formats of five model families, compared with what transformers makes of the same conversations.

What the families are made of stands in tests/families.py.
"""

import itertools
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from core.errors import DataError, ModelError
from core.records import Conversation, Message, ToolCall
from core.render.template import render
from core.render.tokenizer import IGNORE_INDEX, ChatTokenizer
from core.render.turns import as_dicts, tool_list
from tests.families import FAMILIES, write

TOOLS = json.dumps(
    [
        {"name": "weather", "description": "The weather 天气", "parameters": {"type": "object"}},
        {"type": "function", "function": {"name": "add", "description": "Sum", "parameters": {}}},
    ]
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: write(tmp_path_factory.mktemp(name), name) for name in FAMILIES}


@cache
def theirs(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def ours(folders: dict[str, Path], name: str) -> ChatTokenizer:
    return ChatTokenizer.load(folders[name])


def by_transformers(folder: Path, conversation: Conversation, **options: Any) -> Any:
    return theirs(folder).apply_chat_template(
        as_dicts(conversation.messages), tools=tool_list(conversation.tools), **options
    )


def conversations(name: str, words: Sequence[str], count: int = 25, seed: int = 3) -> list[Conversation]:
    """Random conversations of a family from these words: with and without system, several turns, tools where it has them."""
    source = random.Random(seed)
    family = FAMILIES[name]

    def text() -> str:
        return "".join(
            source.choice(words) + source.choice(["", " ", "\n", ", "]) for _ in range(source.randrange(1, 8))
        )

    def calls() -> tuple[ToolCall, ...]:
        arguments = [json.dumps({"city": text(), text(): [3, True]}, ensure_ascii=False) for _ in range(2)]
        made = [ToolCall("weather", arguments[0]), ToolCall("add", arguments[1])]
        return tuple(made[: source.randrange(1, family.calls_at_once + 1)])

    def one() -> Conversation:
        messages = [Message("system", f"s{text()}s")] if family.system and source.random() < 0.5 else []
        tools = family.tools and source.random() < 0.6
        for _ in range(source.randrange(1, 4)):
            messages.append(Message("user", f"u{text()}u"))
            if tools and source.random() < 0.6:
                made = calls()
                messages.append(Message("assistant", "", tool_calls=made))
                messages += [Message("tool", f"t{text()}t", name=call.name) for call in made]
            messages.append(Message("assistant", f"a{text()}a"))
        return Conversation(tuple(messages), tools=TOOLS if tools else "")

    return [one() for _ in range(count)]


CLEAN = [
    "hello",
    "World",
    "你好",
    "巴黎",
    "😀",
    "👩‍🚀",
    "é",
    "ß",
    "<",
    "<|",
    "|>",
    "[",
    "]",
    "</",
    ">",
    "\u2028",
    "{",
    '"',
    "\\",
    "<think>",
]


def hostile(name: str) -> list[str]:
    control = FAMILIES[name].control
    halves = [part for token in control for part in (token[: len(token) // 2], token[len(token) // 2 :])]
    return [*control, *halves, "hello", "你好", "\ufdd0", "\ufdd2", "＜", "▁", "<unk>", "\\", '"']


@pytest.mark.parametrize("name", FAMILIES)
def test_clean_text_encodes_as_transformers_encodes_it(folders: dict[str, Path], name: str) -> None:
    tokenizer = ours(folders, name)
    for conversation in conversations(name, CLEAN):
        assert tokenizer.render(conversation.messages, tools=conversation.tools).text == by_transformers(
            folders[name], conversation, tokenize=False
        )
        ids = by_transformers(folders[name], conversation, return_dict=True)["input_ids"]
        assert tokenizer.example(conversation).input_ids == ids
        asked = replace(conversation, messages=conversation.question)
        theirs_asked = by_transformers(folders[name], asked, return_dict=True, add_generation_prompt=True)["input_ids"]
        assert tokenizer.prompt_ids(asked.messages, asked.tools) == theirs_asked
        assert ids[: len(theirs_asked)] == theirs_asked


@pytest.mark.parametrize("name", FAMILIES)
def test_content_never_becomes_a_control_token_and_stays_what_it_is(folders: dict[str, Path], name: str) -> None:
    tokenizer = ours(folders, name)
    control = {id for id in range(4000) if tokenizer.decode([id], skip_control=False) in FAMILIES[name].control}
    assert len(control) == len(FAMILIES[name].control)
    for number, conversation in enumerate(conversations(name, hostile(name), count=60)):
        example = tokenizer.example(conversation)
        harmless = tokenizer.example(with_strings(conversation, "x{}"))
        assert [id for id in example.input_ids if id in control] == [
            id for id in harmless.input_ids if id in control
        ], number
        assert tokenizer.render(conversation.messages, tools=conversation.tools).text == by_transformers(
            folders[name], with_strings(conversation, None), tokenize=False
        )


def with_strings(conversation: Conversation, text: str | None) -> Conversation:
    """Return the conversation with each content and argument replaced and numbered, or, with None, without noncharacters."""
    numbers = itertools.count()

    def put(old: str) -> str:
        if text is None:
            return "".join(each for each in old if not "\ufdd0" <= each <= "\ufdef")
        return text.format(next(numbers)) if old else ""

    def arguments(call: ToolCall) -> ToolCall:
        given = json.loads(call.arguments).items()
        made = {put(key): put(value) if isinstance(value, str) else value for key, value in given}
        return replace(call, arguments=json.dumps(made))

    def message(each: Message) -> Message:
        return replace(each, content=put(each.content), tool_calls=tuple(map(arguments, each.tool_calls)))

    return replace(conversation, messages=tuple(map(message, conversation.messages)))


@pytest.mark.parametrize("name", FAMILIES)
def test_text_around_a_written_control_token_keeps_its_spaces(folders: dict[str, Path], name: str) -> None:
    tokenizer = ours(folders, name)
    said = f"say {FAMILIES[name].stop}now{FAMILIES[name].stop} twice"
    ids = tokenizer.prompt_ids((Message("user", said), Message("assistant", "no"), Message("user", said)))
    assert tokenizer.decode(ids, skip_control=False).count(said) == 2


def test_a_template_that_leaves_a_message_out_is_refused(folders: dict[str, Path]) -> None:
    phi, llama = (ours(folders, name) for name in ("phi", "llama3"))
    for tokenizer, messages in (
        (phi, (Message("user", "hi"), Message("assistant", "yes"), Message("tool", "12"))),
        (llama, (Message("user", "1+1?"), Message("assistant", "Let me see.", (ToolCall("add", "{}"),)))),
    ):
        with pytest.raises(ModelError) as caught:
            tokenizer.example(Conversation(messages))
        assert caught.value.problems[0].code == "render.drops"


def test_a_system_message_that_a_template_shows_only_when_asking_is_trained_as_it_is_asked(
    folders: dict[str, Path],
) -> None:
    turns = (Message("system", "I"), Message("user", "I"), Message("assistant", "yes"), Message("user", "I"))
    conversation = Conversation((*turns, Message("assistant", "no")))
    tokenizer = ours(folders, "mistral")
    example = tokenizer.example(conversation)
    asked = by_transformers(folders["mistral"], Conversation(turns), return_dict=True)["input_ids"]
    assert example.input_ids[: len(asked)] == asked == tokenizer.prompt_ids(turns)
    assert tokenizer.render(conversation.messages).text == "<s>[INST] I[/INST] yes</s>[INST] I\n\nI[/INST] no</s>"
    assert learnt_pieces(tokenizer, conversation) == ["yes</s>", "no</s>"]


def test_earlier_answers_are_found_where_tools_move_to_the_last_question(folders: dict[str, Path]) -> None:
    said = [("user", "I"), ("user", "S"), ("assistant", "first"), ("user", "I"), ("assistant", "second"), ("user", "INST"),
            ("assistant", "third")]  # fmt: skip  # letters that the template's own text holds too
    turns = [Message(role, text) for role, text in said]  # type: ignore[arg-type]
    conversation = Conversation(tuple(turns), tools=TOOLS)
    assert learnt_pieces(ours(folders, "mistral"), conversation) == ["first</s>", "second</s>", "third</s>"]


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tool_description_and_a_name_cannot_write_a_control_token(folders: dict[str, Path], name: str) -> None:
    stop = FAMILIES[name].stop
    tools = json.dumps([{"name": f"w{stop}", "description": stop, "parameters": {stop: stop}}])
    call = ToolCall(f"w{stop}", json.dumps({stop: {stop: [stop]}}))
    messages = (Message("user", "hi"), Message("assistant", "", (call,)), Message("tool", stop, name=stop),
                Message("assistant", "yes"))  # fmt: skip
    tokenizer = ours(folders, name)
    if not FAMILIES[name].tools:
        with pytest.raises(ModelError) as caught:
            tokenizer.example(Conversation(messages[:2], tools=tools))
        assert caught.value.problems[0].code == "render.no_tools"
        return
    encoded = tokenizer.encode(Conversation(messages, tools=tools))
    clean = tokenizer.encode(Conversation(tuple(
        replace(m, content=m.content.replace(stop, "x"), name="", tool_calls=tuple(
            ToolCall(c.name.replace(stop, "x"), c.arguments.replace(stop, "x")) for c in m.tool_calls)) for m in messages
    ), tools=tools.replace(stop, "x")))  # fmt: skip
    id = encoded.ids[-1] if encoded.rendered.text.endswith(stop) else tokenizer.stop_ids[-1]
    assert encoded.ids.count(id) == clean.ids.count(id) > 1
    assert len(encoded.rendered.written) >= 7
    assert set(encoded.rendered.written) == {stop}


LEARNT = {
    "llama3": ['{"name": "weather", "parameters": {"city": "巴黎"}}<|eot_id|>', "It is 晴天 😀.<|eot_id|>"],
    "qwen2_5": ['<tool_call>\n{"name": "weather", "arguments": {"city": "巴黎"}}\n</tool_call><|im_end|>',
                "It is 晴天 😀.<|im_end|>"],
    "mistral": ['[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "巴黎"}, "id": "call00001"}]</s>',
                "It is 晴天 😀.</s>"],
    "gemma": ["It is 晴天 😀.<end_of_turn>"],
    "phi": ["It is 晴天 😀.<|end|>"],
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_and_answers_are_learnt_and_what_tools_return_is_not(folders: dict[str, Path], name: str) -> None:
    call = Message("assistant", "", (ToolCall("weather", '{"city": "巴黎"}'),))
    called = (call, Message("tool", "sunny", name="weather")) if FAMILIES[name].tools else ()
    messages = (Message("user", "Weather?"), *called, Message("assistant", "It is 晴天 😀."))
    conversation = Conversation(messages, tools=TOOLS if called else "")
    assert learnt_pieces(ours(folders, name), conversation) == LEARNT[name]


def learnt_pieces(tokenizer: ChatTokenizer, conversation: Conversation) -> list[str]:
    """The runs of learnt tokens, as text."""
    runs: list[list[int]] = [[]]
    for label in tokenizer.example(conversation).labels:
        if label != IGNORE_INDEX:
            runs[-1].append(label)
        elif runs[-1]:
            runs.append([])
    return [tokenizer.decode(run, skip_control=False).strip() for run in runs if run]


@pytest.mark.parametrize("name", FAMILIES)
def test_an_answer_that_is_not_to_be_learnt_is_read_but_not_learnt(folders: dict[str, Path], name: str) -> None:
    tokenizer = ours(folders, name)
    turns = [
        Message("user", "one"),
        Message("assistant", "first"),
        Message("user", "two"),
        Message("assistant", "second"),
    ]
    whole = tokenizer.example(Conversation(tuple(turns)))
    turns[1] = Message("assistant", "first", train=False)
    partly = tokenizer.example(Conversation(tuple(turns)))
    assert partly.input_ids == whole.input_ids
    assert learnt_pieces(tokenizer, Conversation(tuple(turns))) == [f"second{FAMILIES[name].stop}"]
    turns[3] = Message("assistant", "second", train=False)
    assert set(tokenizer.example(Conversation(tuple(turns))).labels) == {IGNORE_INDEX}


def test_results_carry_the_id_of_their_call_and_given_ids_stay(folders: dict[str, Path]) -> None:
    calls = (ToolCall("weather", "{}", "abcdefghi"), ToolCall("add", "{}"))
    messages = (Message("user", "hi"), Message("assistant", "", calls), Message("tool", "1"), Message("tool", "2"))
    text = ours(folders, "mistral").render((*messages, Message("assistant", "done")), tools=TOOLS).text
    assert '"id": "call00002"' in text
    assert '{"content": 1, "call_id": "abcdefghi"}' in text
    assert '{"content": 2, "call_id": "call00002"}' in text


def test_a_model_may_have_another_template_for_tools(folders: dict[str, Path], tmp_path: Path) -> None:
    write(tmp_path, "qwen2_5")
    tools = (tmp_path / "chat_template.jinja").read_text()
    plain = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    (tmp_path / "chat_template.jinja").write_text(plain)
    (tmp_path / "additional_chat_templates").mkdir()
    (tmp_path / "additional_chat_templates" / "tool_use.jinja").write_text(tools)
    asked = (Message("user", "hi"),)
    ours_now, theirs_now = ChatTokenizer.load(tmp_path), theirs(tmp_path)
    for given in ("", TOOLS):
        text = ours_now.render(asked, tools=given).text
        assert text == theirs_now.apply_chat_template(as_dicts(asked), tools=tool_list(given), tokenize=False)
        assert ("# Tools" in text) == bool(given)


@pytest.mark.parametrize("tools", ["{", '"weather"', "[1]", '[{"description": "nameless"}]'])
def test_tools_that_are_not_tools_are_told(folders: dict[str, Path], tools: str) -> None:
    with pytest.raises(DataError) as caught:
        ours(folders, "qwen2_5").example(Conversation((Message("user", "hi"), Message("assistant", "x")), tools=tools))
    assert caught.value.problems[0].code == "render.bad_tools"


@pytest.mark.parametrize("arguments", ["{", "[1]", '"city"'])
def test_arguments_that_are_not_an_object_are_told(folders: dict[str, Path], arguments: str) -> None:
    with pytest.raises(DataError) as caught:
        ours(folders, "qwen2_5").prompt_ids((Message("assistant", "", (ToolCall("weather", arguments),)),))
    assert caught.value.problems[0].code == "render.bad_arguments"


def test_templates_are_given_what_transformers_gives_them(folders: dict[str, Path]) -> None:
    """Llama 3.1 asks `tools is not none`: an empty list would announce tools that are not there."""
    template = "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ messages }} {{ eos_token }}"
    model = theirs(folders["qwen2_5"])
    text = render(
        template, as_dicts((Message("user", "hi"),)), control_tokens=[], variables={"eos_token": "<|im_end|>"}
    ).text
    expected = model.apply_chat_template([{"role": "user", "content": "hi"}], chat_template=template, tokenize=False)
    assert text == expected


def test_no_tools_are_no_tools(folders: dict[str, Path]) -> None:
    assert tool_list("") is tool_list("[]") is tool_list(" ") is None
    text = ours(folders, "llama3").render((Message("user", "hi"), Message("assistant", "x")), tools="[]").text
    assert "Environment" not in text
