"""The judge that an evaluation asked for, put to work on its answers: an address, or a model of this machine."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.errors import Problem, problem
from core.evaluate import judge
from core.evaluate.answers import Answer
from core.evaluate.choosing import Decoding
from core.evaluate.generate import answer, batch_limits, batches
from core.evaluate.items import Item
from core.evaluate.judge import Voice, endpoint_judge
from core.evaluate.options import ENDPOINT, Options
from core.evaluate.pairs import pairs
from core.models.folder import context_length, find_model
from core.models.load import forget_defaults, load_base
from core.progress import Cancelled, Progress
from core.records import Message
from core.render.tokenizer import ChatTokenizer
from core.workspace import Workspace

_REPLY = 64  # tokens; chosen by us: a verdict has one letter, and some models think aloud for a sentence


def judged(
    job: Path,
    workspace: Workspace,
    options: Options,
    items: Sequence[Item],
    said: Mapping[str, Mapping[str, Answer]],
    warn: Callable[[Problem], None],
    progress: Progress,
) -> None:
    """Let the judge compare tuned and base; verdicts are kept in the job, so that nothing is judged twice.

    Raises:
        Cancelled: when somebody asked to stop.
        StudioError: if the judge cannot be asked.
    """
    found = pairs(items, [each for theirs in said.values() for each in theirs.values()], most=judge.MOST)
    voice, name = endpoint_judge() if options.judge == ENDPOINT else _local(find_model(workspace, options.judge))
    stop = job / "stop"
    left = judge.judge(job, found, voice, name, rubric=options.rubric, stopped=stop.exists, progress=progress)
    if stop.exists():
        raise Cancelled
    if left:
        warn(problem("judge.unanswered", count=left, total=len(found), judge=name))


def verdict(job: Path, grades: Mapping[str, Mapping[str, Mapping[str, float | None]]]) -> dict[str, Any] | None:
    """Return what the verdicts of a job add up to, None where there are none."""
    return judge.summary(judge.read(job), grades)


def _local(folder: Path) -> tuple[Voice, str]:
    """Return the voice of a model of this machine, greedy, and its name."""
    model, tokenizer = load_base(folder).eval(), ChatTokenizer.load(folder)
    forget_defaults(model)
    context = context_length(folder)

    def voice(questions: Sequence[str]) -> list[str | None]:
        prompts = [tokenizer.prompt_ids([Message("user", question)]) for question in questions]
        replies: list[str | None] = [None] * len(prompts)
        fitting = [n for n, prompt in enumerate(prompts) if not context or len(prompt) + _REPLY <= context]
        lengths = [len(prompts[n]) for n in fitting]
        for batch in batches(lengths, _REPLY, context or max(lengths, default=0) + _REPLY, *batch_limits(model)):
            chosen = [fitting[place] for place in batch]
            for n, reply in zip(
                chosen, answer(model, tokenizer, [prompts[n] for n in chosen], Decoding(_REPLY)), strict=True
            ):
                replies[n] = reply.text
        return replies

    return voice, folder.name
