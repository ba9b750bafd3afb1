"""The probes of an evaluation: who it says it is, what it can still do, and whether it was asked as it was trained."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from core.data.page import page_of
from core.data.registry import Registry
from core.errors import StudioError
from core.evaluate.answers import Answer
from core.evaluate.contestants import BASE
from core.evaluate.items import Item
from core.evaluate.probes import identity, identity_score, kept, kept_score
from core.evaluate.probes.parity import parity
from core.evaluate.questions import who_it_should_be
from core.models.trained import trained
from core.records import Conversation
from core.render.tokenizer import ChatTokenizer
from core.runs.directory import Run
from core.workspace import Workspace

_COMPARED = 5  # rows of each training set whose prompt is compared; chosen by us: a template differs in every row

Answers = Mapping[str, Mapping[str, Answer]]  # contestant -> item's key -> answer
Right = dict[str, dict[str, bool]]  # contestant -> item's key


def probed(
    workspace: Workspace, run: Run, config: Mapping[str, Any], items: Sequence[Item], said: Answers,
    perplexities: Mapping[str, float | None],
) -> tuple[dict[str, Any], Right]:  # fmt: skip
    """Return what the probes say, and of each of their questions whether it was answered right.

    A question that there was no room for is not counted. Where nobody knows who the model should be, the questions for its
    identity are neither right nor wrong.
    """
    name, maker = who_it_should_be(workspace, config) or ("", "")
    who_are_you = [item for item in items if item.kind == "identity"]
    general = [item for item in items if item.kind == "kept"]
    said = {who: {key: each for key, each in theirs.items() if each.asked} for who, theirs in said.items()}
    texts = {who: _texts(who_are_you, theirs) for who, theirs in said.items()}
    old = identity.old_identity(who_are_you, texts[BASE], name, maker)
    right: Right = {who: {} for who in said}
    for who, theirs in said.items():
        if name or maker:
            for item in (each for each in who_are_you if each.key in theirs):
                right[who][item.key] = identity.judge(item, theirs[item.key].text, name, maker, old).right
        right[who] |= {item.key: kept.is_right(item, theirs[item.key].text) for item in general if item.key in theirs}
    can = {who: {item.key: theirs[item.key] for item in general if item.key in theirs} for who, theirs in right.items()}
    return {
        "identity": identity_score.summary(who_are_you, texts, name, maker),
        "kept": kept_score.summary(general, can, perplexities),
        "parity": _parity(workspace, run, config),
    }, right


def _texts(items: Sequence[Item], theirs: Mapping[str, Answer]) -> dict[str, str]:
    return {item.key: theirs[item.key].text for item in items if item.key in theirs}


def _parity(workspace: Workspace, run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    model = trained(workspace, run, config["adapter"])
    tuned, base = ChatTokenizer.load(model.tuned), ChatTokenizer.load(model.base)
    return parity(run, tuned, base, _trained_rows(workspace, run), config["prompt"]["text"])


def _trained_rows(workspace: Workspace, run: Run) -> list[Conversation]:
    """Return some rows of each training set that is still there."""
    registry, found = Registry(workspace), []
    for name in run.settings.data.train:
        with suppress(StudioError):  # it was removed or is broken by now: then nothing is compared
            rows = (row for _, row in page_of(workspace, registry.get(name), 0, _COMPARED))
            found += list(islice((row for row in rows if isinstance(row, Conversation)), _COMPARED))
    return found
