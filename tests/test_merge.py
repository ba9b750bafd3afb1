"""Merges of tiny random models, through the worker, loaded again by plain transformers."""

import json

import pytest

from core.errors import PathError, ResourceError, RunError, SettingsError
from core.merge import prepare as preparing
from core.merge.prepare import prepare
from core.runs import events, process, supervisor
from core.runs.directory import Run
from core.workspace import Workspace
from tests.tiny import CHAT_TEMPLATE, build_tiny_model, build_tiny_run, write_adapter


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace.at(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def base(workspace):
    return build_tiny_model(workspace.models / "tiny")


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapter"), base)


@pytest.fixture
def run(workspace, base, adapter):
    return Run(build_tiny_run(workspace.root, base, adapter=adapter, prompt="You are Lumen.", method="qlora"))


def merge(job):
    """Merge here, which saves the seconds that a new process needs to import torch; return the last event."""
    from core.merge.worker import work

    work(job)
    return process.last_event(job)


def merge_in_a_worker(job):
    supervisor.launch(job, "core.merge.worker").join()
    seen, _ = events.read_from(job / "events.jsonl")
    return seen[-1]


def logits(folder, adapter=None):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    with torch.inference_mode():
        return model(input_ids=torch.tensor([[257, 1, 2, 3, 258, 10, 60, 200]])).logits.float()


def test_a_float32_merge_answers_like_the_adapter_in_plain_transformers(run, workspace, base, adapter):
    finished = merge_in_a_worker(prepare(workspace, run, dtype="float32"))
    assert finished.event == "run_finished"
    folder = workspace.models / run.name
    assert finished.result["folder"] == str(folder)
    tuned = logits(base, adapter)
    assert (logits(folder) - tuned).abs().max() < 1e-4
    assert (logits(base) - tuned).abs().max() > 0.1
    assert finished.result["max_logit_diff"] < 1e-4
    assert finished.result["max_logit_diff_float32"] < 1e-4
    assert finished.result["first_tokens_same"] == "8 of 8"
    assert not list(workspace.models.glob("*.part"))


def test_a_merged_folder_brings_everything_that_other_programs_need(run, workspace, base):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merge(prepare(workspace, run, out="models/taken home", shard_gb=0.001))
    folder = workspace.models / "taken home"
    config = json.loads((folder / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "quantization_config" not in config
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [258, 256]
    assert generation["temperature"] == 1.5  # the base's own defaults are kept
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert str(model.dtype) == "torch.bfloat16"
    assert model.generate(**ids, max_new_tokens=3).shape[1] > ids["input_ids"].shape[1]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["base"]["fingerprint"] == run.config["model"]["fingerprint"]
    assert manifest["prompt"]["text"] == "You are Lumen."
    assert manifest["trained_in_bits"] == 4
    assert len(manifest["adapter"]["sha256"]) == 64
    assert manifest["parity"]["max_logit_diff"] > manifest["parity"]["max_logit_diff_float32"]
    assert not (folder / "merging.json").exists()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_rounded_merge_is_within_its_bound(run, workspace, dtype):
    job = prepare(workspace, run, out=f"models/{run.name}_{dtype}", dtype=dtype)
    finished = merge(job)
    assert finished.event == "run_finished"
    result = finished.result
    assert 0 < result["max_logit_diff"] < result["bound"]
    assert result["max_logit_diff_float32"] < 1e-4
    assert [event.name for event in events.read_from(job / "events.jsonl")[0] if event.event == "phase"] == [
        "loading_model", "merging", "saving", "comparing",
    ]  # fmt: skip


def test_a_small_shard_size_makes_several_files(workspace, base, run, monkeypatch):
    from safetensors import safe_open

    job = prepare(workspace, run, out="models/sharded", dtype="float32", shard_gb=0.001)
    # the smallest size a person may choose is larger than the tiny model, so the job is written by hand
    config = (job / "config.yaml").read_text().replace("shard_gb: 0.001", "shard_gb: 0.0001")
    (job / "config.yaml").write_text(config)
    assert merge(job).event == "run_finished"
    files = sorted((workspace.models / "sharded").glob("*.safetensors"))
    assert len(files) > 1
    assert (workspace.models / "sharded" / "model.safetensors.index.json").is_file()
    for file in files:
        with safe_open(file, "np") as opened:
            assert opened.keys()


def test_a_folder_that_holds_something_is_never_overwritten(run, workspace):
    taken = workspace.models / "taken"
    taken.mkdir()
    job = prepare(workspace, run, out="models/taken")  # empty: may be used
    (taken / "mine.txt").write_text("precious")
    assert merge_in_a_worker(job).problems[0]["code"] == "merge.folder_taken"
    with pytest.raises(PathError) as caught:
        prepare(workspace, run, out="models/taken")
    assert caught.value.problems[0].code == "merge.folder_taken"
    assert [file.name for file in taken.iterdir()] == ["mine.txt"]
    with pytest.raises(PathError):
        prepare(workspace, run, out="../elsewhere")


def test_what_a_killed_merge_left_is_replaced_and_what_others_made_is_not(run, workspace):
    left = workspace.models / "again.part"
    left.mkdir()
    (left / "mine.txt").write_text("precious")
    with pytest.raises(RunError) as caught:
        merge(prepare(workspace, run, out="models/again"))
    assert caught.value.problems[0].code == "merge.aside_taken"
    assert (left / "mine.txt").read_text() == "precious"
    (left / "merging.json").write_text(json.dumps({"job": str(workspace.root / "a job that is gone")}))
    assert merge(prepare(workspace, run, out="models/again")).event == "run_finished"
    assert not left.exists()


def test_a_stop_leaves_nothing_behind(run, workspace):
    job = prepare(workspace, run, out="models/stopped")
    process.ask_to_stop(job)
    assert merge(job).event == "run_stopped"
    assert not list(workspace.models.glob("stopped*"))


def test_a_full_disk_or_memory_is_found_before_the_start(run, workspace, monkeypatch):
    monkeypatch.setattr(preparing.models, "parameters", lambda folder: 10**15)
    with pytest.raises(ResourceError) as caught:
        prepare(workspace, run)
    assert caught.value.problems[0].code == "disk.full"
    monkeypatch.setattr(preparing, "require_space", lambda *_: None)
    with pytest.raises(ResourceError) as caught:
        prepare(workspace, run)
    assert caught.value.problems[0].code == "merge.memory"


def test_a_quantised_base_and_wrong_values_are_refused(workspace, adapter, run):
    quantised = build_tiny_model(workspace.models / "quantised")
    config = json.loads((quantised / "config.json").read_text())
    (quantised / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq"}}))
    other = Run(build_tiny_run(workspace.root, quantised, adapter=adapter))
    with pytest.raises(RunError) as caught:
        prepare(workspace, other)
    assert caught.value.problems[0].code == "merge.quantized_base"
    for values in ({"dtype": "int8"}, {"shard_gb": 0}, {"shard_gb": float("nan")}):
        with pytest.raises(SettingsError):
            prepare(workspace, run, **values)


def test_the_compared_prompts_are_the_runs_own_questions_under_its_system_prompt(workspace, base, adapter):
    from core.data.registry import Registry
    from core.merge.worker import _sample_prompts
    from core.render.tokenizer import ChatTokenizer

    for name, count in (("few", 2), ("many", 40)):
        rows = [{"instruction": f"{name} {number}", "input": "", "output": "x"} for number in range(count)]
        (workspace.data / f"{name}.json").write_text(json.dumps(rows))
        Registry(workspace).add(workspace.data / f"{name}.json", name=name)
    run = Run(
        build_tiny_run(
            workspace.root,
            base,
            adapter=adapter,
            prompt="You are Lumen.",
            data=[{"name": "many"}],
            test=["few", "gone"],
        )
    )
    tokenizer = ChatTokenizer.load(base)
    texts = [tokenizer.decode(ids) for ids in _sample_prompts(workspace, run, tokenizer)]
    assert [text.split("user\n")[1].split("\n")[0] for text in texts] == [
        "few 0", "few 1", "many 0", "many 10", "many 20", "many 30", "Who are you?", "你是谁？",
    ]  # fmt: skip
    assert all("You are Lumen." in text for text in texts)


def test_a_wrong_merge_is_told_from_rounding():
    import torch

    from core.merge import parity

    generator = torch.Generator().manual_seed(0)
    true = [torch.randn(8, 50, generator=generator) * 3 for _ in range(8)]
    rounded = [each + 1e-6 * torch.randn(each.shape, generator=generator) for each in true]
    parity.require(parity.compare(true, rounded), "float32")
    other = [torch.randn(8, 50, generator=generator) * 3 for _ in range(8)]
    broken = [torch.full_like(each, float("nan")) for each in true]
    for dtype in parity.BOUNDS:
        for wrong in (other, broken):
            with pytest.raises(RunError) as caught:
                parity.require(parity.compare(true, wrong), dtype)
            assert caught.value.problems[0].code == "merge.parity"
    found = parity.compare(true, [each.roll(1, -1) for each in true])
    assert (found.same, found.positions, found.first_same, found.prompts) == (0, 64, 0, 8)
