"""The training loop: global batches in, one optimizer step each, and what it measured out.

The loss of a step is the mean over the learnt tokens of its whole global batch, however that is cut into micro-batches:
sums are divided by the batch's token count, never means averaged. So 8 x 1 and 1 x 8 are the same training.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from core.errors import RunError, problem
from core.models.load import compute_dtype
from core.render.tokenizer import Example
from core.settings import RunSettings
from core.train.batches import batches, micro_batch_size, steps_per_epoch, total_steps
from core.train.optimizers import optimizer, param_groups
from core.train.schedule import learning_rate

IGNORE_INDEX = -100  # functional.cross_entropy's default


@dataclass(frozen=True)
class Step:
    """One optimizer step, measured."""

    step: int
    epoch: float
    loss: float  # nats per learnt token
    learning_rate: float
    grad_norm: float  # before clipping
    learnt_tokens: int
    tokens: int  # context included, padding not
    seconds: float


class Trainer:
    """Trains `model` on `examples`; iterate over `steps()`.

    `of_pass(number)` says which examples each pass over the data shows, always equally many; without it all of them.
    `groups` are param groups with `params`, `lr_factor` and `weight_decay`; without them all that is trained, at one rate.
    """

    def __init__(
        self, model: nn.Module, examples: Sequence[Example], pad_id: int, settings: RunSettings,
        of_pass: Callable[[int], Sequence[Example]] | None = None, groups: Sequence[dict[str, Any]] | None = None,
    ) -> None:  # fmt: skip
        self.model = model
        self._of_pass = of_pass or (lambda _: examples)
        self._per_pass = len(self._of_pass(0))
        self._pad_id = pad_id
        self._settings = settings
        self.device = next(model.parameters()).device
        batch = settings.batch
        longest = max(len(example.input_ids) for example in examples)
        self.micro_batch_size = micro_batch_size(batch.micro_batch_size, batch.global_batch_size, longest)
        schedule = settings.schedule
        self.total_steps = total_steps(self._per_pass, batch.global_batch_size, schedule.epochs, schedule.max_steps)
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = optimizer(groups or param_groups(model, settings.optim.weight_decay), settings)

    @property
    def trainable_parameters(self) -> int:
        return sum(weight.numel() for weight in self._weights)

    def steps(self) -> Iterator[Step]:
        """Take one optimizer step at a time until all are done; stop iterating to stop training.

        Raises:
            RunError: when the loss or the gradient is not a finite number; the weights are those of the step before.
        """
        optim, schedule = self._settings.optim, self._settings.schedule
        size = self._settings.batch.global_batch_size
        per_epoch = steps_per_epoch(self._per_pass, size)
        stream = batches(self._of_pass, size, self._settings.seed)
        self.model.train()
        for step in range(1, self.total_steps + 1):
            began = time.monotonic()
            rate = learning_rate(step, self.total_steps, optim.learning_rate, schedule.kind, schedule.warmup_share)
            for group in self._optimizer.param_groups:
                group["lr"] = rate * group["lr_factor"]
            batch = next(stream)
            loss = self._backward(batch)
            norm = float(torch.nn.utils.clip_grad_norm_(self._weights, optim.max_grad_norm))
            if not math.isfinite(loss) or not math.isfinite(norm):  # before the weights are spoilt
                raise RunError(problem("train.not_finite", f"step {step}", step=step, rate=f"{rate:g}"))
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            yield Step(
                step=step,
                epoch=step / per_epoch,
                loss=loss,
                learning_rate=rate,
                grad_norm=norm,
                learnt_tokens=sum(map(learnt, batch)),
                tokens=sum(len(example.input_ids) for example in batch),
                seconds=time.monotonic() - began,
            )

    @torch.no_grad()
    def validate(self, examples: Sequence[Example]) -> float:
        """Return the loss in nats per learnt token, weighted by tokens, whatever the batch size."""
        self.model.eval()
        ordered = sorted(examples, key=lambda example: len(example.input_ids))
        size = max(self.micro_batch_size, 16)
        total = sum(float(self._summed_loss(ordered[at : at + size])) for at in range(0, len(ordered), size))
        self.model.train()
        return total / max(1, sum(map(learnt, examples)))

    def _backward(self, batch: Sequence[Example]) -> float:
        """Add the gradient of the batch's mean loss and return that loss."""
        tokens = max(1, sum(map(learnt, batch)))
        total = 0.0
        for at in range(0, len(batch), self.micro_batch_size):
            loss = self._summed_loss(batch[at : at + self.micro_batch_size]) / tokens
            loss.backward()
            total += float(loss.detach())
        return total

    def _summed_loss(self, batch: Sequence[Example]) -> torch.Tensor:
        """Return the summed cross entropy over the learnt tokens of a batch; shape ()."""
        input_ids, attention_mask, labels = self._pad(batch)
        with self._autocast():
            logits = self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        ahead = labels[:, 1:]  # (B, T-1): the token after each position
        chosen = ahead != IGNORE_INDEX
        return functional.cross_entropy(logits[:, :-1][chosen].float(), ahead[chosen], reduction="sum")

    def _pad(self, batch: Sequence[Example]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return input_ids, attention_mask and labels, each (B, T), padded at the right. Padding is masked by length."""
        width = max(len(example.input_ids) for example in batch)
        shape = (len(batch), width)
        input_ids = torch.full(shape, self._pad_id)
        attention_mask = torch.zeros(shape, dtype=torch.long)
        labels = torch.full(shape, IGNORE_INDEX)
        for row, example in enumerate(batch):
            length = len(example.input_ids)
            input_ids[row, :length] = torch.tensor(example.input_ids)
            attention_mask[row, :length] = 1
            labels[row, :length] = torch.tensor(example.labels)
        return input_ids.to(self.device), attention_mask.to(self.device), labels.to(self.device)

    def _autocast(self) -> AbstractContextManager[None]:
        dtype = compute_dtype()
        if dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype)


def learnt(example: Example) -> int:
    """Return how many tokens of an example are learnt; the first one has nothing before it and cannot be."""
    return sum(label != IGNORE_INDEX for label in example.labels[1:])
