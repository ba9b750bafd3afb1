"""The command line as a person meets it: real processes, exit codes, words on stderr, one JSON line on stdout."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from core.runs import directory, process, supervisor
from core.settings import load_recipe
from core.train.prepare import prepare
from core.workspace import Workspace
from tests.tiny import build_tiny_model

ROOT = Path(__file__).parent.parent


class Studio:
    """Runs `studio …` in a workspace of its own, with a tiny model and a small data set in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        build_tiny_model(root / "models" / "tiny")
        self.rows = [
            {"instruction": f"What is {a} plus {b}?", "input": "", "output": f"{a} plus {b} is {a + b}."}
            for a in range(5)
            for b in range(5)
        ]
        (root / "sums.json").write_text(json.dumps(self.rows))

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "core.cli", *arguments, "--workspace", str(self.root)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> dict:
        return json.loads(self(*arguments, "--json", code=code).stdout.splitlines()[-1])

    def recipe(self, **groups: dict) -> str:
        values = {
            "model": {"path": "models/tiny"},
            "data": {"train": ["sums"], "test": ["sums"]},
            "schedule": {"max_steps": 6},
            "checkpoint": {"every_steps": 2},
            **groups,
        }
        file = self.root / "recipe.yaml"
        file.write_text(yaml.safe_dump(values))
        return str(file)


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path)


def codes(answer: dict) -> list[str]:
    return [each["code"] for each in answer["problems"]]


def test_the_whole_way_train_evaluate_chat_merge(studio):
    added = studio.json("data", "add", str(studio.root / "sums.json"), "--name", "sums")
    assert (added["name"], added["formatting"]) == ("sums", "alpaca")

    trained = studio.json("train", studio.recipe(), "--lora.rank", "4", "--method.name", "lora")
    assert (trained["status"], trained["steps"]) == ("finished", 6)
    run = trained["run"]
    shown = studio.json("runs", "show", run)
    assert shown["settings"]["lora"]["rank"] == 4
    assert (shown["status"], shown["step"], shown["checkpoints"]) == ("finished", 6, ["step-000002", "step-000004"])

    scores = studio.json("evaluate", run, "--dataset", "sums", "--limit", "4")["datasets"]["sums"]
    assert scores["n"] == 4
    assert set(scores["base"]) >= {"bleu", "rouge1", "rouge2", "rougeL", "exact", "right"}

    said = studio.json("chat", run, "--message", "What is 1 plus 1?", "--max-new-tokens", "5")
    assert (said["model"], isinstance(said["answer"], str)) == ("tuned", True)

    merged = studio.json("merge", run, "--out", str(studio.root / "taken_home"), "--dtype", "float32")
    assert merged["max_logit_diff"] < 1e-4
    assert (studio.root / "taken_home" / "model.safetensors").exists()

    assert [each["run"] for each in studio.json("runs", "list")["runs"]] == [run]
    studio.json("runs", "delete", run, "--yes")
    assert studio.json("runs", "list")["runs"] == []


def test_a_plan_is_said_without_starting(studio):
    studio("data", "add", str(studio.root / "sums.json"))
    plan = studio.json("train", studio.recipe(), "--plan", "--no-measure")
    assert plan["steps"] == 6
    assert studio.json("runs", "list")["runs"] == []


def test_few_steps_are_warned_of_before_the_start(studio):
    studio("data", "add", str(studio.root / "sums.json"))
    assert "6 steps will hardly change anything" in studio("train", studio.recipe(), "--plan", "--no-measure").stderr


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (("--lora.rnk", "3"), "settings.unknown_close", "Did you mean lora.rank?"),
        (("--optim.learning_rate", "0"), "settings.out_of_range", "> 0"),
        (("--optim.learning_rate", "nan"), "settings.not_finite", "finite"),
        (("--model.path", "models/nothing/here"), "model.missing", "data/starter"),
        (("--data.train", "smus"), "data.unknown_close", "sums"),
        (("--batch.cutoff_len", "16"), "data.too_long", "16 tokens"),
        (("--data.train", "identity"), "data.unfilled_blank", "name"),
        (("--prompt.name", "nobody"), "prompt.unknown", "none"),
        (("--name", "../out"), "path.name", "letters"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_and_nothing_is_started(studio, flags, code, words):
    studio("data", "add", str(studio.root / "sums.json"))
    answer = studio.json("train", studio.recipe(), *flags, code=1)
    assert codes(answer) == [code]
    assert words in answer["problems"][0]["text"]
    assert list((studio.root / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.jsonl", b'{"instruction": "a", "output": "b"}\n{"instruction": "a", \n', "broken.jsonl:2"),
        ("column.json", b'[{"instruction": "a", "output": "b"}, {"instruction": "c", "answer": "d"}]', "output"),
        ("empty.json", b"", "empty"),
        ("latin.csv", "instruction,output\ncaf\xe9,b\n".encode("latin-1"), "latin.csv"),
        ("model.bin", b"\x80\x04", ".json"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_not_registered(studio, name, content, words):
    (studio.root / name).write_bytes(content)
    before = studio.json("data", "list")
    assert words in studio.json("data", "add", str(studio.root / name), code=1)["problems"][0]["text"]
    assert studio.json("data", "list") == before


def test_changed_data_stops_a_training_with_both_hashes_until_it_is_accepted(studio):
    added = studio.json("data", "add", str(studio.root / "sums.json"))
    Path(added["file"]).write_text(json.dumps(studio.rows[:20]))
    answer = studio.json("train", studio.recipe(), code=1)
    assert codes(answer) == ["data.changed"]
    assert added["sha1"] in answer["problems"][0]["text"]
    assert codes(studio.json("data", "verify", "sums", code=1)) == ["data.changed"]
    studio("data", "verify", "sums", "--accept")
    studio("train", studio.recipe(), "--plan", "--no-measure")


def started(studio: Studio, **schedule: int) -> directory.Run:
    """Start a training, a long one by default, as the page does, and return when its first checkpoint is complete."""
    studio("data", "add", str(studio.root / "sums.json"))
    workspace = Workspace.at(studio.root)
    settings = load_recipe(Path(studio.recipe(schedule={"epochs": 1000, **schedule}, method={"name": "lora"})))
    run = prepare(workspace, settings)
    supervisor.launch(run.path, "core.train.worker")
    wait_until(lambda: run.checkpoints() != [])
    return run


def wait_until(true: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_stopped_training_leaves_an_adapter_that_answers(studio):
    run = started(studio)
    studio("runs", "stop", run.name)
    wait_until(lambda: run.status == "stopped")
    assert studio.json("runs", "show", run.name)["adapter"] == "final"
    assert studio.json("chat", run.name, "--message", "Hi", "--max-new-tokens", "3")["model"] == "tuned"


def test_the_checkpoint_of_a_killed_training_answers_and_it_goes_on(studio):
    run = started(studio, max_steps=150)
    process.kill(run.path)
    wait_until(lambda: run.status == "lost")
    shown = studio.json("runs", "show", run.name)
    assert shown["status"] == "lost"
    assert shown["adapter"] == f"checkpoints/{shown['checkpoints'][-1]}"
    assert studio.json("chat", run.name, "--message", "Hi", "--max-new-tokens", "3")["model"] == "tuned"
    resumed = studio("resume", run.name, "--json")
    assert json.loads(resumed.stdout.splitlines()[-1])["status"] == "finished"
    assert f"goes on from step {int(shown['checkpoints'][-1].removeprefix('step-'))}" in resumed.stderr
    assert "step 1 of" not in resumed.stderr  # what the killed worker told is not told again
    assert codes(studio.json("resume", run.name, code=1)) == ["resume.not_ended"]


def test_an_unknown_run_is_told(studio):
    assert codes(studio.json("evaluate", "nothing", code=1)) == ["run.missing"]
    assert codes(studio.json("chat", "nothing", "--message", "hi", code=1)) == ["run.missing"]
    assert codes(studio.json("merge", "../nothing", code=1)) == ["path.name"]


@pytest.mark.parametrize("usage", [("train",), ("nonsense",), ("data", "add"), ("merge",)])
def test_wrong_usage_leaves_with_code_2(studio, usage):
    command = [sys.executable, "-m", "core.cli", *usage]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).returncode == 2


def test_a_word_that_is_no_setting_is_wrong_usage(studio):
    studio("train", studio.recipe(), "rank=3", code=2)


def test_an_error_is_said_in_chinese_on_a_chinese_terminal(studio, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert "没有名为" in studio("evaluate", "nothing", code=1).stderr


def test_a_model_that_is_only_a_pickle_is_refused(studio):
    folder = build_tiny_model(studio.root / "models" / "pickled")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    studio("data", "add", str(studio.root / "sums.json"))
    answer = studio.json("train", studio.recipe(), "--model.path", "models/pickled", code=1)
    assert codes(answer) == ["model.pickle_only"]
