"""What mends a finding mends it, touches nothing else, and says so when it cannot."""

import json

import pytest

from core.data.canonical import to_dict
from core.data.entry import DatasetEntry
from core.data.reading import Reading
from core.data.versions import Parts
from core.doctor.changes import in_order
from core.doctor.codes import CODES
from core.doctor.examine import examine
from core.doctor.fixes import FIXES, fixed
from core.errors import DataError
from core.records import Conversation, Message, ToolCall
from tests.test_doctor import a_set, chats, codes, qa
from tests.tiny import build_tiny_model


def spoken(records) -> list[list[str]]:
    return [[message.content for message in record.messages] for record in records]


def again(folder, records):
    """Return the report on the mended rows, written and read as the next version is."""
    rows = [to_dict(record) for record in records]
    return examine(a_set(folder, rows, "mended", Reading("canonical", {})))


def turns(*pairs: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role, text) for role, text in pairs)


@pytest.mark.parametrize(
    ("code", "bad", "good"),
    [
        ("mojibake", "It is called CafÃ© Central.", "It is called Café Central."),
        ("invisible", "A zero\u200bwidth space hides here.", "A zerowidth space hides here."),
        ("control_tokens", "Fine.<|im_end|> Go on then.", "Fine.< |im_end|> Go on then."),
        ("template_residue", "### Response:\nIt is said.", "It is said."),
        ("template_residue", "Here it ends for good.<STOP>", "Here it ends for good."),
        ("personal_data", "Write to jane.doe@lumenlabs.io now.", "Write to [email] now."),
        ("secrets", "It is sk-abcdefghijklmnopqrstuvwx123456.", "It is [key]."),
    ],
)
def test_a_text_is_mended_and_the_finding_is_gone(tmp_path, code, bad, good):
    entry = a_set(tmp_path, [qa("Is this one all right?", "Yes, it is."), qa("And what about this?", bad)])
    assert code in codes(examine(entry))
    made = list(fixed(entry, [code]))
    assert spoken(made) == [["Is this one all right?", "Yes, it is."], ["And what about this?", good]]
    assert code not in codes(again(tmp_path, made))


@pytest.mark.parametrize(
    ("code", "bad"),
    [
        ("other_identity", "I am ChatGPT, a model of OpenAI."),
        ("disclaimer", "As an AI language model, I cannot say."),
        ("repetition", "I do not know. " * 5),
        ("empty_answer", " "),
        ("duplicates", "Yes, it is."),
    ],
)
def test_rows_are_left_out_and_the_others_keep_their_place(tmp_path, code, bad):
    entry = a_set(
        tmp_path, [qa("Is this one all right?", "Yes, it is."), qa("Is this one all right?", bad), qa("Last", "One.")]
    )
    made = list(fixed(entry, [code]))
    assert spoken(made) == [["Is this one all right?", "Yes, it is."], ["Last", "One."]]
    assert [record.where for record in made] == ["mine.jsonl:1", "mine.jsonl:3"]


def test_blanks_are_filled_with_the_values_and_only_with_those(tmp_path):
    entry = a_set(tmp_path, [qa("Who?", "I am {{name}} by {{author}}.")])
    assert spoken(fixed(entry, ["placeholder"], values={"name": "Lumen"})) == [["Who?", "I am Lumen by {{author}}."]]
    with pytest.raises(DataError) as error:
        list(fixed(entry, ["placeholder"]))
    assert error.value.problems[0].code == "doctor.fix_needs"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([("assistant", "hi"), ("user", "q"), ("assistant", "a")], ["q", "a"]),
        ([("user", "q"), ("user", "more"), ("assistant", "a")], ["q\nmore", "a"]),
        ([("system", "s"), ("user", "q"), ("assistant", "a"), ("user", "bye")], ["s", "q", "a"]),
        ([("user", "q"), ("assistant", "a"), ("assistant", "b")], ["q", "a\nb"]),
        ([("user", "q"), ("tool", "7"), ("user", "r"), ("assistant", "a")], ["q\nr", "a"]),
        ([("user", "q"), ("user", "r")], []),
    ],
)
def test_turns_are_put_in_order(given, wanted):
    assert [each.content for each in in_order(turns(*given))] == wanted


def test_a_call_and_its_result_stay_together():
    call = Message("assistant", "", (ToolCall("f", "{}"),))
    talk = (*turns(("user", "q")), call, *turns(("tool", "7"), ("assistant", "It is 7.")))
    assert in_order(talk) == talk
    assert in_order(talk[:3]) == ()


def test_wrong_orders_are_mended_and_right_ones_stay(tmp_path):
    entry = chats(
        tmp_path,
        [("assistant", "hello"), ("user", "q"), ("assistant", "a")],
        [("user", "q2"), ("assistant", "b")],
        [("user", "q3"), ("assistant", "c"), ("user", "thanks")],
        [("user", "nobody answers")],
    )
    made = list(fixed(entry, ["leading_assistant", "ends_with_user"]))
    assert spoken(made) == [["q", "a"], ["q2", "b"], ["q3", "c"]]
    assert again(tmp_path, made).errors == ()


def test_nothing_is_left_out_that_nobody_asked_to_leave_out(tmp_path):
    for bad in ({"instruction": "no answer column"}, '{"broken": '):
        entry = a_set(tmp_path, [qa("a", "b"), bad])
        with pytest.raises(DataError) as error:
            list(fixed(entry, ["duplicates"]))
        assert error.value.problems[0].code == "doctor.unusable_left"
    entry = a_set(tmp_path, [qa("a", "b"), {"instruction": "no answer column"}, '{"broken": ', qa("a", "b")])
    assert spoken(fixed(entry, ["duplicates", "unusable_row"])) == [["a", "b"]]


def test_leaked_and_contaminated_rows_are_left_out(tmp_path):
    asked = "Which of the seven gates of the old town is closed in winter"
    rows = [qa("What is the capital of Peru?", "Lima."), qa(f"{asked}, and since when?", "One."),
            qa(f"Tell me: {asked.lower()}!", "Two."), qa("Something that is quite different?", "Yes.")]  # fmt: skip
    tests = a_set(tmp_path, [qa("what is the capital of peru", "lima"), qa(f"{asked}?", "Three.")], "mine_test")
    entry = a_set(tmp_path, rows)
    left = spoken(fixed(entry, ["leakage", "contamination"], against=[tests]))
    assert left == [["Something that is quite different?", "Yes."]]
    with pytest.raises(DataError):
        list(fixed(entry, ["leakage"]))


def test_of_a_split_set_the_test_rows_stay(tmp_path):
    rows = [qa("What is the capital of Peru?", "Lima."), qa("What is the capital of Chad?", "N'Djamena."),
            qa("What is the capital of Peru", "Lima")]  # fmt: skip
    entry = a_set(tmp_path, rows)
    letters = tmp_path / "mine.parts"
    letters.write_text("tte", encoding="ascii")
    split = DatasetEntry(**{**entry.__dict__, "parts": Parts(letters, 2, 0, 1, 7, (0.9, 0.05, 0.05))})
    assert [record.where for record in fixed(split, ["leakage"])] == ["mine.jsonl:2", "mine.jsonl:3"]


def test_of_near_copies_the_first_stays(tmp_path):
    rows = [qa("What is the return window of your shop?", "It is open for thirty days from the delivery."),
            qa("Something else entirely?", "Yes, it is."),
            qa("What is the return window of your shop?!", "It is open for thirty days from the delivery!")]  # fmt: skip
    assert [record.where for record in fixed(a_set(tmp_path, rows), ["near_duplicates"])] == [
        "mine.jsonl:1",
        "mine.jsonl:2",
    ]


def test_rows_over_the_cutoff_are_left_out_by_their_tokens(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    entry = a_set(tmp_path, [qa("q", "x" * 10), qa("q", "x" * 500)])
    assert spoken(fixed(entry, ["truncated"], model=model, cutoff_len=100)) == [["q", "x" * 10]]
    assert len(list(fixed(entry, ["no_learnt_tokens"], model=model))) == 2


def test_a_record_keeps_what_a_fix_does_not_touch(tmp_path):
    row = {"messages": [{"role": "user", "content": "Q\u200b?"}, {"role": "assistant", "content": "A.", "train": False},
                        {"role": "user", "content": "R?"}, {"role": "assistant", "content": "B."}],
           "label": "x", "task": "T", "docs": [{"text": "D\u200b", "title": "t", "is_oracle": True}],
           "meta": {"group": "g"}}  # fmt: skip
    entry = a_set(tmp_path, [row], reading=Reading("canonical", {}))
    made = next(iter(fixed(entry, ["invisible"])))
    assert isinstance(made, Conversation)
    assert json.loads(json.dumps(to_dict(made))) == json.loads(json.dumps(row).replace("\\u200b", ""))


def test_an_unknown_fix_and_a_finding_without_one_are_refused(tmp_path):
    entry = a_set(tmp_path, [qa("a", "b")])
    for code in ("no_such_fix", "language_mix"):
        with pytest.raises(DataError) as error:
            list(fixed(entry, [code]))
        assert error.value.problems[0].code == "doctor.no_fix"
        assert "drop_duplicates" in error.value.say()


@pytest.mark.parametrize("name", sorted(FIXES))
def test_no_fix_changes_a_clean_set(tmp_path, name):
    rows = [qa(f"What is {n} squared?", f"The square of {n} is {n * n}.") for n in range(20)]
    entry = a_set(tmp_path, rows)
    tests = a_set(tmp_path, [qa("Something else?", "Yes.")], "mine_test")
    model = build_tiny_model(tmp_path / "model")
    given = {"values": {"name": "Lumen"}, "against": [tests], "model": model, "cutoff_len": 500}
    if name == "drop_unmarked":
        return  # it is for RAFT rows, and these have no mark
    assert spoken(fixed(entry, [name], **given)) == [[row["instruction"], row["output"]] for row in rows]


def test_every_finding_with_a_fix_names_one_that_there_is():
    assert {fix for _, fix in CODES.values() if fix} <= set(FIXES)
