"""Trackers get the curves, cannot hold a run up or end it, and never see or leave a key anywhere.

The libraries of the trackers that a person may add are stand-ins here: they are the border to a network.
"""

import math
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from core.runs import events, process
from core.runs.directory import Run, create
from core.settings import from_dict
from core.train.recording import Recorder
from core.train.tracking import background
from core.train.tracking.chosen import TRACKERS, check
from core.wording import languages
from core.workspace import Workspace

ADDED = [name for name in TRACKERS if name != "tensorboard"]


def chosen(*trackers):
    return from_dict({"data": {"train": ["x"]}, "log": {"trackers": list(trackers)}})


@pytest.fixture
def workspace(tmp_path):
    return Workspace.at(tmp_path)


def a_run(workspace, *trackers):
    config = {
        "settings": chosen(*trackers).model_dump(mode="json"),
        "data": [],
        "model": {},
        "prompt": {"text": "be kind"},
    }
    return Run(create(workspace.runs, "tiny", config))


def a_step(number, loss=2.0):
    return events.StepFinished(
        step=number, epoch=number / 10, loss=loss, learning_rate=1e-3 * number, grad_norm=0.5, tokens=9,
        tokens_per_second=100.0, seconds_left=1.0,
    )  # fmt: skip


def an_end(step=3):
    return events.TrainingEnded(
        reason="done", step=step, kept_step=step, best_step=2, best_loss=1.5, measured={"seconds": 12.0}
    )


def told(run):
    return events.read_from(run.log)[0]


def warned(run):
    return [each for each in told(run) if isinstance(each, events.Warned)]


def curves(run):
    read = EventAccumulator(str(run.path / "tensorboard")).Reload()
    return {name: [(each.step, each.value) for each in read.Scalars(name)] for name in read.Tags()["scalars"]}


def recorded(run, workspace, *said, pause=0.0):
    recorder = Recorder(run)
    with recorder.reporting(workspace):
        for event in said:
            recorder.say(event)
            time.sleep(pause)


def test_tensorboard_files_hold_every_number_that_is_told(workspace):
    run = a_run(workspace)
    validated = events.Validated(step=2, loss=1.5, by_source={"general": 1.25, "desk:QA": 1.75})
    recorded(
        run,
        workspace,
        events.Validated(step=0, loss=3.0),
        a_step(1),
        a_step(2),
        validated,
        a_step(3, math.nan),
        an_end(),
    )
    found = curves(run)
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3]
    assert [value for _, value in found["train/loss"]][:2] == [2.0, 2.0]
    assert math.isnan(found["train/loss"][2][1])
    assert [value for _, value in found["train/learning_rate"]] == pytest.approx([1e-3, 2e-3, 3e-3])
    assert found["train/grad_norm"] == [(1, 0.5), (2, 0.5), (3, 0.5)]
    assert found["validation/loss"] == [(0, 3.0), (2, 1.5)]
    assert found["validation/loss/desk:QA"] == [(2, 1.75)]
    assert found["result/best_loss"] == [(3, 1.5)]
    assert not warned(run)


def test_a_training_that_comes_apart_leaves_its_curves(workspace):
    run = a_run(workspace)
    with pytest.raises(AttributeError):
        recorded(run, workspace, a_step(1), "no event")
    assert curves(run)["train/loss"] == [(1, 2.0)]


@pytest.mark.parametrize("name", ADDED)
def test_a_tracker_that_is_not_installed_is_told_before_the_start_with_the_command_that_helps(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("importlib.util.find_spec", lambda asked: None if asked == name else object())
    (found,) = check(chosen(name))
    assert (found.code, found.where) == ("tracker.not_installed", "log.trackers")
    for language in languages():
        assert f"{sys.executable} -m pip install {name}" in found.say(language)


def test_without_trackers_nothing_is_missing():
    assert check(chosen()) == []


@pytest.fixture
def installed(monkeypatch):
    for name in ADDED:
        module = ModuleType(name)
        module.__spec__ = SimpleNamespace(name=name)
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("WANDB_API_KEY", "WANDB_MODE", "TRACKIO_SPACE_ID", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "given", "missing"),
    [
        ("wandb", {}, "WANDB_API_KEY"),
        ("wandb", {"WANDB_API_KEY": ""}, "WANDB_API_KEY"),
        ("wandb", {"WANDB_API_KEY": "k"}, None),
        ("wandb", {"WANDB_MODE": "offline"}, None),
        ("mlflow", {}, None),
        ("trackio", {}, None),
        ("trackio", {"TRACKIO_SPACE_ID": "me/space"}, "HF_TOKEN"),
        ("trackio", {"TRACKIO_SPACE_ID": "me/space", "HF_TOKEN": "t"}, None),
    ],
)
def test_a_missing_key_is_told_before_the_start_by_its_variable(installed, monkeypatch, name, given, missing):
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    found = check(chosen(name))
    assert [each.code for each in found] == (["tracker.no_key"] if missing else [])
    assert all(missing in each.say(language) for each in found for language in languages())


def test_the_worker_of_a_training_gets_the_keys_of_its_trackers_and_no_others(workspace, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "for wandb")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "for mlflow")
    with_wandb, without = a_run(workspace, "wandb"), a_run(workspace)
    assert process._further("core.train.worker", with_wandb.path) == {"WANDB_API_KEY": "for wandb"}
    assert process._further("core.train.worker", without.path) == {}
    assert process._further("core.evaluate.worker", with_wandb.path) == {}
    assert not {"for wandb", "for mlflow"} & set(process.worker_environment().values())


def test_a_run_of_an_older_studio_has_no_trackers(tmp_path):
    (tmp_path / "config.yaml").write_text("settings: {log: {every_steps: 1}}\n")
    assert process._further("core.train.worker", tmp_path) == {}


class Wandb(ModuleType):
    """As much of wandb as a run uses; `trouble(what)` is called first each time."""

    def __init__(self, trouble=lambda what: None):
        super().__init__("wandb")
        self.calls, self.trouble = [], trouble
        self.Settings = lambda **options: options
        self.summary = SimpleNamespace(update=lambda values: self.calls.append(("summary", values)))

    def init(self, **options):
        self.trouble("init")
        self.calls.append(("init", options))
        return self

    def log(self, values, step):
        self.trouble("log")
        self.calls.append((step, values))

    def finish(self):
        self.trouble("finish")
        self.calls.append(("finish", None))


@pytest.fixture
def wandb(monkeypatch):
    def put(trouble=lambda what: None):
        monkeypatch.delitem(sys.modules, "core.train.tracking.wandb", raising=False)
        module = Wandb(trouble)
        monkeypatch.setitem(sys.modules, "wandb", module)
        return module

    return put


def test_wandb_gets_the_settings_and_the_curves_but_no_texts(workspace, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "very-secret")
    module, run = wandb(), a_run(workspace, "wandb")
    recorded(run, workspace, a_step(1), events.Validated(step=1, loss=1.5), an_end())
    (_, options), first, second, summary, last = module.calls
    assert options["config"]["optim"]["learning_rate"] == 2e-4
    assert (options["name"], options["dir"]) == (run.name, run.path)
    assert first[0] == 1
    assert first[1]["train/loss"] == 2.0
    assert second == (1, {"validation/loss": 1.5})
    assert summary[1]["result/best_loss"] == 1.5
    assert last == ("finish", None)
    assert "be kind" not in repr(module.calls)
    assert "very-secret" not in repr(module.calls) + run.log.read_text()


@pytest.mark.parametrize("when", ["init", "log", "finish"])
def test_a_tracker_that_fails_is_told_of_once_and_is_off(workspace, wandb, when):
    def trouble(what):
        if what == when:
            raise ConnectionError("no route to host")

    module, run = wandb(trouble), a_run(workspace, "wandb")
    recorded(
        run, workspace, *map(a_step, range(1, 6)), an_end(), pause=0.05
    )  # the failure comes while there is more to tell
    (found,) = warned(run)
    assert (found.code, found.values["name"]) == ("tracker.failed", "wandb")
    assert "no route to host" in found.values["reason"]
    assert len([each for each in told(run) if isinstance(each, events.StepFinished)]) == 5
    assert len(curves(run)["train/loss"]) == 5  # the other tracker goes on
    assert [call for call, _ in module.calls if isinstance(call, int)] == ([1, 2, 3, 4, 5] if when == "finish" else [])


def test_a_tracker_that_hangs_holds_nothing_up(workspace, wandb, monkeypatch):
    monkeypatch.setattr(background, "_LAST_WORDS", 0.3)
    released = threading.Event()
    wandb(lambda what: released.wait(20))
    run = a_run(workspace, "wandb")
    began = time.monotonic()
    recorded(run, workspace, *map(a_step, range(1, 51)), an_end())
    assert time.monotonic() - began < 5
    released.set()
    assert [each.code for each in warned(run) if each.values["name"] == "wandb"] == ["tracker.slow"]


def test_a_tracker_that_hangs_does_not_keep_the_worker_from_ending(workspace):
    script = (
        "import sys, threading, types; from pathlib import Path\n"
        "sys.modules['wandb'] = types.SimpleNamespace(init=lambda **_: threading.Event().wait(), Settings=dict)\n"
        "from core.runs.directory import Run; from core.train.recording import Recorder\n"
        "from core.train.tracking import background; from core.workspace import Workspace\n"
        "background._LAST_WORDS = 0.3\n"
        "with Recorder(Run(Path(sys.argv[1]))).reporting(Workspace.at(Path(sys.argv[2]))): pass\n"
    )
    run = a_run(workspace, "wandb")
    command = [sys.executable, "-c", script, str(run.path), str(workspace.root)]
    subprocess.run(command, cwd=Path(__file__).parent.parent, timeout=60, check=True)
    assert [each.code for each in warned(run) if each.values["name"] == "wandb"] == ["tracker.slow"]


def test_a_tracker_that_falls_behind_is_given_up(workspace, wandb, monkeypatch):
    monkeypatch.setattr(background, "_MOST_WAITING", 10)
    monkeypatch.setattr(background, "_LAST_WORDS", 0.3)
    released = threading.Event()
    wandb(lambda what: released.wait(20))
    run = a_run(workspace, "wandb")
    recorded(run, workspace, *map(a_step, range(1, 40)))
    assert [each.code for each in warned(run) if each.values["name"] == "wandb"] == ["tracker.slow"]
    released.set()


def test_what_a_library_says_is_logged_without_keys_and_users(workspace, wandb, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2-and-more")

    def trouble(what):
        raise ValueError("cannot log in with hunter2-and-more at http://me:topsecret@127.0.0.1:9/api")

    wandb(trouble)
    run = a_run(workspace, "wandb")
    recorded(run, workspace, a_step(1), an_end())
    text = run.log.read_text()
    assert "127.0.0.1:9/api" in text
    assert "hunter2" not in text
    assert "topsecret" not in text


class Trackio(ModuleType):
    def __init__(self):
        super().__init__("trackio")
        self.calls = []

    def init(self, **options):
        self.calls.append(("init", options))
        return self

    def log(self, values, step):
        self.calls.append((step, values))

    def finish(self):
        self.calls.append(("finish", None))


def test_trackio_gets_the_curves(workspace, monkeypatch):
    monkeypatch.delitem(sys.modules, "core.train.tracking.trackio", raising=False)
    module = Trackio()
    monkeypatch.setitem(sys.modules, "trackio", module)
    run = a_run(workspace, "trackio")
    recorded(run, workspace, a_step(1), an_end())
    (_, options), step, result, last = module.calls
    assert (options["project"], options["name"]) == ("finetune-studio", run.name)
    assert step[0] == 1
    assert step[1]["train/grad_norm"] == 0.5
    assert result[1]["result/kept_step"] == 3
    assert last == ("finish", None)


class MlflowClient:
    made: "list[MlflowClient]" = []

    def __init__(self, tracking_uri):
        self.uri, self.metrics, self.params, self.ended = tracking_uri, [], {}, False
        self.made.append(self)

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name, artifact_location):
        self.place = artifact_location
        return "1"

    def create_run(self, experiment, run_name):
        return SimpleNamespace(info=SimpleNamespace(run_id=f"{experiment}/{run_name}"))

    def log_batch(self, run, metrics=(), params=()):
        self.metrics += metrics
        self.params |= dict(params)

    def set_terminated(self, run):
        self.ended = True


def test_mlflow_gets_the_curves_in_the_workspace_where_no_server_is_named(workspace, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(MlflowClient, "made", [])
    entities = SimpleNamespace(Metric=lambda *values: values, Param=lambda *values: values)
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setitem(sys.modules, "mlflow.tracking", SimpleNamespace(MlflowClient=MlflowClient))
    run = a_run(workspace, "mlflow")
    recorded(run, workspace, a_step(1), events.Validated(step=1, loss=1.5, by_source={"a:B": 1.0, "c": 2.0}), an_end())
    (client,) = MlflowClient.made
    assert client.uri == f"sqlite:///{workspace.root / 'tracking' / 'mlflow.db'}"
    assert client.place == (workspace.root / "tracking" / "mlflow").as_uri()
    assert client.params["optim.learning_rate"] == "0.0002"
    assert {(name, value, step) for name, value, _, step in client.metrics} >= {
        ("train/loss", 2.0, 1), ("validation/loss", 1.5, 1), ("validation/loss/a.B", 1.0, 1), ("result/best_loss", 1.5, 3),
    }  # fmt: skip
    assert client.ended


def test_of_several_processes_only_the_first_writes(workspace, monkeypatch):
    run = a_run(workspace)
    monkeypatch.setenv("RANK", "1")
    recorded(run, workspace, a_step(1), an_end())
    assert not run.log.exists()
    assert not (run.path / "tensorboard").exists()
    monkeypatch.setenv("RANK", "0")
    recorded(run, workspace, a_step(1), an_end())
    assert len(told(run)) == 2
