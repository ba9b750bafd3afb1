"""A split keeps what belongs together on one side, has the wanted shares per task, and stays when rows are added."""

import random
from collections import Counter

import pytest

from core.data.split import assign, counts, group_of, question_key
from core.errors import DataError
from core.records import Conversation, Message, Preference, Prompt, Text, Tokenised


def row(question, answer="Yes.", *, task="", label="", **meta):
    messages = (Message("user", question), Message("assistant", answer))
    return Conversation(messages, task=task, label=label, meta=meta)


def batched(letters, size):
    """Return the letters by runs of `size`."""
    return [letters[at : at + size] for at in range(0, len(letters), size)]


def rows(count, **options):
    return [row(f"What is number {n}?", **options) for n in range(count)]


def test_a_thousand_rows_are_split_ninety_five_five():
    letters = assign(rows(1000))
    found = counts(letters)
    assert len(letters) == 1000
    assert sum(found.values()) == 1000
    assert 44 <= found["test"] <= 56
    assert 44 <= found["validation"] <= 56
    assert found["left_out"] == 0


def test_the_same_seed_splits_alike_and_another_seed_otherwise():
    assert assign(rows(500), seed=1) == assign(rows(500), seed=1)
    assert assign(rows(500), seed=1) != assign(rows(500), seed=2)


@pytest.mark.parametrize("before", [400, 500, 1999])
def test_rows_that_are_appended_do_not_move_earlier_ones(before):
    tasks = random.Random(1).choices(["ask", "sum", "tell"], k=2000)
    all_rows = [row(f"Say {n % 700}", task=task) for n, task in enumerate(tasks)]  # questions come again, too
    assert assign(all_rows)[:before] == assign(all_rows[:before])


@pytest.mark.parametrize("groups", [10, 40, 160])
def test_a_group_is_never_torn(groups):
    found = [row(f"Question {n}", group=f"chunk {n % groups}") for n in range(800)]
    letters = assign(found)
    assert {len(set(letters[start::groups])) for start in range(groups)} == {1}
    assert letters.count("e") >= 16


def test_equal_questions_stay_together_whatever_case_width_and_system_prompt_they_have():
    pairs = [variant for n in range(300) for variant in (row(f"Who is number {n}?"), row(f"WHO is  number {n}！"))]
    letters = assign(pairs)
    assert all(a == b for a, b in batched(letters, 2))
    system = Conversation((Message("system", "Be short."), *row("Who?").messages))
    assert question_key(system) == question_key(row("who"))


def test_near_duplicates_stay_together():
    clusters = [[n, n + 1, n + 2] for n in range(0, 600, 3)]
    letters = assign(rows(600), clusters=clusters)
    assert all(len({letters[n] for n in cluster}) == 1 for cluster in clusters)
    assert letters.count("e") >= 16


def test_groups_that_share_a_question_are_one_group():
    found = [row(f"Question {n}", group=f"page {n // 2}") for n in range(400)]
    found[1::4] = [row(f"bridge {n}", group=each.meta["group"]) for n, each in enumerate(found[1::4])]
    found[2::4] = [row(f"bridge {n}", group=each.meta["group"]) for n, each in enumerate(found[2::4])]
    letters = assign(found)
    assert all(len(set(four)) == 1 for four in batched(letters, 4))


@pytest.mark.parametrize("field", ["task", "label"])
def test_each_task_and_label_has_its_share_of_the_test(field):
    kinds = ["rare"] * 60 + ["common"] * 1940
    random.Random(3).shuffle(kinds)
    found = [row(f"Question {n}", **{field: kind}) for n, kind in enumerate(kinds)]
    letters = assign(found, shares=(0.8, 0.1, 0.1))
    tested = Counter(kind for kind, letter in zip(kinds, letters, strict=True) if letter == "e")
    assert 5 <= tested["rare"] <= 8  # 6 ± 1, and one more for the row that tips it
    assert 174 <= tested["common"] <= 214  # 194 ± a tenth


@pytest.mark.parametrize(("size", "least"), [(100, 16), (200, 16), (40, 10), (8, 2), (3, 0)])
def test_small_sets_have_sixteen_test_rows_or_a_quarter(size, least):
    assert least <= assign(rows(size)).count("e") <= least + 3


def test_many_rare_labels_do_not_cost_the_test_its_rows():
    found = [row(f"Question {n}", label=f"{n % 60}") for n in range(120)]
    assert all(assign(found, seed=seed).count("e") >= 16 for seed in range(40))


def test_no_test_share_is_no_test():
    assert set(assign(rows(300), shares=(0.9, 0.1, 0.0))) == {"t", "v"}
    assert set(assign(rows(300), shares=(1.0, 0.0, 0.0))) == {"t"}


def test_one_group_that_is_most_of_the_data_is_learnt():
    found = [row(f"Question {n}", group="the book") for n in range(500)] + rows(100)
    assert all(set(assign(found, seed=seed)[:500]) == {"t"} for seed in range(30))


def test_kept_letters_stay_and_a_new_row_between_two_parts_is_left_out():
    old = [row("a", group="A"), row("b", group="B"), *rows(50)]
    new = [*old, row("b", group="A"), row("a")]
    letters = assign(new, keep="te" + "t" * 50)
    assert letters[:2] == "te"
    assert letters[-2:] == "xx"
    assert set(assign(rows(100), keep="v" * 100)) == {"v"}


def test_a_row_that_names_its_split_stays_there():
    found = [row(f"Question {n}", split=("train", "test", "validation")[n % 3]) for n in range(30)]
    assert assign(found) == "tev" * 10


def test_a_row_made_from_another_is_learnt_or_left_out():
    found = [
        variant
        for n in range(300)
        for variant in (row(f"What is {n}?", group=f"{n}"), row(f"Tell me {n}.", group=f"{n}", aug_of=f"{n}"))
    ]
    letters = assign(found)
    assert set(letters[1::2]) == {"t", "x"}
    assert all((made == "t") == (source == "t") for source, made in batched(letters, 2))
    assert 12 <= letters.count("e") <= 18  # of 300 rows, not of 600


def test_every_kind_of_record_can_be_split():
    user = (Message("user", "Why?"),)
    answer = (Message("assistant", "So."),)
    kinds = [
        Text(text="Once upon a time"),
        Prompt(messages=user),
        Preference(messages=user, chosen=answer, rejected=answer),
        Tokenised(input_ids=(1, 2), labels=(1, 2)),
        row("?!"),  # nothing but punctuation
        row("…"),
    ]
    assert len(assign(kinds)) == 6
    assert group_of(kinds[1]) == group_of(kinds[2])
    assert group_of(kinds[4]) != group_of(kinds[5])
    assert assign([]) == ""


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (1.1, -0.1, 0.0), (0.0, 0.5, 0.5)])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(DataError, match="shares"):
        assign(rows(3), shares=shares)


def test_progress_is_told():
    told = []
    assign(rows(5000), progress=lambda done, total: told.append((done, total)))
    assert told == [(4096, 0), (5000, 5000)]
