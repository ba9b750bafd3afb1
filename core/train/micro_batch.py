"""The tensors of a micro-batch: examples one after the other in one row, or padded rows below each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from core.render.tokenizer import IGNORE_INDEX, Example


@dataclass(frozen=True)
class MicroBatch:
    """What goes through the model at once.

    `inputs` are its keyword arguments. `places` (n,) are the positions, in the flattened (B * T), whose next token is learnt,
    `targets` (n,) those tokens. No place is the last of its example, so nothing is learnt across a border.
    """

    inputs: dict[str, torch.Tensor | int]
    places: torch.Tensor
    targets: torch.Tensor

    def to(self, device: torch.device) -> "MicroBatch":
        """Return it on a device; from pinned memory the copy does not wait."""
        moved = {
            name: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
            for name, value in self.inputs.items()
        }
        return MicroBatch(moved, self.places.to(device, non_blocking=True), self.targets.to(device, non_blocking=True))

    def pinned(self) -> "MicroBatch":
        """Return it in memory from which a GPU copies by itself."""
        held = {
            name: value.pin_memory() if isinstance(value, torch.Tensor) else value
            for name, value in self.inputs.items()
        }
        return MicroBatch(held, self.places.pin_memory(), self.targets.pin_memory())


def packed(examples: Sequence[Example], pad_id: int, width: int | None = None, rows: int | None = None) -> MicroBatch:
    """Return the examples as one row (1, T).

    `position_ids` restart at 0 with each; `cu_seq_lens_q` (N + 1,) are the borders, as flash attention reads them. There is
    no attention mask: transformers takes even one of all ones for leave to see the whole row.

    With `width` and `rows` the shapes are always the same, as a compiled model wants them: filled up to `width` tokens with
    one more example of padding, from which nothing is learnt, and to `rows` borders with examples of no length.
    """
    lengths = [len(example.input_ids) for example in examples]
    ids = [token for example in examples for token in example.input_ids]
    labels = [label for example in examples for label in (*example.labels[1:], IGNORE_INDEX)]
    if width is not None and width > len(ids):
        lengths.append(width - len(ids))
        ids += [pad_id] * lengths[-1]
        labels += [IGNORE_INDEX] * lengths[-1]
    borders = torch.zeros(max(rows or 0, len(lengths)) + 1, dtype=torch.int32)
    borders[1 : len(lengths) + 1] = torch.tensor(lengths, dtype=torch.int32).cumsum(0)
    borders[len(lengths) + 1 :] = len(ids)
    longest = max(lengths) if width is None else width
    inputs: dict[str, torch.Tensor | int] = {
        "input_ids": torch.tensor(ids)[None],
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "cu_seq_lens_q": borders,
        "cu_seq_lens_k": borders,
        "max_length_q": longest,
        "max_length_k": longest,
    }
    return _with_targets(inputs, torch.tensor(labels))


def padded(examples: Sequence[Example], pad_id: int) -> MicroBatch:
    """Return the examples as rows (B, T), padded at the right. Padding is masked by length: it may be the stop token."""
    width = max(len(example.input_ids) for example in examples)
    shape = (len(examples), width)
    input_ids = torch.full(shape, pad_id)
    attention_mask = torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, IGNORE_INDEX)
    for row, example in enumerate(examples):
        length = len(example.input_ids)
        input_ids[row, :length] = torch.tensor(example.input_ids)
        attention_mask[row, :length] = 1
        labels[row, : length - 1] = torch.tensor(example.labels[1:])
    return _with_targets({"input_ids": input_ids, "attention_mask": attention_mask}, labels.flatten())


def _with_targets(inputs: dict[str, torch.Tensor | int], following: torch.Tensor) -> MicroBatch:
    """Add the places and targets; `following` (B * T,) is the label of the token after each place."""
    places = (following != IGNORE_INDEX).nonzero()[:, 0]
    return MicroBatch(inputs, places, following[places])
