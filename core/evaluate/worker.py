"""The process that evaluates: `python -m core.evaluate.worker JOB_DIR`.

All contestants answer from one load of the base. Every batch is written down as it comes, so that an evaluation that was
stopped or killed keeps what it has, and goes on there when it is started again.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from core.errors import Problem, RunError, problem
from core.evaluate import items as asking, scores
from core.evaluate.answering import answer_all
from core.evaluate.answers import Answer
from core.evaluate.asking import Asked
from core.evaluate.choosing import Decoding
from core.evaluate.contestants import BASE, TUNED, Contestant, digest, known_states
from core.evaluate.generate import batch_limits
from core.evaluate.items import Item
from core.evaluate.judging import judged, verdict
from core.evaluate.known import Known
from core.evaluate.measuring import measure
from core.evaluate.options import Options
from core.evaluate.questions import items_of
from core.evaluate.scoring import score_of
from core.models.folder import context_length
from core.models.load import Many, forget_defaults, load_many, pick_device
from core.models.trained import Trained, trained
from core.progress import Cancelled
from core.render.tokenizer import ChatTokenizer
from core.runs import events
from core.runs.directory import Run, find, read_config
from core.runs.listening import JobListener
from core.runs.work import run_worker
from core.workspace import Workspace

Said = dict[str, dict[str, Answer]]
WEIGHTS = "weights.json"
_WAY = 1  # of making answers; another number where the same weights and tokens may give others


def work(job: Path) -> None:
    """Answer the questions of the job, score the answers and leave both in the run."""
    _Evaluation(job).work()


class _Evaluation:
    """One job: what it was asked for, and what its phases hand on."""

    def __init__(self, job: Path) -> None:
        self.job, self.log, self.run = job, job / "events.jsonl", Run(job.parent.parent)
        self.config = read_config(job)
        if "options" not in self.config:  # it waited while an older studio was replaced
            raise RunError(problem("evaluate.old_job", job.name))
        self.workspace = Workspace.at(self.config["workspace"], tuple(self.config["allow"]))
        self.options = Options.model_validate(self.config["options"])
        self.who = [Contestant(**each) for each in self.config["contestants"]]
        self.models: dict[str, Trained] = {each.id: self._trained(each) for each in self.who}
        tokenizers = {who: ChatTokenizer.load(model.tuned) for who, model in self.models.items()}
        self.tokenizers = {BASE: tokenizers[TUNED], **tokenizers}
        system = {each.id: each.prompt["text"] for each in self.who}
        self.system = {BASE: system[TUNED], **system}

    def _trained(self, contestant: Contestant) -> Trained:
        run = find(self.workspace, contestant.run)
        found = trained(self.workspace, run, contestant.saved)
        if not found.tuned.is_dir():
            raise RunError(problem("evaluate.no_checkpoint", run.name, saved=contestant.saved, known=known_states(run)))
        return found

    def work(self) -> None:
        self._phase("checking_data")
        self.weights = self._weights()
        if not self.config["prompt"]["same_as_trained"]:
            names = {"used": self.config["prompt"]["name"], "trained": self.run.config["prompt"]["name"]}
            self._warn(problem("evaluate.other_prompt", self.run.name, **names))
        items = asking.read(self.job)
        if not items:
            items = items_of(self.workspace, self.config)
            asking.write(self.job, items)
        prompts = {who: {item.key: self._prompt(who, item) for item in items} for who in self.tokenizers}
        self._phase("loading_model")
        folders = {who: model.tuned for who, model in self.models.items()}
        loaded = load_many(self.models[TUNED].base, folders, bits=self.models[TUNED].bits)
        forget_defaults(loaded.model)
        said = self._answers(loaded, items, prompts)
        self._phase("perplexity")
        losses = measure(loaded, self.tokenizers, self.system, items)
        self._phase("scoring")
        found, grades = score_of(self.workspace, self.run, self.config, items, said, losses, self._go_on)
        dtype = str(loaded.model.dtype).removeprefix("torch.")
        del loaded  # a judge of this machine needs the room
        if self.options.judge:
            self._phase("judging")
            judged(self.job, self.workspace, self.options, items, said, self._warn, JobListener(self.job))
        score = {
            "format": scores.FORMAT,
            "job": self.job.name,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "adapter": self.config["adapter"],
            "who": [{"id": BASE}, *({**each.described(), "sha256": self.weights[each.id]} for each in self.who)],
            **found,
            "judge": verdict(self.job, grades),
            "prompt": self.config["prompt"],
            "data": [{"name": each["name"], "sha1": each["sha1"]} for each in self.config["data"]],
            "decoding": self._decoding(dtype),
        }
        scores.write_grades(self.job, grades)
        scores.write(self.run, score)
        events.append(self.log, events.RunFinished(result={"job": self.job.name, "datasets": score["datasets"]}))

    def _prompt(self, who: str, item: Item) -> list[int]:
        return self.tokenizers[who].prompt_ids(item.asked_under(self.system[who]).messages, item.tools)

    def _weights(self) -> dict[str, str]:
        """Return what tells each contestant's weights from others.

        Raises:
            RunError: if they are others than when the job began: a run that went on meanwhile has a new result.
        """
        file = self.job / WEIGHTS
        now = {who: digest(self.models.get(who, self.models[TUNED]), who) for who in self.tokenizers}
        if not file.exists():
            aside = file.with_name(f"{WEIGHTS}.part")
            aside.write_text(json.dumps(now), encoding="utf-8")
            aside.replace(file)
        before = json.loads(file.read_text(encoding="utf-8"))
        changed = [who for who, each in now.items() if before.get(who) != each]
        if changed:
            raise RunError(problem("evaluate.other_weights", self.run.name, who=", ".join(changed)))
        return now

    def _answers(self, loaded: Many, items: Sequence[Item], prompts: Mapping[str, Mapping[str, list[int]]]) -> Said:
        self._phase("answering")
        chosen = self.options
        decoding = Decoding(
            chosen.max_new_tokens, chosen.temperature, chosen.top_p, chosen.repetition_penalty, chosen.seed
        )
        # 0 when the model does not say how long a question and its answer may be
        context = max(0, context_length(self.models[TUNED].base) - max(map(loaded.virtual_tokens, prompts)))
        self._warn_of_long(items, prompts, context)
        asked = Asked(loaded, self.tokenizers, context, decoding, self._warn)
        about = [
            _WAY,
            str(loaded.model.dtype),
            pick_device(),
            torch.__version__,
            transformers.__version__,
            repr(decoding),
        ]
        about += [context, loaded.model.get_input_embeddings().num_embeddings]
        folder = self.workspace.cache / "answers"
        known = {who: Known(folder, self.weights[who], *about, self.tokenizers[who].stop_ids) for who in prompts}

        def tell(done: int, total: int, left: float) -> None:
            events.append(self.log, events.Progress(done=done, total=total, seconds_left=round(left, 1)))

        said = answer_all(self.job, items, prompts, asked, known, batch_limits(loaded.model), tell)
        if asked.unanswered and not any(each.asked for theirs in said.values() for each in theirs.values()):
            raise RunError(problem("evaluate.nothing_fits", self.run.name))  # 0 would say that all answer wrongly
        return said

    def _warn_of_long(
        self, items: Sequence[Item], prompts: Mapping[str, Mapping[str, list[int]]], context: int
    ) -> None:
        lengths = {item.key: max(len(theirs[item.key]) for theirs in prompts.values()) for item in items}
        long = [item for item in items if context and lengths[item.key] >= context]
        for source in dict.fromkeys(item.source for item in long):
            mine = [item for item in long if item.source == source]
            most = max(lengths[item.key] for item in mine)
            values = {"count": len(mine), "row": mine[0].row, "tokens": most, "context": context}
            self._warn(problem("evaluate.too_long", source, **values))

    def _decoding(self, dtype: str) -> dict[str, Any]:
        chosen = self.options
        return {
            "strategy": "sampled" if chosen.temperature else "greedy",
            **chosen.model_dump(
                include={"max_new_tokens", "limit", "temperature", "top_p", "repetition_penalty", "seed"}
            ),
            "bits": self.models[TUNED].bits,
            "dtype": dtype,
            "device": pick_device(),
        }

    def _go_on(self) -> None:
        if (self.job / "stop").exists():
            raise Cancelled

    def _phase(self, name: str) -> None:
        events.append(self.log, events.Phase(name=name))

    def _warn(self, found: Problem) -> None:
        events.append(self.log, events.Warned(code=found.code, where=found.where, values=found.values))


if __name__ == "__main__":
    run_worker(work)
