"""What is kept of the event log of a training: curves of bounded length, and the events that are still worth a word.

The log of 100,000 steps is 25 MB; what is kept of it here is some 200 kB, and an event more costs a few microseconds.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.curves import Curve, Smoothed
from core.runs import events

_KEPT = 50  # remarkable events, the newest; each is a line on the page
REMARKABLE = (events.Warned, events.Resumed, events.MicroBatchChanged)


@dataclass
class Curves:
    """What is drawn. `steps` counts the steps that were told."""

    loss: Curve = field(default_factory=Curve)
    smooth_loss: Curve = field(default_factory=Curve)
    rate: Curve = field(default_factory=Curve)
    norm: Curve = field(default_factory=Curve)
    speed: Curve = field(default_factory=Curve)
    validation: Curve = field(default_factory=Curve)
    validated: list[events.Validated] = field(
        default_factory=list
    )  # the first, the best and the last that tell of sources
    steps: int = 0
    _loss: Smoothed = field(default_factory=Smoothed)
    _speed: Smoothed = field(default_factory=Smoothed)

    @classmethod
    def of(cls, told: Iterable[events.Event]) -> "Curves":
        curves = cls()
        for event in told:
            curves.add(event)
        return curves

    def add(self, event: events.Event) -> None:
        if isinstance(event, events.StepFinished):
            self.steps += 1
            self.rate.add(event.step, event.learning_rate)
            self.norm.add(event.step, event.grad_norm)
            if math.isfinite(event.loss):
                self.loss.add(event.step, event.loss)
                self.smooth_loss.add(event.step, self._loss.add(event.loss))
            if math.isfinite(event.tokens_per_second):
                self.speed.add(event.step, self._speed.add(event.tokens_per_second))
        elif isinstance(event, events.Validated):
            self.validation.add(event.step, event.loss)
            if event.by_source:
                self._note(event)

    def _note(self, found: events.Validated) -> None:
        trained = [each for each in (*self.validated, found) if each.step and math.isfinite(each.loss)]
        best = min(trained, key=lambda each: each.loss, default=found)
        first = self.validated[0] if self.validated else found
        self.validated = list({id(each): each for each in (first, best, found)}.values())


class Story:
    """The log of one training so far, read up to the byte `read`."""

    def __init__(self) -> None:
        self.curves = Curves()
        self.read = 0
        self._latest: dict[type, events.Event] = {}
        self._remarkable: list[events.Event] = []

    @classmethod
    def of(cls, standing: Sequence[events.Event]) -> "Story":
        story = cls()
        for event in standing:
            story.add(event)
        return story

    def add(self, event: events.Event) -> None:
        self.curves.add(event)
        if isinstance(event, REMARKABLE):
            self._remarkable = [*(each for each in self._remarkable if not _same(each, event)), event][-_KEPT:]
        self._latest.pop(type(event), None)  # so that the latest kinds stand in the order in which they were told last
        self._latest[type(event)] = event

    @property
    def events(self) -> list[events.Event]:
        """The newest event of each kind, in their order, with all that are remarkable before them."""
        return [*self._remarkable, *(each for kind, each in self._latest.items() if kind not in REMARKABLE)]


def _same(one: events.Event, other: events.Event) -> bool:
    """Tell whether a warning only says again, with newer numbers, what another said."""
    both = isinstance(one, events.Warned) and isinstance(other, events.Warned)
    return both and (one.code, one.where) == (other.code, other.where)  # type: ignore[union-attr]
