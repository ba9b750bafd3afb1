"""When an answer is right, by every kind of check."""

import json
import socket
import time
from decimal import Decimal

import pytest

from core.errors import StudioError
from core.evaluate.metrics import Check, detect, is_exact, is_right, validate
from core.evaluate.metrics.check import KINDS
from core.evaluate.metrics.numbers import is_bare_number, last_number
from core.wording import has

PERSON = json.dumps({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]})
SLOW = "^(a|aa)+$"  # 10**13 ways for 64 letters
RAFT = "##begin_quote##The gate closes at nine.##end_quote## So <ANSWER>: at nine"


def test_exact_forgives_white_space_and_composition_but_nothing_else():
    assert is_exact(" caf\u0065\u0301\n", "caf\u00e9")
    assert not is_exact("Paris", "paris")
    assert not is_exact("Paris.", "Paris")


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [("The  Paris!", "paris", True), ("Ｐａｒｉｓ", "Paris", True), ("巴黎。", "巴黎", True), ("北京 大学", "北京大学", True),
     ("It is Paris", "Paris", False), ("A.", "A", True), ("a", "the", False), ("-5", "5", False), ("−5", "-5", True),
     ("3.14", "314", False), ("follow-up", "follow up", True), ("👍", "👍", True), ("👎", "👍", False),
     ("", "👍", False), ("Straße", "STRASSE", True)],
)  # fmt: skip
def test_normalised_forgives_what_does_not_change_the_meaning(answer, expected, right):
    assert is_right(Check("normalised"), answer, expected) is right


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [("It is Paris.", "paris", True), ("comparison", "Paris", False), ("17", "7", False), ("我住在北京市", "北京", True),
     ("", "Paris", False)],
)  # fmt: skip
def test_contains_finds_whole_words(answer, expected, right):
    assert is_right(Check("contains"), answer, expected) is right


def test_keywords_must_all_occur_and_win_over_the_kind():
    for kind in KINDS:
        check = Check(kind, "x" if kind == "regex" else "")
        assert is_right(check, "I am LUMEN, made by Ada.", "something else", ["Lumen", "Ada"]), kind
        assert not is_right(check, "I am Lumen.", "I am Lumen.", ["Lumen", "Ada"]), kind
    assert is_right(Check("keywords"), "我是小明，由李雷开发。", "", ["小明", "李雷"])
    assert is_right(Check("keywords"), "caf\u0065\u0301", "", ["CAF\u00c9"])


def test_a_row_without_keywords_is_compared_as_a_whole():
    assert is_right(Check("keywords"), "Paris", "Paris", [])
    assert not is_right(Check("keywords"), "It is Paris", "Paris", [])
    assert not is_right(Check("keywords"), "anything", "Paris", ["", " "])


@pytest.mark.parametrize(
    ("text", "value", "percent"),
    [("It costs 1,234.50 euros.", "1234.5", False), ("-5", "-5", False), ("−5 °C", "-5", False), ("10-5", "5", False),
     ("x = -3.", "-3", False), ("50%", "50", True), ("12.5 %", "12.5", True),
     ("共３，０００元", "3000", False), ("１２．５", "12.5", False),
     (".5", "0.5", False), ("No.5", "5", False), ("1,2,3", "3", False), ("12,3456", "3456", False),
     ("-$1,000", "-1000", False),
     ("100 m² and H2O", "100", False), ("100 m2", "100", False), ("٤٢", "42", False), ("3.0", "3", False),
     ("2024-05-01", "1", False), ("third of 7th", "7", False), ("约5个", "5", False), ("9" * 6000, "9" * 6000, False)],
)  # fmt: skip
def test_the_last_number_of_a_text_is_read(text, value, percent):
    found = last_number(text)
    assert (found.value, found.percent) == (Decimal(value), percent)


@pytest.mark.parametrize("text", ["", "none", "H2O", "x²", "👍", "三"])
def test_a_text_without_a_number_has_none(text):
    assert last_number(text) is None


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [("2 + 5 is 7.", "7", True), ("7 and then 8", "7", False), ("half: 50 %", "0.5", True), ("0.5", "50%", True),
     ("50", "50 %", True), ("5", "50%", False), ("1000000", "1,000,000.00", True), ("none", "7", False),
     ("7", "seven", None), ("9" * 6000 + "%", "9" * 6000 + "%", True)],
)  # fmt: skip
def test_numbers_are_compared_by_value(answer, expected, right):
    assert is_right(Check("number"), answer, expected) is right


def test_a_bare_number_is_a_number_and_nothing_else():
    assert all(map(is_bare_number, ["7", "-1,234.5", "50 %", "３", "$5", " 7. "]))
    assert not any(map(is_bare_number, ["", "7 apples", "2024-05-01", "1 2", "."]))


@pytest.mark.parametrize(
    ("answer", "right"),
    [("Spam", True), ("not spam", False), ("Label: spam.", True), ("Is it spam or not spam?", False), ("spammer", False),
     ("**spam** because", True), ("Spam, and in no way not spam", True), ("", False), ("hm", False)],
)  # fmt: skip
def test_a_label_is_the_first_or_the_only_one_said(answer, right):
    assert is_right(Check("label", "spam\nnot spam"), answer, "spam") is right


def test_a_label_of_one_letter_keeps_its_case_and_chinese_needs_no_borders():
    check = Check("label", "A\nB\n正面")
    assert is_right(check, "I think a good choice is B", "B")
    assert is_right(check, "选B", "B")
    assert is_right(check, "（B）", "B")
    assert is_right(check, "这条评论是正面的", "正面")
    assert not is_right(check, "A or B", "B")
    assert is_right(Check("label"), "👍 yes", "👍")


def test_a_marker_leads_to_the_answer_proper():
    check = Check("marker")
    assert is_right(check, "I think so. <ANSWER>: no. <ANSWER>: At Nine!", RAFT)
    assert is_right(check, "<ANSWER>: at nine", "at nine")
    assert not is_right(check, "at nine", RAFT)
    assert is_right(Check("marker", "####"), "2 + 5 = 7 #### 7", "so #### 7")
    assert is_right(check, "<ANSWER>: x", "<ANSWER>: ") is None


def test_a_citation_must_stand_in_a_passage():
    check, docs = Check("citation"), ["Of towers.", "The  gate closes\nat nine. It opens at six."]
    assert is_right(check, RAFT, RAFT, docs=docs)
    assert not is_right(check, RAFT.replace("nine.", "ten."), RAFT, docs=docs)
    assert not is_right(check, RAFT.replace("at nine", "at ten"), RAFT, docs=docs)
    assert not is_right(check, "##begin_quote##The gate <ANSWER>: at nine", RAFT, docs=docs)
    assert is_right(check, "<ANSWER>: at nine", RAFT, docs=docs)
    assert is_right(check, RAFT, RAFT) is None


@pytest.mark.parametrize(
    ("answer", "expected", "right"),
    [('{"b": [1.0], "a": true}', '{"a": true, "b": [1]}', True), ('{"a": 1}', '{"a": true}', False),
     ("[1, 2]", "[2, 1]", False), ('{"a": 1}', '{"a": 2}', False), ("[1", "[1]", False), ("[NaN]", "a list", False),
     ("```json\n[1]\n```", "[1]", False), ("[1]", "a list of numbers", True), ("[1]", "", True), ("", "", False),
     ("[" * 5000, "[]", False), ("[" * 700 + "]" * 700, "[" * 700 + "]" * 700, None)],
)  # fmt: skip
def test_json_without_a_schema_is_the_expected_value(answer, expected, right):
    found = is_right(Check("json"), answer, expected)
    assert isinstance(found, bool)
    assert right is None or found is right


def test_json_with_a_schema_fits_it():
    check = Check("json", PERSON)
    assert is_right(check, '{"age": 3}', '{"age": 99}')
    assert not is_right(check, '{"age": "3"}', '{"age": "3"}')
    assert not is_right(check, "{age: 3}", "")
    draft4 = Check("json", json.dumps({"$schema": "http://json-schema.org/draft-04/schema#", "maximum": 3,
                                       "exclusiveMaximum": True}))  # fmt: skip
    assert is_right(draft4, "2", "")
    assert not is_right(draft4, "3", "")


def test_a_regex_is_searched():
    assert is_right(Check("regex", r"^\d+ euros?$"), " 5 euros\n", "")
    assert not is_right(Check("regex", r"^\d+ euros?$"), "5 dollars", "5 euros")


def test_a_pattern_that_takes_too_long_on_an_answer_tells_nothing():
    check = Check("regex", SLOW)
    started = time.monotonic()
    assert is_right(check, "a" * 64 + "!", "x") is None
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_reference_cannot_be_told(kind):
    if kind not in ("json", "regex"):
        assert is_right(Check(kind), "Something was said.", " \n") is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_named_in_words_and_can_be_written_down(kind):
    assert has(f"check.{kind}")
    assert Check.from_dict(json.loads(json.dumps(Check(kind, "x").to_dict()))) == Check(kind, "x")


@pytest.mark.parametrize(
    ("check", "code"),
    [(Check("best"), "unknown_check"), (Check("regex"), "no_pattern"), (Check("regex", "(a"), "bad_pattern"),
     (Check("regex", SLOW), "slow_pattern"), (Check("json", "{"), "bad_schema"),
     (Check("json", '{"type": "thing"}'), "bad_schema"), (Check("json", "3"), "bad_schema"),
     (Check("json", '{"$ref": "#"}'), "bad_schema"), (Check("json", '{"pattern": "(a"}'), "bad_schema"),
     (Check("json", '{"patternProperties": {"(a": {}}}'), "bad_schema"),
     (Check("json", '{"not": ' * 600 + "{}" + "}" * 600), "bad_schema"),
     (Check("json", '{"properties": {"a": {"$ref": "#/$defs/b"}}}'), "bad_reference"),
     (Check("json", '{"$ref": "https://example.com/schema.json"}'), "bad_reference"),
     (Check("json", '{"$id": "https://example.com/a.json", "items": {"$ref": "b.json"}}'), "bad_reference")],
)  # fmt: skip
def test_a_check_that_cannot_be_used_is_refused_in_words(check, code, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: pytest.fail("something is fetched"))
    with pytest.raises(StudioError) as raised:
        validate(check)
    assert raised.value.problems[0].code == f"evaluate.{code}"
    assert all(raised.value.say(language) for language in ("en", "zh"))


@pytest.mark.parametrize(
    "check",
    [Check("exact"), Check("regex", r"\d+"), Check("json"), Check("json", PERSON), Check("json", "true"),
     Check("json", '{"$defs": {"b": {"type": "string"}}, "items": {"$ref": "#/$defs/b"}}'), Check("label", "a\nb")],
)  # fmt: skip
def test_a_check_that_can_be_used_is_passed(check):
    validate(check)


def test_the_pattern_of_a_schema_has_a_time_limit():
    check = Check("json", json.dumps({"pattern": SLOW}))
    started = time.monotonic()
    assert is_right(check, json.dumps("a" * 64 + "!"), "") is False
    assert is_right(check, json.dumps("aaa"), "") is True
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("expected", "keywords", "check"),
    [(["The sun.", "The moon."], [["sun"], []], Check("keywords")),
     (["The sun.", "The moon."], [[], [""]], Check("exact")),
     ([RAFT, "so <ANSWER>: six"], [], Check("citation")),
     (["so <ANSWER>: seven", "so <ANSWER>: six", ""], [], Check("marker")),
     (['{"a": 1}', "[2]", '{"a": 3}'], [], Check("json")),
     (["7", "12", "-3.5", "50 %"], [], Check("number")),
     ([str(each % 19) for each in range(200)], [], Check("number")),
     (["positive", "negative", "Positive."[:-1], "positive"] * 3, [], Check("label", "negative\npositive")),
     (["1", "0"] * 5, [], Check("label", "0\n1")),
     (["正面", "负面", "中性"] * 4, [], Check("label", "中性\n正面\n负面")),
     (["Yes.", "No."] * 5, [], Check("label", "No.\nYes.")),
     (["It is 30 days.", "It is 5 days."] * 5, [], Check("exact")),
     (["Paris", "Rome", "Berlin", "Madrid"], [], Check("exact")),
     (["OK"] * 9, [], Check("exact")), (["", " "], [], Check("exact")), ([], [], Check("exact"))],
)  # fmt: skip
def test_the_check_is_chosen_from_the_data(expected, keywords, check):
    assert detect(expected, keywords) == check
    validate(detect(expected, keywords))
