"""A mixture says how often each set is shown, keeps to it in every pass, and tells what is unwise."""

from collections import Counter

import pytest

from core.data.mix import Offer, Part, advice, mixture, rows_of_pass


def offers(**rows):
    """Sets of so many rows, each row with 10 learnt tokens."""
    return [Offer(name, count, 10 * count) for name, count in rows.items()]


def exposures(parts):
    return {part.name: part.exposures for part in parts}


def test_without_weights_every_row_is_shown_once_a_pass():
    parts = mixture(offers(facts=30, general=10), {})
    assert exposures(parts) == {"facts": 30, "general": 10}
    assert [part.share for part in parts] == [0.75, 0.25]


def test_a_weight_multiplies_the_exposures_and_moves_the_share():
    parts = mixture(offers(identity=10, facts=80), {"identity": 2, "facts": 0.5})
    assert exposures(parts) == {"identity": 20, "facts": 40}
    assert [round(part.share, 4) for part in parts] == [0.3333, 0.6667]
    assert [part.weight for part in parts] == [2.0, 0.5]


def test_the_share_counts_tokens_and_not_rows():
    parts = mixture([Offer("short", 100, 200), Offer("long", 100, 1800)], {})
    assert [part.share for part in parts] == [0.1, 0.9]


def test_the_root_draws_sets_together_and_keeps_the_length_of_the_pass():
    # 100 and 900 rows: roots 10 and 30, so that of 1,000 exposures a quarter and three quarters
    assert exposures(mixture(offers(small=100, large=900), {}, 0.5)) == {"small": 250, "large": 750}
    assert exposures(mixture(offers(small=400, large=600), {}, 0.0)) == {"small": 500, "large": 500}


def test_balance_shows_no_row_more_than_three_times():
    # the root would give 10 rows 92 of 10,010; 30 is the limit, and the others get what is left
    assert exposures(mixture(offers(tiny=10, large=9990), {}, 0.5)) == {"tiny": 30, "large": 9970}
    assert exposures(mixture(offers(tiny=10, large=9990), {"tiny": 5}, 0.5)) == {"tiny": 150, "large": 9970}


def test_a_set_without_rows_gets_nothing_and_a_small_weight_at_least_one():
    assert exposures(mixture(offers(none=0, few=3), {"few": 0.01}, 0.5)) == {"none": 0, "few": 1}


@pytest.mark.parametrize("count", [3, 5, 10, 17, 30])
def test_over_the_passes_every_row_is_shown_equally_often(count):
    seen = Counter()
    for number in range(10):
        shown = rows_of_pass(10, count, number, seed=1)
        assert len(shown) == count
        seen.update(shown)
    assert set(seen) == set(range(10))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_passes_are_the_same_for_a_seed_and_whole_sets_keep_their_order():
    first, again, other = (rows_of_pass(50, 20, 3, seed).tolist() for seed in (1, 1, 2))
    assert first == again != other
    assert list(rows_of_pass(5, 5, 2, seed=1)) == [0, 1, 2, 3, 4]


def codes(parts, passes=1):
    return [each.code for each in advice(parts, passes)]


def test_a_drowned_identity_is_told_with_the_weight_that_lifts_it_to_one_percent():
    sets = offers(identity=88, general=290_000)
    found = advice(mixture(sets, {}), 3)
    assert [each.code for each in found] == ["plan.identity_small"]
    assert found[0].values == {"name": "identity", "share": "0.03%", "weight": "34"}
    assert mixture(sets, {"identity": 34})[0].share == pytest.approx(0.01, rel=0.05)


def test_an_identity_that_is_most_of_the_learning_is_told():
    assert codes(mixture(offers(identity=60, general=40), {})) == ["plan.identity_large"]
    assert codes(mixture(offers(identity=30, general=70), {})) == []


def test_a_missing_or_small_general_set_is_told():
    assert codes(mixture(offers(facts=100), {})) == ["plan.general_missing"]
    assert codes(mixture(offers(facts=950, general=50), {})) == ["plan.general_small"]
    assert codes(mixture(offers(facts=80, alpaca_en=20), {})) == []
    assert codes(mixture([Offer("mine", 10, 10, general=True)], {})) == []


def test_rows_that_are_seen_very_often_are_told():
    assert "plan.much_repeated" not in codes([Part("general", 10, 20, 1.0, general=True)], 15)
    assert codes([Part("general", 10, 20, 1.0, general=True)], 16) == ["plan.much_repeated"]
