"""What an experiment will take and what it has taken: trainings, learnt tokens, seconds."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.data.registry import Registry
from core.evaluate.options import Options
from core.evaluate.probes import identity, kept
from core.evaluate.questions import rows_asked
from core.runs import events
from core.runs.directory import Run
from core.train.plan import Plan
from core.workspace import Workspace

# An answer takes as long as so many trained tokens, its question included. Measured on the starter model, 2 busy cores: 678
# answers of 13 tokens in 128 s beside a training of 376 tokens a second.
_ANSWER = 70


def evaluation(workspace: Workspace, plan: Plan, tests: Iterable[str], contestants: int, options: Options) -> float:
    """Return about how many seconds an evaluation takes; `plan` is that of one of the runs that are asked."""
    registry = Registry(workspace)
    counts = [len(rows_asked(registry.get(name))) for name in dict.fromkeys(tests)]
    counts += [len(identity.items("", "")), len(kept.items())] if options.probes else []
    asked = sum(min(count, options.limit or count) for count in counts)
    return round(plan.speed.load_seconds + asked * contestants * _ANSWER * plan.speed.seconds_per_token, 1)


def total(runs: Sequence[Mapping[str, Any]], evaluating: float, memory_bytes: int) -> dict[str, Any]:
    """Return the plan of an experiment as its config keeps it; `memory_bytes` is the peak of its largest training."""
    return {
        "runs": len(runs),
        "steps": sum(each["steps"] for each in runs),
        "learnt_tokens": sum(each["learnt_tokens"] for each in runs),
        "evaluation_seconds": evaluating,
        "seconds": round(sum(each["seconds"] for each in runs) + evaluating, 1),
        "memory_bytes": memory_bytes,
    }


def trained_seconds(run: Run) -> float:
    """Return the seconds of a run's training, loading included, in all its workers; 0 while it has not ended."""
    told = events.standing(events.read_from(run.log)[0])
    ended = [each for each in told if isinstance(each, events.TrainingEnded)]
    return float(ended[-1].measured.get("seconds", 0.0)) if ended else 0.0


def job_seconds(jobs: Iterable[Path]) -> float:
    """Return the seconds of jobs that have ended, from their beginnings to the last words in their logs."""
    found = 0.0
    for job in jobs:
        log = job / "events.jsonl"
        if log.exists() and (job / "worker.pid").exists():
            found += max(0.0, log.stat().st_mtime - (job / "worker.pid").stat().st_mtime)
    return round(found, 1)
