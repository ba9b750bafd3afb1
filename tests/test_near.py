"""Near duplicates are found, all of them, and nothing else is."""

import random

import pytest

from benchmarks.near_duplicates import texts_of
from core.data.near import THRESHOLD, clusters, similarity
from core.data.shingles import character_grams, word_grams
from core.progress import Cancelled

LONG = "The return window of the shop is thirty days after the parcel has arrived and the money comes back within five days"


def jaccard(one: str, other: str) -> float:
    """Similarity by its definition, for texts of 20 words or more."""
    a, b = (
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (one.lower().split(), other.lower().split())
    )
    return len(a & b) / len(a | b)


def test_similarity_is_the_share_of_common_runs_of_five_words():
    other = LONG.replace("five days", "nine days")
    assert len(LONG.split()) == 22
    assert similarity(LONG, other) == pytest.approx(jaccard(LONG, other))
    assert similarity(LONG, other) == pytest.approx(16 / 20)


def test_short_texts_are_compared_by_characters():
    # "who are you" has 7 runs of five characters, "who are you?" the same and one more
    assert similarity("who are you", "who are you?") == pytest.approx(7 / 8)
    assert similarity("hi", "ho") == 0.0


def test_planted_pairs_are_all_found_and_no_other():
    texts, pairs = texts_of(3000, seed=5)
    found = clusters(texts)
    near = {(a, b) for a, b in pairs if similarity(texts[a], texts[b]) >= THRESHOLD}
    assert len(near) > 250
    assert {tuple(group) for group in found} == near


def test_the_result_is_that_of_comparing_every_pair():
    rng = random.Random(2)
    words = [f"w{n}" for n in range(40)]
    texts = [" ".join(rng.choices(words[: rng.randint(2, 40)], k=rng.randint(4, 40))) for _ in range(80)]
    for index in range(80):
        copy = texts[index].split()
        for _ in range(rng.randint(0, 3)):
            copy[rng.randrange(len(copy))] = rng.choice(words)
        texts.append(" ".join(copy))
    parent = list(range(len(texts)))
    for a in range(len(texts)):
        for b in range(a):
            if similarity(texts[a], texts[b]) >= THRESHOLD:
                old, new = parent[a], parent[b]
                parent = [new if each == old else each for each in parent]
    groups: dict[int, list[int]] = {}
    for index, root in enumerate(parent):
        groups.setdefault(root, []).append(index)
    assert clusters(texts) == sorted(group for group in groups.values() if len(group) > 1)


def test_a_text_that_is_four_fifths_of_another_is_just_near():
    words = [f"w{n}" for n in range(24)]  # 20 shingles, of which the first 20 words have 16
    whole, part = " ".join(words), " ".join(words[:20])
    assert similarity(whole, part) == pytest.approx(0.8)
    assert clusters([whole, part]) == [[0, 1]]
    assert clusters([whole, part], threshold=0.81) == []


def test_case_and_white_space_make_no_difference():
    assert clusters(["A  b", "something else", "a B"]) == [[0, 2]]


def test_chinese_is_compared_by_characters():
    one = "退货期限是收到包裹后的三十天之内，退款会在五个工作日内原路退回到您的账户"
    assert clusters([one, "这句话与其他的完全没有关系", one + "。", one.replace("三十", "四十五")]) == [[0, 2]]


def test_texts_without_letters_are_alike_only_when_they_are_equal():
    assert clusters(["!!!", "???", "", "", "!!!"]) == [[0, 4], [2, 3]]
    assert clusters([]) == []


def test_many_texts_from_one_template_take_no_longer_than_prose():
    rng = random.Random(3)
    texts = [
        f"What does item {rng.randrange(10**6)} of {rng.choice('abcdefgh') * 6} cost in the shop of {rng.random():.9f}?"
        for _ in range(4000)
    ]
    texts.append(texts[7].replace("cost", "costs"))
    assert [7, 4000] in clusters(texts)


def test_grams_do_not_depend_on_the_other_texts():
    alone = word_grams([LONG], 5).hashes
    among = word_grams(["something else", LONG, "四 五"], 5)
    assert among.hashes[among.starts[1] : among.starts[2]].tolist() == alone.tolist()
    assert character_grams(["ab", LONG], 5).hashes[-1] == character_grams([LONG], 5).hashes[-1]


def test_a_chinese_character_is_a_word():
    assert word_grams(["three words here", "四个汉字", "mixed 汉字 text", "!"], 5).words.tolist() == [3, 4, 4, 0]


def test_progress_rises_to_the_end_and_can_stop_the_work():
    texts, _ = texts_of(500)
    told: list[float] = []
    clusters(texts, progress=lambda done, total: told.append(done / total))
    assert told == sorted(told)
    assert told[-1] == 1.0

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        clusters(texts, progress=stop)
