"""A run that is killed, stopped or short of disk goes on exactly where it was, or says why not."""

import json
import random
import signal
import time
from itertools import cycle

import psutil
import pytest
import torch
import yaml

from core.data.registry import Registry
from core.errors import RunError, StudioError
from core.runs import events, process, queue
from core.runs.directory import Run
from core.runs.intact import is_intact
from core.settings import from_dict
from core.train import resume
from core.train.prepare import prepare
from core.train.state import read_state, write_state
from core.workspace import Workspace
from tests.tiny import build_tiny_model
from tests.worker_process import start

STEPS = 36
SLOWEST = 120  # seconds until a worker must have ended


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("workspace"))
    build_tiny_model(workspace.models / "tiny")
    rows = [
        {"instruction": f"What is {a} plus {b}?", "output": f"{a} plus {b} is {a + b}."}
        for a in range(8)
        for b in range(8)
    ]
    (workspace.root / "sums.json").write_text(json.dumps(rows))
    Registry(workspace).add(workspace.root / "sums.json", name="sums")
    return workspace


def new_run(workspace, **settings):
    return prepare(workspace, from_dict({}, {
        "model.path": "models/tiny", "data.train": ["sums"], "data.validation_share": 0.2, "method.name": "lora",
        "optim.learning_rate": 5e-3, "lora.dropout": 0.1, "optim.neftune_alpha": 5.0, "schedule.max_steps": STEPS,
        "schedule.epochs": 50, "batch.global_batch_size": 4, "log.validate_every_steps": 5, "checkpoint.every_steps": 3,
        **settings,
    }))  # fmt: skip


def finish(run):
    worker = start(run.path)
    worker.join(SLOWEST)
    assert run.status == "finished", events.read_from(run.log)[0][-1]
    return run


def told(run, kind=events.StepFinished):
    return [each for each in events.standing(events.read_from(run.log)[0]) if isinstance(each, kind)]


def learnt(run):
    return (run.path / "final" / "adapter_model.safetensors").read_bytes()


def series(run):
    return [(each.step, each.loss, each.grad_norm, each.learning_rate) for each in told(run)]


@pytest.fixture(scope="module")
def whole(workspace):
    return finish(new_run(workspace))


def until(what, worker, seconds=SLOWEST):
    """Wait until something is so, or the worker has ended."""
    end = time.monotonic() + seconds
    while not what() and worker.is_alive() and time.monotonic() < end:
        time.sleep(0.0005)


def is_killed(run, when, draw):
    """Start a worker and kill it at some moment; return whether it lived until then, and was writing a checkpoint."""
    worker, before = start(run.path), len(events.read_from(run.log)[0])

    def has_told(more):
        return len(events.read_from(run.log)[0]) > before + more

    def is_writing():
        return any(run.path.glob("checkpoints/*.part"))

    match when:
        case "any moment":  # loading included
            until(lambda: False, worker, draw.uniform(0, 3))
        case "a checkpoint is written":
            until(is_writing, worker)
        case "steps are taken":
            more = draw.randrange(5, 13)
            until(lambda: has_told(more), worker)
        case "it was killed just before":
            until(lambda: has_told(0), worker)
    lived, writing = worker.is_alive(), is_writing()
    worker.kill()
    worker.join()
    return lived, lived and writing


def test_twenty_kills_at_random_moments_change_nothing(workspace, whole):
    draw, run = random.Random(20), new_run(workspace)
    moments = cycle(("any moment", "a checkpoint is written", "steps are taken", "it was killed just before"))
    kills = inside = 0
    while kills < 20:
        if run.status == "finished":
            assert series(run) == series(whole)
            assert learnt(run) == learnt(whole)
            run = new_run(workspace)
        lived, writing = is_killed(run, next(moments), draw)
        kills, inside = kills + lived, inside + writing
    finish(run)
    assert inside
    assert series(run) == series(whole)
    assert learnt(run) == learnt(whole)
    assert [each.loss for each in told(run, events.Validated)] == [each.loss for each in told(whole, events.Validated)]


def test_a_polite_end_saves_and_ends_within_a_step(workspace, whole):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: len(told(run)) > 7, worker)
    worker.terminate()
    asked = told(run)[-1].step
    worker.join(SLOWEST)
    assert run.status == "stopped"
    assert asked <= told(run)[-1].step <= asked + 2  # the one it was in, and one told while the signal came
    assert resume.resumable(run) == told(run)[-1].step
    resume.clear(run)
    finish(run)
    assert series(run) == series(whole)
    assert learnt(run) == learnt(whole)


def test_a_polite_end_while_the_libraries_load_is_a_stop_too(workspace):
    run = new_run(workspace)
    queue.add(workspace, run.path, "core.train.worker")
    queue.start_ready(workspace)
    deadline = time.monotonic() + SLOWEST
    while run.status == "queued" and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)  # it loads them now
    psutil.Process(process.worker_pid(run.path)).terminate()
    while run.status == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert run.status == "stopped"
    assert resume.resumable(run) == 1


@pytest.mark.parametrize("damage", ["cut off", "altered", "a file gone"])
def test_a_damaged_checkpoint_is_recognised_and_the_one_before_is_used(workspace, whole, damage):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: len(run.checkpoints()) > 1, worker)
    worker.kill()
    worker.join()
    before, last = run.checkpoints()[-2:]
    file = last / "adapter_model.safetensors"
    content = file.read_bytes()
    match damage:
        case "cut off":
            file.write_bytes(content[: len(content) // 2])
        case "altered":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "a file gone":
            file.unlink()
    assert not is_intact(last)
    assert is_intact(before)
    assert [each.code for each in resume.check(workspace, run)] == ["resume.damaged"]
    finish(run)
    assert [each.step for each in told(run, events.Resumed)] == [int(before.name[-6:])]
    assert "resume.damaged" in [each.code for each in told(run, events.Warned)]
    assert series(run) == series(whole)
    assert learnt(run) == learnt(whole)


def test_a_full_disk_costs_a_checkpoint_and_neither_those_before_nor_the_training(workspace, whole):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: len(run.checkpoints()) > 0, worker)
    # From here on no file of this process may grow beyond 60 kB: what a full disk does to a checkpoint, and not to the log.
    psutil.Process(worker.pid).rlimit(psutil.RLIMIT_FSIZE, (60_000, -1))
    until(lambda: any(each.code == "train.not_saved" for each in told(run, events.Warned)), worker)
    warned = next(each for each in told(run, events.Warned) if each.code == "train.not_saved")
    kept = [int(folder.name[-6:]) for folder in run.checkpoints()]
    assert warned.values["kept"] in kept
    assert all(is_intact(folder) for folder in run.checkpoints())
    assert not list(run.path.glob("checkpoints/*.part"))
    psutil.Process(worker.pid).rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
    worker.join(SLOWEST)
    assert run.status == "finished"
    assert learnt(run) == learnt(whole)


def test_a_disk_too_full_for_the_log_makes_the_training_wait_and_lose_nothing(workspace, whole):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: len(told(run)) > 5, worker)
    limited = psutil.Process(worker.pid)
    limited.rlimit(psutil.RLIMIT_FSIZE, (run.log.stat().st_size + 100, -1))  # the next event is cut off
    time.sleep(1.5)
    stood = len(told(run))
    time.sleep(0.5)
    assert worker.is_alive()
    assert len(told(run)) == stood
    limited.rlimit(psutil.RLIMIT_FSIZE, (-1, -1))
    worker.join(SLOWEST)
    assert run.status == "finished"
    assert series(run) == series(whole)
    assert all(json.loads(line) for line in run.log.read_text().splitlines())  # what was cut off was taken back


def test_what_is_later_than_the_checkpoint_it_goes_on_from_does_not_count_as_new(workspace):
    """Otherwise the damaged ones would be "the newest", and those that are saved now would be tidied away."""
    run = new_run(workspace, **{"checkpoint.keep": 1})
    worker = start(run.path)
    until(lambda: len(told(run, events.CheckpointSaved)) > 3, worker)
    worker.kill()
    worker.join()
    for folder in run.checkpoints():
        (folder / "adapter_model.safetensors").write_bytes(b"")
    assert resume.last_intact(run)[0] is None
    finish(run)
    assert told(run, events.Resumed)[0].step == 0
    assert all(is_intact(folder) for folder in run.checkpoints())


def test_a_text_of_the_settings_is_never_taken_for_a_tensor(tmp_path):
    state = {"made_with": {"blanks": {"a": "tensor calculus", "b": "/random/cpu"}}, "random": {"cpu": torch.arange(3)}}
    write_state(state, tmp_path)
    read = read_state(tmp_path)
    assert read["made_with"] == state["made_with"]
    assert torch.equal(read["random"]["cpu"], state["random"]["cpu"])


def test_a_run_says_what_is_different_and_does_not_go_on_with_it(workspace):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: bool(run.checkpoints()), worker)
    worker.kill()
    worker.join()
    assert resume.check(workspace, run) == []
    config = yaml.safe_load((run.path / "config.yaml").read_text())

    def codes(change):
        changed = yaml.safe_load(yaml.safe_dump(config))
        change(changed)
        (run.path / "config.yaml").write_text(yaml.safe_dump(changed))
        with pytest.raises(StudioError) as caught:
            resume.check(workspace, Run(run.path))
        return [(each.code, each.where) for each in caught.value.problems]

    assert codes(lambda c: c["settings"]["optim"].update(learning_rate=1e-4)) == [
        ("resume.other_setting", "optim.learning_rate")
    ]
    assert codes(lambda c: c["prompt"].update(text="Be brief.")) == [("resume.other_prompt", "none")]
    assert codes(lambda c: c["model"].update(fingerprint="0" * 64))[0][0] == "model.other_base"
    assert ("data.changed", "sums") in codes(lambda c: c["data"][0].update(sha1="0" * 40))
    before = series(run)
    worker = start(run.path)  # the worker refuses too, whoever started it
    worker.join(SLOWEST)
    assert run.status == "failed"
    assert series(run) == before  # and takes nothing back
    (run.path / "config.yaml").write_text(yaml.safe_dump(config))
    finish(Run(run.path))


def test_a_finished_or_running_run_cannot_be_resumed(workspace, whole):
    assert resume.resumable(whole) is None
    with pytest.raises(RunError, match="cannot be resumed"):
        resume.require_resumable(whole)
    run = new_run(workspace)
    assert resume.resumable(run) == 0
    worker = start(run.path)
    until(lambda: process.status(run.path) == "running", worker)
    assert resume.resumable(run) is None
    psutil.Process(worker.pid).send_signal(signal.SIGKILL)
    worker.join()
    assert resume.resumable(run) == 0


def test_a_run_that_cannot_go_on_exactly_is_not_started_over(workspace):
    run = new_run(workspace)
    worker = start(run.path)
    until(lambda: bool(run.checkpoints()), worker)
    worker.kill()
    worker.join()
    assert resume.resumable(run)
    for folder in run.checkpoints():  # as a studio before this one saved them
        (folder / resume.STATE).unlink()
    assert resume.resumable(run) is None
    config = yaml.safe_load((run.path / "config.yaml").read_text())
    (run.path / "config.yaml").write_text(yaml.safe_dump({**config, "elsewhere": {"run": "x"}}))
    assert resume.resumable(Run(run.path)) is None


@pytest.mark.parametrize("settings", [
    {"optim.name": "paged_adamw_8bit"}, {"optim.name": "adafactor"}, {"method.name": "pissa"},
    {"method.name": "full", "optim.learning_rate": 1e-4, "lora.dropout": 0.0}, {"method.name": "qlora"},
])  # fmt: skip
def test_every_kind_of_state_goes_on_bit_by_bit(workspace, settings):
    short = {"schedule.max_steps": 6, "checkpoint.every_steps": 2, **settings}
    expected, run = finish(new_run(workspace, **short)), new_run(workspace, **short)
    worker = start(run.path)
    until(lambda: bool(run.checkpoints()), worker)
    worker.kill()
    worker.join()
    finish(run)
    assert told(run, events.Resumed)[0].step > 0
    assert series(run) == series(expected)
    weights = "model.safetensors" if settings.get("method.name") == "full" else "adapter_model.safetensors"
    assert (run.path / "final" / weights).read_bytes() == (expected.path / "final" / weights).read_bytes()
