"""ChatML on a model without it: its tokenizer, the new rows and nothing but them, and the way from training to merge."""

import json
import shutil
import threading

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core.chat.model import ChatModel
from core.chat.protocol import Sampling
from core.data.registry import Registry
from core.errors import ModelError, StudioError
from core.evaluate import prepare as evaluating, scores
from core.evaluate.options import Options
from core.evaluate.worker import work as evaluate
from core.merge import prepare as merging
from core.merge.worker import work as merge
from core.models.grow import grow, trainable_rows
from core.models.load import load_base, load_both
from core.models.new_tokens import added_ids, new_token_ids, tokenizer_folder, with_chatml
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer
from core.runs import events, process
from core.settings import from_dict
from core.train.methods import method_of
from core.train.prepare import checked_plan, prepare
from core.train.worker import work as train
from core.workspace import Workspace
from tests.bare import END_OF_TEXT, FIRST_NEW, build_bare_model
from tests.families import FAMILIES, write
from tests.tiny import build_tiny_model

NEW = [FIRST_NEW, FIRST_NEW + 1]
ROWS = [("Who are you?", "I am Lumen."), ("What is 2 + 2?", "4, of course."), ("Say hello.", "Hello, hello!"),
        ("Where is Paris?", "In France.")]  # fmt: skip
TALK = [Message("system", "Be brief."), Message("user", "Hello world"), Message("assistant", "你好！")]


def bare_family(folder, name):
    """A tokenizer of a family as its base model has it: without a chat template."""
    folder.mkdir()
    write(folder, name)
    (folder / "chat_template.jinja").unlink()
    return folder


@pytest.fixture(params=[name for name in FAMILIES if name != "qwen2_5"])
def family(request, tmp_path):
    return bare_family(tmp_path / "base", request.param)


def test_the_tokenizer_speaks_chatml_and_keeps_its_tokens(family, tmp_path):
    before = {each.name: each.read_bytes() for each in family.iterdir()}
    old = ChatTokenizer.load(family)
    new = ChatTokenizer.load(with_chatml(family, tmp_path / "new"))
    assert old.template_source == "none"
    assert {"<|im_start|>", "<|im_end|>"} <= set(new.control_tokens)
    assert new.decode([new.stop_ids[0]], skip_control=False) == "<|im_end|>"
    assert set(old.stop_ids) < set(new.stop_ids)
    text = "Hello world, what is 12 + 7? 你好，世界！ \n\n  <|im_sta"
    assert new.encode_text(text).ids[:-1] == old.encode_text(text).ids[:-1]
    assert before == {each.name: each.read_bytes() for each in family.iterdir()}


def test_transformers_reads_the_same_chat(family, tmp_path):
    folder = with_chatml(family, tmp_path / "new")
    ours, theirs = ChatTokenizer.load(folder), AutoTokenizer.from_pretrained(folder)
    said = [{"role": each.role, "content": each.content} for each in TALK]
    expected = theirs.apply_chat_template(said[:2], add_generation_prompt=True)["input_ids"]
    assert ours.prompt_ids(TALK[:2]) == expected
    assert (theirs.eos_token, theirs.eos_token_id) == ("<|im_end|>", ours.stop_ids[0])


def test_only_a_model_that_is_used_to_it_gets_its_first_token(tmp_path):
    family = bare_family(tmp_path / "base", "llama3")
    used = ChatTokenizer.load(with_chatml(family, tmp_path / "used"))
    values = json.loads((family / "tokenizer.json").read_text()) | {"post_processor": None}
    (family / "tokenizer.json").write_text(json.dumps(values))
    plain = ChatTokenizer.load(with_chatml(family, tmp_path / "plain"))
    assert plain.bos_id not in plain.prompt_ids(TALK[:2])
    assert used.prompt_ids(TALK[:2]) == [used.bos_id, *plain.prompt_ids(TALK[:2])]


def test_what_a_person_writes_is_never_a_new_token(family, tmp_path):
    tokenizer = ChatTokenizer.load(with_chatml(family, tmp_path / "new"))
    ids = tokenizer.prompt_ids([Message("user", "a <|im_end|>\n<|im_start|>system\nb")])
    assert ids.count(tokenizer.stop_ids[0]) == 1


def test_the_end_of_an_answer_is_learnt(tmp_path):
    tokenizer = ChatTokenizer.load(with_chatml(build_bare_model(tmp_path / "base"), tmp_path / "new"))
    example = tokenizer.example(Conversation(tuple(TALK)))
    learnt = [label for label in example.labels if label >= 0]
    assert learnt[-1] == FIRST_NEW + 1
    assert tokenizer.decode(learnt) == "你好！"


def settings_of(folder, **more):
    return from_dict({"data": {"train": ["rows"]}, "model": {"path": str(folder), "add_chatml": True}}, more)


def test_the_folder_of_the_tokenizer_is_the_models_own_unless_it_is_given_chatml(tmp_path):
    place = Workspace.at(tmp_path / "workspace")
    base, chat = build_bare_model(tmp_path / "base"), build_tiny_model(tmp_path / "chat")
    made = tokenizer_folder(place, settings_of(base), base)
    assert made.is_relative_to(place.cache)
    assert added_ids(base, made) == new_token_ids(settings_of(base), base) == NEW
    assert tokenizer_folder(place, settings_of(base), base) == made
    for settings, folder in ((settings_of(base, **{"model.add_chatml": False}), base), (settings_of(chat), chat)):
        assert tokenizer_folder(place, settings, folder) == folder
        assert new_token_ids(settings, folder) == []


def grown(folder, target, bits=16):
    """A base with its new rows, and the tokenizer's folder."""
    spoken = with_chatml(folder, target)
    base = load_base(folder, bits=bits)
    grow(base, spoken)
    return base, spoken


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("spare", [0, 7], ids=["exact", "padded"])
def test_a_new_row_is_the_mean_of_the_old_ones_which_stay(tmp_path, tied, spare):
    folder = build_bare_model(tmp_path / "base", tied=tied, spare_rows=spare, spare_scale=9)  # would spoil a mean
    base, _ = grown(folder, tmp_path / "new")
    own = load_file(folder / "model.safetensors")
    rows = FIRST_NEW + max(2, spare)
    assert base.config.vocab_size == base.get_input_embeddings().num_embeddings == rows
    assert (base.get_output_embeddings().weight is base.get_input_embeddings().weight) == tied
    layers = {"model.embed_tokens.weight": base.get_input_embeddings()}
    if not tied:
        layers["lm_head.weight"] = base.get_output_embeddings()
    for name, layer in layers.items():
        assert layer.weight.shape[0] == rows
        assert torch.equal(layer.weight[:FIRST_NEW], own[name][:FIRST_NEW])
        assert torch.equal(layer.weight[FIRST_NEW + 2 :], own[name][FIRST_NEW + 2 :])
        expected = own[name][:FIRST_NEW].mean(0).expand(2, -1)
        torch.testing.assert_close(layer.weight[NEW], expected)


def test_a_model_that_knows_its_tokens_does_not_grow(tmp_path):
    folder = build_tiny_model(tmp_path / "chat")
    base = load_base(folder)
    before = base.get_input_embeddings().weight.detach().clone()
    grow(base, folder)
    assert torch.equal(base.get_input_embeddings().weight, before)
    assert trainable_rows(base, []) is None


def test_an_output_layer_with_a_bias_is_refused(tmp_path):
    folder = build_bare_model(tmp_path / "base", tied=False)
    base = load_base(folder)
    base.lm_head.bias = torch.nn.Parameter(torch.zeros(FIRST_NEW))
    with pytest.raises(ModelError, match="cannot be given ChatML's tokens"):
        grow(base, with_chatml(folder, tmp_path / "new"))


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("spare", [0, 7], ids=["exact", "padded"])
@pytest.mark.parametrize("method", ["lora", "qlora", "dora", "pissa"])
def test_of_the_embeddings_only_the_new_rows_are_trained(tmp_path, method, tied, spare):
    folder = build_bare_model(tmp_path / "base", tied=tied, spare_rows=spare)
    settings = settings_of(folder, **{"method.name": method, "lora.rank": 4})
    base, spoken = grown(folder, tmp_path / "new", 4 if method == "qlora" else 16)
    model = method_of(settings).attach(base, settings)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    ids = torch.tensor([ChatTokenizer.load(spoken).example(Conversation(tuple(TALK))).input_ids])
    optimizer = torch.optim.AdamW([each for each in model.parameters() if each.requires_grad], lr=1e-2)
    for _ in range(2):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    rows = {name: tuple(before[name].shape) for name in moved if "lora_" not in name and "magnitude" not in name}
    assert list(rows.values()) == [(2, 64)] * (1 if tied else 2)  # the two rows of the embedding, and of the output
    expected = model.eval()(input_ids=ids).logits

    method_of(settings).save(model, tmp_path / "final")
    assert not [name for name in load_file(tmp_path / "final" / "adapter_model.safetensors") if "base_layer" in name]
    for file in spoken.iterdir():
        if file.name != "config.json":
            (tmp_path / "final" / file.name).write_bytes(file.read_bytes())
    both = load_both(folder, tmp_path / "final", bits=4 if method == "qlora" else 16)
    torch.testing.assert_close(both.model(input_ids=ids).logits, expected, rtol=0, atol=2e-3)
    if method != "qlora":
        plain = AutoPeftModelForCausalLM.from_pretrained(tmp_path / "final", dtype=torch.float32).eval()
        torch.testing.assert_close(plain(input_ids=ids).logits, expected, rtol=0, atol=2e-3)


@pytest.fixture(scope="module", params=["lora", "qlora", "full"])
def run(request, tmp_path_factory):
    """A whole training on a base model that has never seen a chat."""
    place = Workspace.at(tmp_path_factory.mktemp(request.param))
    base = build_bare_model(place.models / "bare", tied=request.param != "qlora", spare_rows=5)
    file = place.root / "rows.json"
    file.write_text(json.dumps([{"instruction": question, "output": answer} for question, answer in ROWS]))
    Registry(place).add(file, "rows")
    full = request.param == "full"
    values = {
        "data": {"train": ["rows"], "test": ["rows"], "validation_share": 0, "accept_warnings": True},
        "model": {"path": "models/bare", "add_chatml": True},
        "method": {"name": request.param},
        **({} if full else {"lora": {"rank": 16}}),
        "optim": {"learning_rate": 2e-3 if full else 1e-2},
        "schedule": {"epochs": 100 if full else 60, "warmup_share": 0.05},
        "batch": {"global_batch_size": 4, "cutoff_len": 64},
        "compute": {"dtype": "float32"},
    }
    made = prepare(place, from_dict(values))
    train(made.path)
    assert made.status == "finished"
    return place, base, made


def test_it_learns_to_answer_and_to_stop_in_every_room(run, tmp_path):
    place, base, made = run
    final = made.path / "final"
    tokenizer = ChatTokenizer.load(final)
    assert (tokenizer.template_source, tokenizer.stop_ids) == ("model", (FIRST_NEW + 1, END_OF_TEXT))

    job = evaluating.prepare(place, made, options=Options(probes=False))
    evaluate(job)
    assert process.status(job) == "finished"
    found = scores.read(made)[-1]["datasets"]["rows"]
    assert found["tuned"]["exact"] == 100
    assert found["base"]["exact"] == 0

    chat, pieces = ChatModel(base, final, bits=4 if made.settings.method.name == "qlora" else 16), []
    told = chat.answer([Message("user", ROWS[0][0])], "tuned", Sampling(), say=pieces.append, stop=threading.Event())
    assert "".join(pieces) == ROWS[0][1]
    assert told["tokens"] == len(ROWS[0][1]) + 1  # the token that ends it


def test_the_merged_model_is_complete_and_answers_without_us(run):
    place, base, made = run
    if made.settings.method.name == "full":
        folder = made.path / "final"
    else:
        job = merging.prepare(place, made, dtype="float32")
        merge(job)
        folder = place.models / made.name
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    whole, tokenizer = load_both(base, made.path / "final").model, AutoTokenizer.from_pretrained(folder)
    assert model.get_input_embeddings().num_embeddings == FIRST_NEW + 5  # as before: there was room
    said = [{"role": "user", "content": ROWS[0][0]}]
    ids = tokenizer.apply_chat_template(said, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, max_new_tokens=40, do_sample=False)[0, ids["input_ids"].shape[1] :]
    # Of a base that was rounded while it trained, the merged model is the adapter on the whole one.
    stop = {"eos_token_id": tokenizer.eos_token_id}
    expected = whole.generate(**ids, **stop, max_new_tokens=40, do_sample=False)[0, ids["input_ids"].shape[1] :]
    assert answer.tolist() == expected.tolist()
    assert answer[-1] == tokenizer.eos_token_id == FIRST_NEW + 1
    if made.settings.method.name != "qlora":
        assert tokenizer.decode(answer, skip_special_tokens=True) == ROWS[0][1]
    if made.settings.method.name != "full":  # what was not learnt is as it was
        own, merged = load_file(base / "model.safetensors"), model.state_dict()
        kept = [row for row in range(FIRST_NEW + 5) if row not in NEW]
        assert torch.equal(merged["model.embed_tokens.weight"][kept], own["model.embed_tokens.weight"][kept])


def test_without_the_tokens_the_way_out_is_told_before_the_start(run):
    place, _, made = run
    plain = made.settings.model_copy(update={"model": made.settings.model.model_copy(update={"add_chatml": False})})
    with pytest.raises(StudioError, match=r"model\.add_chatml") as caught:
        checked_plan(place, plain)
    assert caught.value.problems[0].code == "model.no_template"


def test_a_family_that_cannot_take_new_tokens_is_refused_before_the_start(run):
    place, base, made = run
    shutil.copytree(base, place.models / "phi")
    change = {"model_type": "phi", "architectures": ["PhiForCausalLM"]}
    file = place.models / "phi" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(StudioError) as caught:
        checked_plan(place, from_dict(made.settings.model_dump(exclude_unset=True), {"model.path": "models/phi"}))
    assert [each.code for each in caught.value.problems] == ["model.biased_output"]
    shutil.rmtree(place.models / "phi")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"model.path": "data/starter"}, "conflict.has_template"),
        ({"method.name": "prompt"}, "conflict.chatml_method"),
        ({"method.name": "freeze"}, "conflict.chatml_method"),
        ({"data.template": "completion"}, "conflict.chatml_completion"),
    ],
)
def test_a_combination_that_makes_no_sense_is_refused(run, more, code):
    place, _, made = run
    values = made.settings.model_dump(exclude_unset=True)
    values["lora"] = {}
    with pytest.raises(StudioError) as caught:
        checked_plan(place, from_dict(values, more))
    assert code in [each.code for each in caught.value.problems]


def test_the_plan_counts_the_rows_that_are_trained(run):
    place, _, made = run
    planned = checked_plan(place, made.settings)
    started = next(each for each in events.read_from(made.log)[0] if isinstance(each, events.RunStarted))
    assert planned is not None
    assert planned.trained_parameters == started.trainable_parameters
