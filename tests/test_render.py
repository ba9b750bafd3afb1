"""Rendering, masks and token ids, compared with what transformers makes of the same messages."""

import json
import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from core.errors import ModelError
from core.records import Conversation, Message
from core.render.tokenizer import CHATML, IGNORE_INDEX, ChatTokenizer
from core.workspace import SAMPLES

CORPUS = [
    "hello world, what is the capital of France? Paris.\n\nassistant user system",
    "你好，世界！法国的首都是巴黎。",
] * 4
PLAIN = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
QWEN = (  # takes thinking out of all answers but the last, as the Qwen templates do
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
INST = (  # Mistral's: a beginning-of-sequence token, no generation prompt, answers that end in </s>
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles!') }}{% endif %}{% endfor %}"
)
NO_STOP_MARKED = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPACED = (  # the prompt ends in a space, which a tokenizer would join with the first word of the answer
    "{% for m in messages %}{{ m.role }}: {% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
SILENT = (  # leaves the answers out
    "{% for m in messages %}<|im_start|>{% if m.role == 'user' %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)
REVERSED = (  # no prefix of a conversation is a prefix of its text
    "{% for m in messages | reverse %}{{ m.role }}: {{ m.content }}<|im_end|>{% endfor %}"
)
TEMPLATES = {"chatml": None, "plain": PLAIN, "inst": INST, "no_stop_marked": NO_STOP_MARKED}


def build(folder: Path, template: str | None, *, eos: str = "<|im_end|>", trim_offsets: bool = True) -> Path:
    """Write a byte-level tokenizer of 400 tokens and its template into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|im_start|>", "<|im_end|>", "<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": {"__type": "AddedToken", "content": eos},
    }
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def load(folder: Path, template: str | None, **options: object) -> ChatTokenizer:
    return ChatTokenizer.load(build(folder, template, **options))  # type: ignore[arg-type]


def chat(*turns: str, system: str | None = None) -> Conversation:
    roles = ("user", "assistant")
    messages = [Message(roles[index % 2], text) for index, text in enumerate(turns)]  # type: ignore[arg-type]
    return Conversation((*([Message("system", system)] if system else []), *messages))


def learnt_text(tokenizer: ChatTokenizer, conversation: Conversation) -> str:
    labels = tokenizer.example(conversation).labels
    return tokenizer.decode([label for label in labels if label != IGNORE_INDEX], skip_control=False)


def test_the_answer_and_its_stop_token_are_learnt_and_nothing_else(tmp_path: Path) -> None:
    conversation = chat("Capital of France?", "Paris.", "And 中国?", "北京😀", system="Be brief.")
    assert learnt_text(load(tmp_path, None), conversation) == "Paris.<|im_end|>北京😀<|im_end|>"


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("trim_offsets", [True, False])
def test_the_stop_token_is_learnt_and_the_newlines_around_an_answer_are_not(
    tmp_path: Path, name: str, trim_offsets: bool
) -> None:
    eos = "</s>" if name == "inst" else "<|im_end|>"
    tokenizer = load(tmp_path, TEMPLATES[name], eos=eos, trim_offsets=trim_offsets)
    assert learnt_text(tokenizer, chat("hello", "world\nwhat", "hello", "Paris")).replace(" ", "") == (
        f"world\nwhat{eos}Paris{eos}"
    )


def test_a_template_without_marks_is_masked_by_prefix_even_when_it_rewrites_earlier_answers(tmp_path: Path) -> None:
    learnt = learnt_text(load(tmp_path, QWEN), chat("hello", "world", "hello", "Paris"))
    assert learnt == "world<|im_end|><think>\n\n</think>\n\nParis<|im_end|>"


@pytest.mark.parametrize("template", [REVERSED, SILENT])
def test_a_template_that_hides_its_answers_is_refused_for_training_but_not_for_asking(
    tmp_path: Path, template: str
) -> None:
    tokenizer = load(tmp_path, template)
    with pytest.raises(ModelError) as caught:
        tokenizer.example(chat("hello", "world"))
    assert caught.value.problems[0].code == "render.no_spans"
    assert tokenizer.prompt_ids(chat("hello", "world", "what").messages)


@pytest.mark.parametrize("name", TEMPLATES)
def test_clean_text_encodes_as_transformers_encodes_it(tmp_path: Path, name: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = load(tmp_path, TEMPLATES[name])
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    theirs.chat_template = tokenizer.template
    for conversation in random_conversations(30, system=name != "inst"):
        messages = [message.to_dict() for message in conversation.messages]
        assert tokenizer.render(conversation.messages).text == theirs.apply_chat_template(messages, tokenize=False)
        ids = theirs.apply_chat_template(messages, return_dict=True)["input_ids"]
        assert tokenizer.example(conversation).input_ids == ids
        asked = theirs.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
        assert tokenizer.prompt_ids(conversation.question) == asked


def test_masks_of_marked_templates_are_the_masks_of_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = load(tmp_path, None, trim_offsets=False)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    theirs.chat_template = tokenizer.template
    for conversation in random_conversations(20):
        messages = [message.to_dict() for message in conversation.messages]
        theirs_mask = theirs.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        ours = [int(label != IGNORE_INDEX) for label in tokenizer.example(conversation).labels]
        assert ours == theirs_mask["assistant_masks"]


@pytest.mark.parametrize("name", [*TEMPLATES, "spaced"])
def test_a_question_is_a_prefix_of_its_example_whatever_the_text(tmp_path: Path, name: str) -> None:
    tokenizer = load(tmp_path, {**TEMPLATES, "spaced": SPACED}[name])
    for conversation in random_conversations(60, system=name != "inst", dirty=True):
        example = tokenizer.example(conversation)
        prompt = tokenizer.prompt_ids(conversation.question)
        assert example.input_ids[: len(prompt)] == prompt
        assert set(example.labels[len(prompt) - 1 : len(prompt)]) == {IGNORE_INDEX}
        assert example.labels[len(prompt)] != IGNORE_INDEX
        assert [label for label in example.labels if label != IGNORE_INDEX][-1] in tokenizer.stop_ids


def test_a_token_that_reaches_over_the_beginning_of_an_answer_is_split_there(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, SPACED)
    whole = tokenizer._tokenizer.encode("assistant: world", add_special_tokens=False)
    assert " world" in [tokenizer.decode([id]) for id in whole.ids], "the trap is set"
    assert learnt_text(tokenizer, chat("hello", "world", "hello", "你好")) == "world<|im_end|>你好<|im_end|>"


def test_a_beginning_token_that_the_tokenizer_would_add_stands_there_once(tmp_path: Path) -> None:
    build(tmp_path, INST, eos="</s>")
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 2)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = ChatTokenizer.load(tmp_path)
    assert ours.example(chat("hello", "Paris")).input_ids.count(2) == 1
    assert ours.prompt_ids(chat("hello").messages).count(2) == 1


def test_a_template_may_break_out_of_its_loops_and_write_json(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.content | tojson }}{% break %}{% endfor %}{{ strftime_now('%Y') | length }}"
    assert load(tmp_path, template).render((Message("user", "<é>"), Message("user", ""))).text == '"<é>"4'


def test_an_answer_that_begins_with_a_newline_is_learnt_from_its_first_character(tmp_path: Path) -> None:
    assert learnt_text(load(tmp_path, None), chat("hello", "\n\nworld")) == "\n\nworld<|im_end|>"


def test_thinking_that_a_template_takes_out_of_earlier_answers_is_not_missed(tmp_path: Path) -> None:
    template = PLAIN.replace(
        "m.content | trim", "(m.content if loop.last else m.content.split('</think>')[-1].lstrip('\\n'))"
    )
    thought = ["<think>\nhm\n</think>\n\nworld", "<think>\nhm\n</think>\n\nParis"]
    learnt = learnt_text(load(tmp_path, template), chat("hello", thought[0], "what", thought[1]))
    assert learnt == f"world<|im_end|>{thought[1]}<|im_end|>"


def test_where_answers_have_several_blocks_none_can_be_left_out(tmp_path: Path) -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %} and "
        "{% generation %}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    )
    tokenizer = load(tmp_path, template)
    turns = chat("hello", "world", "hello", "Paris").messages
    assert learnt_text(tokenizer, Conversation(turns)) == "world<|im_end|>Paris<|im_end|>"
    unlearnt = (turns[0], Message("assistant", "world", train=False), *turns[2:])
    with pytest.raises(ModelError) as caught:
        tokenizer.example(Conversation(unlearnt))
    assert caught.value.problems[0].code == "render.no_spans"
    assert tokenizer.prompt_ids(unlearnt)


def test_the_template_file_wins_over_the_configuration_and_default_over_other_names(tmp_path: Path) -> None:
    named = [{"name": "rag", "template": "x"}, {"name": "default", "template": PLAIN}]
    tokenizer = load(tmp_path, named)  # type: ignore[arg-type]
    assert (tokenizer.template, tokenizer.template_source) == (PLAIN, "model")
    (tmp_path / "chat_template.jinja").write_text(INST)
    assert ChatTokenizer.load(tmp_path).template == INST


def test_a_model_without_template_gets_chatml_only_if_its_tokens_exist(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, None)
    assert (tokenizer.template, tokenizer.template_source) == (CHATML.read_text(), "chatml")
    text = (tmp_path / "tokenizer.json").read_text().replace("<|im_start|>", "<|other|>")
    (tmp_path / "tokenizer.json").write_text(text)
    bare = ChatTokenizer.load(tmp_path)
    assert bare.template_source == "none"
    assert bare.encode_text("hello").ids
    with pytest.raises(ModelError) as caught:
        bare.prompt_ids(chat("hello").messages)
    assert caught.value.problems[0].code == "model.no_template"


def test_stop_ids_are_gathered_from_all_three_places(tmp_path: Path) -> None:
    build(tmp_path, PLAIN, eos="</s>")
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [7, 3]}')
    tokenizer = ChatTokenizer.load(tmp_path)
    assert tokenizer.stop_ids == (3, 7, 1)  # </s>, then generation_config.json's, then <|im_end|>
    assert (tokenizer.bos_id, tokenizer.pad_id) == (2, 3)


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{% if %}", "Expected an expression"),
        ("{{ raise_exception('No system role!') }}", "No system role!"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ messages[9].content.x }}", "no element 9"),
        ("{{ 1 + 'a' }}", "unsupported operand"),
    ],
)
def test_a_template_that_fails_says_why(tmp_path: Path, template: str, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        load(tmp_path, template).prompt_ids(chat("hello").messages)


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        ChatTokenizer.load(tmp_path)
    for text in ("{", '{"model": 1}'):
        build(tmp_path, None)
        (tmp_path / "tokenizer.json").write_text(text)
        with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
            ChatTokenizer.load(tmp_path)


def test_truncation_and_padding_of_the_tokenizer_file_change_nothing(tmp_path: Path) -> None:
    build(tmp_path, None)
    whole = ChatTokenizer.load(tmp_path).example(chat("hello world", "Paris"))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=100)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert ChatTokenizer.load(tmp_path).example(chat("hello world", "Paris")) == whole


def test_the_starter_model_is_read_as_transformers_reads_it() -> None:
    from transformers import AutoTokenizer

    tokenizer = ChatTokenizer.load(SAMPLES / "starter")
    theirs = AutoTokenizer.from_pretrained(SAMPLES / "starter")
    assert tokenizer.template_source == "model"
    for conversation in random_conversations(30):
        messages = [message.to_dict() for message in conversation.messages]
        theirs_all = theirs.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        example = tokenizer.example(conversation)
        assert example.input_ids == theirs_all["input_ids"]
        assert [int(label != IGNORE_INDEX) for label in example.labels] == theirs_all["assistant_masks"]
        assert example.input_ids[: len(tokenizer.prompt_ids(conversation.question))] == tokenizer.prompt_ids(
            conversation.question
        )


def random_conversations(count: int, system: bool = True, dirty: bool = False) -> list[Conversation]:
    """Random conversations that end in an answer; clean ones begin and end with a letter."""
    source = random.Random(5)
    letters = ["a", "hello", "World", "你好", "巴黎", "😀", "é", "ß"]
    between = [" ", "  ", "\n", "\n\n", ", ", "\u2028", "\t", "!", "</think>"]
    wild = ["<|im_end|>", "<|im_start|>", "</s>", "<s>", "<", "|im_end|>", "\ufdd0", "\ufdd1", "\ufdd2", " ", "\n"]

    def text() -> str:
        words = [source.choice(letters)]
        for _ in range(source.randrange(5)):
            words += [source.choice(between + (wild if dirty else [])), source.choice(letters)]
        edges = [source.choice(wild) if dirty and source.random() < 0.5 else "" for _ in range(2)]
        return edges[0] + "".join(words) + edges[1]

    def one() -> Conversation:
        turns = [text() for _ in range(2 * source.randrange(1, 4))]
        return chat(*turns, system=text() if system and source.random() < 0.5 else None)

    return [one() for _ in range(count)]
