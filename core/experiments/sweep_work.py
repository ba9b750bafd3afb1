"""The work of a sweep: trial after trial, each trained, watched, evaluated and written down before the next is chosen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from core.errors import Problem, RunError, StudioError, problem
from core.evaluate.options import Options
from core.experiments import asked, cost, probed, search, trials
from core.experiments.asked import task_value
from core.experiments.children import Children, Launch, reasons
from core.experiments.directory import Experiment
from core.experiments.space import EPOCHS, RANK, RATE, Params, Space, own, with_params
from core.experiments.trials import Trial
from core.runs import events
from core.runs.directory import Run
from core.settings import RunSettings, from_dict
from core.workspace import Workspace


class Sweep:
    """A sweep at work. What is done is read from its directory, so that it may have been interrupted at any moment."""

    def __init__(self, workspace: Workspace, experiment: Experiment, launch: Launch) -> None:
        self.experiment, config = experiment, experiment.config
        self._workspace, self._config = workspace, config
        self._recipe = from_dict(config["settings"])
        self._space = Space(**{name: tuple(values) for name, values in config["space"].items()})
        self._options = Options.model_validate(config["options"])
        expected = [self._expected(params) for params in self._first_guess()]
        planned = {_key(number): each for number, each in enumerate(expected)}
        self._children = Children(workspace, experiment, planned, launch)

    def work(self) -> list[Trial]:
        """Take the trials that are left, until the plan or the time is over, and return all.

        Raises:
            Cancelled: if the experiment is asked to stop.
        """
        known = {each.number: each for each in trials.read(self.experiment.path)}
        done: list[Trial] = []
        for number in range(self._config["trials"]):
            trial = known.get(number)
            if trial is None or not trial.counts:
                params = trial.params if trial else self._next(done)
                if trial is None and not self._has_time(done, params):
                    self._warn("experiment.time_over", tried=len(done), planned=self._config["trials"])
                    break
                trial = Trial(number, params)
                trials.write(self.experiment.path, trial)
                trial = self._taken(trial, done)
                trials.write(self.experiment.path, trial)
            done.append(trial)
            if len(done) > 1 and all(each.state == "failed" for each in done):
                raise RunError(
                    problem("experiment.all_fail", n=len(done)), *(Problem(**each) for each in trial.problems)
                )
        return done

    def _next(self, earlier: Sequence[Trial]) -> dict[str, float]:
        first, seed = own(self._recipe, self._space), self._recipe.seed
        if self._config["sampler"] == "grid":
            return self._space.combinations(seed, first)[len(earlier)]
        return search.suggest(self._space, earlier, seed, self._config["floor"], first)

    def _taken(self, trial: Trial, earlier: Sequence[Trial]) -> Trial:
        """Return a trial after its training and, unless it was hopeless or failed, its evaluation."""
        key = _key(trial.number)
        self._children.plan(key, *self._expected(trial.params))
        watched = _Watched(trial.params, earlier if self._config["prunes"] else ())
        try:
            run, status = self._children.train(key, self._settings(trial), watched.is_hopeless)
            hopeless = watched.is_hopeless(run)
            trial = replace(trial, run=run.name, steps=watched.steps, losses=watched.losses(),
                            seconds=cost.trained_seconds(run))  # fmt: skip
            if hopeless or status == "stopped":  # a person may end a trial, too
                return replace(trial, state="pruned")
            if status != "finished":
                raise RunError(*reasons(run.path))
            return self._evaluated(trial, run)
        except StudioError as error:
            return replace(trial, state="failed", problems=tuple(each.to_dict() for each in error.problems))

    def _evaluated(self, trial: Trial, run: Run) -> Trial:
        tests = self._recipe.data.test
        job = self._children.evaluate(f"{_key(trial.number)}/evaluation", run, tests, self._options)
        found = asked.read(run, job)
        who = found.who(run.name)
        return replace(
            trial, state="complete", evaluation=job.name, value=task_value(found, who, tests),
            kept=probed.kept(found.score, who), identity=probed.identity(found.score, who),
            seconds=round(trial.seconds + cost.job_seconds([job]), 1),
        )  # fmt: skip

    def _settings(self, trial: Trial) -> RunSettings:
        values = {RATE: "{:g}", RANK: "r{:g}", EPOCHS: "e{:g}"}
        told = "_".join(values[path].format(value) for path, value in trial.params.items())
        settings = with_params(self._recipe, trial.params)
        return settings.model_copy(update={"name": f"sweep_{trial.number + 1:02}_{told}"[:60]})

    def _expected(self, params: Params) -> tuple[int, float]:
        """Return the steps and seconds that the plan foresees for a training."""
        epochs = params.get(EPOCHS, self._recipe.schedule.epochs)
        found = next(each for each in self._config["expected"] if each["epochs"] == epochs)
        return found["steps"], found["seconds"]

    def _first_guess(self) -> list[dict[str, float]]:
        return self._space.combinations(self._recipe.seed, own(self._recipe, self._space))[: self._config["trials"]]

    def _has_time(self, earlier: Sequence[Trial], params: Params) -> bool:
        """Tell whether another trial will end within the budget, going by what earlier ones took beside their plans."""
        minutes = self._config["budget"]["minutes"]
        if minutes is None:
            return True
        evaluating = self._config["plan"]["evaluation_seconds"] / self._config["trials"]
        whole = [each for each in earlier if each.state == "complete"]
        planned = sum(self._expected(each.params)[1] + evaluating for each in whole)
        ratio = sum(each.seconds for each in whole) / planned if planned else 1.0
        spent = sum(each.seconds for each in earlier)
        return spent + ratio * (self._expected(params)[1] + evaluating) <= 60 * minutes

    def _warn(self, code: str, **values: Any) -> None:
        events.append(self.experiment.log, events.Warned(code=code, values=values))


class _Watched:
    """The validations of a run as they come, and whether they are hopeless; its log is read from where it was read to."""

    def __init__(self, params: Params, earlier: Sequence[Trial]) -> None:
        self._params, self._earlier = params, earlier
        self._told: list[events.Event] = []
        self._offset = self._looked_at = 0
        self._hopeless: int | None = None
        self.steps = 0

    def is_hopeless(self, run: Run) -> bool:
        new, self._offset = events.read_from(run.log, self._offset)
        self._told += [each for each in new if isinstance(each, events.Validated | events.RunStarted | events.Resumed)]
        self.steps = max((each.total_steps for each in new if isinstance(each, events.RunStarted)), default=self.steps)
        losses = self._validated()
        if self._hopeless is None and self.steps and len(losses) != self._looked_at:
            self._looked_at = len(losses)
            self._hopeless = search.hopeless_after(self._earlier, self._params, losses, self.steps)
        return self._hopeless is not None

    def losses(self) -> tuple[tuple[int, float], ...]:
        """Return the validations, of a hopeless trial those that made it so: what was measured later is chance."""
        return tuple(self._validated()[: self._hopeless])

    def _validated(self) -> list[tuple[int, float]]:
        told = events.standing(self._told)
        return [(each.step, each.loss) for each in told if isinstance(each, events.Validated) and each.step]


def _key(number: int) -> str:
    return f"trial/{number}"
