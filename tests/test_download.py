"""Downloads from a hub on this machine, through the worker: what is fetched, what a broken line costs, what is said."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from huggingface_hub import constants

from core.errors import Problem
from core.models.cache import cached, revision_of
from core.models.download import download
from core.models.fetching import Pace, submit
from core.models.folder import parameters
from core.models.hub import look_up
from core.progress import silent
from core.runs import directory, events
from core.runs.process import ask_to_stop
from core.workspace import Workspace
from tests.hub_server import Hub, serving
from tests.tiny import build_tiny_model

ROOT = Path(__file__).parent.parent
NAME = "org/tiny"
WEIGHTS = "model.safetensors"
ENDS = ("run_finished", "run_failed", "run_stopped")


@pytest.fixture
def hub(tmp_path):
    folder = build_tiny_model(tmp_path / "remote")
    (folder / "modeling_evil.py").write_text("raise SystemExit")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "consolidated.safetensors").write_bytes((folder / WEIGHTS).read_bytes())
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"onnx")
    (folder / "onnx" / "config.json").write_text("{}")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    with serving(Hub({NAME: folder})) as hub:
        yield hub


class Downloads:
    """Jobs that download, each a process of its own, as the page starts them."""

    def __init__(self, root: Path, hub: Hub):
        self.place = Workspace.at(root / "workspace")
        self.cache = root / "hub"
        self.storage = self.cache / "models--org--tiny"
        self.hub = hub
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HF_")},
            "HF_ENDPOINT": hub.address,
            "HF_HUB_CACHE": str(self.cache),
            "HF_HUB_DOWNLOAD_TIMEOUT": "2",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, name=NAME, **more):
        job = submit(self.place, name)
        command = [sys.executable, "-m", "core.models.worker", str(job)]
        return job, subprocess.Popen(command, env={**self.environment, **more}, stderr=subprocess.PIPE)

    def run(self, name=NAME, **more):
        job, process = self.start(name, **more)
        _, trace = process.communicate(timeout=120)
        seen, _ = events.read_from(job / "events.jsonl")
        assert seen[-1].event in ENDS, trace.decode()
        return seen

    def problem(self, **more):
        last = self.run(**more)[-1]
        assert isinstance(last, events.RunFailed)
        return Problem(**last.problems[0])

    def partial(self):
        """Return how many bytes of the weights are here without being whole."""
        hash = hashlib.sha256((self.hub.models[NAME] / WEIGHTS).read_bytes()).hexdigest()
        file = self.storage / "blobs" / f"{hash}.studio-part"
        return file.stat().st_size if file.exists() else 0

    def files(self):
        snapshot = self.storage / "snapshots" / self.hub.commit
        return {str(each.relative_to(snapshot)) for each in snapshot.rglob("*") if each.is_file()}

    def assert_whole(self):
        fetched = self.storage / "snapshots" / self.hub.commit / WEIGHTS
        assert fetched.read_bytes() == (self.hub.models[NAME] / WEIGHTS).read_bytes()
        assert (self.storage / "refs" / "main").read_text() == self.hub.commit


@pytest.fixture
def downloads(tmp_path, hub):
    return Downloads(tmp_path, hub)


def test_a_model_is_fetched_without_code_pickles_and_second_layouts(downloads):
    seen = downloads.run()
    assert seen[-1].result["revision"] == downloads.hub.commit
    assert downloads.files() == {
        "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
        "README.md", WEIGHTS,
    }  # fmt: skip
    downloads.assert_whole()
    told = [each for each in seen if isinstance(each, events.Progress)]
    size = sum((downloads.hub.models[NAME] / name).stat().st_size for name in downloads.files())
    assert (told[-1].done, told[-1].total, told[-1].unit) == (size, size, "bytes")


def test_the_library_of_the_hub_finds_what_was_fetched(downloads):
    downloads.run()
    script = f"import huggingface_hub as h; print(h.snapshot_download('{NAME}', local_files_only=True))"
    found = subprocess.run([sys.executable, "-c", script], env=downloads.environment, capture_output=True, text=True)
    assert Path(found.stdout.strip()) == downloads.storage / "snapshots" / downloads.hub.commit


def test_a_second_download_fetches_nothing(downloads):
    downloads.run()
    downloads.hub.asked.clear()
    downloads.run()
    assert [name for name, _ in downloads.hub.asked] == ["config.json"]  # what the hub has now is looked at


def test_a_line_that_breaks_goes_on_where_it_broke(downloads):
    downloads.hub.cut_after = 60_000
    downloads.run()
    starts = downloads.hub.begins(WEIGHTS)
    assert starts[0] == 0
    assert 0 < starts[1] <= 60_000
    downloads.assert_whole()


def test_a_line_that_stays_away_is_told_and_nothing_is_lost(downloads):
    downloads.hub.cut_after, downloads.hub.cut_for_good = 60_000, True
    assert downloads.problem().code == "model.download_cut"
    assert WEIGHTS not in downloads.files()
    assert not (downloads.storage / "refs" / "main").exists()
    kept = downloads.partial()
    downloads.hub.cut_after = 0
    downloads.run()
    assert downloads.hub.begins(WEIGHTS)[-1] == kept > 0
    downloads.assert_whole()


def test_a_killed_download_goes_on_where_it_was(downloads):
    downloads.hub.pause = 0.02  # 200 kB a second at the most
    _, process = downloads.start()
    wait_for(lambda: downloads.partial() > 40_000)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = downloads.partial()
    downloads.hub.pause = 0
    downloads.run()
    assert downloads.hub.begins(WEIGHTS) == [0, kept]
    downloads.assert_whole()


def test_a_cancelled_download_ends_at_once_and_keeps_what_it_has(downloads):
    downloads.hub.pause = 0.05
    job, process = downloads.start()
    wait_for(lambda: downloads.partial() > 20_000)
    ask_to_stop(job)
    began = time.monotonic()
    process.wait(timeout=20)
    assert time.monotonic() - began < 5
    assert events.read_from(job / "events.jsonl")[0][-1].event == "run_stopped"
    downloads.hub.pause = 0
    downloads.run()
    assert downloads.hub.begins(WEIGHTS)[-1] >= 20_000
    downloads.assert_whole()


def test_two_who_want_the_same_model_fetch_it_once(downloads):
    downloads.hub.pause = 0.02
    jobs = [downloads.start() for _ in range(2)]
    for job, process in jobs:
        process.communicate(timeout=60)
        assert events.read_from(job / "events.jsonl")[0][-1].event == "run_finished"
    assert downloads.hub.begins(WEIGHTS) == [0]
    downloads.assert_whole()


def test_a_slow_line_is_waited_for_and_its_time_told(downloads):
    downloads.hub.pause = 0.03
    told = [each for each in downloads.run() if isinstance(each, events.Progress)]
    assert len(told) > 3
    assert any(each.seconds_left > 0 for each in told)
    assert [each.done for each in told] == sorted(each.done for each in told)
    downloads.assert_whole()


def test_a_line_that_falls_silent_is_opened_again(downloads):
    downloads.hub.stall_after, downloads.hub.stall = 60_000, 6.0  # the downloads here wait for 2 seconds
    began = time.monotonic()
    downloads.run()
    assert time.monotonic() - began > 2
    assert len(downloads.hub.begins(WEIGHTS)) == 2
    assert downloads.hub.begins(WEIGHTS)[1] >= 60_000
    downloads.assert_whole()


def test_an_older_commit_that_a_run_keeps_to_does_not_become_the_newest(downloads, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(downloads.cache))
    monkeypatch.setattr(constants, "ENDPOINT", downloads.hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", downloads.hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    older, downloads.hub.commit = downloads.hub.commit, "b" * 40
    newest = download(look_up(NAME), silent)
    downloads.hub.commit = older
    assert download(look_up(NAME, older), silent).name == older
    assert cached(NAME) == newest
    assert (revision_of(newest), cached(NAME, older).name) == ("b" * 40, older)


def test_a_server_that_sends_everything_again_is_understood(downloads):
    downloads.hub.cut_after, downloads.hub.ignore_range = 60_000, True
    downloads.run()
    downloads.assert_whole()


def test_a_server_that_refuses_the_rest_is_asked_for_the_whole(downloads):
    downloads.hub.cut_after, downloads.hub.no_range_behind = 60_000, True
    downloads.run()
    assert downloads.hub.begins(WEIGHTS)[-1] == 0
    downloads.assert_whole()


def test_a_file_that_arrives_changed_is_thrown_away_and_told(downloads):
    downloads.hub.spoil = WEIGHTS
    said = downloads.problem()
    assert (said.code, said.where) == ("model.download_damaged", f"{NAME}/{WEIGHTS}")
    assert downloads.partial() == 0
    downloads.hub.spoil = ""
    downloads.run()
    downloads.assert_whole()


@pytest.mark.parametrize(
    ("refuse", "code"),
    [
        ((404, "RepoNotFound"), "model.not_on_hub"),
        ((401, "RepoNotFound"), "model.not_on_hub"),  # what the hub says to a stranger of a name that is not there
        ((403, "GatedRepo"), "model.gated"),
        ((401, ""), "model.token_refused"),
        ((403, ""), "model.gated_for_you"),
        ((503, ""), "model.hub_trouble"),
    ],
)
def test_a_refusal_is_told_in_words(downloads, refuse, code):
    downloads.hub.refuse = refuse
    said = downloads.problem()
    assert (said.code, said.where) == (code, NAME)
    assert all(said.sentences("en"))


def test_a_token_from_the_environment_opens_a_gated_model(downloads):
    downloads.hub.token = "secret-token"
    assert downloads.problem().code == "model.gated"
    assert downloads.problem(HF_TOKEN="another").code == "model.gated_for_you"
    downloads.run(HF_TOKEN="secret-token")
    downloads.assert_whole()
    for file in (*downloads.place.jobs.rglob("*.*"), *downloads.cache.rglob("*")):
        assert not file.is_file() or b"secret-token" not in file.read_bytes()


def test_without_a_network_it_is_said(downloads):
    assert downloads.problem(HF_ENDPOINT="http://127.0.0.1:9").code == "model.no_network"
    assert downloads.problem(HF_HUB_OFFLINE="1").code == "model.offline_mode"


def test_a_small_disk_is_told_before_anything_is_fetched(downloads, tmp_path):
    blocker = tmp_path / "sitecustomize.py"  # a disk that is nearly full: the system's own answer, in the worker alone
    blocker.write_text(
        "import shutil, collections\n"
        "usage = collections.namedtuple('usage', 'total used free')\n"
        "shutil.disk_usage = lambda path: usage(10**12, 10**12 - 10**6, 10**6)\n"
    )
    said = downloads.problem(PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}")
    assert said.code == "disk.full"
    assert said.values["needed"] >= 50
    assert downloads.hub.begins(WEIGHTS) == []


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model_type": "bert", "architectures": ["BertModel"]}, "model.embeds"),
        ({"model_type": "qwen2_vl", "architectures": ["Qwen2VLForConditionalGeneration"]}, "model.sees"),
        ({"model_type": "llama_of_tomorrow"}, "model.unknown_family"),
        ({"model_type": "llama_of_tomorrow", "auto_map": {"AutoModel": "evil.Model"}}, "model.own_code"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused_before_its_weights_are_fetched(downloads, change, code):
    file = downloads.hub.models[NAME] / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    assert downloads.problem().code == code
    assert downloads.hub.begins(WEIGHTS) == []


def test_a_model_of_pickles_is_refused_before_anything_is_fetched(downloads):
    for file in downloads.hub.models[NAME].glob("*.safetensors"):
        file.unlink()
    assert downloads.problem().code == "model.pickle_only"


def test_the_pace_is_that_of_the_last_seconds(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    pace = Pace()
    assert pace.seconds_left(500, 1000) == 0.0  # what was there before says nothing
    clock[0] = 10.0
    assert pace.seconds_left(600, 1000) == pytest.approx(40)
    clock[0] = 20.0
    assert pace.seconds_left(800, 1000) == pytest.approx(10)  # 200 in the 10 seconds that still count


def wait_for(what, seconds=30):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


class Terminal(Downloads):
    """`studio …` as a person types it, with this hub."""

    def __call__(self, *arguments, code=0):
        command = [sys.executable, "-m", "core.cli", *arguments, "--workspace", str(self.place.root), "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        self.said = done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def studio(tmp_path, hub):
    return Terminal(tmp_path, hub)


def test_a_model_of_the_hub_is_told_from_its_config_alone(studio):
    told = studio("models", "show", NAME)
    assert (told["downloaded"], told["revision"], told["licence"]) == (False, studio.hub.commit, "apache-2.0")
    assert (told["context"], told["size"]["parameters"]) == (512, parameters(studio.hub.models[NAME]))
    assert [name for name, _ in studio.hub.asked] == ["config.json"]
    assert not studio.storage.exists()


def test_the_terminal_downloads_lists_and_shows(studio):
    assert NAME not in [each["model"] for each in studio("models", "list")["models"]]
    got = studio("models", "get", NAME)
    assert (got["status"], got["revision"]) == ("finished", studio.hub.commit)
    assert "Downloading the model" in studio.said
    listed = {each["model"]: each for each in studio("models", "list")["models"]}
    assert listed[NAME]["usable"]
    shown = studio("models", "show", NAME)
    assert (shown["downloaded"], shown["template"], shown["problems"]) == (True, "model", [])


def test_the_terminal_says_what_went_wrong(studio):
    assert studio("models", "get", "org/none", code=1)["problems"][0]["code"] == "model.not_on_hub"
    assert studio("models", "get", "no name", code=1)["problems"][0]["code"] == "model.missing"
    assert studio("models", "show", "models/none/deep", code=1)["problems"][0]["code"] == "model.missing"


def a_recipe(studio, **groups):
    rows = [{"instruction": f"What is {a} plus 2?", "output": f"It is {a + 2}."} for a in range(24)]
    (studio.place.root / "rows.json").write_text(json.dumps(rows))
    studio("data", "add", str(studio.place.root / "rows.json"), "--name", "rows")
    values = {
        "model": {"path": NAME},
        "data": {"train": ["rows"], "accept_warnings": True},
        "method": {"name": "lora"},
        "lora": {"rank": 2},
        "schedule": {"max_steps": 2},
        **groups,
    }
    file = studio.place.root / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    return str(file)


def test_a_training_fetches_its_model_and_keeps_to_its_commit(studio):
    trained = studio("train", a_recipe(studio))
    assert trained["status"] == "finished"
    run = directory.find(studio.place, trained["run"])
    assert run.config["model"]["revision"] == studio.hub.commit
    seen, _ = events.read_from(run.log)
    assert "downloading_model" in [each.name for each in seen if isinstance(each, events.Phase)]
    assert any(isinstance(each, events.Progress) and each.unit == "bytes" for each in seen)

    first, folder = studio.hub.commit, studio.hub.models[NAME]
    studio.hub.commit = "b" * 40  # the maker has published another one
    build_tiny_model(folder, seed=5)
    assert studio("models", "get", NAME)["revision"] == studio.hub.commit
    said = studio("chat", trained["run"], "--message", "What is 3 plus 2?", "--max-new-tokens", "2")
    assert said["run"] == trained["run"]
    assert {each.name for each in (studio.storage / "snapshots").iterdir()} == {first, studio.hub.commit}


def test_a_training_of_what_the_hub_does_not_have_does_not_start(studio):
    recipe = a_recipe(studio, model={"path": "org/none"})
    assert studio("train", recipe, code=1)["problems"][0]["code"] == "model.not_on_hub"
    assert not list(studio.place.runs.glob("*"))
