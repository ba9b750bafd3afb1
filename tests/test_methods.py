"""Every method through the whole way: attach, train, save, load, restore, evaluate, chat, merge or a refusal in words."""

import json
import re
import threading
from typing import get_args

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.chat.model import ChatModel
from core.chat.protocol import Sampling
from core.data.registry import Registry
from core.errors import RunError
from core.evaluate import prepare as evaluating, scores
from core.evaluate.options import Options
from core.evaluate.rows import rows
from core.evaluate.worker import work as evaluate
from core.merge import prepare as merging
from core.merge.worker import work as merge
from core.models.load import load_base, load_both
from core.models.methods import TRAITS, bits_of
from core.render.tokenizer import ChatTokenizer
from core.runs import process
from core.runs.directory import Run
from core.settings import from_dict
from core.settings.groups import MethodSettings
from core.train.methods import METHODS, method_of
from core.workspace import Workspace
from tests.tiny import build_tiny_run
from tests.trained import CASES, FIRST, QUESTIONS, attached, greedy, logits, prompts, train, trainer_of

NEW_TOKENS = 8


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    """Train each case once, when it is first asked for."""
    done = {}

    def of(case):
        if case not in done:
            done[case] = train(tmp_path_factory.mktemp("-".join(map(str, case))), *case)
        return done[case]

    return of


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def trained(request, every):
    return every(request.param)


@pytest.fixture(params=FIRST, ids=lambda case: case[0])
def once(request, every):
    """One precision of each method: for what does not depend on it."""
    return every(request.param)


@pytest.fixture
def run(trained, tmp_path):
    return a_run(trained, tmp_path)


def a_run(trained, root):
    """A run directory in a workspace, as the training would have left it."""
    groups = {"method": trained.settings.method.model_dump()}
    return Run(build_tiny_run(root, trained.base, adapter=trained.folder, settings=groups))


def workspace_of(run):
    return Workspace.at(run.path.parent.parent, (run.settings.model.path,))


def answers(trained, model):
    """What a model says to the questions, without cache, batch or any of our generating code."""
    tokenizer = ChatTokenizer.load(trained.base)
    found = [greedy(model, ids, NEW_TOKENS, tokenizer.stop_ids) for ids in prompts(trained.base)]
    return [tokenizer.decode(ids) for ids in found]


def test_every_method_has_a_row_a_file_and_a_choice():
    assert set(TRAITS) == set(METHODS) == set(get_args(MethodSettings.model_fields["name"].annotation))
    assert all(set(traits.bits) <= {4, 8, 16} for traits in TRAITS.values())
    for name, traits in TRAITS.items():
        assert bits_of(from_dict({"data": {"train": ["x"]}}, {"method.name": name})) == traits.bits[0]
    assert bits_of(from_dict({"data": {"train": ["x"]}}, {"method.name": "qlora", "method.bits": "8"})) == 8


def test_training_lowers_the_loss_and_moves_all_that_learns_and_nothing_else(trained):
    assert trained.losses[-1] < trained.losses[0] - 0.3
    for name, weight in trained.model.named_parameters():
        assert torch.equal(trained.before[name], weight) != weight.requires_grad, name


def test_an_adapter_is_all_that_learns_or_the_models_own_weights(trained):
    own = {name for name, _ in load_base(trained.base).named_parameters()}
    learns = {name for name, weight in trained.model.named_parameters() if weight.requires_grad}
    assert learns
    if TRAITS[trained.name].adapter:
        plain = {re.sub(r"^base_model\.(model\.)?", "", name).replace(".base_layer", "") for name in learns}
        assert not plain & own
    else:
        assert learns <= own


def test_the_groups_hold_each_trained_weight_once(once):
    groups = method_of(once.settings).groups(once.model, once.settings)
    assert all(set(group) >= {"params", "lr_factor", "weight_decay"} for group in groups)
    held = [id(weight) for group in groups for weight in group["params"]]
    assert sorted(held) == sorted({id(weight) for weight in once.model.parameters() if weight.requires_grad})


def test_what_is_saved_answers_as_what_was_trained_and_the_base_as_before(trained):
    loaded, plain = (
        load_both(trained.base, trained.folder, bits=trained.bits),
        load_base(trained.base, bits=trained.bits),
    )
    for ids in prompts(trained.base):
        tuned, base = logits(trained.model, ids), logits(plain.eval(), ids)
        assert (tuned - base).abs().max() > 0.5
        for _ in range(2):  # to and fro
            assert (logits(loaded.model, ids) - tuned).abs().max() < 1e-4
            with loaded.as_base():
                assert torch.equal(logits(loaded.model, ids), base)


def test_a_saved_folder_needs_nothing_of_ours(once):
    # What is saved does not know of the base's precision: what was learnt on 4 bits loads on 16 as well.
    tuned = once.model if once.bits == 16 else load_both(once.base, once.folder).model
    if TRAITS[once.name].adapter:
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(once.base), once.folder)
    else:
        plain = AutoModelForCausalLM.from_pretrained(once.folder)
    for ids in prompts(once.base):
        assert (logits(plain.eval(), ids) - logits(tuned, ids)).abs().max() < 1e-4
    tokenizer = AutoTokenizer.from_pretrained(once.folder)
    asked = [message.to_dict() for message in QUESTIONS[0]]
    ids = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == prompts(once.base)[0]
    generation = json.loads((once.folder / "generation_config.json").read_text())
    assert set(generation["eos_token_id"]) == {256, 258}
    assert {file.suffix for file in once.folder.iterdir()} <= {".json", ".safetensors", ".jinja", ".md", ""}


def test_a_fresh_model_takes_up_what_was_saved(trained):
    fresh = attached(trained.base, trained.settings, seed=99)
    method_of(trained.settings).restore(fresh, trained.folder)
    learnt = {name: weight for name, weight in trained.model.named_parameters() if weight.requires_grad}
    for name, weight in fresh.named_parameters():
        assert weight.requires_grad == (name in learnt)
        assert name not in learnt or torch.allclose(weight, learnt[name], atol=1e-6)
    for ids in prompts(trained.base):
        assert (logits(fresh.eval(), ids) - logits(trained.model, ids)).abs().max() < 1e-3
    steps = trainer_of(trained.base, trained.settings, fresh).steps()
    assert next(iter(steps)).loss == pytest.approx(trained.losses[-1], abs=0.5)


def test_an_evaluation_asks_the_tuned_model_and_the_untouched_base(trained, run):
    workspace = workspace_of(run)
    asked = [{"instruction": each[0].content, "input": "", "output": "x"} for each in QUESTIONS]
    (workspace.data / "asked.json").write_text(json.dumps(asked))
    Registry(workspace).add(workspace.data / "asked.json", name="asked")
    job = evaluating.prepare(workspace, run, ["asked"], options=Options(max_new_tokens=NEW_TOKENS, probes=False))
    evaluate(job)
    base = answers(trained, load_base(trained.base, bits=trained.bits).eval())
    tuned = answers(trained, trained.model)
    assert [row.text("base") for row in rows(job)] == base
    assert [row.text("tuned") for row in rows(job)] == tuned
    assert base != tuned
    assert scores.read(run)[-1]["decoding"]["bits"] == trained.bits


def test_a_chat_answers_as_the_tuned_model_and_as_the_untouched_base(trained):
    model = ChatModel(trained.base, trained.folder, bits=trained.bits)
    base = answers(trained, load_base(trained.base, bits=trained.bits).eval())
    tuned = answers(trained, trained.model)
    for question, before, after in zip(QUESTIONS, base, tuned, strict=True):
        for which, expected in (("tuned", after), ("base", before), ("tuned", after)):
            said = []
            model.answer(question, which, Sampling(max_new_tokens=NEW_TOKENS), say=said.append, stop=threading.Event())
            assert "".join(said) == expected


def test_a_run_is_merged_or_refused_before_anything_starts(once, tmp_path):
    run = a_run(once, tmp_path)
    workspace, traits = workspace_of(run), TRAITS[once.name]
    if not traits.mergeable:
        with pytest.raises(RunError) as caught:
            merging.prepare(workspace, run)
        code = "merge.virtual_tokens" if traits.adapter else "merge.whole_model"
        assert [each.code for each in caught.value.problems] == [code]
        assert all(caught.value.say(language) for language in ("en", "zh"))
        assert not run.jobs("merges")
        if not traits.adapter:
            assert str(run.path / "final") in caught.value.say("en")
        return
    job = merging.prepare(workspace, run, dtype="float32")
    merge(job)
    finished = process.last_event(job)
    assert finished.event == "run_finished"
    merged = AutoModelForCausalLM.from_pretrained(finished.result["folder"])
    plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(once.base), once.folder)
    for ids in prompts(once.base):
        assert (logits(merged.eval(), ids) - logits(plain.eval(), ids)).abs().max() < 1e-3
