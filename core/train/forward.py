"""A micro-batch through the model to its loss: the short way where the model allows it, else the model's own way.

Whether it does is found out on the loaded model itself (`inspect`), not by its name: hybrid attention, a logit scale nobody
knows of or a new kind of cache show there, before the first step and not in the result.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from core.render.tokenizer import Example
from core.train.attention import use_packed_attention
from core.train.loss import summed_cross_entropy
from core.train.micro_batch import MicroBatch, packed, padded

_LOG = logging.getLogger(__name__)
_SAME = 1e-3  # of the norm; the same operations, or examples that cannot see each other, differ by nothing at all
_ROUNDED = 0.05  # of the norm; in 16 bits, two ways of computing the same attention differ by up to 0.03


@dataclass(frozen=True)
class Layout:
    """How micro-batches go through a model.

    `packs`: several examples in one row, none seeing another. `lean`: logits are computed at the learnt tokens only.
    `attention` names what does the attention.
    """

    packs: bool
    lean: bool
    attention: str


class Forward:
    """Turns micro-batches into summed losses.

    `model` is a causal language model of transformers, or PEFT around one. `dtype` is that of the products; float32 leaves
    them as the weights are. Without `packing` nobody looks whether the model could.
    """

    def __init__(self, model: Any, dtype: torch.dtype, *, packing: bool = True) -> None:
        self._model = model
        self._language_model = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._dtype = dtype
        self.device = next(model.parameters()).device
        self._body: nn.Module = getattr(self._language_model, self._language_model.base_model_prefix)
        self._head: nn.Module = self._language_model.get_output_embeddings()
        self._vocabulary = int(self._language_model.config.get_text_config().vocab_size)
        self._after_head = _after_head(self._language_model.config.get_text_config())
        self._own_attention: str = self._language_model.config._attn_implementation
        self.layout = self._inspect(packing)
        self._head_weights = self._trained_in_head() if self.layout.lean else []

    def loss(self, batch: MicroBatch) -> torch.Tensor:
        """Return the summed cross entropy over the learnt tokens of a micro-batch, shape (), in nats."""
        with self._autocast():
            if self.layout.lean:
                hidden = self._hidden(batch)[batch.places]
                return summed_cross_entropy(hidden, batch.targets, self._logits, self._vocabulary, self._head_weights)
            logits = self._own_logits(batch)[batch.places].float()
        return nn.functional.cross_entropy(logits, batch.targets, reduction="sum")

    def recompute_activations(self) -> None:
        """Keep only each layer's input and compute the rest again in the backward pass: less memory, a third more work."""
        self._language_model.activation_checkpointing_enable({"use_reentrant": False})

    def compile(self) -> bool:
        """Compile the decoder for packs of one shape and return whether that was done: on a GPU only."""
        if self.device.type != "cuda":
            return False
        self._body.compile(dynamic=False)
        return True

    def _hidden(self, batch: MicroBatch) -> torch.Tensor:
        """Return the hidden states before the head, (B * T, d)."""
        return self._body(**batch.inputs, use_cache=False).last_hidden_state.flatten(0, 1)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        return self._after_head(self._head(hidden))

    def _own_logits(self, batch: MicroBatch) -> torch.Tensor:
        """Return the logits as the model's own forward gives them, (B * T, V)."""
        return self._model(**batch.inputs, use_cache=False).logits.flatten(0, 1)

    def _autocast(self) -> AbstractContextManager[Any]:
        return nullcontext() if self._dtype == torch.float32 else torch.autocast(self.device.type, self._dtype)

    @torch.no_grad()
    def _inspect(self, packing: bool) -> Layout:
        """Find out on this model which short ways give what the long way gives; leave it as it was but for the attention."""
        own = self._own_attention
        was_training = self._model.training
        self._model.eval()
        try:
            with self._autocast():
                lean = self._works(self._is_lean)
                attention = use_packed_attention(self._language_model, self._dtype) if packing else own
                packs = packing and self._works(self._isolates)
        finally:
            self._model.train(was_training)
        if packing and not packs:
            self._language_model.set_attn_implementation(own)
        return Layout(packs, lean, attention if packs else own)

    @staticmethod
    def _works(check: Callable[[], bool]) -> bool:
        try:
            return check()
        except torch.OutOfMemoryError:
            raise
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:  # a model that wants other inputs
            _LOG.warning(
                "%s: %s: %s", check.__name__, type(error).__name__, error
            )  # to worker.log; the page has the outcome
            return False

    def _is_lean(self) -> bool:
        """Tell whether head and hidden states, taken apart, give the model's own logits."""
        batch = padded([self._probe(9, 1), self._probe(6, 2)], 0).to(self.device)
        return _near(self._logits(self._hidden(batch)), self._own_logits(batch))

    def _isolates(self) -> bool:
        """Tell whether an example in a pack is computed as if it were alone."""
        first, other, second = self._probe(9, 1), self._probe(9, 3), self._probe(40, 2)
        alone = self._hidden(packed([second], 0).to(self.device))
        behind = self._hidden(packed([first, second], 0).to(self.device))[9:]
        behind_other = self._hidden(packed([other, second], 0).to(self.device))[9:]
        return _near(behind, behind_other) and self._like(behind, alone) and self._is_own(second, alone)

    def _is_own(self, example: Example, hidden: torch.Tensor) -> bool:
        """Tell whether these hidden states (T, d) are those under the attention that the model itself came with."""
        packed_attention = self._language_model.config._attn_implementation
        self._language_model.set_attn_implementation(self._own_attention)
        try:
            return self._like(hidden, self._hidden(padded([example], 0).to(self.device)))
        finally:
            self._language_model.set_attn_implementation(packed_attention)

    def _like(self, found: torch.Tensor, expected: torch.Tensor) -> bool:
        return _near(found, expected, _SAME if self._dtype == torch.float32 else _ROUNDED)

    @torch.enable_grad()
    def _trained_in_head(self) -> list[torch.Tensor]:
        """Return the weights that the logits' gradient reaches; some, as of new tokens, are no parameters of the head."""
        with self._autocast():
            hidden = self._hidden(padded([self._probe(2, 1)], 0).to(self.device))
            logits = self._logits(hidden.detach())
        found: dict[int, torch.Tensor] = {}
        waiting = [logits.grad_fn]
        while waiting:
            if (node := waiting.pop()) is not None:
                if hasattr(node, "variable"):
                    found[id(node.variable)] = node.variable
                waiting += [following for following, _ in node.next_functions]
        return list(found.values())

    def _probe(self, length: int, seed: int) -> Example:
        draw = torch.Generator().manual_seed(seed)
        ids = torch.randint(0, self._vocabulary, (length,), generator=draw).tolist()
        return Example(ids, ids)


def _near(found: torch.Tensor, expected: torch.Tensor, tolerance: float = _SAME) -> bool:
    return float((found - expected).norm()) <= tolerance * float(expected.norm())


def _after_head(config: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return what a model does to its logits after the head, by the names that transformers' models use for it."""
    cap = getattr(config, "final_logit_softcapping", None)
    by = getattr(config, "logit_scale", None) or 1.0
    through = getattr(config, "logits_scaling", None) or 1.0

    def after(logits: torch.Tensor) -> torch.Tensor:
        if by != 1.0 or through != 1.0:
            logits = logits * (by / through)
        return torch.tanh(logits / cap) * cap if cap else logits

    return after
