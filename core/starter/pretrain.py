"""Pre-train the starter model from scratch: `python -m core.starter.pretrain --out DIR [--steps N] [--seed 7] [--resume]`.

A Llama of five million parameters reads the generated corpus for about an hour on two cores (minutes on a GPU). The data
of a step depend on the seed and the step only, and the schedule on the step only, so a run that is interrupted and
resumed ends with the weights of one that was not. DIR ends up as a model folder for plain transformers, with the
tokenizer, the scores on the held-out test and a model card; the resumable state lies beside it in DIR.state.

Matrices inside the blocks are trained with Muon, embeddings and norms with AdamW: copying from the context appears in a
fraction of the steps that AdamW alone takes.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from core.starter.card import Training, write_card
from core.starter.checkpoint import RECORD, load_state, save_state
from core.starter.packing import IGNORED, Batch, Shape, batch_for
from core.starter.scoring import held_out_examples, score
from core.starter.tokenizer import CONTEXT, train_tokenizer


@dataclass(frozen=True)
class Plan:
    """Everything that the resulting weights depend on."""

    seed: int = 7
    steps: int = 6_500
    hidden_size: int = 256
    intermediate_size: int = 704
    layers: int = 6
    rows: int = 16
    row_length: int = 256
    long_every: int = 16
    learning_rate: float = 5e-3
    embedding_rate: float = 0.5
    warmup: int = 100
    weight_decay: float = 0.05
    optimizer: str = "muon"

    def rate(self, step: int) -> float:
        """Learning rate at `step`: linear warm-up, then a cosine down to 1 % of the peak."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))

    def shape_at(self, step: int) -> Shape:
        """Every `long_every`-th step reads long conversations, so that far positions are trained as well."""
        long = step % self.long_every == self.long_every - 1
        return Shape(self.rows // 2, self.row_length * 2) if long else Shape(self.rows, self.row_length)


def build_model(plan: Plan, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A freshly initialised model of the plan's size, in float32."""
    torch.manual_seed(plan.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden_size,
        intermediate_size=plan.intermediate_size,
        num_hidden_layers=plan.layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def build_optimizers(model: torch.nn.Module, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks and AdamW for the rest, or AdamW for all."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name] if plan.optimizer == "muon" else []
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    share = plan.embedding_rate if matrices else 1.0
    group = {"params": rest, "share": share}
    adam = torch.optim.AdamW(
        [group], lr=plan.learning_rate, betas=(0.9, 0.98), weight_decay=plan.weight_decay, fused=True
    )
    if not matrices:
        return [adam]
    muon = torch.optim.Muon(
        [{"params": matrices, "share": 1.0}],
        lr=plan.learning_rate,
        weight_decay=plan.weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return [adam, muon]


def loss_of(model: LlamaForCausalLM, body: Callable[..., object], batch: Batch) -> torch.Tensor:
    """Mean cross-entropy in nats over the learnt tokens; logits are computed for these alone."""
    learnt = batch.labels != IGNORED
    with torch.autocast(batch.input_ids.device.type, torch.bfloat16):
        output = body(
            input_ids=batch.input_ids,
            position_ids=batch.position_ids,
            attention_mask=batch.attention_mask,
            use_cache=False,
        )
        logits = model.lm_head(output.last_hidden_state[learnt])  # type: ignore[attr-defined]
    return torch.nn.functional.cross_entropy(logits.float(), batch.labels[learnt])


def take_step(
    model: LlamaForCausalLM,
    body: Callable[..., object],
    optimizers: list[torch.optim.Optimizer],
    batch: Batch,
    rate: float,
) -> float:
    """One optimizer step; gives the loss before it."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
    loss = loss_of(model, body, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


def pretrain(
    plan: Plan,
    tokenizer: PreTrainedTokenizerFast,
    state_folder: Path,
    until: int | None = None,
    compiled: bool = False,
    save_minutes: float = 4.0,
    score_every: int = 1000,
) -> LlamaForCausalLM:
    """Train up to step `until` (the plan's end if None), from the state in `state_folder` if there is one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(plan, tokenizer).to(device).train()
    optimizers = build_optimizers(model, plan)
    record = load_state(state_folder, model, optimizers) or {"step": 0, "seconds": 0.0}
    body = torch.compile(model.model, dynamic=False) if compiled else model.model
    end = plan.steps if until is None else until
    first, before = int(record["step"]), float(record["seconds"])
    began = saved = time.monotonic()
    recent: list[float] = []
    for step in range(first, end):
        progress = step / plan.steps
        batch = batch_for(
            step, plan.seed, tokenizer.backend_tokenizer, plan.shape_at(step), model.config.pad_token_id, progress
        )
        recent.append(take_step(model, body, optimizers, batch.to(device), plan.rate(step)))
        done, seconds = step + 1, time.monotonic() - began
        if done % 100 == 0:
            speed = (done - first) * plan.rows * plan.row_length / seconds
            left = (end - done) * seconds / (done - first) / 60
            loss = sum(recent) / len(recent)
            recent.clear()
            print(f"step {done}/{end} loss {loss:.4f} {speed:.0f} tokens/s, {left:.0f} minutes left", flush=True)
        if done % score_every == 0 and done != end:
            print(json.dumps(score(model, tokenizer, held_out_examples(10, seed=1))), flush=True)
        if time.monotonic() - saved > save_minutes * 60 or done == end:
            save_state(state_folder, model, optimizers, {"step": done, "seconds": before + time.monotonic() - began})
            saved = time.monotonic()
    return model


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Write the model in bfloat16 with its tokenizer as a folder for plain transformers."""
    out.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    copy.generation_config.eos_token_id = tokenizer.eos_token_id
    copy.generation_config.pad_token_id = tokenizer.pad_token_id
    copy.generation_config.do_sample = False
    copy.to(torch.bfloat16).save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    tokenizer.backend_tokenizer.no_padding()  # scoring pads on the left; that is no property of the tokenizer
    tokenizer.save_pretrained(out)
    # The class name that every version of transformers knows, rather than this version's.
    described = json.loads((out / "tokenizer_config.json").read_text())
    described |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    described.pop("backend", None)
    (out / "tokenizer_config.json").write_text(json.dumps(described, indent=2) + "\n")


def main() -> None:
    """Pre-train, export, score and write the model card."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--steps", type=int, default=Plan.steps)
    parser.add_argument("--seed", type=int, default=Plan.seed)
    parser.add_argument("--resume", action="store_true", help="go on from DIR.state")
    parser.add_argument("--export-only", action="store_true", help="export the last state without training on")
    parser.add_argument("--optimizer", choices=("muon", "adamw"), default=Plan.optimizer)
    parser.add_argument("--learning-rate", type=float, default=Plan.learning_rate)
    arguments = parser.parse_args()
    plan = Plan(
        seed=arguments.seed,
        steps=arguments.steps,
        optimizer=arguments.optimizer,
        learning_rate=arguments.learning_rate,
    )
    state_folder = arguments.out.with_name(arguments.out.name + ".state")
    if state_folder.exists() and not (arguments.resume or arguments.export_only):
        parser.error(f"{state_folder} holds an unfinished run. Add --resume to go on with it, or remove the folder.")
    tokenizer = train_tokenizer(plan.seed)
    until = 0 if arguments.export_only else None
    compiled = until is None and bool(shutil.which("g++") or torch.cuda.is_available())
    model = pretrain(plan, tokenizer, state_folder, until=until, compiled=compiled)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer)} tokens", flush=True)
    export(model, tokenizer, arguments.out)
    record = json.loads((state_folder / RECORD).read_text())
    device = "a GPU" if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU cores"
    training = Training(plan.seed, record["step"], record["seconds"], device)
    print(json.dumps(write_card(arguments.out, training), indent=1))


if __name__ == "__main__":
    main()
