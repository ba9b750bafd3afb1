"""Exact match of greedy answers, by ability: how the starter model is scored while it trains and at the end."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from core.starter.corpus import SHARES, Example, example

LONGEST_ANSWER = 48


def held_out_examples(per_ability: int, seed: int) -> list[Example]:
    """`per_ability` questions of every ability in held-out wordings, none twice where the ability has that many."""
    rng = random.Random(f"held-out-{seed}")
    chosen: list[Example] = []
    for ability in SHARES:
        found: dict[tuple[str, str], Example] = {}
        for _ in range(per_ability * 60):
            drawn = example(ability, rng, held_out=True)
            found.setdefault((drawn.system, drawn.question), drawn)
            if len(found) == per_ability:
                break
        chosen += found.values()
    return chosen


def render(system: str, question: str) -> str:
    """The prompt in ChatML, up to where the answer starts; a test compares it with the chat template."""
    head = f"<|im_start|>system\n{system}<|im_end|>\n" if system else ""
    return f"{head}<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"


@torch.no_grad()
def greedy_answers(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, prompts: Sequence[tuple[str, str]], batch_size: int = 64
) -> list[str]:
    """The greedy answer to each (system prompt, question), in the order given."""
    texts = [render(system, question) for system, question in prompts]
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers = [""] * len(texts)
    training = model.training
    model.eval()
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        inputs = tokenizer(
            [texts[i] for i in chosen],
            return_tensors="pt",
            padding=True,
            padding_side="left",
            add_special_tokens=False,
            return_token_type_ids=False,
        ).to(model.device)
        output = model.generate(**inputs, max_new_tokens=LONGEST_ANSWER, do_sample=False)
        decoded = tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for i, text in zip(chosen, decoded, strict=True):
            answers[i] = text
    model.train(training)
    return answers


def score(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]) -> dict[str, float]:
    """Exact match in percent by ability, and over all examples as "all"."""
    answers = greedy_answers(model, tokenizer, [(e.system, e.question) for e in examples])
    right: dict[str, list[bool]] = {}
    for asked, answer in zip(examples, answers, strict=True):
        right.setdefault(asked.ability, []).append(answer.strip() == asked.answer)
    scores = {ability: 100 * sum(hits) / len(hits) for ability, hits in right.items()}
    every = [hit for hits in right.values() for hit in hits]
    return {"all": round(100 * sum(every) / len(every), 1)} | {name: round(value, 1) for name, value in scores.items()}
