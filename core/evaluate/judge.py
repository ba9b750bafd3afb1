"""A model compares two answers to the same question, twice: once in each order. No torch here.

Judges favour a place (the first answer, often) more than they favour a text when both are close (Zheng et al. 2023,
arXiv:2306.05685), so a verdict counts only where both orders agree. How often they do, and how often the first place was
picked, stands beside the result: they tell what the judge is worth.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from core.data.endpoint import Endpoint
from core.errors import DataError, RunError, problem
from core.evaluate import lines
from core.evaluate.judge_prompt import Pick, fingerprint, pick, prompt
from core.evaluate.pairs import Pair
from core.evaluate.preferences import Grades, Preferred, agreement, tally
from core.progress import Progress, silent

FILE = "judged.jsonl"
MOST = 200  # pairs of an evaluation that are judged; chosen by us: 400 requests, and a share within 7 points
AT_ONCE = 4  # requests to an address; chosen by us: a server at home answers no more of them side by side
BATCH = 8  # pairs between two looks at whether to stop
_SHOWN = 200  # characters kept of a reply that could not be read

# What is asked -> the replies, in the same order; None for a question that got none, which a later start asks again.
Voice = Callable[[Sequence[str]], Sequence[str | None]]


@dataclass(frozen=True)
class Verdict:
    """One line of the file.

    `picks` are the places that were preferred, with the answer of `who` first and with it second; None for a reply that
    could not be read, which `unread` then shows. Equal answers are a tie that nobody was asked about: `picks` is empty.
    """

    item: str
    who: str
    other: str
    verdict: Literal["who", "other", "tie", "unsure"]
    picks: tuple[Pick | None, ...]
    judge: str
    rubric_sha256: str
    unread: str = ""


def asking(endpoint: Endpoint) -> Voice:
    """Return the voice of the model behind an address, greedy, asked a few questions at once.

    A question that is refused has no reply. The voice raises a RunError when none of several gets one.
    """

    def one(question: str) -> str | DataError:
        try:
            return endpoint(question, temperature=0.0)
        except DataError as error:
            return error

    def voice(questions: Sequence[str]) -> list[str | None]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            replies = list(pool.map(one, questions))
        failed = [reply for reply in replies if isinstance(reply, DataError)]
        if failed and len(failed) == len(replies):
            raise RunError(problem("judge.failed", "", **failed[0].problems[0].values))
        return [None if isinstance(reply, DataError) else reply for reply in replies]

    return voice


def endpoint_judge() -> tuple[Voice, str]:
    """Return the voice of the endpoint that the environment names, and what to call it.

    Raises:
        RunError: if it names none.
        DataError: if what it names cannot be one.
    """
    endpoint = Endpoint.from_environment()
    if endpoint is None:
        raise RunError(problem("judge.no_endpoint"))
    return asking(endpoint), f"{endpoint.host}/{endpoint.model}"


def judge(
    job: Path,
    pairs: Sequence[Pair],
    voice: Voice,
    name: str,
    *,
    rubric: str = "",
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress = silent,
) -> int:
    """Append a verdict on every pair that this judge has not judged by this rubric yet; return how many have none even then.

    Those are what it was stopped before, and what it gave no reply to.

    Args:
        name: what the judge is called: host and model, or a model's folder. It stands in every verdict.
        rubric: what makes an answer better, in words; "" takes ours, in the language of each question.
        stopped: asked between batches; once it is true nothing more is asked.
        progress: told the number of pairs.

    Raises:
        RunError: from the voice, if nobody answers; verdicts until then are kept.
    """
    told = fingerprint(rubric)
    judged = {
        (each.item, each.who, each.other) for each in read(job) if (each.judge, each.rubric_sha256) == (name, told)
    }
    left = [pair for pair in pairs if (pair.item, pair.who, pair.other) not in judged]
    same = [pair for pair in left if pair.same]
    lines.append(job / FILE, (asdict(_verdict(pair, (), name, told)) for pair in same))
    left = [pair for pair in left if not pair.same]
    missing = len(left)
    for start in range(0, len(left), BATCH):
        if stopped():
            break
        batch = left[start : start + BATCH]
        replies = voice([prompt(pair, swapped, rubric) for pair in batch for swapped in (False, True)])
        new = [
            _verdict(pair, both, name, told)
            for pair, both in zip(batch, zip(replies[::2], replies[1::2], strict=True), strict=True)
            if None not in both
        ]
        lines.append(job / FILE, map(asdict, new))
        missing -= len(new)
        progress(len(pairs) - len(left) + start + len(batch), len(pairs))
    return missing


def read(job: Path) -> list[Verdict]:
    """Return the verdicts of a job, oldest first."""
    return [Verdict(**{**line, "picks": tuple(line["picks"])}) for line in lines.read(job / FILE)]


def summary(verdicts: Sequence[Verdict], grades: Grades, main: str = "right") -> dict[str, Any] | None:
    """Return what the verdicts say about `who` against `other`; None where there are none.

    Where several judges or rubrics judged, those of the last verdict count.

    Returns:
        n: pairs, of which `same` had equal answers, and `unread` a reply that could not be read, such as `unread_as`.
        wins, losses, ties, unsure; `win_rate` of the decided pairs in percent, `interval` 95 %, `p`: see `tally`.
        agreement: percent of the pairs asked about on which both orders agree.
        first_bias: percent of picks that took the first place; a judge without a favourite place is near 50.
        metric: how often the value `main` of `grades` prefers the same answer: see `preferences.agreement`.
    """
    if not verdicts:
        return None
    last = verdicts[-1]
    mine = [each for each in verdicts if _of(each) == _of(last)]
    asked = [each for each in mine if each.picks]
    places = [each for verdict in asked for each in verdict.picks if each in ("first", "second")]
    agreed = sum(each.verdict != "unsure" for each in asked)
    decided: dict[str, Preferred] = {each.item: each.verdict for each in mine if each.verdict in ("who", "other")}
    unread = [each.unread for each in asked if None in each.picks]
    count = [each.verdict for each in mine].count
    return {
        "who": last.who,
        "other": last.other,
        "judge": last.judge,
        "rubric_sha256": last.rubric_sha256,
        "n": len(mine),
        **tally(count("who"), count("other")),
        "ties": count("tie"),
        "unsure": count("unsure"),
        "same": len(mine) - len(asked),
        "unread": len(unread),
        "unread_as": unread[0] if unread else "",
        "agreement": round(100 * agreed / len(asked), 2) if asked else None,
        "first_bias": round(100 * places.count("first") / len(places), 2) if places else None,
        "metric": {"name": main, **agreement(decided, grades, last.who, last.other, main)},
    }


def _of(verdict: Verdict) -> tuple[str, str, str, str]:
    return verdict.judge, verdict.rubric_sha256, verdict.who, verdict.other


def _verdict(pair: Pair, replies: Sequence[str | None], name: str, rubric_sha256: str) -> Verdict:
    """Return what two replies mean; none for equal answers."""
    picks = tuple(pick(reply or "") for reply in replies)
    unread = next((str(reply) for reply, each in zip(replies, picks, strict=True) if each is None), "")
    chosen = set(_chosen(picks)) or {"tie"}
    verdict = chosen.pop() if len(chosen) == 1 else "unsure"
    return Verdict(pair.item, pair.who, pair.other, verdict, picks, name, rubric_sha256, unread[:_SHOWN])  # type: ignore[arg-type]


def _chosen(picks: Sequence[Pick | None]) -> Iterator[str]:
    """Yield whom each pick prefers: `who` stands first in the first order, and second in the second."""
    for place, each in zip(("first", "second"), picks, strict=False):
        yield "unsure" if each is None else "tie" if each == "tie" else "who" if each == place else "other"
