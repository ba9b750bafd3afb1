"""What must be in force for a base model to answer as something else: changes to it that are undone to the bit.

They are no generators: a generator that nobody holds any more is closed by Python, which would end the speech of a model that
is still in use.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import nn

from core.models.virtual_tokens import VirtualTokens

Places = Sequence[tuple[nn.Module, str, nn.Module]]  # parent, name in it, module to stand there


@dataclass(frozen=True)
class Voice:
    """Changes to a base, to be entered in this order. `virtual_tokens`: how many tokens of the context learnt ones take."""

    parts: tuple[AbstractContextManager[None], ...] = ()
    virtual_tokens: int = 0


def place(places: Places) -> None:
    """Put modules in their places."""
    for parent, name, module in places:
        setattr(parent, name, module)


class Placed:
    """Puts modules in their places for as long as it is entered; `before` stands there otherwise."""

    def __init__(self, places: Places, before: Places) -> None:
        self._places, self._before = places, before

    def __enter__(self) -> None:
        place(self._places)

    def __exit__(self, *_: object) -> None:
        place(self._before)


class Swapped:
    """Gives weights other values, which are kept beside them, for as long as it is entered."""

    def __init__(self, weights: Sequence[tuple[nn.Parameter, torch.Tensor]]) -> None:
        self._weights = list(weights)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        for number, (weight, other) in enumerate(self._weights):
            self._weights[number] = (weight, weight.data)
            weight.data = other


class Loud:
    """Puts learnt tokens before every text for as long as it is entered."""

    def __init__(self, tokens: VirtualTokens) -> None:
        self._tokens = tokens

    def __enter__(self) -> None:
        self._tokens.speak(True)

    def __exit__(self, *_: object) -> None:
        self._tokens.speak(False)
