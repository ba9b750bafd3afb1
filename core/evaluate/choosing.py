"""Which token comes next in each row of a batch: the likeliest, or one drawn so that the batch does not matter.

A draw depends on the seed, the prompt and how many tokens were drawn before, and on nothing else: one stream of random
numbers for each prompt, whoever shares its batch, and the same one for every model that is asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Decoding:
    """How an answer is written. A temperature of 0 is greedy; top_p keeps the likeliest tokens up to that probability.

    repetition_penalty: what the logits of tokens that occurred before, in the prompt too, are divided by where they are
    positive, else multiplied by (Keskar et al. 2019, as in transformers); 1 changes nothing.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0


class Choosing:
    """Chooses the next tokens of a batch, step by step."""

    def __init__(self, decoding: Decoding, prompts: Sequence[Sequence[int]], device: torch.device) -> None:
        self._decoding = decoding
        self._step = 0
        self._prompts = prompts
        self._seen: torch.Tensor | None = None  # (B, V), which tokens occurred; made when V is known
        self._draws = torch.empty(len(prompts), 0)
        if decoding.temperature > 0:
            draws = [np.random.default_rng([decoding.seed, *each]).random(decoding.max_new_tokens) for each in prompts]
            self._draws = torch.tensor(np.array(draws), dtype=torch.float32).to(device)

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is chosen, as the model gives it."""
        return self._decoding.temperature <= 0 and self._decoding.repetition_penalty == 1.0

    def next(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the next token of each row, (B,); logits (B, V)."""
        if self.is_greedy:
            return logits.argmax(-1)
        scores = logits.float()
        if self._decoding.repetition_penalty != 1.0:
            scores = self._penalised(scores)
        chosen = self._drawn(scores) if self._decoding.temperature > 0 else scores.argmax(-1)
        if self._seen is not None:
            self._seen.scatter_(1, chosen[:, None], True)
        self._step += 1
        return chosen

    def keep(self, rows: torch.Tensor) -> None:
        """Go on with these rows only, (B',)."""
        self._draws = self._draws[rows.to(self._draws.device)]
        if self._seen is not None:
            self._seen = self._seen[rows]

    def _penalised(self, scores: torch.Tensor) -> torch.Tensor:
        if self._seen is None:
            self._seen = torch.zeros_like(scores, dtype=torch.bool)
            for row, prompt in enumerate(self._prompts):
                self._seen[row, torch.tensor(list(prompt), device=scores.device)] = True
        by = self._decoding.repetition_penalty
        return torch.where(self._seen, torch.where(scores > 0, scores / by, scores * by), scores)

    def _drawn(self, scores: torch.Tensor) -> torch.Tensor:
        """Return the tokens at which the summed probabilities, likeliest first, pass what was drawn."""
        chances, tokens = torch.softmax(scores / self._decoding.temperature, -1).sort(
            dim=-1, descending=True, stable=True
        )
        sums = chances.cumsum(-1)
        kept = (sums - chances < self._decoding.top_p).sum(-1, keepdim=True).clamp(min=1)  # the likeliest always
        total = sums.gather(-1, kept - 1)
        place = (sums <= self._draws[:, self._step, None] * total).sum(-1, keepdim=True)
        return tokens.gather(-1, torch.minimum(place, kept - 1))[:, 0]
