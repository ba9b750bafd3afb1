"""Let every contestant answer every item, batch by batch; what was answered before is not asked again.

A batch is asked in full or not at all, and batches depend on nothing but the items and the limits that were written down at
the start: an evaluation that was killed goes on with the same batches, and so with the same rounding.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.evaluate import answers
from core.evaluate.answers import Answer
from core.evaluate.asking import Asked
from core.evaluate.generate import Said, batches
from core.evaluate.items import Item
from core.evaluate.known import Known
from core.progress import Cancelled

LIMITS = "batches.json"
Prompts = Mapping[str, Mapping[str, list[int]]]  # contestant -> item's key -> token ids
Tell = Callable[[int, int, float], None]  # answers that are there, all of them, seconds left


def answer_all(
    job: Path, items: Sequence[Item], prompts: Prompts, asked: Asked, known: Mapping[str, Known],
    limits: tuple[int, int], tell: Tell,
) -> dict[str, dict[str, Answer]]:  # fmt: skip
    """Return what every contestant said to every item, by contestant and item.

    Args:
        limits: most tokens and rows of a batch, used unless the job has its own from when it began.

    Raises:
        Cancelled: when somebody asked to stop; what was answered is kept.
    """
    found: dict[str, dict[str, Answer]] = {who: {} for who in prompts}
    for each in answers.read(job)[0]:
        found[each.who][each.item] = each
    total, at_first = len(items) * len(prompts), sum(map(len, found.values()))
    began = time.monotonic()
    for batch in _batches(items, prompts, asked, _limits(job, limits)):
        if (job / "stop").exists():
            raise Cancelled
        new = [each for who in prompts for each in _batch(who, batch, prompts[who], asked, known[who], found[who])]
        if new:
            answers.append(job, new)
            for each in new:
                found[each.who][each.item] = each
        done = sum(map(len, found.values()))
        left = (time.monotonic() - began) / max(1, done - at_first) * (total - done)
        tell(done, total, left)
    return found


def _batches(items: Sequence[Item], prompts: Prompts, asked: Asked, limits: tuple[int, int]) -> list[list[Item]]:
    """Return the items in batches of similar length, each of one source: adding a set does not change those of another."""
    made = []
    for source in dict.fromkeys(item.source for item in items):
        mine = [item for item in items if item.source == source]
        lengths = [max(len(theirs[item.key]) for theirs in prompts.values()) for item in mine]
        context = asked.context or max(lengths) + asked.decoding.max_new_tokens
        for batch in batches(lengths, asked.decoding.max_new_tokens, context, *limits):
            made.append([mine[place] for place in batch])
    return made


def _batch(
    who: str, batch: Sequence[Item], prompts: Mapping[str, list[int]], asked: Asked, known: Known,
    found: Mapping[str, Answer],
) -> list[Answer]:  # fmt: skip
    """Return the answers of one contestant to the items of a batch that have none yet."""
    missing = [item for item in batch if item.key not in found]
    if not missing:
        return []
    before = [known.look(prompts[item.key]) for item in missing]
    if None not in before:
        return [_answer(item, who, said) for item, said in zip(missing, before, strict=True)]
    said = asked.ask(who, [prompts[item.key] for item in batch])
    told = [(prompts[item.key], each) for item, each in zip(batch, said, strict=True) if each is not None]
    known.add([prompt for prompt, _ in told], [each for _, each in told])
    by_key = dict(zip([item.key for item in batch], said, strict=True))
    return [_answer(item, who, by_key[item.key]) for item in missing]


def _answer(item: Item, who: str, said: Said | None) -> Answer:
    if said is None:
        return Answer(item.key, who, "", ended=False, asked=False)
    return Answer(item.key, who, said.text, said.tokens, said.ended)


def _limits(job: Path, limits: tuple[int, int]) -> tuple[int, int]:
    """Return the limits that the job began with: free memory is another one now."""
    file = job / LIMITS
    if not file.exists():
        aside = file.with_name(f"{LIMITS}.part")
        aside.write_text(json.dumps(limits), encoding="utf-8")
        aside.replace(file)
    tokens, rows = json.loads(file.read_text(encoding="utf-8"))
    return tokens, rows
