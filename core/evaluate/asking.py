"""Base and tuned asked the same questions from one load of weights, in batches that the memory can hold."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from core.errors import Problem, problem
from core.evaluate.generate import MOST_ROWS, answer
from core.models.load import BaseAndTuned
from core.models.out_of_memory import free_memory, is_out_of_memory
from core.render.tokenizer import ChatTokenizer


@dataclass
class Asked:
    """The two models on one load of weights, and how they are asked; `warn` tells what the person should know."""

    loaded: BaseAndTuned
    tokenizer: ChatTokenizer
    context: int
    new_tokens: int
    warn: Callable[[Problem], None]
    most: int = max(MOST_ROWS.values())  # prompts at once; fewer once memory ran out
    unanswered: int = 0  # for which there was no memory

    def both(self, prompts: Sequence[list[int]]) -> Iterator[tuple[str, str]]:
        """Yield what base and tuned say to each prompt of one batch, in smaller batches where memory runs out.

        A single prompt that is too much for the memory is answered with nothing, and told.
        """
        for start in range(0, len(prompts), self.most):
            some = prompts[start : start + self.most]
            try:
                said = list(self._both(some))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                said = None
            if said is None:  # outside of the handler, whose error holds on to the memory
                free_memory()
                yield from self._in_halves(prompts[start:])
                return
            yield from said

    def _in_halves(self, prompts: Sequence[list[int]]) -> Iterator[tuple[str, str]]:
        tried = min(self.most, len(prompts))
        if tried > 1:
            self.most = tried // 2
            self.warn(problem("evaluate.smaller_batches", before=tried, now=self.most))
            yield from self.both(prompts)
            return
        self.unanswered += 1
        self.warn(problem("evaluate.no_memory", tokens=len(prompts[0])))
        yield "", ""
        yield from self.both(prompts[1:])

    def _both(self, prompts: Sequence[list[int]]) -> Iterator[tuple[str, str]]:
        room = min(self.new_tokens, self.context - max(map(len, prompts))) if self.context else self.new_tokens
        if room < 1:  # such a prompt is alone in its batch
            return iter([("", "")] * len(prompts))
        with self.loaded.as_base():
            before = answer(self.loaded.model, self.tokenizer, prompts, room)
        return zip(before, answer(self.loaded.model, self.tokenizer, prompts, room), strict=True)
