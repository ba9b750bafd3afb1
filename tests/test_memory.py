"""The memory of a training is counted before it: against autograd's own list, and without loading anything."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from core.models.folder import copy_tokenizer
from core.models.size import FAMILIES, size
from core.render.tokenizer import IGNORE_INDEX, Example
from core.settings import from_dict
from core.train.arithmetic import token_bytes
from core.train.attached import attached_model
from core.train.machine import Machine
from core.train.memory import FULL, MOST_TOKENS, TIGHT, MicroBatch, changes, fitting, needed, verdict
from core.train.trainer import Trainer
from core.workspace import SAMPLES
from tests.shapes import LLAMA_7B, shaped

CARD = Machine("cuda", "a card", 24 << 30, 23 << 30, True)
SMALL_CARD = Machine("cuda", "a small card", 8 << 30, 8 << 30, True)
CPU = Machine("cpu", "a processor", 64 << 30, 60 << 30, True)
LENGTHS = (40, 60, 100)
TOKENS, TYPICAL = sum(LENGTHS), sum(each * each for each in LENGTHS) // sum(LENGTHS)
_SHAPE = {"vocab_size": 2057, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 8,
          "num_key_value_heads": 4, "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": None,
          "eos_token_id": 2, "tie_word_embeddings": True}  # fmt: skip
_OWN_HEADS = ("qwen3", "gemma", "gemma2", "gemma3_text", "glm", "glm4")


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")

    def build(family):
        folder = root / family
        if not folder.exists():
            heads = {"head_dim": 32} if family in _OWN_HEADS else {}
            config = AutoConfig.for_model(family, **_SHAPE, **heads)
            AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
            copy_tokenizer(SAMPLES / "starter", folder)
        return folder

    return build


def settings(**overrides):
    given = {path.replace("__", "."): value for path, value in overrides.items()}
    return from_dict({"data": {"train": ["x"]}, "batch": {"global_batch_size": len(LENGTHS)}}, given)


def kept_by_autograd(folder, chosen, checkpointing=False):
    """Return the bytes that a forward pass keeps, each storage once, without those of the model itself."""
    model, groups = attached_model(folder, chosen, folder)
    draw = np.random.default_rng(0)
    examples = []
    for length in LENGTHS:
        ids = draw.integers(3, 2000, length).tolist()
        examples.append(Example(ids, [IGNORE_INDEX] * (length // 3) + ids[length // 3 :]))
    trainer = Trainer(model, examples, 0, chosen, None, groups, tokens=TOKENS, checkpointing=checkpointing)
    model.train()
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    (batch,) = trainer._cut(np.arange(len(LENGTHS))).micro_batches
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        trainer.forward.loss(batch)
    return sum(each for each, _ in kept.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_forward_pass_keeps_is_what_was_counted(folder_of, family, dtype):
    chosen = settings(method__name="lora", compute__dtype=dtype)
    counted = TOKENS * token_bytes(size(folder_of(family)), chosen, CPU, TYPICAL, False)
    within = 0.25 if family == "gemma2" else 0.08  # its attention caps the scores, which keeps them
    assert counted == pytest.approx(kept_by_autograd(folder_of(family), chosen), rel=within)


def test_a_high_rank_counts(folder_of):
    chosen = settings(method__name="lora", lora__rank=256, compute__dtype="bfloat16")
    counted = TOKENS * token_bytes(size(folder_of("llama")), chosen, CPU, TYPICAL, False)
    assert counted == pytest.approx(kept_by_autograd(folder_of("llama"), chosen), rel=0.08)


@pytest.mark.parametrize(
    ("overrides", "copies"),  # bytes for each weight that are kept beside what is kept for each token
    [
        ({"method__name": "qlora"}, lambda found: 0),
        ({"method__name": "rslora", "method__bits": 4}, lambda found: 0),
        ({"method__name": "lora", "lora__dropout": 0.1}, lambda found: 0),
        ({"method__name": "dora"}, lambda found: 2 * 4 * found.linear_weights),
        ({"method__name": "freeze"}, lambda found: 0),
        ({"method__name": "full"}, lambda found: 4 * found.vocabulary * found.hidden),
    ],
)
def test_what_each_method_keeps_is_what_was_counted(folder_of, overrides, copies):
    chosen, found = settings(**overrides, compute__dtype="float32"), size(folder_of("llama"))
    counted = TOKENS * token_bytes(found, chosen, CPU, TYPICAL, False) + copies(found)
    assert counted == pytest.approx(kept_by_autograd(folder_of("llama"), chosen), rel=0.12)


def test_what_checkpointing_keeps_is_what_was_counted(folder_of):
    chosen, found = settings(method__name="lora", compute__dtype="float32"), size(folder_of("llama"))
    one_layer = (
        token_bytes(found, chosen, CPU, TYPICAL, False) / found.layers
    )  # computed again, one at a time, and not seen here
    counted = TOKENS * (token_bytes(found, chosen, CPU, TYPICAL, True) - one_layer)
    assert counted == pytest.approx(kept_by_autograd(folder_of("llama"), chosen, checkpointing=True), rel=0.35)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return size(shaped(tmp_path_factory.mktemp("large") / "model", LLAMA_7B))


def test_a_vocabulary_that_nobody_could_tell_is_none(large):
    found = needed(replace(large, vocabulary=0), settings(method__name="lora"), CPU, MicroBatch(2048, 512, False))
    assert found.logits == 0


def test_the_parts_of_a_known_run_are_those_that_are_known(large):
    """Llama 2 7B: 6.74 billion weights; a LoRA of rank 16 on all linear layers has 40 million (peft prints 39,976,960)."""
    assert large.parameters == 6_738_415_616
    found = needed(large, settings(method__name="lora"), CARD, MicroBatch(2048, 512, False))
    assert found.weights == 2 * large.parameters
    assert found.trained == 4 * 39_976_960
    assert found.optimizer == 8 * 39_976_960
    quantised = needed(large, settings(method__name="qlora"), CARD, MicroBatch(2048, 512, False))
    assert 3.5e9 < quantised.weights < 4.1e9  # half a byte for each of 6.48 billion, the embeddings whole


def test_everything_that_makes_a_run_smaller_is_counted_as_smaller(large):
    usual = {"method__name": "lora", "lora__rank": 64}
    before = needed(large, settings(**usual), CARD, MicroBatch(4096, 512, False)).total
    for change in ({"method__name": "qlora"}, {"lora__rank": 8}, {"optim__name": "paged_adamw_8bit"},
                   {"optim__name": "adafactor"}, {"lora__targets": "q_proj, v_proj"}):  # fmt: skip
        assert needed(large, settings(**usual | change), CARD, MicroBatch(4096, 512, False)).total < before, change
    for micro in (MicroBatch(2048, 512, False), MicroBatch(4096, 512, True)):
        assert needed(large, settings(**usual), CARD, micro).total < before


def test_the_micro_batch_is_the_largest_that_fits(large):
    chosen = settings(method__name="qlora")
    found = fitting(large, chosen, CARD, CARD.free, 512, MOST_TOKENS["cuda"])
    assert 512 <= found.tokens <= MOST_TOKENS["cuda"]
    assert needed(large, chosen, CARD, found).total <= TIGHT * CARD.free
    if found.tokens < MOST_TOKENS["cuda"]:
        larger = MicroBatch(found.tokens + 1, found.length, found.checkpointing)
        assert needed(large, chosen, CARD, larger).total > TIGHT * CARD.free


def test_activations_are_computed_again_only_where_they_do_not_fit(large, folder_of):
    chosen = settings(method__name="qlora")
    assert fitting(large, chosen, SMALL_CARD, SMALL_CARD.free, 1024, 16_384).checkpointing
    assert not fitting(size(folder_of("llama")), chosen, CPU, CPU.free, 100, 4096).checkpointing
    off = settings(method__name="qlora", compute__checkpointing="off")
    assert not fitting(large, off, SMALL_CARD, SMALL_CARD.free, 1024, 16_384).checkpointing
    on = settings(method__name="qlora", compute__checkpointing="on")
    assert fitting(size(folder_of("llama")), on, CPU, CPU.free, 100, 4096).checkpointing
    prefix = settings(method__name="prefix")  # cannot
    assert not fitting(large, prefix, SMALL_CARD, SMALL_CARD.free, 1024, 16_384).checkpointing


def test_what_fits_nowhere_gets_the_smallest_micro_batch_and_a_verdict(large):
    chosen = settings(method__name="full")
    found = fitting(large, chosen, CARD, CARD.free, 700, 16_384)
    assert (found.tokens, found.checkpointing) == (700, True)
    assert verdict(needed(large, chosen, CARD, found).total, CARD) == "does_not_fit"


def test_the_verdict_looks_at_what_there_is_and_at_what_is_free():
    machine = Machine("cpu", "a processor", 100 << 30, 50 << 30, True)
    sizes = {30: "fits", 49: "tight", 79: "tight", 90: "tight", 96: "does_not_fit"}
    assert {size: verdict(size << 30, machine) for size in sizes} == sizes
    assert 0 < TIGHT < FULL < 1


def test_what_to_change_is_told_with_the_figure_that_it_gives(large):
    chosen = settings(method__name="full")
    before = needed(large, chosen, CARD, fitting(large, chosen, CARD, CARD.free, 1024, 16_384)).total
    found = changes(large, chosen, CARD, 1024, 16_384)
    assert found[0].settings == {"method.name": "qlora", "method.bits": 4}
    assert found[0].verdict == "fits"
    for change in found:
        given = {"method__name": "full"} | {path.replace(".", "__"): each for path, each in change.settings.items()}
        changed = settings(**given)
        longest = min(1024, changed.batch.cutoff_len)
        micro = fitting(large, changed, CARD, CARD.free, longest, 16_384)
        assert change.bytes == needed(large, changed, CARD, micro).total < before


def test_where_no_change_alone_is_enough_all_together_are_told(large):
    tiny = Machine("cuda", "a tiny card", 5 << 30, 5 << 30, True)
    found = changes(large, settings(method__name="lora", lora__rank=64), tiny, 1024, 16_384)
    assert len(found[-1].settings) > 2
    assert found[-1].bytes == min(change.bytes for change in found)
