"""What a tuned model can still do: the built-in questions, which answers are right, and what is made of the counts."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.data.overlap import plain
from core.evaluate.probes import kept, kept_score
from core.evaluate.probes.kept import Rule
from core.starter.abilities import ABILITIES
from core.starter.scoring import greedy_answers
from core.workspace import SAMPLES

ITEMS = kept.items()
STARTERS = [item for item in ITEMS if item.tag in ABILITIES]
OTHERS = [item for item in ITEMS if item.tag not in ABILITIES]
# What an answer must say stands in these questions: it is to be copied, chosen or found.
_GIVEN = {
    "repeat",
    "reverse",
    "sort",
    "position",
    "passage",
    "owner",
    "reading",
    "reasoning",
    "common_sense",
    "format",
    "grammar",
}


def count(right, wrong=0):
    """Whether so many questions of an ability are right."""
    return [True] * right + [False] * wrong


def told(by_who, perplexity=None, ability="sum"):
    """The summary of a test of the starter's abilities; every model is given its right answers, question by question."""
    items = [item for item in ITEMS if item.tag == ability] if isinstance(ability, str) else ability
    right = {who: {item.key: each for item, each in zip(items, rights, strict=False)} for who, rights in by_who.items()}
    found = kept_score.summary(items, right, perplexity or {})
    json.dumps(found, allow_nan=False)
    return found


def test_about_120_questions_ask_for_what_the_starter_can_do_and_for_what_larger_models_can():
    assert 110 <= len(ITEMS) <= 130
    assert len({item.key for item in ITEMS}) == len(ITEMS)
    assert {item.tag for item in STARTERS} == set(ABILITIES)
    assert {len([i for i in ITEMS if i.tag == tag]) for tag in ABILITIES} == {4}
    assert len(OTHERS) >= 50
    assert all(item.messages[0].role == "user" for item in ITEMS)  # whoever asks puts the system prompt before them


def test_no_question_stands_in_a_sample():
    known = set()
    for sample in ("general", "general_test", "identity", "identity_test", "desk_format2", "desk_test"):
        known |= {
            plain(row["instruction"]) for row in json.loads((SAMPLES / f"{sample}.json").read_text(encoding="utf-8"))
        }
    assert len(known) > 1000
    assert not {plain(item.question) for item in ITEMS} & known


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.key)
def test_the_expected_answer_is_right_and_the_question_alone_is_not(item):
    rule = kept.questions()[item.key][2]
    for value in rule.right:
        assert kept.is_right(item, value)
        assert kept.is_right(item, f"The answer is **{value}**.")
    assert not kept.is_right(item, "")
    assert not kept.is_right(item, "The colour of banana is.")
    if item.tag not in _GIVEN:
        assert not kept.is_right(item, item.question)


@pytest.mark.parametrize(
    ("rule", "text", "right"),
    [
        (Rule(("7",)), "The sum of 3 and 4 is 7.", True),
        (Rule(("7",)), "３加４的和是７。", True),
        (Rule(("7",)), "17", False),
        (Rule(("7",)), "7.5", False),
        (Rule(("7",)), "3.7", False),
        (Rule(("7",)), "$7", True),
        (Rule(("7", "seven")), "It is Seven.", True),
        (Rule(("1200",)), "1,200", True),
        (Rule(("200",)), "1,200", False),
        (Rule(("poor",)), "poorly", False),
        (Rule(("红",)), "血的颜色是红色。", True),
        (Rule(("sun apple door",)), "Sun, apple, door", True),
        (Rule(("sun apple door",)), "sun door apple", False),
        (Rule(("stone",), ("tree", "cup"), "stone tree cup"), "The first word of stone, tree, cup is stone.", True),
        (Rule(("stone",), ("tree", "cup"), "stone tree cup"), "stone tree cup", False),
        (Rule(("stone",), ("tree", "cup"), "stone tree cup"), "stone, not tree", False),
        (Rule(pattern="(?i)honey\\W*"), " Honey.\n", True),
        (Rule(pattern="(?i)honey\\W*"), "They make honey.", False),
        (Rule(json={"city": "Rome"}), '```json\n{"city": "Rome"}\n```', True),
        (Rule(json={"city": "Rome"}), '{"city": "Rome", "x": 1}', False),
        (Rule(json={"city": "Rome"}), 'Here you are: {"city": "Rome"}', False),
        (Rule(json={"city": "Rome"}), "[" * 100_000, False),
    ],
)
def test_an_answer_is_right_by_the_value_in_it(rule, text, right):
    assert rule.holds(text) is right


def test_the_starter_model_has_every_ability_that_it_is_asked_for():
    model = AutoModelForCausalLM.from_pretrained(SAMPLES / "starter", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(SAMPLES / "starter")
    said = greedy_answers(model, tokenizer, [("", item.question) for item in STARTERS])
    wrong = [(item.key, text) for item, text in zip(STARTERS, said, strict=True) if not kept.is_right(item, text)]
    assert not wrong


def test_the_prose_is_in_both_languages_and_none_of_it_twice():
    texts = kept.texts()
    assert len(set(texts)) == len(texts) == 12
    assert sum(text.isascii() for text in texts) == 6
    assert all(80 <= len(text) <= 400 for text in texts)


def test_losses_and_gains_are_counted_by_ability_and_what_the_base_cannot_do_is_left_out():
    asked = [item for item in ITEMS if item.tag in ("sum", "day", "idiom")]
    found = told(
        {"base": [*count(4), *count(3, 1), *count(1, 5)], "tuned": [*count(3, 1), *count(4), *count(0, 6)]},
        ability=asked,
    )
    assert found["by_ability"] == {
        "sum": {"n": 4, "base": 4, "tuned": 3},
        "day": {"n": 4, "base": 3, "tuned": 4},
        "idiom": {"n": 6, "base": 1, "tuned": 0},
    }
    assert (found["n"], found["comparable"], found["left_out"]) == (14, 8, ["idiom"])
    tuned = found["who"]["tuned"]
    assert (tuned["n"], tuned["right"], tuned["right_of_all"], tuned["lost"], tuned["gained"]) == (8, 7, 7, 1, 1)
    assert tuned["kept"]["value"] == 100
    assert tuned["kept"]["low"] < 100 < tuned["kept"]["high"]
    assert tuned["failed"] == ["kept:sum-4"]
    assert tuned["verdict"] == "unknown"  # of 8 questions


@pytest.mark.parametrize(
    ("rights", "lost"), [(count(0, 4), True), (count(1, 3), False), (count(3, 1), False), (count(4), False)]
)
def test_an_ability_of_four_questions_is_lost_when_all_are(rights, lost):
    assert told({"base": count(4), "tuned": rights})["who"]["tuned"]["abilities_lost"] == (["sum"] if lost else [])


@pytest.mark.parametrize(
    ("wrong", "perplexity", "verdict"),
    [
        (0, None, "kept"),
        (3, None, "kept"),  # 61 of 64 are 95.3 %
        (4, None, "slightly"),
        (9, None, "slightly"),
        (10, None, "lost"),  # 54 of 64 are 84.4 %
        (0, {"base": 10.0, "tuned": 15.0}, "kept"),
        (0, {"base": 10.0, "tuned": 25.0}, "slightly"),
        (0, {"base": 8000.0, "tuned": 25000.0}, "kept"),  # the starter reads no prose, before or after
    ],
)
def test_the_verdict_goes_by_the_answers_and_prose_tips_the_scale(wrong, perplexity, verdict):
    spread = [number % 6 != 0 for number in range(len(STARTERS))]  # never a whole ability
    left = sum(not each for each in spread) - wrong
    rights = [each or (left := left - 1) >= 0 for each in spread]
    found = told({"base": count(len(STARTERS)), "tuned": rights}, perplexity, STARTERS)["who"]["tuned"]
    assert (found["lost"], found["verdict"]) == (wrong, verdict)


def test_a_whole_ability_that_is_lost_is_not_kept_whatever_the_share():
    rights = [item.tag != "sum" for item in ITEMS]  # 114 of 118 are 96.6 %
    found = told({"base": count(len(ITEMS)), "tuned": rights}, ability=ITEMS)["who"]["tuned"]
    assert found["abilities_lost"] == ["sum"]
    assert found["verdict"] == "slightly"


@pytest.mark.parametrize(("after", "verdict"), [(11.0, "kept"), (15.0, "slightly"), (30.0, "lost"), (None, "unknown")])
def test_of_a_base_that_answers_nothing_the_prose_decides(after, verdict):
    found = told({"base": count(0, 4), "tuned": count(0, 4)}, {"base": 10.0, "tuned": after})
    assert found["who"]["tuned"]["kept"] == {"value": None, "low": None, "high": None}
    assert found["who"]["tuned"]["verdict"] == verdict


def test_a_question_that_one_did_not_answer_is_left_out_of_the_comparison():
    found = told({"base": count(4), "tuned": count(3)})["who"]
    assert (found["base"]["n"], found["tuned"]["n"], found["tuned"]["lost"]) == (4, 3, 0)
    assert told({"base": [], "tuned": []})["who"]["tuned"]["verdict"] == "unknown"
