"""The checks of the whole examination: what each finds, and what it leaves alone."""

import json
from pathlib import Path

import pytest

from core.data.near import similarity
from core.data.overlap import plain
from core.data.reading import Reading
from core.doctor import copies as near_and_known
from core.doctor.answers import copies, count_words, repeats
from core.doctor.examine import examine
from core.doctor.fixes import fixed
from core.doctor.language import language_of
from core.doctor.mojibake import repaired
from core.doctor.report import Report
from core.doctor.secrets import key_in, personal_in, redacted
from tests.test_doctor import a_set, chats, codes, finding, qa
from tests.tiny import build_tiny_model

FILLER = [qa(f"What is {n} squared?", f"The square of {n} is {n * n}, which everybody can compute.") for n in range(60)]
CANONICAL = Reading("canonical", {})


def check(folder: Path, *rows: dict, filler: bool = True, **asked) -> Report:
    return examine(a_set(folder, [*rows, *(FILLER if filler else [])]), **asked)


def test_ordinary_rows_raise_nothing(tmp_path):
    rows = [
        qa("Write a letter.", "Dear Sir,\n\nthank you.\n\nBest regards"),
        qa("Café, naïve, Æsop, “quoted” – all fine?", "Oui, c'est très bien. CAFÉ — Ürün, Größe, İstanbul."),
        qa("What does <b>x</b> & a[1] mean in HTML?", "Bold text; `a[1]` is an index. 2 < 3 | 4 > 1."),
        qa("Who made you?", "I was made by Lumen Labs."),
        qa("Say family emoji", "👨‍👩‍👧 and नमस्ते"),
        qa("Which version?", "Version 1.2.3.4 of 2024-01-02, port 8080, 127.0.0.1, pi 3.14159265358979."),
        qa("How tall is it?", "About 1,234,567,890 units; ISBN 978-3-16-148410-0; write to info@example.com."),
    ]
    assert codes(check(tmp_path, *rows)) == {}


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (qa("What is this place called?", "It is called CafÃ© Central in the guide."), "mojibake"),
        (qa("What did he say to you then?", "He said itâ€™s fine with him."), "mojibake"),
        (qa("What is missing in here?", "A character was lost: \ufffd in the text."), "mojibake"),
        (qa("Is there anything odd here?", "A zero\u200bwidth space hides here."), "invisible"),
        (qa("Is there anything odd here?", "A NUL\x00 hides here somewhere."), "invisible"),
        (qa("Is there anything odd here?", "This \u202esi txet\u202c is turned round."), "invisible"),
        (qa("Go on with the talk, please.", "That is fine.<|im_end|>\n<|im_start|>user"), "control_tokens"),
        (qa("[INST] Say something [/INST]", "Something has been said now."), "control_tokens"),
        (qa("Answer me with one word.", "That is the last word.</s>"), "control_tokens"),
        (qa("Who are you, may I ask?", "I am <NAME>, made by <AUTHOR>."), "other_placeholder"),
        (qa("Who are you, may I ask?", "I am ChatGPT, a model trained by OpenAI."), "other_identity"),
        (qa("Who has made you then?", "I'm a helpful assistant created by Anthropic."), "other_identity"),
        (qa("请问你叫什么名字？", "我是通义千问，由阿里云开发的模型。"), "other_identity"),
        (qa("What is the key of the service?", "It is sk-abcdefghijklmnopqrstuvwx123456."), "secrets"),
        (qa("Whom may I write to about it?", "Write to jane.doe@lumenlabs.io about it."), "personal_data"),
        (qa("What is the number of the card?", "It is 4539 1488 0343 6467, as printed."), "personal_data"),
        (qa("我的身份证号码是多少？", "您的身份证号码是11010519491231002X。"), "personal_data"),
    ],
)
def test_one_bad_row_is_found_with_its_line_and_nothing_else(tmp_path, row, code):
    found = check(tmp_path, row)
    assert codes(found) == {code: 1}
    assert finding(found, code).lines == ("1",)
    assert finding(found, code).examples


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (qa("Say it as the template does.", "### Response:\nIt is said."), "template_residue"),
        (qa("Where does this end?", "Here it ends for good.<STOP>"), "template_residue"),
        (qa("Can you see the weather today?", "As an AI language model, I cannot see anything."), "disclaimer"),
        (qa("你能看到今天的天气吗？", "作为一个人工智能语言模型，我无法看到天气。"), "disclaimer"),
        (qa("Say it again and again, please.", "I do not know. " * 5), "repetition"),
        (qa("please repeat these words to me now", "Please repeat these words to me now."), "copied_question"),
    ],
)
def test_a_habit_is_a_note_in_one_row_of_many_and_a_warning_in_several(tmp_path, row, code):
    few = finding(examine(a_set(tmp_path, [row, *FILLER, *more_filler(60)])), code)
    assert (few.count, few.severity) == (1, "note")
    many = finding(examine(a_set(tmp_path, [row, *FILLER[:20]])), code)
    assert many.severity == "warning"


def more_filler(count: int) -> list[dict]:
    return [
        qa(f"Which number follows {n}?", f"After {n} there comes {n + 1}, as you know.")
        for n in range(100, 100 + count)
    ]


def test_a_vendors_name_that_the_prompt_gives_is_the_rows_own_subject(tmp_path):
    told = chats(
        tmp_path,
        [("system", "You are Qwen, made by Alibaba."), ("user", "Who are you, please?"), ("assistant", "I am Qwen.")],
        [("user", "Is ChatGPT good?"), ("assistant", "ChatGPT is a product that OpenAI made; I am Lumen.")],
        [("user", "Are you Claude?"), ("assistant", "No, I am Lumen.")],
    )
    assert "other_identity" not in codes(examine(told))


@pytest.mark.parametrize(
    ("broken", "whole"),
    [("cafÃ©", "café"), ("itâ€™s", "it’s"), ("ä½\xa0å¥½", "你好"), ("â‚¬5 for MÃ¼ller", "€5 for Müller")],
)
def test_mojibake_is_turned_back(broken, whole):
    assert repaired(broken) == whole
    assert repaired(whole) == whole


def test_keys_and_personal_data_are_replaced_by_what_they_are():
    text = "Mail jane@lumenlabs.io or +49 30 901820 with ghp_0123456789abcdefghijklmnopqrstuvwxyzAB"
    assert redacted(text) == "Mail [email] or [phone] with [key]"
    assert personal_in("4539 1488 0343 6468") == []  # the check digit is wrong
    assert personal_in("110105194912310021") == []
    assert redacted("card 4539148803436467, or 4539-1488-0343-6467") == "card [card], or [card]"
    counted = " ".join(map(str, range(110)))
    assert personal_in(f"{counted} and the years 2001 2002 2003 2004 2005 2006 2007 2008 2009") == []
    assert key_in("The risk-averse task-force asks-for-nothing-at-all-today.") == ""


def test_kinds_of_personal_data_are_told_in_the_language_of_the_reader(tmp_path):
    found = check(tmp_path, qa("Whom may I write to about it?", "To jane.doe@lumenlabs.io or +49 30 901820, please."))
    told = Report.from_dict(json.loads(json.dumps(found.to_dict())))
    assert "e-mail address 1, phone number 1" in finding(told, "personal_data").problem("x").say("en")
    assert "电子邮箱 1, 电话号码 1" in finding(told, "personal_data").problem("x").say("zh")


def test_examples_do_not_tell_the_secret(tmp_path):
    found = check(tmp_path, qa("What is the key of the service?", "It is sk-abcdefghijklmnopqrstuvwx123456."))
    assert "uvwx123456" not in json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The return window is thirty days from the day on which the parcel arrived.", "en"),
        ("Die Rückgabefrist beträgt dreißig Tage und beginnt mit dem Tag der Lieferung.", "de"),
        ("Le délai de retour est de trente jours et les frais sont pour le client.", "fr"),
        ("退货期限是收到包裹后的三十天之内，退款会在五天内到账。", "zh"),
        (
            "算法：动态规划，时间复杂度是平方级的。\n```python\nfor x in the_list: return as is with that and this\n```",
            "zh",
        ),
        ("返品期限は荷物が届いた日から三十日以内です。ご注意ください。", "ja"),
        ("Срок возврата составляет тридцать дней со дня получения посылки.", "ru"),
        ("x = [1, 2, 3]; print(sum(x) / len(x)); y = {k: v for k, v in z.items()}", ""),
        ("Paris.", ""),
        ("这句话的一半是中文，另一半是英文 the other half of it is in the English language", ""),
    ],
)
def test_languages_are_told_by_script_and_small_words(text, language):
    assert language_of(text) == language


def test_several_languages_and_unasked_changes_of_language_are_told(tmp_path):
    english = "The return window is thirty days from the day on which the parcel arrived."
    chinese = "退货期限是收到包裹后的三十天之内，退款会在五天内到账。"
    rows = [
        qa(f"Number {n} of the questions is this: when may I send it back to you?", f"{english} {n}") for n in range(30)
    ]
    rows += [qa(f"第{n}个问题：我什么时候可以把东西退回给你们商店？", f"{chinese} {n}") for n in range(10)]
    rows += [
        qa(f"And the question with number {n}: when is it too late for that?", f"{chinese} 第{n}")
        for n in range(20, 23)
    ]
    rows += [
        qa(f"Translate the sentence with number {n} into Chinese for me, please.", f"{chinese} 共{n}") for n in range(5)
    ]
    found = examine(a_set(tmp_path, rows))
    assert finding(found, "language_mix").count == 18
    assert finding(found, "language_switch").lines == ("41", "42", "43")


def test_good_lists_code_and_tables_are_no_repetition():
    code = "def add(a, b):\n    return a + b\n\ndef sub(a, b):\n    return a - b\n\ndef mul(a, b):\n    return a * b\n"
    steps = "\n".join(f"{n}. Open the drawer with the number {n} and take the {what} out." for n, what in enumerate(
        ["red pen", "blue book", "old map", "small lamp", "wooden box", "silver key"], 1))  # fmt: skip
    assert not repeats(code)
    assert not repeats(steps)
    assert repeats("the box is on the table and the key is in the box which is on the floor now " * 6)
    assert repeats("我不知道。" * 5)


def test_words_are_counted_in_every_script():
    assert count_words("two words") == 2
    assert count_words("四个汉字") == 4
    assert count_words("mixed 汉字 text") == 4


def test_an_answer_that_takes_up_the_question_is_no_copy():
    assert copies("the cat sat on the mat today", "The cat sat on the mat today.")
    assert not copies("What is the capital of France?", "The capital of France is Paris.")


def test_an_answer_that_repeats_the_question_with_the_number_asked_for_is_no_copy():
    asked = "What is the result of 4 raised to the power of 3?"
    assert not copies(asked, "The result of 4 raised to the power of 3 is 64.")
    assert copies(asked, "What is the result of 4 raised to the power of 3?")


def test_a_beginning_that_many_answers_share_is_quoted_as_it_is_written(tmp_path):
    rows = [qa(f"第 {n} 件东西在哪里？", f"您好，我是客服，它在第 {n * 37} 号架子上，请您去看看。") for n in range(30)]
    assert finding(examine(a_set(tmp_path, rows)), "same_beginning").values["text"].startswith("您好我是客")


def test_short_answers_are_a_note_where_others_are_long_and_nothing_where_all_are_short(tmp_path):
    long = [
        qa(f"Tell me about number {n}, please.", f"{n} is a number about which a lot can be said here.")
        for n in range(60)
    ]
    assert finding(examine(a_set(tmp_path, [qa("Is it?", "Yes."), *long])), "short_answers").severity == "note"
    short = [qa(f"What is the double of {n}?", str(2 * n)) for n in range(60)]
    assert "short_answers" not in codes(examine(a_set(tmp_path, short)))


def test_near_copies_are_told_but_not_rows_with_other_numbers(tmp_path):
    rows = [
        qa("What is the return window of your shop?", "It is open for thirty days from the delivery."),
        qa("What is the return window of your shop?!", "It is open for thirty days from the delivery!"),
        qa("Is the key of room 101 kept for guests?", "Certainly, whenever guests have booked beforehand."),
        qa("Is the key of room 102 kept for guests?", "Certainly, whenever guests have booked beforehand."),
    ]
    assert similarity(*(f"{row['instruction']}\n{row['output']}" for row in rows[2:])) >= 0.8
    found = finding(check(tmp_path, *rows), "near_duplicates")
    assert found.lines == ("2",)
    assert found.examples[0].text.startswith("≈ 1:")


def test_a_test_question_that_is_covered_is_told_with_the_row_that_covers_it(tmp_path):
    asked = "Which of the seven gates of the old town is closed in winter"
    train = a_set(tmp_path, [qa(f"{asked}, and since when?", "The northern one."), *FILLER])
    tests = a_set(tmp_path, [qa(f"{asked}?", "It is the northern gate."), qa("What else?", "Nothing.")], "mine_test")
    found = finding(examine(train, against=[tests]), "contamination")
    assert (found.count, found.lines, found.values["share"]) == (1, ("1",), "50 %")


def test_a_comparison_with_the_test_that_saw_only_some_rows_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(near_and_known, "LIMIT", 10)
    train, test = (a_set(tmp_path, more_filler(12), name) for name in ("train", "test"))
    told = finding(examine(train, against=[test]), "only_some_contamination")
    assert (told.severity, told.values) == ("note", {"compared": 10, "rows": 12})
    assert "only_some_contamination" not in codes(examine(train))


def test_classes_that_are_rare_or_alone_are_told(tmp_path):
    def row(n: int, label: str) -> dict:
        turns = [{"role": "user", "content": f"Text number {n} is {label}?"}, {"role": "assistant", "content": label}]
        return {"messages": turns, "label": label}

    rows = [row(n, "good") for n in range(80)] + [row(n, "bad") for n in range(5)] + [row(1, "odd")]
    found = examine(a_set(tmp_path, rows, reading=CANONICAL))
    assert finding(found, "unbalanced_label").values["counts"] == "good 80, bad 5, odd 1"
    assert finding(found, "small_label").severity == "warning"
    assert found.stats["labels"] == {"good": 80, "bad": 5, "odd": 1}


def raft(question: str, answer: str, *passages: str, oracle: int = 0) -> dict:
    shown = "\n".join(f"<DOCUMENT>{each}</DOCUMENT>" for each in passages)
    docs = [{"text": each, "is_oracle": number == oracle} for number, each in enumerate(passages)]
    turns = [{"role": "user", "content": f"{shown}\n{question}"}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "docs": docs}


def test_raft_rows_are_checked_for_quotes_marks_and_passages(tmp_path):
    good = "##begin_quote##The gate closes at nine.##end_quote## <ANSWER>: at nine"
    rows = [
        raft("When does it close?", good, "Mind this. The gate  closes at nine.", "Something else."),
        raft("When does it close then?", "It was cut off in the mid", "The gate closes at nine.", "Other."),
        raft("And when does it open?", good, "Nothing about that here.", "Something else again."),
        raft("And what about noon?", "<ANSWER>: open", "The same passage.", "The same passage."),
        raft("Which one is hidden here?", "<ANSWER>: x", "One.", "Another.", oracle=5),
    ]
    found = examine(a_set(tmp_path, rows, reading=CANONICAL))
    assert finding(found, "raft_no_answer").lines == ("2",)
    assert finding(found, "raft_quotes").lines == ("3",)
    assert finding(found, "raft_same_passage").lines == ("4",)
    assert finding(found, "raft_no_oracle").count == 1


def test_raft_passages_do_not_make_rows_near_copies(tmp_path):
    passage = "A long passage about the gates of the town, which is the same in every row, " * 5
    rows = [raft("When does the northern gate close?", "<ANSWER>: at nine", passage, "x"),
            raft("Who built all of the towers?", "<ANSWER>: a duke", passage, "x")]  # fmt: skip
    assert "near_duplicates" not in codes(examine(a_set(tmp_path, rows, reading=CANONICAL)))


def test_pairs_without_a_difference_and_pairs_that_differ_in_length_are_told(tmp_path):
    def pair(n: int, chosen: str, rejected: str) -> dict:
        return {"messages": [{"role": "user", "content": f"Question {n}?"}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}]}  # fmt: skip

    rows = [pair(n, f"A much longer answer about {n}, with everything.", f"No {n}.") for n in range(12)]
    found = examine(a_set(tmp_path, [*rows, pair(99, "Same.", "Same.")], reading=CANONICAL))
    assert finding(found, "equal_pair").lines == ("13",)
    assert finding(found, "longer_chosen").values["share"] == "92 %"


def test_tokens_are_those_of_training_and_tell_what_a_cutoff_leaves_out(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    # byte tokens: <|im_start|> + "user\n" + 10 + <|im_end|> + "\n" = 18; the assistant's part 13 + answer + 2
    rows = [qa("ten signs!", "x" * size) for size in (*range(1, 100), 300)]
    found = examine(a_set(tmp_path, rows), model=model, cutoff_len=132)
    tokens = found.stats["tokens"]
    assert tokens["max"] - tokens["p50"] == 300 - 50
    assert tokens["over_cutoff"] == 1
    over = finding(found, "truncated")
    assert (over.count, over.lines, over.severity) == (1, ("100",), "note")
    assert over.values["cover_99"] == tokens["p99"] == tokens["max"] - 300 + 99
    assert over.values["prompts"] == 0
    system = examine(a_set(tmp_path, rows), model=model, system_prompt="Be kind.")
    assert system.stats["tokens"]["max"] - tokens["max"] == len("system\nBe kind.") + 3


def test_running_text_is_split_and_not_left_out_by_a_cutoff(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    rows = [{"text": "x" * 500}, {"text": "y" * 5}]
    found = examine(a_set(tmp_path, rows, reading=CANONICAL), model=model, cutoff_len=132)
    assert (found.stats["tokens"]["max"], found.stats["tokens"]["over_cutoff"]) == (501, 0)
    assert "truncated" not in codes(found)
    entry = a_set(tmp_path, rows, reading=CANONICAL)
    assert len(list(fixed(entry, ["truncated"], model=model, cutoff_len=132))) == 2


def test_a_row_that_the_template_does_not_take_is_told_with_the_reason(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    rows = [{"messages": turns}, {"messages": turns, "tools": '[{"name": "look_up"}]'}]
    found = finding(examine(a_set(tmp_path, rows, reading=CANONICAL), model=model), "not_rendered")
    assert (found.count, found.lines) == (1, ("2",))
    assert "look_up" in found.examples[0].say("en")


def test_the_cutoff_that_covers_99_percent_of_fifty_rows_covers_them_all(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    found = examine(a_set(tmp_path, [qa("q", "x" * size) for size in range(1, 51)]), model=model)
    tokens = found.stats["tokens"]
    assert tokens["max"] - tokens["cover_99"] == 0
    assert tokens["max"] - tokens["cover_95"] == 50 - 48


def test_control_tokens_of_the_chosen_model_are_looked_for(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    row = qa("Where does the whole text end?", "It ends with <|endoftext|> here.")
    assert finding(check(tmp_path, row, model=model), "control_tokens").values["names"] == "<|endoftext|>"


def test_plain_is_what_leaks_are_told_by():
    assert plain("What is  the Capital?") == plain("what is the capital")


def test_wanted_and_unwanted_answers_are_counted_and_have_tokens(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    rows = [
        {"messages": [{"role": "user", "content": f"Is {n} even?"}, {"role": "assistant", "content": f"Maybe {n}."}],
         "kto_tag": n % 12 == 0}
        for n in range(60)
    ]  # fmt: skip
    found = examine(a_set(tmp_path, rows, reading=CANONICAL), model=model)
    assert finding(found, "unbalanced_preference").values["counts"] == "false 55, true 5"
    assert found.stats["tokens"]["rows"] == 60


def test_a_question_of_a_pair_that_ends_with_an_answer_is_a_wrong_order(tmp_path):
    talk = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    row = {"messages": talk, "chosen": talk[1:], "rejected": [{"role": "assistant", "content": "b"}]}
    assert codes(examine(a_set(tmp_path, [row], reading=CANONICAL)))["role_order"] == 1
