"""The live page without a browser: what a tick costs however long the run, what it warns of, and how a run is ended."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio
import pytest

from app import alerts, jobs, run_view
from app.live import Live, body
from app.pages import run_panel
from app.pulse import Working
from app.story import Curves, Story
from app.studio import Studio
from core.errors import RunError
from core.runs import directory, ending, events, heartbeat, process
from core.runs.directory import Run
from core.wording import languages, words
from core.workspace import Workspace

T = words("en")
Sleeper = Callable[[Run], subprocess.Popen[bytes]]
SETTINGS = {"data": {"train": ["pets"]}}


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Workspace.at(tmp_path / "workspace"))


def step(number: int, loss: float | None = None) -> events.StepFinished:
    loss = 2 / number**0.3 if loss is None else loss
    return events.StepFinished(step=number, epoch=number / 100, loss=loss, learning_rate=1e-4, grad_norm=1 + number % 7 / 7,
                               tokens=90, tokens_per_second=1000 + number % 11, seconds_left=9.9)  # fmt: skip


def started(total: int) -> events.RunStarted:
    return events.RunStarted(total_steps=total, examples=9, validation_examples=0, tokens=9, dropped=0,
                             trainable_parameters=1, device="cpu", micro_batch_size=1)  # fmt: skip


def make_run(studio: Studio, *told: events.Event, name: str = "fake") -> Run:
    job = directory.create(studio.workspace.runs, name, {"settings": SETTINGS, "data": [], "model": {}, "prompt": {}})
    lines = (json.dumps({"time": 0.0, "event": each.event, **dataclasses.asdict(each)}) + "\n" for each in told)
    (job / "events.jsonl").write_text("".join(lines), encoding="utf-8")
    return Run(job)


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Makes a process that does nothing the worker of a run."""
    begun: list[subprocess.Popen[bytes]] = []

    def work(run: Run) -> subprocess.Popen[bytes]:
        begun.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True))
        process.note_process(run.path, begun[-1].pid)
        os.utime(run.path / "worker.pid", (0, 0))
        return begun[-1]

    yield work
    for each in begun:
        each.kill()
        each.wait()


def ask(live: Live, run: Run, stamp: str = "", **more: Any) -> dict[str, Any]:
    return live.answer("en", run.name, stamp, **{"viewer": "one", **more})


def test_the_bytes_of_a_tick_do_not_grow_with_the_run(studio: Studio) -> None:
    live, size = Live(studio, {}), {}
    for count in (100, 10_000, 100_000):
        run = make_run(studio, started(count), *map(step, range(1, count + 1)), name=f"run_{count}")
        size[count] = len(body(ask(live, run)))
    assert size[100_000] < 1.1 * size[10_000] < 120_000
    told = ask(live, run)
    began = time.process_time()
    for number in range(count + 1, count + 21):
        events.append(run.log, step(number))
        time.sleep(0.02)
        live._watched.clear()  # as if half a second had passed
        told = ask(live, run, told["stamp"])
        assert "Step 100,0" in told["parts"]["run-progress"]
    assert (time.process_time() - began) / 20 < 0.05  # seconds of work for a step more after 100,000


def test_a_page_that_has_seen_everything_is_told_nothing_again(studio: Studio) -> None:
    live, run = Live(studio, {}), make_run(studio, started(4), step(1), step(2))
    first = ask(live, run)
    assert set(first["parts"]) == set(run_view.PARTS)
    again = ask(live, run, first["stamp"])
    assert "parts" not in again
    assert len(body(again)) < 200


def test_the_more_pages_watch_the_seldomer_each_asks_and_pages_that_are_gone_do_not_count(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    live, run = Live(studio, {}), make_run(studio, started(4), step(1))
    waits = [ask(live, run, viewer=f"v{number}")["wait"] for number in range(50)]
    assert waits[0] == 2000  # a run that is not at work
    assert 2500 <= waits[-1] <= 7500
    later = time.monotonic() + 60
    monkeypatch.setattr("app.live.time.monotonic", lambda: later)
    assert ask(live, run)["wait"] == 2000


def test_many_pages_come_together_whenever_they_came_first(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    live, run, now = Live(studio, {}), make_run(studio, started(4), step(1)), 1000.0
    monkeypatch.setattr("app.live.time.monotonic", lambda: now)
    for number in range(50):
        ask(live, run, viewer=f"v{number}")
    comes = []
    for number in range(50):
        now = 1000 + 0.049 * number  # within half of their pace
        comes.append(now + ask(live, run, viewer=f"v{number}")["wait"] / 1000)
    assert comes == pytest.approx([1005.0] * 50, abs=0.001)


def test_an_answer_brings_what_stands_above_the_tabs(studio: Studio) -> None:
    live, run = Live(studio, {}), make_run(studio, started(4), step(1))
    assert ask(live, run)["standing"] == {"badge": "", "notes": ""}
    assert live.answer("en", None, "", "v", queue=True)["standing"]["queue"]
    assert "parts" not in live.answer("en", None, "", "v")


def test_a_pulse_that_breaks_silences_no_page_and_a_new_server_is_news(studio: Studio) -> None:
    told = ["1"]

    def breaks(_: Studio) -> str:
        return told.pop()

    live = Live(studio, {"data": breaks, "jobs": lambda _: ""})
    first = live.answer("en", None, "", "v")["pulses"]
    live._beats = (0.0, first)  # as if half a second had passed
    assert live.answer("en", None, "", "v")["pulses"] == first
    assert first["jobs"] == ""
    assert Live(studio, {"data": lambda _: "1"}).answer("en", None, "", "v")["pulses"]["data"] != first["data"]


def test_the_more_pages_are_open_the_seldomer_each_sends_an_event(studio: Studio) -> None:
    live = Live(studio, {})
    rests = [live.answer("en", None, "", f"v{number}")["event"] for number in range(50)]
    assert (rests[0], rests[-1]) == (1000, 50_000)


def test_fifty_pages_share_one_look_and_one_drawing(studio: Studio) -> None:
    live, run = Live(studio, {}), make_run(studio, started(500), *map(step, range(1, 400)))
    ask(live, run)
    began = time.process_time()
    for number in range(50):
        body(ask(live, run, viewer=f"v{number}"))
    assert (time.process_time() - began) / 50 < 0.01


def test_a_run_that_is_gone_and_a_workspace_without_runs_are_told_as_such(studio: Studio) -> None:
    live = Live(studio, {})
    nothing = live.answer("en", "", "", "one")
    assert "No run yet" in nothing["parts"]["run-status"]
    assert "parts" not in live.answer("en", "../../etc", "none", "one")
    before = nothing["names"]
    make_run(studio, started(4))
    assert live.answer("en", "", "none", "one")["names"] != before


def test_a_run_that_cannot_be_shown_says_so_in_its_place(studio: Studio) -> None:
    run = make_run(studio, started(4))
    run.log.write_text('{"event": "step_finished", "step": 1}\n')
    for _ in range(2):
        told = ask(Live(studio, {}), run)
        assert "notice error" in told["parts"]["run-status"]
    newer = make_run(studio, started(4), name="newer")
    (newer.path / "config.yaml").write_text("settings: [of, another, studio]\n")
    told = ask(Live(studio, {}), newer)
    assert "notice error" in told["parts"]["run-status"]
    assert "No run yet" not in told["parts"]["run-status"]


def test_names_that_somebody_makes_up_cost_no_reading_and_put_no_watched_run_out(studio: Studio) -> None:
    live, run = Live(studio, {}), make_run(studio, started(4))
    ask(live, run)
    for number in range(100):
        assert "No run yet" in live.answer("en", f"made_up_{number}", "", "one")["parts"]["run-status"]
    assert list(live._watched) == [run.name]


def test_a_question_is_answered_for_the_run_it_was_asked_of_and_not_at_all_when_it_is_forgotten(
    studio: Studio, sleeper: Sleeper
) -> None:
    asked_of, other = make_run(studio, started(9), step(1), name="asked"), make_run(studio, started(9), name="other")
    workers = [sleeper(asked_of), sleeper(other)]
    with gradio.Blocks() as blocks:
        panel = run_panel.build(studio, T)

    def press(button: Any, **known: Any) -> dict[Any, Any]:
        wanted = next(each for each in blocks.fns.values() if (button._id, "click") in each.targets)
        told: dict[Any, Any] = wanted.fn({getattr(panel, name): value for name, value in known.items()})
        return told

    for forgotten in ("", None, ("", ""), ("else", other.name)):
        told = press(panel.yes, run=other.name, asked=forgotten)
        assert "run.question_forgotten" in told[panel.notice]
        assert told[panel.asking]["visible"] is False
    assert [each.poll() for each in workers] == [None, None]
    question = press(panel.discard, run=asked_of.name)
    press(panel.yes, run=other.name, asked=question[panel.asked])
    assert workers[0].wait(timeout=5) == -9
    assert not asked_of.path.exists()
    assert workers[1].poll() is None
    assert other.path.exists()


def test_the_log_is_sent_only_to_pages_that_have_it_open_and_only_its_end(studio: Studio) -> None:
    live, run = Live(studio, {}), make_run(studio, started(4))
    (run.path / "worker.log").write_text("x" * 50_000 + "the end")
    assert "log" not in ask(live, run)
    told = ask(live, run, log=0)
    assert told["log"].endswith("the end")
    assert len(told["log"]) == 16_000
    assert "log" not in ask(live, run, log=told["log_size"])


def test_what_a_resumed_run_takes_back_is_in_no_curve_and_no_event_is_there_twice(studio: Studio) -> None:
    run = make_run(studio, started(8), *map(step, range(1, 6)), events.RunStopped(step=4))
    assert studio.story(run.path).curves.steps == 5
    assert len(studio.events(run.path)) == 7
    again: list[events.Event] = [events.Resumed(step=4), started(8), *(step(number, 0.5) for number in range(5, 8))]
    for each in again:
        events.append(run.log, each)
    story = studio.story(run.path)
    assert [x for x, _ in story.curves.loss.points()] == [1, 2, 3, 4, 5, 6, 7]
    assert story.curves.loss.points()[4] == (5, 0.5)
    assert story.curves.steps == 7
    assert [each.step for each in studio.events(run.path) if isinstance(each, events.StepFinished)] == list(range(1, 8))
    assert not any(isinstance(each, events.RunStopped) for each in story.events)


def test_the_story_of_a_long_run_is_short_and_keeps_what_is_worth_a_word() -> None:
    validated = [events.Validated(step=n, loss=3 - n / 10, by_source={"a": 1.0, "b": n}) for n in range(0, 20, 5)]
    warned = [events.Warned(code="train.slow", values={"step": n, "now": n, "usual": 9}) for n in range(300)]
    story = Story.of([started(9_000), *map(step, range(1, 9_000)), *validated, *warned, events.Phase(name="saving")])
    assert len(story.events) < 10
    assert [each.values["step"] for each in story.events if isinstance(each, events.Warned)] == [299]
    assert [each.step for each in story.curves.validated] == [0, 15]
    assert Curves.of(validated).validation.points() == [(0, 3.0), (5, 2.5), (10, 2.0), (15, 1.5)]


def test_a_worker_that_falls_silent_is_told_and_the_alert_goes_when_it_is_heard_again(
    studio: Studio, sleeper: Sleeper
) -> None:
    run = make_run(studio, started(9), events.Phase(name="training"), step(1))
    sleeper(run)
    beat = run.path / heartbeat.FILE
    beat.touch()
    assert codes(studio, run) == []
    os.utime(beat, (time.time() - 100, time.time() - 100))
    assert codes(studio, run) == ["run.silent"]
    beat.touch()
    assert codes(studio, run) == []
    os.utime(run.log, (time.time() - 75, time.time() - 75))  # it measures, or saves
    assert codes(studio, run) == []
    os.utime(run.log, (time.time() - 700, time.time() - 700))
    assert codes(studio, run) == ["run.no_step"]


def codes(studio: Studio, run: Run) -> list[str]:
    assert run.status == "running"
    return [each.found.code for each in alerts.present(run.path, studio.story(run.path).events, 1.0, T)]


def test_a_disk_that_is_nearly_full_is_an_alert_only_while_it_is(studio: Studio) -> None:
    values = {"free": 1, "needed": 1e12, "each": 9}
    run = make_run(studio, events.Warned(code="train.disk_nearly_full", where="x", values=values))
    assert [each.found.code for each in alerts.present(run.path, studio.events(run.path), 0, T)] == [
        "train.disk_nearly_full"
    ]
    emptier = [events.Warned(code="train.disk_nearly_full", where="x", values={**values, "needed": 1})]
    assert alerts.present(run.path, emptier, 0, T) == alerts.lasting(emptier) == []


@pytest.mark.parametrize("language", languages())
def test_alerts_stand_with_the_newest_first_in_words_and_older_ones_are_folded(language: str) -> None:
    t = words(language)
    told: list[events.Event] = [
        events.Warned(code="train.plateau", values={"step": 5, "loss": "<b>", "count": 9, "rate": "1"}),
        events.Resumed(step=0),
        events.Resumed(step=40),
        events.MicroBatchChanged(step=50, micro_batch_size=2, micro_batch_tokens=64, checkpointing=False),
        events.MicroBatchChanged(step=60, micro_batch_size=1, micro_batch_tokens=64, checkpointing=True),
    ]
    found = alerts.lasting(told)
    assert [each.found.code for each in found] == ["run.activations_again", "run.smaller_pieces", "run.resumed",
                                                   "run.started_over", "train.plateau"]  # fmt: skip
    shown = alerts.shown(found, t)
    assert "&lt;b&gt;" in shown.partition("<details>")[2]
    assert t("alerts.more", n=3) in shown


def test_end_it_at_once_is_offered_only_after_a_grace_period(studio: Studio, sleeper: Sleeper) -> None:
    run = make_run(studio, started(9), events.Phase(name="training"), step(1))
    sleeper(run)
    assert run_view.look(studio, run).can == ("stop", "discard")
    ending.ask(run)
    assert run_view.look(studio, run).can == ("discard",)
    os.utime(run.path / "stop", (time.time() - 61, time.time() - 61))
    assert run_view.look(studio, run).can == ("end", "discard")


def test_a_run_that_is_ended_at_once_is_stopped_and_says_what_is_saved(studio: Studio, sleeper: Sleeper) -> None:
    run = make_run(studio, started(9), step(1), step(2))
    sleeper(run)
    saved = run.path / "checkpoints" / "step-000001"
    saved.mkdir(parents=True)
    (saved / "COMPLETE").touch()
    assert ending.at_once(run) == 1
    assert process.worker_pid(run.path) is None
    assert run.status == "stopped"
    assert jobs.status_line(run_view.look(studio, run).seen, T).count("stopped")
    with pytest.raises(RunError) as found:
        ending.at_once(run)
    assert found.value.problems[0].code == "run.not_at_work"


def test_a_run_that_is_discarded_at_work_lies_in_the_trash(studio: Studio, sleeper: Sleeper) -> None:
    run = make_run(studio, started(9), step(1))
    worker = sleeper(run)
    ending.discard(studio.workspace, run)
    assert worker.wait(timeout=5) == -9
    assert not run.path.exists()
    assert (studio.workspace.root / "trash" / run.name / "events.jsonl").exists()


def test_a_worker_that_writes_a_megabyte_to_stderr_with_no_page_open_goes_on(studio: Studio) -> None:
    run = make_run(studio)
    worker = process.start(run.path, "tests.loud_worker")
    assert worker.wait(timeout=60) == 0
    assert run.status == "finished"
    assert (run.path / "worker.log").stat().st_size >= 1_000_000
    assert len(jobs.raw_log(run.path)) == 16_000


def test_a_job_is_told_of_however_many_newer_ones_there_are(studio: Studio, sleeper: Sleeper) -> None:
    old = directory.create(studio.workspace.jobs, "old", {"task": "plan"})
    sleeper(Run(old))
    for number in range(12):
        events.append(
            directory.create(studio.workspace.jobs, f"new{number}", {}) / "events.jsonl", events.RunFinished()
        )
    working = Working()
    before = working(studio)
    events.append(old / "events.jsonl", events.Progress(done=1, total=2, seconds_left=1))
    assert working(studio) != before


def test_a_job_whose_process_file_is_empty_is_lost(studio: Studio) -> None:
    job = directory.create(studio.workspace.jobs, "plan", {"task": "plan"})
    (job / "worker.pid").write_text("")  # what a power cut may leave
    assert process.status(job) == "lost"


def test_pages_fetch_news_of_jobs_only_when_there_are_some(studio: Studio, sleeper: Sleeper) -> None:
    working = Working()
    assert working(studio) == ""
    job = directory.create(studio.workspace.jobs, "plan", {"task": "plan"})
    sleeper(Run(job))
    running = working(studio)
    assert job.name in running
    events.append(job / "events.jsonl", events.Progress(done=1, total=2, seconds_left=1))
    assert working(studio) not in ("", running)
    events.append(job / "events.jsonl", events.RunFinished())
    process.kill(job)
    deadline = time.monotonic() + 10
    while working(studio) != job.name and time.monotonic() < deadline:
        time.sleep(0.02)
    assert working(studio) == job.name
