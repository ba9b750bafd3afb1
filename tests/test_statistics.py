"""Intervals hold the truth in 95 % of cases, equal models are told apart in 5 %; what cannot be known is not said."""

import json
import math
import warnings
from itertools import product
from math import comb
from statistics import fmean

import numpy as np
import pytest

from benchmarks.significance import (
    CHANGES,
    CORRELATIONS,
    MIXED,
    SHARES,
    bleu,
    bleu_held,
    bleu_told,
    change_held,
    difference_coverage,
    kept,
    percent_of,
    ratio_held,
    share_coverage,
    told,
    translated,
    value_held,
)
from core.evaluate.proportions import difference_interval, mcnemar, ratio_interval, share_interval
from core.evaluate.resampling import Chance
from core.evaluate.statistics import Comparison, compare, compare_corpus, corpus_interval, interval, ratio

RANDOM = np.random.default_rng(3)


def right(*counts: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows right in both, in the first only, in the second only, in none."""
    return np.repeat([100.0, 100.0, 0.0, 0.0], counts), np.repeat([100.0, 0.0, 100.0, 0.0], counts)


def mean_percent(draws, once, cells):
    return fmean(percent_of(draws, seed, once, *cell) for seed, cell in enumerate(cells, 4))


def simulated(percent):
    """Within what a thousand sets can tell; the benchmark draws more. Intervals that are 20 % too narrow hold 88 %."""
    return pytest.approx(percent, abs=1.5)


def share_of_sums(sums):
    return 100 * sums[:, 0] / sums[:, 1]


def test_of_equal_models_with_right_and_wrong_answers_one_in_twenty_is_called_better():
    rates = [100 - difference_coverage(p, p, c, n) for n, p, c in product((50, 100), SHARES, CORRELATIONS)]
    assert 4 <= fmean(rates) <= 6
    assert max(rates) <= 6


def test_of_equal_models_with_other_values_one_in_twenty_is_called_better():
    assert mean_percent(130, told, product((50, 100), MIXED, (0.5,))) == simulated(5)
    assert mean_percent(300, bleu_told, product((80,), CORRELATIONS)) == simulated(5)


def test_nineteen_of_twenty_intervals_of_a_value_hold_it():
    assert 94 <= fmean(share_coverage(p, n) for n, p in product((50, 100), SHARES)) <= 96
    assert mean_percent(150, value_held, product((50, 100), MIXED)) == simulated(95)
    assert mean_percent(300, bleu_held, [(80,), (100,)]) == simulated(95)


def test_nineteen_of_twenty_intervals_of_a_real_difference_hold_it():
    rates = [difference_coverage(p, p - 0.1, c, 50) for p, c in product(SHARES, CORRELATIONS)]
    assert 94 <= fmean(rates) <= 96
    assert min(rates) >= 93
    assert mean_percent(250, change_held, [(100, *change) for change in CHANGES]) == simulated(95)


def test_nineteen_of_twenty_intervals_of_a_ratio_hold_it():
    assert mean_percent(500, kept, product((80, 120), (0.8,), (0.9, 0.7), (0.1,))) == simulated(95)
    assert mean_percent(250, ratio_held, [(100, *change) for change in CHANGES]) == simulated(95)


def test_a_winner_is_named_just_when_the_interval_excludes_zero_and_p_is_below_5_percent():
    random = np.random.default_rng(9)
    named = 0
    for n, better in product((7, 12, 30, 60), (0.0, 0.1, 0.3)):
        other = random.random((10, n)).round(2) * 100 * (random.random((10, n)) < 0.7)
        who = np.minimum(other + 100 * better * random.normal(1, 2, (10, n)).clip(0), 100)
        rows = [*zip(who, other, strict=True), *zip(100.0 * (who > 50), 100.0 * (other > 50), strict=True)]
        for mine, theirs in rows:
            found = compare(mine, theirs)
            assert found.low <= found.difference <= found.high
            assert (found.winner is not None) == (found.low > 0 or found.high < 0) == (found.p < 0.05)
            assert found.winner in (None, "who" if found.difference > 0 else "other")
            assert (found.needed is None) == (found.winner is not None or found.difference == 0)
            assert found.wins + found.ties + found.losses == found.n == n
            named += found.winner is not None
    assert 40 < named < 200


@pytest.mark.parametrize("values", [100 * RANDOM.random((2, 40)), 100.0 * (RANDOM.random((2, 40)) < [[0.8], [0.5]])])
def test_who_is_asked_about_first_does_not_matter(values):
    one, two = compare(*values), compare(*values[::-1])
    assert (one.difference, one.low, one.high) == pytest.approx((-two.difference, -two.high, -two.low))
    assert (one.p, one.wins, one.losses, one.needed) == pytest.approx((two.p, two.losses, two.wins, two.needed))
    assert compare(*values) == one


def test_published_figures_of_right_and_wrong_answers():
    """Fagerland, Lydersen & Laake 2014, table 7 (21 children before and after a transplantation: 1, 1, 7 and 12)."""
    found = compare(*right(1, 1, 7, 12))
    assert (found.difference, found.low, found.high) == pytest.approx((-28.6, -51.7, -2.6), abs=0.05)
    assert found.p == pytest.approx(0.034, abs=0.0005)
    assert (found.wins, found.ties, found.losses, found.winner) == (1, 13, 7, "other")
    assert ratio(*right(1, 1, 7, 12)) == pytest.approx((25.0, 6.5, 90.7), abs=0.05)


def likeliest(wins, losses, n, tie_weight, shares):
    """The score statistic's variance at the likeliest of `shares`, (win, loss) pairs: by trying them all."""
    win, loss = shares
    chance = wins * np.log(win) + losses * np.log(loss) + tie_weight(1 - win - loss)
    best = np.nanargmax(chance)
    return win[best], loss[best]


@pytest.mark.parametrize(("wins", "losses", "n"), [(9, 3, 40), (2, 1, 20), (30, 12, 60)])
def test_the_bounds_of_a_difference_are_where_the_likeliest_model_is_1_96_errors_away(wins, losses, n):
    for bound in difference_interval(wins, losses, n):
        loss = np.linspace(1e-6, 1 - 1e-6, 2_000_001)
        win = loss + bound
        fine = (win > 0) & (win + loss < 1)
        win, loss = likeliest(wins, losses, n, lambda tie: (n - wins - losses) * np.log(tie), (win[fine], loss[fine]))
        away = (wins - losses - n * bound) / math.sqrt(n * (win + loss - bound**2))
        assert abs(away) == pytest.approx(1.96, abs=0.001)


@pytest.mark.parametrize(("hits", "n"), [(3, 20), (10, 20), (57, 60)])
def test_the_bounds_of_a_share_leave_two_and_a_half_percent_on_each_side(hits, n):
    low, high = share_interval(hits, n)
    chance = [[comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)] for p in (low, high)]
    assert sum(chance[0][hits + 1 :]) + chance[0][hits] / 2 == pytest.approx(0.025)
    assert sum(chance[1][:hits]) + chance[1][hits] / 2 == pytest.approx(0.025)


def test_drawn_rows_stray_as_all_possible_draws_do():
    rows = np.array([3.0, -1.0, 8.0, 2.0, 5.0])
    for signed, world in ((False, rows - rows.mean()), (True, np.concatenate([rows, -rows]))):
        drawn = np.array(list(product(world, repeat=5)))
        with np.errstate(all="ignore"):
            strayed = np.abs(drawn.mean(axis=1)) / (drawn.std(axis=1, ddof=1) / math.sqrt(5))
        strayed[drawn.std(axis=1) < 1e-9] = np.inf
        chance = Chance(rows, signed=signed)
        assert chance.error == pytest.approx(rows.std(ddof=1) / math.sqrt(5))
        for errors in (0.5, 1.5, 3.0, 6.0):
            assert chance.p(errors) == pytest.approx(float((strayed >= errors).mean()), abs=0.015)
        assert chance.critical == pytest.approx(float(np.quantile(strayed, 0.95)), rel=0.05)


def test_many_rows_need_no_draws():
    rows = 100 * np.random.default_rng(1).beta(0.5, 3, 2_001)
    assert Chance(rows[:2_000], signed=False).critical == pytest.approx(Chance(rows, signed=False).critical, rel=0.02)
    who, other = 100 * np.random.default_rng(2).random((2, 20_000))
    found = compare(who, other)
    error = (who - other).std(ddof=1) / math.sqrt(20_000)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * error)


def test_a_metric_of_the_whole_set_that_is_a_mean_has_the_mean_s_interval():
    who, other = np.random.default_rng(4).beta(2, 1, (2, 30))
    statistics = [np.stack([rows, np.ones(30)], axis=1) for rows in (who, other)]
    ours, theirs = compare_corpus(*statistics, share_of_sums), compare(100 * who, 100 * other)
    assert list(ours.to_dict().values())[:9] == pytest.approx(list(theirs.to_dict().values())[:9])
    assert corpus_interval(statistics[0], share_of_sums) == pytest.approx(interval(100 * who))


def test_wins_of_a_metric_of_the_whole_set_are_those_of_its_rows():
    who, other = translated(np.random.default_rng(5), 40), translated(np.random.default_rng(6), 40)
    found = compare_corpus(who, other, bleu)
    assert found.wins == sum(bleu(a[None])[0] > bleu(b[None])[0] for a, b in zip(who, other, strict=True))
    assert found.difference == pytest.approx(float(bleu(who.sum(0)[None])[0] - bleu(other.sum(0)[None])[0]))


def test_the_rows_that_a_difference_needs_are_those_of_the_usual_formula():
    found = compare(*right(30, 20, 10, 40))  # 10 points; of 100 rows 30 differ
    assert (found.difference, found.winner) == (10, None)
    by_hand = (1.959964 * math.sqrt(0.30) + 0.841621 * math.sqrt(0.29)) ** 2 / 0.10**2
    assert found.needed == math.ceil(by_hand) == 234
    assert compare(*right(30, 25, 5, 40)).needed is None
    assert compare(*right(30, 15, 15, 40)).needed is None


SAME = np.full(30, 37.5)


@pytest.mark.parametrize(
    ("who", "other", "widest"),
    [
        (np.array([100.0]), np.array([0.0]), 30),  # at least so wide is the interval of the difference
        (np.array([80.0]), np.array([30.0]), 30),
        (np.array([0.0]), np.array([0.0]), 30),
        (np.array([70.0, 70.0]), np.array([40.0, 40.0]), 30),
        (np.array([70.0, 70.1]), np.array([40.0, 40.0]), 30),
        (np.array([10.0, 20.0, 60.0]), np.array([0.0, 0.0, 0.0]), 30),
        (SAME, SAME, 5),
        (SAME + 5, SAME, 5),
        (np.zeros(30), np.zeros(30), 5),
        (np.full(30, 100.0), np.zeros(30), 5),
        (np.full(30, 100.0), np.full(30, 100.0), 5),
        (np.append(SAME, 40.0), np.append(SAME, 41.0), 0),
        (np.append(np.full(49, 100.0), 50.0), np.full(50, 100.0), 0),
        (np.array([1e-300, 2e-300]), np.array([0.0, 1e-300]), 5),
    ],
)
def test_too_little_to_know_gives_wide_intervals_and_no_warning(who, other, widest):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, kept, of_value = compare(who, other), ratio(who, other), interval(who)
        as_corpus = [np.stack([rows, np.full(len(rows), 100.0)], axis=1) for rows in (who, other)]
        of_set, alone = compare_corpus(*as_corpus, share_of_sums), corpus_interval(as_corpus[0], share_of_sums)
    json.dumps([found.to_dict(), kept, of_value, of_set.to_dict(), alone], allow_nan=False)
    assert -100 <= found.low <= found.difference <= found.high <= 100
    assert found.high - found.low > widest
    assert 0 <= of_value[0] <= who.mean() <= of_value[1] <= 100
    assert of_value[1] - of_value[0] > widest
    assert len(who) > 3 or found.winner is None
    assert kept[1] is None or kept[1] <= kept[0] <= kept[2]


def test_without_rows_nothing_is_said():
    none = np.array([])
    nothing = Comparison(None, None, None, None, 0, 0, 0, 0, None, None)
    assert (interval(none), ratio(none, none), compare(none, none)) == ((None, None), (None, None, None), nothing)
    assert corpus_interval(np.empty((0, 10)), bleu) == (None, None)
    assert compare_corpus(np.empty((0, 10)), np.empty((0, 10)), bleu) == nothing


def test_equal_lengths_above_100_words_tell_nothing_of_their_spread():
    words = np.full(12, 250.0)
    assert interval(words) == (None, None)
    found = compare(words, words - 10)
    assert (found.difference, found.low, found.high, found.p, found.winner) == (10, None, None, None, None)
    assert interval(np.array([150.0, 300.0, 220.0, 500.0, 120.0, 80.0]))[1] > 258


def test_a_score_of_nothing_is_zero():
    empty = np.zeros((3, 2))
    assert corpus_interval(empty, share_of_sums) == pytest.approx((0, 100 * (1 - 0.05 ** (1 / 3))))
    assert compare_corpus(empty, empty, share_of_sums).winner is None


def test_all_kept_is_no_certainty_and_a_ratio_to_nothing_is_none():
    value, low, high = ratio(*right(80, 0, 0, 20))
    assert (value, low > 94, high) == (100, True, pytest.approx(100 / low * 100))
    assert ratio(*right(0, 5, 0, 20)) == (None, None, None)
    value, low, high = ratio(np.array([30.0, 1.0, 2.0, 0.5]), np.array([0.1, 0.0, 2.0, 0.0]))
    assert value == pytest.approx(1595.24, abs=0.01)
    assert (low, high) == (None, None)


def test_a_ratio_excludes_100_percent_when_the_comparison_names_a_winner():
    for wins, losses in product(range(12), range(12)):
        low, high = ratio_interval(30, wins, losses, 60)
        assert (low > 1 or (high is not None and high < 1)) == (mcnemar(wins, losses) < 0.05)
        assert low <= (30 + wins) / (30 + losses) <= high


def test_rows_that_cannot_be_paired_are_refused():
    with pytest.raises(ValueError, match="3 rows cannot be paired with 2"):
        compare(np.zeros(3), np.zeros(2))
