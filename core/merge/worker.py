"""The process that merges: `python -m core.merge.worker JOB_DIR`.

The adapter is added to the unquantised base in float32, rounded once to the dtype of the result, written aside, loaded
again from disk and compared; only a folder that passed gets its name. A run that was trained on a 4-bit base is merged into
the original weights too: that is what other programs will load.
"""

import hashlib
import importlib.metadata
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from core.data.formats import conversations
from core.data.registry import Registry
from core.errors import RunError, StudioError, problem
from core.merge import parity
from core.merge.prepare import BYTES, require_free
from core.models import folder as models
from core.models.companions import write_companions
from core.models.load import load_adapter, load_base
from core.models.trained import Trained, trained
from core.records import Message
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run, read_config
from core.runs.process import worker_pid
from core.runs.work import run_worker
from core.workspace import Workspace, require_space

_PROMPTS = 8  # chosen by us: 8 prompts x 32 positions are compared in under a second on a small model
_LONGEST = 256  # tokens of a prompt that is compared; more would show nothing new and take longer
_SENTENCES = ("Who are you?", "你是谁？", "What is the capital of France?", "请用一句话介绍你自己。", "What is 3 plus 4?",
              "Say hello.", "法国的首都是哪里？", "Count from one to five.")  # fmt: skip
_MARKER = "merging.json"  # lies in the folder while it is being written, and says by whom
_VERSIONS = ("torch", "transformers", "peft", "safetensors", "finetune-studio")


class _Stopped(Exception):
    """Somebody asked for a stop; nothing is left behind."""


def work(job: Path) -> None:
    """Merge, write, prove and name the folder; leave nothing behind when that fails."""
    log, config, run = job / "events.jsonl", read_config(job), Run(job.parent.parent)
    workspace = Workspace.at(config["workspace"], tuple(config["allow"]))
    out = workspace.writable(config["out"])
    aside = out.with_name(out.name + ".part")
    require_free(out)
    _take(aside, job)
    try:
        result = _merge(job, config, run, workspace, aside)
        require_free(out)
        aside.replace(out)
    except _Stopped:
        events.append(log, events.RunStopped(step=0))
    else:
        events.append(log, events.RunFinished(result={"folder": str(out), **result}))
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _merge(job: Path, config: dict[str, Any], run: Run, workspace: Workspace, aside: Path) -> dict[str, Any]:
    """Write the merged model into `aside` and return the figures that prove it."""
    dtype = config["dtype"]
    model = trained(workspace, run, config["adapter"])
    tokenizer = ChatTokenizer.load(model.tuned)
    prompts = _sample_prompts(workspace, run, tokenizer)
    _phase(job, "loading_model")
    base = load_base(model.base, dtype="float32", device="cpu")
    tuned = load_adapter(base, model.tuned).eval()
    _phase(job, "merging")
    expected = parity.logits(base, prompts)  # the adapter sits inside the base's layers
    merged: PreTrainedModel = tuned.merge_and_unload(safe_merge=True)
    exact = parity.compare(expected, parity.logits(merged, prompts))
    parity.require(exact, "float32")
    _phase(job, "saving")
    require_space(aside, models.parameters(model.base) * BYTES[dtype], str(aside))
    _round(merged, getattr(torch, dtype))
    written = parity.logits(merged, prompts)
    _save(merged, model, aside, config["shard_gb"])
    del base, tuned, merged
    _phase(job, "comparing")
    loaded = AutoModelForCausalLM.from_pretrained(aside, dtype=getattr(torch, dtype), local_files_only=True)
    reloaded = parity.logits(loaded.eval(), prompts)
    parity.require(parity.compare(written, reloaded), "float32")
    found = parity.compare(expected, reloaded)
    parity.require(found, dtype)
    result = {
        "dtype": dtype,
        "max_logit_diff": found.max_diff,
        "max_logit_diff_float32": exact.max_diff,
        "bound": parity.bound(dtype, found.scale),
        "first_tokens_same": f"{found.first_same} of {found.prompts}",
        "tokens_same": f"{found.same} of {found.positions}",
        "prompts": found.prompts,
    }
    manifest = _manifest(run, config, model, result)
    (aside / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
    (aside / _MARKER).unlink()
    if (job / "stop").exists():
        raise _Stopped
    return result


def _take(aside: Path, job: Path) -> None:
    """Make the folder that is written aside. What a killed merge left there is removed, anything else is refused."""
    if aside.exists():
        marker = aside / _MARKER
        owner = Path(json.loads(marker.read_text(encoding="utf-8"))["job"]) if marker.is_file() else None
        if owner is None or worker_pid(owner) is not None:
            raise RunError(problem("merge.aside_taken", str(aside)))
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    (aside / _MARKER).write_text(json.dumps({"job": str(job)}), encoding="utf-8")


def _sample_prompts(workspace: Workspace, run: Run, tokenizer: ChatTokenizer) -> list[list[int]]:
    """Return token ids of questions from the run's own test data, else its training data, else fixed sentences."""
    system, registry = run.config["prompt"]["text"], Registry(workspace)
    questions: list[Sequence[Message]] = []
    for name in (*run.settings.data.test, *run.settings.data.train):
        try:
            rows = conversations(registry.get(name))
        except StudioError:  # data that was removed since does not keep anybody from merging
            continue
        some = min(_PROMPTS // 2, len(rows))  # of one set, so that two are represented
        questions += [rows[number * len(rows) // some].with_system(system).question for number in range(some)]
        if len(questions) >= _PROMPTS:
            break
    prefix = [Message("system", system)] if system else []
    questions += [[*prefix, Message("user", text)] for text in _SENTENCES]
    return [tokenizer.prompt_ids(each)[-_LONGEST:] for each in questions[:_PROMPTS]]


def _round(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Round the weights in place. `model.to` would also round the rotary frequencies, which loading computes exactly."""
    for weight in model.parameters():
        weight.data = weight.data.to(dtype)


def _save(model: PreTrainedModel, source: Trained, folder: Path, shard_gb: float) -> None:
    """Write weights, config, tokenizer, template, and a generation config that knows the stop tokens."""
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder, max_shard_size=int(shard_gb * 1e9), safe_serialization=True)
    write_companions(source.tuned, folder)


def _manifest(run: Run, config: dict[str, Any], model: Trained, result: dict[str, Any]) -> dict[str, Any]:
    """Return what this folder was made of."""
    weights = (model.tuned / "adapter_model.safetensors").read_bytes()
    return {
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "run": run.name,
        "base": {"path": run.config["model"]["path"], "fingerprint": models.fingerprint(model.base)},
        "adapter": {"path": config["adapter"], "sha256": hashlib.sha256(weights).hexdigest()},
        "trained_in_bits": model.bits,
        "dtype": config["dtype"],
        "prompt": run.config["prompt"],
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        "parity": result,
    }


def _phase(job: Path, name: str) -> None:
    """Say what comes next, or stop here if somebody asked for it."""
    if (job / "stop").exists():
        raise _Stopped
    events.append(job / "events.jsonl", events.Phase(name=name))


if __name__ == "__main__":
    run_worker(work)
