"""Which examples share a micro-batch, and what the micro-batch then holds."""

import numpy as np
import pytest

from core.render.tokenizer import IGNORE_INDEX, Example
from core.train.micro_batch import packed, padded
from core.train.packing import group, pack

X = IGNORE_INDEX


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("most", [None, 3])
def test_every_example_is_in_one_pack_and_no_pack_is_too_full(seed, most):
    lengths = np.random.default_rng(seed).integers(1, 100, size=60).tolist()
    for together in (pack, group):
        made = together(lengths, 128, most)
        assert sorted(index for each in made for index in each) == list(range(60))
        assert most is None or max(map(len, made)) <= most
    assert all(sum(lengths[index] for index in each) <= 128 for each in pack(lengths, 128, most))
    padded_size = [len(each) * max(lengths[index] for index in each) for each in group(lengths, 128, most)]
    assert max(padded_size) <= 128


def test_the_best_fit_is_taken():
    # 60 leaves 40 and 70 leaves 30: the 30 goes where nothing is left over, and the 40 still fits
    assert sorted(map(sorted, pack([60, 70, 30, 40], 100))) == [[0, 3], [1, 2]]


@pytest.mark.parametrize("seed", range(5))
def test_packs_are_few(seed):
    lengths = np.random.default_rng(seed).integers(1, 1024, size=300)
    assert len(pack(lengths.tolist(), 4096)) <= np.ceil(lengths.sum() / 4096) + 1


def test_an_example_longer_than_a_pack_is_alone_in_one():
    assert sorted(pack([200, 10, 20], 100)) == [[0], [2, 1]]
    assert sorted(group([200, 10, 20], 100)) == [[0], [2, 1]]


def test_a_packed_row_begins_anew_with_each_example_and_learns_nothing_across_a_border():
    batch = packed([Example([5, 6, 7], [X, 6, 7]), Example([8, 9], [8, 9])], pad_id=0)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 5]
    assert batch.inputs["max_length_q"] == 3
    assert "attention_mask" not in batch.inputs
    assert batch.places.tolist() == [0, 1, 3]
    assert batch.targets.tolist() == [6, 7, 9]  # 8 has only the other example before it


def test_packs_of_one_shape_are_filled_up_with_what_is_not_learnt():
    batch = packed([Example([5, 6, 7], [X, 6, 7]), Example([8, 9], [8, 9])], pad_id=9, width=8, rows=5)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 9, 9, 9]]
    assert batch.inputs["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 2]]
    assert batch.inputs["cu_seq_lens_q"].tolist() == [0, 3, 5, 8, 8, 8]
    assert batch.targets.tolist() == [6, 7, 9]


def test_padding_is_masked_by_length_and_the_same_token_is_learnt_where_it_ends_an_answer():
    stop = 9
    batch = padded([Example([5, 6, 7, stop], [X, X, 7, stop]), Example([8, stop], [X, stop])], pad_id=stop)
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch.places.tolist() == [1, 2, 4]
    assert batch.targets.tolist() == [7, stop, stop]
