"""What the rules look at: the log and the settings of a run, its score and the answers behind it. All of it from files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from core.data.entry import DatasetEntry
from core.data.identity import teaches_identity
from core.data.mix import Offer, Part, mixture
from core.data.registry import Registry
from core.diagnose.tested import Tested
from core.evaluate import scores
from core.evaluate.contestants import BASE, TUNED
from core.evaluate.items import Item
from core.evaluate.rows import Row
from core.runs import events
from core.runs.directory import Run, step_of
from core.settings import RunSettings
from core.train.examples import GENERAL_KINDS
from core.workspace import Workspace

IDENTITY = "diagnosis.identity"  # stands where the name of a test set would
NEARLY_ALL = 80.0  # percent; chosen by us: where four of five answers are right, odd data did little harm


@dataclass(frozen=True)
class Evidence:
    """One evaluation of one run. Percentages are 0 to 100; what is not known is None or empty."""

    workspace: Workspace
    run: Run
    score: Mapping[str, Any]
    rows: Sequence[Row]  # of the evaluation; some rules know less without them

    @property
    def settings(self) -> RunSettings:
        return self.run.settings

    @cached_property
    def told(self) -> list[events.Event]:
        """The events of the training that still hold."""
        return events.standing(events.read_from(self.run.log)[0])

    @cached_property
    def steps(self) -> list[events.StepFinished]:
        return [each for each in self.told if isinstance(each, events.StepFinished)]

    @cached_property
    def validations(self) -> list[events.Validated]:
        """The validations of the trained model, without the one before the first step."""
        return [each for each in self.told if isinstance(each, events.Validated) and each.step]

    @cached_property
    def broke(self) -> int | None:
        """The step at which the loss was no number any more."""
        told = [each.step for each in self.steps if not math.isfinite(each.loss)]
        failed = [problem for each in self.told if isinstance(each, events.RunFailed) for problem in each.problems]
        return next(iter(told), None) or next(
            (int(each["values"]["step"]) for each in failed if each["code"] == "train.not_finite"), None
        )

    @cached_property
    def taken(self) -> int:
        """The steps that were taken."""
        return self.steps[-1].step if self.steps else 0

    @cached_property
    def asked_step(self) -> int:
        """The step of the saved state that was asked."""
        told = next((each.get("trained") for each in self.score.get("who", ()) if each["id"] == TUNED), None)
        if told is not None:
            return int(told)
        saved = self.run.path / self.score.get("adapter", "final")
        if saved.parent.name == "checkpoints":
            return step_of(saved)
        ended = [each.kept_step for each in self.told if isinstance(each, events.TrainingEnded)]
        return ended[-1] if ended else self.taken

    @cached_property
    def sources(self) -> list[Mapping[str, Any]]:
        """What each data set brought to a pass, as the plan says; none where the model was still to be downloaded."""
        return (self.run.config.get("plan") or {}).get("sources", [])

    @cached_property
    def parts(self) -> list[Part]:
        """What each data set got in a pass, and whether it is known as general."""
        general = {entry.name for entry in self.learnt if entry.recognised in GENERAL_KINDS}
        offers = [
            Offer(each["name"], each["examples"], each["learnt_tokens"], each["name"].partition(":")[0] in general)
            for each in self.sources
        ]
        found = mixture(offers, self.settings.data.weights, self.settings.data.balance)
        return [replace(part, identity=part.name.partition(":")[0] in self.identity_sets) for part in found]

    @cached_property
    def per_pass(self) -> int:
        """The examples of one pass over the data."""
        started = [each.examples for each in self.told if isinstance(each, events.RunStarted)]
        return sum(each["exposures"] for each in self.sources) or (started[-1] if started else 0)

    @property
    def passes(self) -> float:
        """How often the data was seen."""
        return self.asked_step * self.settings.batch.global_batch_size / self.per_pass if self.per_pass else 0.0

    def loss_before(self, step: int, share: float = 0.1) -> float | None:
        """Return the mean training loss of the last steps up to `step`: a tenth of them, at least five."""
        until = [each.loss for each in self.steps if each.step <= step]
        return fmean(until[-max(5, round(share * len(until))) :]) if until else None

    @cached_property
    def tests(self) -> list[Tested]:
        """Every data set that was asked."""
        return [Tested(name, values) for name, values in self.score.get("datasets", {}).items()]

    @cached_property
    def own_tests(self) -> list[Tested]:
        """Those that the run was meant to get better at."""
        return [each for each in self.tests if each.name in self.settings.data.test]

    @cached_property
    def aims(self) -> list[Tested]:
        """What the run was meant to get better at: its test sets, and to say who it is where it was taught to."""
        if not self.identity_sets or not self.identity:
            return self.own_tests
        told = self._probe("identity")["who"]
        share = {who: {"right": 100 * told[who]["right"] / told[who]["n"]} for who in (BASE, TUNED) if told[who]["n"]}
        return [*self.own_tests, Tested(IDENTITY, {"n": told[TUNED]["n"], **share})]

    @property
    def is_short(self) -> bool:
        """Something that the run was meant to get right it often gets wrong."""
        return any(each.is_known and each.tuned < NEARLY_ALL for each in self.aims)

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What the identity probe says of the tuned model; empty where it was not asked or nobody says who it should be."""
        told = self._probe("identity").get("who", {})
        return told[TUNED] if "right" in told.get(TUNED, {}) and BASE in told else {}

    @cached_property
    def kept(self) -> Mapping[str, Any]:
        """What the probe of kept abilities says of the tuned model."""
        return self._probe("kept").get("who", {}).get(TUNED, {})

    @property
    def by_ability(self) -> Mapping[str, Mapping[str, int]]:
        """Questions, and right answers of each contestant, of each ability."""
        found: Mapping[str, Mapping[str, int]] = self._probe("kept").get("by_ability", {})
        return found

    @property
    def parity(self) -> Mapping[str, Any]:
        return self._probe("parity")

    def _probe(self, name: str) -> Mapping[str, Any]:
        return (self.score.get("probes") or {}).get(name) or {}

    @cached_property
    def learnt(self) -> list[DatasetEntry]:
        """The training sets that are still what was learnt."""
        registry = Registry(self.workspace)
        known = set(registry.names())
        pinned = {each["name"]: each["sha1"] for each in self.run.config["data"]}
        entries = [registry.get(name) for name in self.settings.data.train if name in known]
        return [entry for entry in entries if entry.problem is None and entry.sha1 == pinned.get(entry.name)]

    @cached_property
    def identity_sets(self) -> list[str]:
        """The names of the training sets that teach who the model is."""
        return [entry.name for entry in self.learnt if teaches_identity(self.workspace, entry)]

    @cached_property
    def other_scores(self) -> list[Mapping[str, Any]]:
        """The other evaluations of the run, newest first."""
        return [each for each in reversed(scores.read(self.run)) if each["job"] != self.score["job"]]

    def said(self, source: str) -> list[tuple[Item, str, bool]]:
        """Return item, answer and whether it ended, of what the tuned model said to a data set."""
        found = [(row.item, row.answers.get(TUNED)) for row in self.rows if row.item.source == source]
        return [(item, answer.text, answer.ended) for item, answer in found if answer is not None and answer.asked]
