"""A run is told apart by its directory alone: no memory of the process that started it."""

import os
import signal
import time

import pytest

from core.errors import PathError, RunError
from core.runs import directory, events, process, supervisor
from core.runs.follow import follow, lost
from core.workspace import Workspace

WORKER = """
import sys, time
from pathlib import Path
from core.runs import events
def work(job):
    log = job / "events.jsonl"
    events.append(log, events.Phase(name="training"))
    for step in range(1, 200):
        time.sleep(0.02)
        if (job / "stop").exists():
            return events.append(log, events.RunStopped(step=step))
        if (job / "fail").exists():
            raise ValueError("asked to fail")
    events.append(log, events.RunFinished(result={"steps": 199}))
from core.runs.work import run_worker
run_worker(work)
"""


CONFIG = {"kind": "train", "settings": {}, "data": [], "model": {}, "prompt": {}}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run whose worker is a real process that writes the log as the trainer does."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "a_worker.py").write_text(WORKER)
    workspace = Workspace.at(tmp_path / "workspace")
    path = directory.create(workspace.runs, "test", CONFIG)
    real = process.worker_environment
    monkeypatch.setattr(
        process, "worker_environment", lambda: {**real(), "PYTHONPATH": f"{modules}:{real()['PYTHONPATH']}"}
    )
    supervisor.launch(path, "a_worker")
    yield directory.Run(path)
    if process.worker_pid(path):
        process.kill(path)


def wait_for(run, wanted, seconds=20):
    end = time.monotonic() + seconds
    while run.status != wanted:
        log = run.path / "worker.log"
        assert time.monotonic() < end, f"status is {run.status}, wanted {wanted}; {log.read_text()}"
        time.sleep(0.02)


def test_a_run_that_is_left_alone_finishes(run):
    seen = list(follow(run.path, 0.02))
    assert [event.event for event in seen] == ["phase", "run_finished"]
    assert run.status == "finished"


def test_a_run_stops_when_asked(run):
    wait_for(run, "running")
    process.ask_to_stop(run.path)
    wait_for(run, "stopped")


def test_a_killed_run_is_lost_and_the_words_name_the_signal(run):
    wait_for(run, "running")
    os.kill(process.worker_pid(run.path), signal.SIGKILL)
    wait_for(run, "lost")
    while supervisor.exit_code(run.path) is None:
        time.sleep(0.01)
    assert "signal 9" in lost(run.path).say()
    with pytest.raises(RunError, match="gone without a word"):
        list(follow(run.path))


def test_a_run_that_fails_says_why_and_keeps_the_trace(run):
    (run.path / "fail").touch()
    with pytest.raises(RunError, match="ValueError: asked to fail"):
        list(follow(run.path, 0.02))
    assert "Traceback" in process.last_event(run.path).details
    assert run.status == "failed"


def test_a_worker_outlives_whoever_started_it(tmp_path, run):
    wait_for(run, "running")
    assert os.getsid(process.worker_pid(run.path)) != os.getsid(0)


def test_a_worker_gets_no_secrets(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("STUDIO_PASSWORD", "secret")
    assert "secret" not in process.worker_environment().values()


def test_a_reused_process_id_is_not_the_worker(tmp_path):
    (tmp_path / "worker.pid").write_text(f"{os.getpid()} 12345.00")
    assert process.status(tmp_path) == "lost"


def test_a_job_that_was_not_started_is_queued(tmp_path):
    assert process.status(tmp_path) == "queued"


def test_a_half_written_line_waits_for_the_next_read(tmp_path):
    log = tmp_path / "events.jsonl"
    events.append(log, events.Phase(name="training"))
    with log.open("ab") as file:
        file.write(b'{"time": 1, "event": "vali')
    seen, offset = events.read_from(log)
    assert seen == [events.Phase(name="training")]
    with log.open("ab") as file:
        file.write(b'dated", "step": 1, "loss": 2.0, "of_a_newer_studio": 1}\n{"time": 2, "event": "newer"}\n')
    seen, offset = events.read_from(log, offset)
    assert seen == [events.Validated(step=1, loss=2.0)]
    assert offset == log.stat().st_size


def test_a_line_separator_inside_a_text_does_not_break_the_log(tmp_path):
    log = tmp_path / "events.jsonl"
    events.append(log, events.Phase(name="a\u2028b\u0085c"))
    assert events.read_from(log)[0] == [events.Phase(name="a\u2028b\u0085c")]


def test_the_last_event_is_found_in_a_long_log(tmp_path):
    for step in range(300):
        events.append(tmp_path / "events.jsonl", events.Validated(step=step, loss=1.0))
    events.append(tmp_path / "events.jsonl", events.Phase(name="x" * 300_000))
    assert process.last_event(tmp_path).name == "x" * 300_000


def test_two_runs_of_the_same_second_get_two_directories(tmp_path):
    made = {directory.create(tmp_path, "same", {}) for _ in range(5)}
    assert len(made) == 5


def test_only_complete_checkpoints_count(tmp_path):
    run = directory.Run(tmp_path)
    (tmp_path / "checkpoints" / "step-000010.part").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-000005").mkdir()
    assert run.adapter() is None
    (tmp_path / "checkpoints" / "step-000005" / "COMPLETE").touch()
    assert run.adapter().name == "step-000005"


def test_a_deleted_run_lies_in_the_trash_and_a_running_one_stays(run, tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    wait_for(run, "running")
    with pytest.raises(RunError, match="still working"):
        directory.delete(workspace, run)
    process.ask_to_stop(run.path)
    wait_for(run, "stopped")
    trash = directory.delete(workspace, run)
    assert (trash / "config.yaml").exists()
    assert not directory.listing(workspace)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".", "..", ".hidden", "a\x00b", "x" * 200])
def test_a_name_that_is_a_path_is_refused(tmp_path, name):
    with pytest.raises(PathError, match="cannot be used as a name"):
        directory.find(Workspace.at(tmp_path), name)


def test_an_unknown_run_is_answered_with_those_there_are(tmp_path):
    workspace = Workspace.at(tmp_path)
    directory.create(workspace.runs, "mine", CONFIG)
    with pytest.raises(RunError, match="_mine"):
        directory.find(workspace, "yours")


@pytest.mark.parametrize("content", ["kind: train", "[1", "", "\x00"])
def test_a_folder_that_is_no_run_is_left_out_and_named_when_asked_for(tmp_path, content):
    workspace = Workspace.at(tmp_path)
    (workspace.runs / "foreign").mkdir()
    (workspace.runs / "foreign" / "config.yaml").write_text(content)
    assert directory.listing(workspace) == []
    with pytest.raises(RunError, match="foreign is not a training run"):
        directory.find(workspace, "foreign")


def test_a_line_that_a_full_disk_cut_off_costs_only_itself(tmp_path):
    log = tmp_path / "events.jsonl"
    log.write_text('{"event": "phase", "na')
    events.append(log, events.Phase(name="saving"))
    assert events.read_from(log)[0] == [events.Phase(name="saving")]
    assert process.last_event(tmp_path) == events.Phase(name="saving")


def test_a_worker_that_cannot_start_is_not_called_killed(tmp_path, monkeypatch):
    path = directory.create(tmp_path, "test", CONFIG)
    supervisor.launch(path, "core.no_such_worker").join()
    assert process.status(path) == "lost"
    assert "left with code 1" in lost(path).say()


def saved(folder, seconds):
    """Make what counts as a complete checkpoint, or result, of some time."""
    folder.mkdir(parents=True)
    (folder / directory.COMPLETE).touch()
    os.utime(folder / directory.COMPLETE, (seconds, seconds))
    return folder


def test_a_run_that_went_on_after_a_stop_is_used_as_it_is_now_and_not_as_it_was_then(tmp_path):
    run = directory.Run(tmp_path)
    saved(tmp_path / "checkpoints" / "step-000004", 100)
    final = saved(tmp_path / "final", 101)
    assert run.adapter() == final
    later = saved(tmp_path / "checkpoints" / "step-000008", 200)
    assert run.adapter() == later
    os.utime(final / directory.COMPLETE, (300, 300))  # it ended again
    assert run.adapter() == final


def test_checkpoints_are_in_the_order_of_their_steps(tmp_path):
    for step in (999_999, 1_000_000, 5):
        saved(tmp_path / "checkpoints" / f"step-{step:06d}", step)
    assert [directory.step_of(each) for each in directory.Run(tmp_path).checkpoints()] == [5, 999_999, 1_000_000]


def finished(step):
    return events.StepFinished(step=step, epoch=0.1, loss=1.0, learning_rate=1.0, grad_norm=1.0, tokens=1,
                               tokens_per_second=1.0, seconds_left=1.0)  # fmt: skip


def test_a_run_that_goes_on_takes_back_the_steps_after_its_checkpoint_and_its_end():
    told = [
        events.Phase(name="training"), events.Validated(step=0, loss=9.0), finished(1), finished(2),
        events.CheckpointSaved(step=2, path="checkpoints/step-000002"), finished(3), events.Validated(step=3, loss=8.0),
        events.RunStopped(step=3), events.Resumed(step=2), finished(3), finished(4),
    ]  # fmt: skip
    assert events.standing(told) == [*told[:5], *told[8:]]
    again = [*told, events.Resumed(step=0), events.Validated(step=0, loss=9.0), finished(1)]
    assert events.standing(again) == [told[0], told[8], *again[-3:]]


def test_a_job_that_goes_on_is_running_although_its_log_ends_with_an_end(tmp_path):
    events.append(tmp_path / "events.jsonl", events.RunStopped(step=3))
    assert process.status(tmp_path) == "stopped"
    (tmp_path / process.QUEUED).touch()
    assert process.status(tmp_path) == "queued"
    (tmp_path / process.QUEUED).unlink()
    assert process.status(tmp_path) == "stopped"
    process.note_process(tmp_path, os.getpid())
    assert process.status(tmp_path) == "running"
    noted = (tmp_path / "worker.pid").read_text()
    (tmp_path / "worker.pid").write_text(noted.replace(str(os.getpid()), "1", 1))
    assert process.status(tmp_path) == "lost"
    events.append(tmp_path / "events.jsonl", events.Resumed(step=2))
    assert process.status(tmp_path) == "lost"


def test_a_second_note_of_the_same_process_does_not_make_its_end_look_old(tmp_path):
    process.note_process(tmp_path, os.getpid())
    events.append(tmp_path / "events.jsonl", events.RunFinished())
    process.note_process(tmp_path, os.getpid())
    assert process.status(tmp_path) == "finished"
