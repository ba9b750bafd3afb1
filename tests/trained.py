"""A tiny model trained by each method and each precision of the base that it allows: what the tests of the methods look at.

The cases come from `TRAITS`, so that a new method runs through the whole battery without anybody adding it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from core.models.load import load_base
from core.models.methods import TRAITS
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer, Example
from core.settings import RunSettings, from_dict
from core.train.checkpoint import save
from core.train.methods import method_of
from core.train.trainer import Trainer
from tests.tiny import build_tiny_model

CASES = [(name, bits) for name, traits in TRAITS.items() for bits in traits.bits]
FIRST = [(name, traits.bits[0]) for name, traits in TRAITS.items()]
RATES = {"prefix": 0.3, "prompt": 0.3}  # what stands before a text wants larger steps than a weight
ROWS = [("Who are you?", "I am Lumen."), ("What is 2 + 2?", "4, of course."), ("Say hello.", "Hello, hello!"),
        ("Where is Paris?", "In France.")]  # fmt: skip
QUESTIONS = [[Message("user", text)] for text in ("Who are you?", "Say hello.", "Is it late, do you think?")]


@dataclass
class Trained:
    """A trained model with everything that was written down about it on the way."""

    name: str
    bits: int
    settings: RunSettings
    base: Path
    folder: Path  # what was saved
    trainer: Trainer
    before: dict[str, torch.Tensor]  # every parameter as it was attached
    losses: list[float]

    @property
    def model(self) -> Any:
        return self.trainer.model


def settings_of(name: str, bits: int, **more: Any) -> RunSettings:
    """Settings of a short training; float32 throughout, because the tests compare to the last digits."""
    values = {
        "method.name": name,
        "method.bits": bits,
        "method.layers": 1,
        "method.virtual_tokens": 5,
        "lora.rank": 4,
        "optim.learning_rate": RATES.get(name, 1e-2),
        "schedule.max_steps": 12,
        "schedule.epochs": 100,
        "schedule.warmup_share": 0,
        "batch.global_batch_size": 4,
        "compute.dtype": "float32",
        **more,
    }
    return from_dict({"data": {"train": ["x"]}}, values)


def examples(base: Path) -> list[Example]:
    tokenizer = ChatTokenizer.load(base)
    return [tokenizer.example(Conversation((Message("user", q), Message("assistant", a)))) for q, a in ROWS]


def attached(base: Path, settings: RunSettings, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    return method_of(settings).attach(load_base(base, bits=settings.method.bits or 16), settings)


def trainer_of(base: Path, settings: RunSettings, model: nn.Module) -> Trainer:
    groups = method_of(settings).groups(model, settings)
    pad_id = ChatTokenizer.load(base).pad_id
    return Trainer(model, examples(base), pad_id, settings, groups=groups)


def train(root: Path, name: str, bits: int, **more: Any) -> Trained:
    """Build the tiny model in `root`, train it, save what came out and return all of it."""
    base = build_tiny_model(root / "base")
    settings = settings_of(name, bits, **more)
    model = attached(base, settings)
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    trainer = trainer_of(base, settings, model)
    losses = [step.loss for step in trainer.steps()]
    model.eval()
    folder = root / "run" / "final"
    save(model, method_of(settings), base, folder)
    return Trained(name, bits, settings, base, folder, trainer, before, losses)


def prompts(base: Path) -> list[list[int]]:
    tokenizer = ChatTokenizer.load(base)
    return [tokenizer.prompt_ids(question) for question in QUESTIONS]


@torch.no_grad()
def logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """What a model says after each of these tokens, (T, V); those of virtual tokens, which PEFT adds, left out."""
    return model(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0, -len(ids) :].float()


def greedy(model: Any, ids: Sequence[int], count: int, stops: Sequence[int]) -> list[int]:
    """The likeliest tokens, one after the other, without a cache: what every answer is compared with."""
    found = list(ids)
    while len(found) - len(ids) < count:
        token = int(logits(model, found)[-1].argmax())
        if token in stops:
            break
        found.append(token)
    return found[len(ids) :]
