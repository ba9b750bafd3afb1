"""The training loop: global batches in, one optimizer step each, and what it measured out.

The loss of a step is the mean over the learnt tokens of its whole global batch, however that is cut into micro-batches:
sums are divided by the batch's token count, never means averaged. So 8 x 1 and 1 x 8 are the same training, packed or not.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from core.errors import RunError, problem
from core.models.methods import TRAITS, virtual_tokens
from core.models.out_of_memory import free_memory, is_out_of_memory
from core.render.tokenizer import IGNORE_INDEX, Example
from core.runs.events import MicroBatchChanged
from core.settings import RunSettings
from core.train.attached import dtype_of
from core.train.batches import Indices, batches, steps_per_epoch, total_steps
from core.train.forward import Forward
from core.train.lean_lora import use_lean_lora
from core.train.lean_norm import use_lean_norms
from core.train.memory import MOST_TOKENS
from core.train.micro_batch import MicroBatch, packed, padded
from core.train.noise import noise
from core.train.optimizers import optimizer, param_groups
from core.train.packing import group, pack
from core.train.schedule import learning_rate
from core.train.shrinking import Pieces, smaller


@dataclass(frozen=True)
class Step:
    """One optimizer step, measured. `loss` and `grad_norm` wait for the device: read them when they are wanted.

    scaled: in float16, gradients are scaled; where that was too much, the norm is infinite and the step is left out.
    """

    step: int
    epoch: float
    learning_rate: float
    learnt_tokens: int
    tokens: int  # context included, padding not
    seconds: float
    measured: tuple[torch.Tensor, torch.Tensor]
    scaled: bool = False

    @property
    def loss(self) -> float:
        """In nats per learnt token."""
        return float(self.measured[0])

    @property
    def grad_norm(self) -> float:
        """Before clipping."""
        return float(self.measured[1])


@dataclass(frozen=True)
class _Cut:
    """A global batch, ready for the device. `pieces` is how it was cut; the largest has so many `examples` and tokens."""

    indices: Indices
    pieces: Pieces
    micro_batches: list[MicroBatch]
    learnt_tokens: int
    tokens: int
    examples: int
    most_tokens: int


class Trainer:
    """Trains `model` on `examples`; iterate over `steps()`.

    Args:
        examples: may have `lengths` and `learnt`, arrays (n,) of the tokens and learnt tokens of each; else they are counted.
        of_pass: gives the indices of the examples that a pass over the data shows, always equally many; default: all.
        groups: torch's param groups, each with `params`, `lr_factor` and `weight_decay`; default: all that is trained.
        tokens: of a micro-batch, padding and virtual tokens included; default: as much as is useful on the device.
        checkpointing: whether activations are computed again in the backward pass, to save memory.
        tell: is told when memory ran out and the micro-batches were made smaller.
    """

    def __init__(
        self, model: nn.Module, examples: Sequence[Example], pad_id: int, settings: RunSettings,
        of_pass: Callable[[int], Sequence[int] | Indices] | None = None, groups: Sequence[dict[str, Any]] | None = None,
        *, tokens: int | None = None, checkpointing: bool | None = None,
        tell: Callable[[MicroBatchChanged], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.model = model
        self._examples = examples
        self._lengths, self._learnt = _counts(examples)
        self._of_pass = of_pass or (lambda _: np.arange(len(examples)))
        self._per_pass = len(self._of_pass(0))
        self._pad_id = pad_id
        self._settings = settings
        self._taken = 0
        self._unread: tuple[torch.Tensor, tuple[int, float]] | None = None
        compute, batch, schedule = settings.compute, settings.batch, settings.schedule
        dtype = dtype_of(settings)
        use_lean_lora(model)
        use_lean_norms(model)
        self.forward = Forward(model, dtype, packing=batch.packing and TRAITS[settings.method.name].packs)
        self.device = self.forward.device
        self._tell = tell
        self._before = virtual_tokens(settings)
        self._longest = int(self._lengths.max()) + self._before
        self.pieces = Pieces(
            examples=batch.micro_batch_size or batch.global_batch_size,
            tokens=max(tokens or MOST_TOKENS[self.device.type], self._longest),
            checkpointing=compute.checkpointing == "on" if checkpointing is None else checkpointing,
        )
        self._went_through = 0  # tokens of the largest micro-batch that did
        if self.pieces.checkpointing:
            self.forward.recompute_activations()
        self._fixed = self.forward.compile() if compute.compile and self.forward.layout.packs else False
        self.total_steps = total_steps(self._per_pass, batch.global_batch_size, schedule.epochs, schedule.max_steps)
        self._weights = [weight for weight in model.parameters() if weight.requires_grad]
        self._optimizer = optimizer(groups or param_groups(model, settings.optim.weight_decay), settings)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)

    @property
    def trainable_parameters(self) -> int:
        return sum(weight.numel() for weight in self._weights)

    def steps(self) -> Iterator[Step]:
        """Take one optimizer step at a time until all are done; stop iterating to stop training.

        Raises:
            RunError: when the loss or the gradient is not a finite number, or one example alone is too much for the memory;
                the weights are those of the step before.
        """
        size = self._settings.batch.global_batch_size
        per_epoch = steps_per_epoch(self._per_pass, size)
        lengths = None if self.forward.layout.packs else self._lengths
        stream = batches(self._of_pass, size, self._settings.seed, taken=self._taken, lengths=lengths)
        self.model.train()
        with noise(self.model, self._settings.optim.neftune_alpha), ThreadPoolExecutor(1) as reader:
            following = reader.submit(self._cut, next(stream))
            while self._taken < self.total_steps:
                began = time.monotonic()
                batch = following.result()
                following = reader.submit(self._cut, next(stream))  # read while the device computes
                rate, measured = self._take(batch)
                self._taken += 1
                yield Step(
                    step=self._taken,
                    epoch=self._taken / per_epoch,
                    learning_rate=rate,
                    learnt_tokens=batch.learnt_tokens,
                    tokens=batch.tokens,
                    seconds=time.monotonic() - began,
                    measured=measured,
                    scaled=self._scaler.is_enabled(),
                )

    @torch.no_grad()
    def validate(self, examples: Sequence[Example]) -> float:
        """Return the loss in nats per learnt token, weighted by tokens, whatever the batch size."""
        lengths, learnt = _counts(examples)
        most, total = max(self.pieces.examples, 16), 0.0
        self.model.eval()
        try:
            for some in self._groups(lengths, self.pieces.tokens, most):
                total += self._summed_loss([examples[at] for at in some])
        finally:
            self.model.train()
        return total / max(1, int(learnt.sum()))

    def _summed_loss(self, examples: Sequence[Example]) -> float:
        """Return the loss of some examples, summed; in two halves where there is no memory for all at once."""
        try:
            return float(self.forward.loss(self._micro_batch(examples).to(self.device)))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if len(examples) == 1:
                tokens = len(examples[0].input_ids) + self._before
                raise RunError(problem("train.no_memory", step=self._taken, tokens=tokens)) from error
        free_memory()  # outside of the handler, whose error would keep what the attempt has taken
        half = len(examples) // 2
        return self._summed_loss(examples[:half]) + self._summed_loss(examples[half:])

    def state(self) -> dict[str, Any]:
        """Return what is needed besides the weights to go on exactly here: optimizer, steps taken, random states."""
        return {
            "taken": self._taken,
            "pieces": asdict(self.pieces),
            "optimizer": self._optimizer.state_dict()["state"],
            "scaler": self._scaler.state_dict(),
            "random": self._random(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another trainer of the same run was; the trained weights are restored by the method."""
        self._taken = state["taken"]
        pieces = Pieces(**state["pieces"])
        self._cut_into(replace(pieces, checkpointing=pieces.checkpointing or self.pieces.checkpointing))
        found = {int(number): values for number, values in state["optimizer"].items()}  # JSON has names only
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": found})
        if self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        self._set_random(state["random"])

    def _random(self) -> dict[str, torch.Tensor]:
        """Return the states of what dropout and noise are drawn from."""
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def _set_random(self, states: dict[str, torch.Tensor]) -> None:
        torch.set_rng_state(states["cpu"])
        if "cuda" in states and self.device.type == "cuda":
            torch.cuda.set_rng_state(states["cuda"], self.device)

    def _take(self, batch: _Cut) -> tuple[float, tuple[torch.Tensor, torch.Tensor]]:
        """Take an optimizer step and return its rate, its loss and the norm of its gradient before clipping."""
        optim, schedule, step = self._settings.optim, self._settings.schedule, self._taken + 1
        rate = learning_rate(step, self.total_steps, optim.learning_rate, schedule.kind, schedule.warmup_share)
        for each in self._optimizer.param_groups:
            each["lr"] = rate * each["lr_factor"]
        loss = self._backward(batch)
        self._scaler.unscale_(self._optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self._weights, optim.max_grad_norm)
        self._require_finite(loss, norm, step, rate)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return rate, (loss, norm)

    def _require_finite(self, loss: torch.Tensor, norm: torch.Tensor, step: int, rate: float) -> None:
        """Refuse a step that would spoil the weights.

        On a GPU the fused optimizer leaves them alone by itself where it is told so on the device; that is looked at a step
        later, when the answer is there without waiting. In float16 the scaler sees to it.
        """
        if self._scaler.is_enabled():
            return
        spoilt, at = ~torch.isfinite(loss + norm), (step, rate)
        if self.device.type == "cuda" and getattr(self._optimizer, "_step_supports_amp_scaling", False):
            self._optimizer.found_inf = spoilt.float()
            self._optimizer.grad_scale = None
            (spoilt, at), self._unread = self._unread or (torch.tensor(False), at), (spoilt, at)
        if bool(spoilt):
            raise RunError(problem("train.not_finite", f"step {at[0]}", step=at[0], rate=f"{at[1]:g}"))

    def _backward(self, batch: _Cut) -> torch.Tensor:
        """Set the gradient of the batch's mean loss and return that loss, shape ().

        Where memory runs out, the batch is taken again from its start in smaller pieces, with the same random draws.

        Raises:
            RunError: if there are no smaller ones.
        """
        drawn = self._random()
        while True:
            if batch.pieces != self.pieces:
                batch = self._cut(batch.indices)
            try:
                loss = self._accumulate(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            else:
                self._went_through = max(self._went_through, batch.most_tokens)
                return loss
            # Outside of the handler: its error holds on to all that the attempt has taken.
            self._optimizer.zero_grad(set_to_none=True)
            free_memory()
            self._set_random(drawn)
            self._shrink(batch)

    def _shrink(self, batch: _Cut) -> None:
        checkpoints = TRAITS[self._settings.method.name].checkpoints
        found = smaller(self.pieces, batch.examples, batch.most_tokens, self._longest, checkpoints)
        step = self._taken + 1
        if found is None:
            if 0 < self._went_through < batch.most_tokens:
                values = {"step": step, "tokens": batch.most_tokens, "fits": self._went_through}
                raise RunError(problem("train.out_of_memory", f"step {step}", **values))
            raise RunError(problem("train.no_memory", f"step {step}", step=step, tokens=batch.most_tokens))
        self._cut_into(found)
        self._tell(
            MicroBatchChanged(
                step=step,
                micro_batch_size=found.examples,
                micro_batch_tokens=found.tokens,
                checkpointing=found.checkpointing,
            )
        )

    def _cut_into(self, pieces: Pieces) -> None:
        if pieces.checkpointing and not self.pieces.checkpointing:
            self.forward.recompute_activations()
        self.pieces = pieces

    def _accumulate(self, batch: _Cut) -> torch.Tensor:
        """Add the gradient of the batch's mean loss and return that loss, shape ()."""
        total = torch.zeros((), device=self.device)
        for micro_batch in batch.micro_batches:
            loss = self.forward.loss(micro_batch.to(self.device)) / max(1, batch.learnt_tokens)
            self._scaler.scale(loss).backward()
            total += loss.detach()
        return total

    def _cut(self, indices: Indices) -> _Cut:
        """Read the examples of a global batch and cut it into micro-batches."""
        pieces = self.pieces
        examples = [self._examples[int(index)] for index in indices]
        lengths = self._lengths[indices]
        groups = self._groups(lengths, pieces.tokens, pieces.examples)
        return _Cut(
            indices=indices,
            pieces=pieces,
            micro_batches=[self._micro_batch([examples[at] for at in some]) for some in groups],
            learnt_tokens=int(self._learnt[indices].sum()),
            tokens=int(lengths.sum()),
            examples=max(len(some) for some in groups),
            most_tokens=max(self._tokens_of(lengths[some]) for some in groups),
        )

    def _tokens_of(self, lengths: Indices) -> int:
        """Return the tokens of a micro-batch of examples of these lengths, padding and virtual tokens included."""
        whole = lengths + self._before
        return int(whole.sum() if self.forward.layout.packs else whole.max() * len(whole))

    def _groups(self, lengths: Indices, tokens: int, most: int) -> list[list[int]]:
        together = pack if self.forward.layout.packs else group
        return together((lengths + self._before).tolist(), tokens, most)

    def _micro_batch(self, examples: Sequence[Example]) -> MicroBatch:
        if not self.forward.layout.packs:
            made = padded(examples, self._pad_id)
        elif self._fixed:
            made = packed(examples, self._pad_id, self.pieces.tokens, self._settings.batch.global_batch_size + 1)
        else:
            made = packed(examples, self._pad_id)
        return made.pinned() if self.device.type == "cuda" else made


def learnt(example: Example) -> int:
    """Return how many tokens of an example are learnt; the first one has nothing before it and cannot be."""
    return sum(label != IGNORE_INDEX for label in example.labels[1:])


def _counts(examples: Sequence[Example]) -> tuple[Indices, Indices]:
    """Return the tokens and the learnt tokens of each example, (n,) each."""
    lengths, learnt_tokens = getattr(examples, "lengths", None), getattr(examples, "learnt", None)
    if lengths is None or learnt_tokens is None:
        lengths = np.array([len(example.input_ids) for example in examples])
        learnt_tokens = np.array([learnt(example) for example in examples])
    return lengths, learnt_tokens
