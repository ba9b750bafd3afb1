"""The process that evaluates: `python -m core.evaluate.worker JOB_DIR`.

Base and tuned model answer from one load, each batch by both, so that every line of answers.jsonl is complete and a stopped
evaluation keeps what it has.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from core.data.pinned import check_pinned
from core.data.registry import Registry
from core.errors import Problem, RunError, problem
from core.evaluate import metrics, scores
from core.evaluate.asking import Asked
from core.evaluate.generate import batch_limits, batches
from core.evaluate.prepare import rows_asked
from core.models.folder import context_length
from core.models.load import BaseAndTuned, forget_defaults, load_both, pick_device
from core.models.trained import trained
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run, read_config
from core.runs.work import run_worker
from core.workspace import Workspace


@dataclass(frozen=True)
class Question:
    """One row of a test set. `row` counts from 1 inside its set; `prompt` is what the model reads, as token ids."""

    dataset: str
    row: int
    conversation: Conversation
    prompt: list[int]


def work(job: Path) -> None:
    """Answer the questions of the job, score the answers and leave both in the run."""
    log, config, run = job / "events.jsonl", read_config(job), Run(job.parent.parent)
    workspace = Workspace.at(config["workspace"], tuple(config["allow"]))
    model = trained(workspace, run, config["adapter"])
    tokenizer = ChatTokenizer.load(model.tuned)
    events.append(log, events.Phase(name="checking_data"))
    if not config["prompt"]["same_as_trained"]:
        names = {"used": config["prompt"]["name"], "trained": run.config["prompt"]["name"]}
        _warn(log, problem("evaluate.other_prompt", run.name, **names))
    questions, data = _questions(workspace, config, tokenizer)
    events.append(log, events.Phase(name="loading_model"))
    loaded = load_both(model.base, model.tuned, bits=model.bits)
    forget_defaults(loaded.model)
    asked = Asked(loaded, tokenizer, _context(model.base, loaded), config["max_new_tokens"], partial(_warn, log))
    events.append(log, events.Phase(name="answering"))
    rows = _answer_all(job, asked, questions)
    if rows is None:
        return
    if asked.unanswered == len(rows) > 0:  # scores of 0 would say that both answer wrongly
        raise RunError(problem("evaluate.nothing_fits", run.name))
    events.append(log, events.Phase(name="scoring"))
    score = _score(job, config, rows) | {"data": data, "decoding": _decoding(config, model.bits, loaded.model)}
    scores.write(run, score)
    events.append(log, events.RunFinished(result={"job": job.name, "datasets": score["datasets"]}))


def _context(base: Path, loaded: BaseAndTuned) -> int:
    """Return how many tokens a question and its answer may have; 0 when the model does not say."""
    return max(0, context_length(base) - loaded.virtual_tokens)


def _questions(
    workspace: Workspace, config: dict[str, Any], tokenizer: ChatTokenizer
) -> tuple[list[Question], list[dict[str, str]]]:
    """Read the test sets, checked against their SHA-1, and render every question under the system prompt."""
    registry = Registry(workspace)
    questions: list[Question] = []
    data = []
    for recorded in config["data"]:
        entry = check_pinned(registry, recorded)
        name = entry.name
        data.append({"name": name, "sha1": entry.sha1})
        rows = rows_asked(entry)
        for number in _spread(len(rows), config["limit"]):
            asked = rows[number].with_system(config["prompt"]["text"])
            questions.append(Question(name, number + 1, asked, tokenizer.prompt_ids(asked.question, asked.tools)))
    return questions, data


def _spread(count: int, limit: int | None) -> list[int]:
    """Return `limit` of the numbers below `count`, evenly spread: the first rows of a file are often of one kind."""
    wanted = min(count, limit or count)
    return [number * count // wanted for number in range(wanted)]


def _answer_all(job: Path, asked: Asked, questions: Sequence[Question]) -> list[dict[str, Any]] | None:
    """Let both answer batch by batch, write the answers down as they come, and return them; None when stopped."""
    log, started = job / "events.jsonl", time.monotonic()
    rows: list[dict[str, Any]] = []
    lengths = [len(question.prompt) for question in questions]
    tokens, most_rows = batch_limits(asked.loaded.model)
    context = asked.context or max(lengths) + asked.new_tokens
    _warn_of_long(log, questions, context)
    with (job / "answers.jsonl").open("a", encoding="utf-8") as file:
        for batch in batches(lengths, asked.new_tokens, context, tokens, most_rows):
            if (job / "stop").exists():
                events.append(log, events.RunStopped(step=len(rows)))
                return None
            chosen = [questions[index] for index in batch]
            answered = asked.both([question.prompt for question in chosen])
            new = [_row(question, *said) for question, said in zip(chosen, answered, strict=True)]
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in new)
            file.flush()
            rows += new
            left = (time.monotonic() - started) / len(rows) * (len(questions) - len(rows))
            events.append(log, events.Progress(done=len(rows), total=len(questions), seconds_left=round(left, 1)))
    return rows


def _warn(log: Path, found: Problem) -> None:
    events.append(log, events.Warned(code=found.code, where=found.where, values=found.values))


def _warn_of_long(log: Path, questions: Sequence[Question], context: int) -> None:
    long = [question for question in questions if len(question.prompt) >= context]
    for name in dict.fromkeys(question.dataset for question in long):
        mine = [question for question in long if question.dataset == name]
        values = {
            "count": len(mine),
            "row": mine[0].row,
            "tokens": max(len(question.prompt) for question in mine),
            "context": context,
        }
        _warn(log, problem("evaluate.too_long", name, **values))


def _row(question: Question, base: str, tuned: str) -> dict[str, Any]:
    """Return a line of answers.jsonl."""
    expected, keywords = question.conversation.answer, question.conversation.keywords
    return {
        "dataset": question.dataset,
        "row": question.row,
        "where": question.conversation.where,
        "question": _shown(question.conversation.question),
        "expected": expected,
        "keywords": list(keywords),
        "base": base,
        "tuned": tuned,
        "base_exact": metrics.is_exact(base, expected),
        "tuned_exact": metrics.is_exact(tuned, expected),
        "base_right": metrics.is_right(base, expected, keywords),
        "tuned_right": metrics.is_right(tuned, expected, keywords),
    }


def _shown(messages: Sequence[Message]) -> str:
    """Return the question as a person reads it: the user's words, and who spoke where there were several turns."""
    spoken = [message for message in messages if message.role != "system"]
    if len(spoken) == 1:
        return spoken[0].content
    return "\n".join(f"{message.role}: {message.content}" for message in spoken)


def _score(job: Path, config: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    signatures: dict[str, Any] = {}
    for name in dict.fromkeys(each["name"] for each in config["data"]):
        mine = [row for row in rows if row["dataset"] == name]
        expected, keywords = [row["expected"] for row in mine], [row["keywords"] for row in mine]
        found[name] = {"n": len(mine)}
        for which in ("base", "tuned"):
            found[name][which] = metrics.scores([row[which] for row in mine], expected, keywords)
        signatures[name] = metrics.signatures([row["tuned"] for row in mine], expected)
    return {
        "job": job.name,
        "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "adapter": config["adapter"],
        "datasets": found,
        "signatures": signatures,
        "prompt": config["prompt"],
    }


def _decoding(config: dict[str, Any], bits: int, base: PreTrainedModel) -> dict[str, Any]:
    return {
        "strategy": "greedy",
        "max_new_tokens": config["max_new_tokens"],
        "limit": config["limit"],
        "bits": bits,
        "dtype": str(base.dtype).removeprefix("torch."),
        "device": pick_device(),
    }


if __name__ == "__main__":
    run_worker(work)
