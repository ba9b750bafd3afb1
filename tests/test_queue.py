"""Jobs take turns on the devices, and whoever is killed meanwhile loses none and starts none twice."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time

import psutil
import pytest
from filelock import FileLock
from typer.testing import CliRunner

from app import jobs, turns
from app.pulse import queued
from app.standing import told
from app.studio import Studio
from core.commands.root import tree
from core.errors import RunError
from core.runs import devices, directory, ending, events, process, queue, queue_file, supervisor
from core.wording import words
from core.workspace import Workspace
from tests.tiny import build_tiny_model

# Works until it is told to end, and writes down each start.
WORKER = """
import os, time
from core.runs import events
from core.runs.work import run_worker
def work(job):
    with (job / "started").open("a") as file:
        file.write(os.environ.get("CUDA_VISIBLE_DEVICES", "-") + "\\n")
    end = time.monotonic() + 60
    while not (job / "end").exists() and time.monotonic() < end:
        time.sleep(0.02)
    events.append(job / "events.jsonl", events.RunFinished(result={}))
run_worker(work)
"""
CONFIG = {"kind": "train", "settings": {}, "data": [], "model": {}, "prompt": {}}
LANES = {"trains": "accelerator", "merges": "processor", "builds": "light"}
# What a server or a waiting command does, in a process that can be killed.
TURNS = f"""
import sys, time
from pathlib import Path
from core.runs import devices, process, queue
from core.workspace import Workspace
modules, root, *jobs = sys.argv[1:]
devices.LANES.update({LANES!r})
real = process.worker_environment
process.worker_environment = lambda: {{**real(), "PYTHONPATH": modules + ":" + real()["PYTHONPATH"]}}
workspace = Workspace.at(root)
queue.recover(workspace)
for job in jobs:
    queue.add(workspace, Path(job), "trains" if len(job) % 2 else "builds")
print("up", flush=True)
while True:
    queue.start_ready(workspace)
    time.sleep(0.01)
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace whose jobs are real processes of a small worker."""
    modules = tmp_path / "modules"
    modules.mkdir()
    for name in LANES:
        (modules / f"{name}.py").write_text(WORKER)
        monkeypatch.setitem(devices.LANES, name, LANES[name])
    real = process.worker_environment
    path = f"{modules}:{real()['PYTHONPATH']}"
    monkeypatch.setattr(process, "worker_environment", lambda: {**real(), "PYTHONPATH": path})
    place = Workspace.at(tmp_path / "workspace")
    yield place
    for pid in place.root.glob("**/worker.pid"):
        process.kill(pid.parent)


@pytest.fixture
def two_cards(tmp_path, monkeypatch):
    """A machine that says it has two graphics cards."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text('#!/bin/sh\ncase "$1" in *index*) printf "0, GPU-a\\n1, GPU-b\\n";; *) echo 2000;; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(devices, "torch_uses_cards", lambda: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(devices, "_cards", devices._Cards())
    return tool


def added(workspace, name, worker="trains"):
    job = directory.create(
        workspace.runs, name, {"kind": "train", "settings": {}, "data": [], "model": {}, "prompt": {}}
    )
    queue.add(workspace, job, worker)
    return job


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def working(*jobs):
    until(lambda: all((job / "started").exists() for job in jobs))


def ended(*jobs):
    for job in jobs:
        (job / "end").touch()
    until(lambda: all(process.status(job) == "finished" and process.worker_pid(job) is None for job in jobs))


def begun(workspace, **options):
    return [job.name.partition("_")[2].partition("_")[2] for job in queue.start_ready(workspace, **options)]


def waiting(workspace):
    return [each.job.rpartition("_")[2] for each in queue.look(workspace).waiting]


def test_one_processor_takes_trainings_and_merges_one_after_another_and_data_beside_them(workspace):
    first, second = added(workspace, "first"), added(workspace, "second", "merges")
    build = added(workspace, "build", "builds")
    assert process.status(first) == "queued"
    assert begun(workspace) == ["first", "build"]
    working(first, build)
    assert (process.status(first), process.status(second)) == ("running", "queued")
    assert begun(workspace) == []
    assert queue.place(workspace, second) == 1
    ended(first)
    assert begun(workspace) == ["second"]
    ended(second, build)
    assert queue.look(workspace) == queue.Queue()


def test_each_card_takes_a_job_and_a_merge_runs_beside_them(workspace, two_cards):
    jobs = [added(workspace, f"r{number}") for number in range(3)] + [added(workspace, "merge", "merges")]
    assert begun(workspace) == ["r0", "r1", "merge"]
    working(jobs[0], jobs[1], jobs[3])
    assert [(jobs[n] / "started").read_text() for n in (0, 1)] == ["0\n", "1\n"]
    assert (jobs[3] / "started").read_text() == "\n"  # it takes the processor, and sees no card
    assert [each.device for each in queue.look(workspace).running] == ["gpu:0", "gpu:1", "cpu"]
    assert devices.free_memory("1") == 2000 << 20
    ended(jobs[1])
    assert begun(workspace) == ["r2"]
    working(jobs[2])
    assert (jobs[2] / "started").read_text() == "1\n"
    ended(jobs[0], jobs[2], jobs[3])


def test_the_cards_that_were_set_are_the_only_ones(two_cards, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert devices.devices_of("accelerator") == ("gpu:1",)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert devices.devices_of("accelerator") == ("cpu",)


def test_cards_that_do_not_answer_are_still_there_and_none_begins_while_nobody_knows_them(workspace, two_cards):
    answers = two_cards.read_text()
    two_cards.write_text("#!/bin/sh\nexit 255\n")
    job = added(workspace, "first")
    assert devices.devices_of("accelerator") == ()
    assert begun(workspace) == []
    assert queue.place(workspace, job) == 1
    two_cards.write_text(answers)
    devices._cards._ask_from = 0.0  # ten seconds later
    assert devices.devices_of("accelerator") == ("gpu:0", "gpu:1")
    for code in (255, 9):
        two_cards.write_text(f"#!/bin/sh\nexit {code}\n")
        devices._cards._ask_from = 0.0
        assert devices.devices_of("accelerator") == ("gpu:0", "gpu:1")


def test_a_machine_whose_tool_says_that_there_is_no_card_uses_the_processor_alone(two_cards):
    for script in ("exit 9", "echo No devices were found"):
        devices._cards.__init__()
        two_cards.write_text(f"#!/bin/sh\n{script}\n")
        assert devices.devices_of("accelerator") == ("cpu",)
    assert devices.environment("cpu") == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_job_that_cannot_be_started_holds_up_nobody(workspace):
    broken, behind, build = added(workspace, "broken"), added(workspace, "behind"), added(workspace, "build", "builds")
    (broken / "worker.log").mkdir()
    assert begun(workspace) == ["behind", "build"]
    assert process.status(broken) == "failed"
    assert "worker.log" in str(process.last_event(broken).problems)
    working(behind, build)
    ended(behind, build)


def test_where_no_process_can_be_started_the_jobs_keep_their_places(workspace, monkeypatch):
    for name, worker in (("a", "trains"), ("b", "builds"), ("c", "trains")):
        added(workspace, name, worker)
    with monkeypatch.context() as without:
        without.setattr(sys, "executable", "/no/such/python")
        with pytest.raises(FileNotFoundError):
            queue.start_ready(workspace)
    assert waiting(workspace) == ["a", "b", "c"]
    assert begun(workspace) == ["a", "b"]


def test_a_process_that_dies_early_does_not_take_the_job_from_another_that_was_started_for_it(workspace):
    job = added(workspace, "twice")
    with FileLock(workspace.root / ".queue.lock"):  # the second one cannot begin yet
        early = process.spawn(job, "trains", ("no.such.module",))
        ended_early = supervisor._supervise(job, early, workspace)
        late = process.spawn(job, "trains", ("core.runs.begin", str(workspace.root / ".queue.lock")))
        early.wait()
        entry = queue.look(workspace).waiting[0]
        told = dataclasses.replace(entry, device="cpu", process=process.identity(late.pid))
        queue_file.write(workspace, queue_file.State([], [told]))
    ended_early.join()
    working(job)
    ended(job)
    assert late.wait() == 0


def test_every_writing_of_the_queue_has_another_stamp(workspace):
    for name in "ab":
        added(workspace, name)
    for _ in range(3):
        soon = time.time_ns() + 500_000_000  # as if the clock had stood still since the last writing
        os.utime(workspace.root / "queue.json", ns=(soon, soon))
        queue.move(workspace, workspace.root / queue.look(workspace).waiting[0].job, "last")
        assert queue.stamp(workspace)[0] > soon


def test_a_run_whose_merge_is_at_work_is_not_ended_when_it_cannot_be_discarded(workspace):
    training, merge = added(workspace, "training"), added(workspace, "merge", "builds")
    assert begun(workspace) == ["training", "merge"]
    working(training, merge)
    place = training / "merges" / "merged"
    place.mkdir(parents=True)
    (place / "config.yaml").write_text("{}")
    (place / "worker.pid").write_text((merge / "worker.pid").read_text())
    with pytest.raises(RunError, match="training"):
        ending.discard(workspace, directory.Run(training))
    assert process.status(training) == "running"
    (place / "worker.pid").unlink()
    ended(training, merge)


def test_the_order_is_changed_and_a_waiting_job_is_cancelled_to_the_trash(workspace):
    first = added(workspace, "first")
    queue.start_ready(workspace)
    a, b, c = (added(workspace, name) for name in "abc")
    assert [queue.place(workspace, job) for job in (a, b, c, first)] == [1, 2, 3, None]
    queue.move(workspace, c, "first")
    queue.move(workspace, a, "down")
    queue.move(workspace, a, "down")
    assert waiting(workspace) == ["c", "b", "a"]
    queue.move(workspace, b, "up")
    assert waiting(workspace) == ["b", "c", "a"]
    trash = queue.cancel(workspace, c)
    assert not c.exists()
    assert (trash / "config.yaml").exists()
    working(first)
    for late in (first, c):
        with pytest.raises(RunError, match="does not wait"):
            queue.cancel(workspace, late)
    ended(first)
    assert begun(workspace) == ["b"]
    ended(b)


def test_a_waiting_run_that_had_worked_before_stays_when_it_is_cancelled(workspace):
    job = added(workspace, "resumed")
    (job / "events.jsonl").write_text('{"event": "run_stopped", "step": 3}\n')
    assert queue.cancel(workspace, job) is None
    assert process.status(job) == "stopped"


def test_a_job_that_has_just_ended_is_put_into_the_queue_again(workspace):
    job = added(workspace, "again")
    for times in (1, 2):
        assert begun(workspace) == ["again"]
        until(lambda times=times: (job / "started").exists() and len((job / "started").read_text()) == 2 * times)
        ended(job)
        queue.add(workspace, job, "trains")
        queue.add(workspace, job, "trains")
        assert waiting(workspace) == ["again"]
    queue.cancel(workspace, job)


def test_an_edited_run_takes_the_place_of_the_one_that_waited(workspace):
    first = added(workspace, "first")
    queue.start_ready(workspace)
    old, behind = added(workspace, "old"), added(workspace, "behind")
    new = directory.create(workspace.runs, "new", {})
    assert queue.replace(workspace, old, new, "trains")
    assert waiting(workspace) == ["new", "behind"]
    assert (workspace.trash / old.name).exists()
    late = directory.create(workspace.runs, "late", {})
    assert not queue.replace(workspace, first, late, "trains")
    assert waiting(workspace) == ["new", "behind", "late"]
    working(first)
    ended(first)
    queue.cancel(workspace, behind)


def test_a_directory_that_is_gone_leaves_the_queue(workspace):
    gone = added(workspace, "gone")
    directory.delete(workspace, directory.Run(gone))
    assert queue.look(workspace).waiting == ()
    assert begun(workspace) == []
    assert json.loads((workspace.root / "queue.json").read_text())["waiting"] == []


def test_a_held_job_waits_with_those_behind_it_until_nobody_holds_it(workspace):
    added(workspace, "large")
    added(workspace, "small")
    assert begun(workspace, hold=lambda job, device: job.name.endswith("large")) == []
    assert [bool(each.held) for each in queue.look(workspace).waiting] == [True, False]
    assert begun(workspace) == []  # without an own judgement, what a living process holds is left alone
    assert begun(workspace, hold=lambda job, device: False) == ["large"]


def test_a_job_whose_python_cannot_start_is_lost_and_does_not_wait_for_ever(workspace, tmp_path):
    broken = added(workspace, "broken")
    process.spawn(broken, "trains", ("no.such.module",)).wait()
    assert process.status(broken) == "queued"
    supervisor._supervise(broken, process.spawn(broken, "trains", ("no.such.module",)), workspace).join()
    assert process.status(broken) == "lost"
    assert supervisor.exit_code(broken) == 1
    assert begun(workspace) == []


def test_a_queue_file_that_nobody_can_read_is_made_anew_from_the_marks(workspace):
    first, second = added(workspace, "first"), added(workspace, "second")
    (workspace.root / "queue.json").write_text("{")
    queue.recover(workspace)
    assert waiting(workspace) == ["first", "second"]
    (workspace.root / "queue.json").write_text(
        json.dumps({"waiting": [{"job": "../x", "worker": "trains", "since": 1}], "running": []})
    )
    assert queue.look(workspace) == queue.Queue()
    for job in (first, second):
        assert process.status(job) == "queued"


def test_of_two_workers_started_for_a_job_one_works(workspace):
    job = added(workspace, "twice")
    lock = workspace.root / ".queue.lock"
    children = [process.spawn(job, "trains", ("core.runs.begin", str(lock))) for _ in range(3)]
    working(job)
    until(lambda: sum(child.poll() == 75 for child in children) == 2)
    assert (job / "started").read_text() == "-\n"
    ended(job)
    for child in children:
        child.wait()


def test_killed_at_any_moment_nobody_loses_a_job_and_none_starts_twice(workspace, tmp_path):
    chance = random.Random(5)
    jobs = [directory.create(workspace.runs, "x" * (1 + n % 2), {}) for n in range(16)]
    for job in jobs:
        (job / "end").touch()  # each ends as soon as it works
    command = [sys.executable, "-c", TURNS, str(tmp_path / "modules"), str(workspace.root)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    deadline, left, killed = time.monotonic() + 60, list(jobs), 0
    while time.monotonic() < deadline and any(process.status(job) != "finished" for job in jobs):
        turn = subprocess.Popen([*command, *map(str, left[:3])], env=environment, stdout=subprocess.PIPE, text=True)
        if killed < 12:
            if killed % 3:  # at the third time while it still adds
                turn.stdout.readline()
            time.sleep(chance.uniform(0.0, 0.15) if killed % 3 else chance.uniform(0.15, 0.5))
        else:
            until(lambda: not any((job / process.QUEUED).exists() for job in jobs), 40)
        turn.send_signal(signal.SIGKILL)
        turn.wait()
        killed += 1
        told = queue.look(workspace)
        known = {each.job for each in (*told.waiting, *told.running)}
        left = [job for job in jobs if not _was_added(workspace, job, known)]
    assert [process.status(job) for job in jobs] == ["finished"] * 16
    assert [(job / "started").read_text().count("\n") for job in jobs] == [1] * 16
    assert killed > 5
    until(lambda: queue.look(workspace) == queue.Queue())


def _was_added(workspace, job, known):
    return f"runs/{job.name}" in known or any((job / name).exists() for name in (process.QUEUED, "worker.pid"))


def test_what_does_not_fit_beside_a_chat_waits_until_a_person_ends_it(workspace):
    build_tiny_model(workspace.models / "tiny")
    studio = Studio(workspace)
    session = studio.open_chat("model:models/tiny")
    large = planned(workspace, "large", 1e15)
    assert turns.begin_ready(studio) == []
    notes = told(studio, words("en"), False)["notes"]
    assert "Waits for the memory of the chat: it needs" in notes
    assert words("en")("job.held") in jobs.status_line(jobs.look(studio, large), words("en"))
    assert 'data-press="end-chats"' in notes
    small = planned(workspace, "small", 1e6)
    queue.move(workspace, small, "first")
    assert turns.begin_ready(studio) == [small]  # it fits, and runs beside the chat
    working(small)
    ended(small)
    assert session.alive
    studio.end_chats()
    assert not psutil.pid_exists(session.pid)
    assert turns.begin_ready(studio) == [large]
    working(large)
    ended(large)


def test_stop_takes_a_waiting_job_away_and_asks_one_at_work_and_go_on_takes_the_question_back(workspace, monkeypatch):
    monkeypatch.setitem(devices.LANES, "core.train.worker", "light")
    studio, job, behind = Studio(workspace), added(workspace, "works"), added(workspace, "behind")
    assert begun(workspace) == ["works"]
    working(job)
    assert turns.stop(studio, behind)
    assert not behind.exists()
    assert not turns.stop(studio, job)
    assert (job / "stop").exists()
    process.kill(job)
    until(lambda: process.status(job) == "lost")
    turns.go_on(studio, directory.Run(job))
    assert not (job / "stop").exists()
    assert [each.job for each in queue.look(workspace).running] == [f"runs/{job.name}"]


def planned(workspace, name, memory):
    job = directory.create(workspace.runs, name, {**CONFIG, "plan": {"memory_bytes": memory}})
    queue.add(workspace, job, "trains")
    return job


# A command at the terminal, which works through a job of its own and can be interrupted.
COMMAND = f"""
import signal, sys
import typer
from pathlib import Path
from core.commands.shared import work_through
from core.runs import devices, process
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts the tests with & has it ignored
modules, job = sys.argv[1:]
devices.LANES.update({LANES!r})
real = process.worker_environment
process.worker_environment = lambda: {{**real(), "PYTHONPATH": modules + ":" + real()["PYTHONPATH"]}}
try:
    print(work_through(Path(job), "trains")["status"])
except typer.Exit as left:
    sys.exit(left.exit_code)
"""


def commanded(tmp_path, job):
    command = [sys.executable, "-c", COMMAND, str(tmp_path / "modules"), str(job)]
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "LC_ALL": "en"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_command_waits_for_its_turn_without_a_server_and_ctrl_c_takes_it_out_of_the_queue(workspace, tmp_path):
    first = added(workspace, "first")
    queue.start_ready(workspace)
    working(first)
    config = {**CONFIG, "workspace": str(workspace.root), "allow": []}
    second, third = (directory.create(workspace.runs, name, config) for name in ("second", "third"))
    waiter = commanded(tmp_path, second)
    assert waiter.stderr.readline() == "Waiting: 1 in the queue. Ctrl-C cancels.\n"
    given_up = commanded(tmp_path, third)
    assert given_up.stderr.readline() == "Waiting: 2 in the queue. Ctrl-C cancels.\n"
    given_up.send_signal(signal.SIGINT)
    assert given_up.wait(20) == 130
    assert (workspace.trash / third.name).is_dir()
    ended(first)
    working(second)
    (second / "end").touch()
    assert waiter.communicate(timeout=20)[0] == "finished\n"


def test_the_queue_is_listed_ordered_and_emptied_at_the_terminal(workspace):
    job = directory.create(workspace.runs, "real", CONFIG)
    queue.add(workspace, job, "core.merge.worker")

    def studio(*arguments):
        answer = CliRunner().invoke(tree(), ["queue", *arguments, "--workspace", str(workspace.root), "--json"])
        return json.loads(answer.stdout)

    assert studio("list")["waiting"] == [{"job": f"runs/{job.name}", "place": 1, "held": False}]
    assert studio("move", job.name, "nowhere")["problems"][0]["code"] == "settings.not_a_choice"
    assert studio("cancel", job.name)["trash"].endswith(job.name)
    assert studio("cancel", job.name)["problems"][0]["code"] == "queue.not_waiting"


def test_a_tab_is_told_of_the_jobs_of_its_own_worker_only(workspace):
    studio, builds, train = Studio(workspace), queued("builds"), added(workspace, "one")
    idle = builds(studio)
    build = added(workspace, "two", "builds")
    waiting = builds(studio)
    queue.start_ready(workspace)
    working(train, build)
    running = builds(studio)
    assert len({idle, waiting, running}) == 3
    events.append(train / "events.jsonl", events.Phase(name="training"))
    assert builds(studio) == running
    events.append(build / "events.jsonl", events.Phase(name="splitting"))
    told = builds(studio)
    process.ask_to_stop(build)
    assert len({running, told, builds(studio)}) == 3


def test_a_turn_without_news_costs_next_to_nothing(workspace):
    job = added(workspace, "only")
    queue.start_ready(workspace)
    working(job)
    before = psutil.Process().cpu_times().user
    for _ in range(200):
        queue.start_ready(workspace)
    assert psutil.Process().cpu_times().user - before < 1.0  # 5 ms a turn, of which there is one a second
    ended(job)
