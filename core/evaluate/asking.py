"""All contestants asked the same questions from one load of weights, in batches that the memory can hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from core.errors import Problem, problem
from core.evaluate.choosing import Decoding
from core.evaluate.generate import MOST_ROWS, Said, answer
from core.models.load import Many
from core.models.out_of_memory import free_memory, is_out_of_memory
from core.render.tokenizer import ChatTokenizer


@dataclass
class Asked:
    """The models on one load of weights, and how they are asked; `warn` tells what the person should know.

    `context` is how many tokens a question and its answer may have, learnt ones not counted; 0 where nobody knows.
    """

    loaded: Many
    tokenizers: Mapping[str, ChatTokenizer]
    context: int
    decoding: Decoding
    warn: Callable[[Problem], None]
    most: int = max(MOST_ROWS.values())  # prompts at once; fewer once memory ran out
    unanswered: int = 0  # answers for which there was no memory
    _told: set[tuple[int, ...]] = field(default_factory=set)  # prompts that were told to be too much for the memory

    def ask(self, who: str, prompts: Sequence[list[int]]) -> list[Said | None]:
        """Return what one contestant says to each prompt of one batch, in smaller batches where memory runs out.

        A single prompt that is too much for the memory, or leaves no room in the context, is answered with None.
        """
        room = self._room(prompts)
        if room < 1:  # such a prompt is alone in its batch
            return [None] * len(prompts)
        decoding = replace(self.decoding, max_new_tokens=room)
        found: list[Said | None] = []
        while len(found) < len(prompts):
            some = prompts[len(found) : len(found) + self.most]
            answers = self._answers(who, some, decoding)
            if answers is not None:
                found += answers
            elif len(some) > 1:
                self.most = len(some) // 2
                self.warn(problem("evaluate.smaller_batches", before=len(some), now=self.most))
            else:
                found.append(None)
                self._tell(some[0])
        return found

    def _room(self, prompts: Sequence[list[int]]) -> int:
        most = self.decoding.max_new_tokens
        return min(most, self.context - max(map(len, prompts))) if self.context and prompts else most

    def _answers(self, who: str, prompts: Sequence[list[int]], decoding: Decoding) -> list[Said] | None:
        """Return the answers, None where memory ran out."""
        try:
            with self.loaded.speaking_as(who):
                return answer(self.loaded.model, self.tokenizers[who], prompts, decoding)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        free_memory()  # outside of the handler, whose error holds on to the memory
        return None

    def _tell(self, prompt: Sequence[int]) -> None:
        self.unanswered += 1
        if tuple(prompt) not in self._told:  # once, not once a contestant
            self._told.add(tuple(prompt))
            self.warn(problem("evaluate.no_memory", tokens=len(prompt)))
