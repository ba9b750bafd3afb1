"""The process of an experiment: `python -m core.experiments.worker DIR`.

It holds a device in the queue and lets its trainings and evaluations, each a process of its own, work there one after the
other. It loads no library that computes: where memory runs out, it is the child that ends, not this.
"""

import signal
from pathlib import Path
from typing import Any

from core.errors import RunError
from core.evaluate.contestants import Other
from core.evaluate.options import Options
from core.experiments import ab_report, asked, sweep_report
from core.experiments.children import Children, Launch, reasons
from core.experiments.directory import Experiment
from core.experiments.sweep_work import Sweep
from core.runs import events, process, supervisor
from core.runs.directory import Run
from core.runs.work import run_worker
from core.settings import from_dict
from core.workspace import Workspace


def work(job: Path, launch: Launch = supervisor.launch) -> None:
    """Make and see through what is missing of the experiment in `job`, and write its report.

    Args:
        launch: starts the worker of a job.
    """
    signal.signal(signal.SIGTERM, lambda *_: process.ask_to_stop(job))
    experiment = Experiment(job)
    config = experiment.config
    workspace = Workspace.at(config["workspace"], tuple(config["allow"]))
    if experiment.log.exists() and experiment.log.stat().st_size:
        events.append(experiment.log, events.Resumed(step=0))
    events.append(experiment.log, events.Phase(name="experimenting"))
    result = {"ab": _ab, "sweep": _sweep}[config["kind"]](workspace, experiment, launch)
    experiment.write_result(result)
    events.append(experiment.log, events.RunFinished(result={"experiment": experiment.name, "cost": result["cost"]}))


def _ab(workspace: Workspace, experiment: Experiment, launch: Launch) -> dict[str, Any]:
    """Train every arm with every seed, then ask all of them in one evaluation."""
    config = experiment.config
    planned = {each["key"]: (each["steps"], each["seconds"]) for each in config["runs"]}
    children = Children(workspace, experiment, planned, launch)
    runs: dict[str, Run] = {}
    for each in config["runs"]:
        run, status = children.train(each["key"], from_dict(each["settings"]))
        if status != "finished":
            raise RunError(*reasons(run.path))
        runs[each["key"]] = run
    first, *others = runs.values()
    tests = dict.fromkeys(name for arm in config["arms"] for name in arm["tests"])
    options = Options.model_validate(config["options"])
    job = children.evaluate("evaluation", first, list(tests), options, [Other(run.name) for run in others])
    return ab_report.report(config, runs, asked.read(first, job))


def _sweep(workspace: Workspace, experiment: Experiment, launch: Launch) -> dict[str, Any]:
    done = Sweep(workspace, experiment, launch).work()
    return sweep_report.report(workspace, experiment.config, done)


if __name__ == "__main__":
    run_worker(work)
