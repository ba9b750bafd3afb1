"""What a training notices about itself: each trouble is told when it is there, once, and never in a run that goes well."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from core.errors import Problem
from core.runs import events, heartbeat, process
from core.train.watch import Watch, disk_needed
from core.wording import languages

Value = Callable[[int], float]


def finished(step: int, loss: float, norm: float = 1.0, rate: float = 2e-4) -> events.StepFinished:
    return events.StepFinished(step=step, epoch=0, loss=loss, learning_rate=rate, grad_norm=norm, tokens=100,
                               tokens_per_second=1000, seconds_left=1)  # fmt: skip


def told(
    steps: Iterable[events.StepFinished], seconds: Value = lambda step: 1.0, watch: Watch | None = None
) -> list[Problem]:
    watch = watch or Watch()
    return [found for each in steps for found in watch.step(each, tokens=1000, seconds=seconds(each.step))]


def codes(found: Iterable[Problem]) -> list[str]:
    return [each.code for each in found]


def ordinary(count: int, seed: int, noise: float = 0.15) -> list[events.StepFinished]:
    """A run that goes well: a loss that falls fast and then slowly, noisy, with a warm-up and a cosine schedule."""
    chance = random.Random(seed)
    found = []
    for step in range(1, count + 1):
        loss = (1.0 + 2.5 * math.exp(-step / (count / 12)) + 0.6 * (1 - step / count)) * math.exp(
            chance.gauss(0, noise)
        )
        rate = 2e-4 * min(1.0, step / max(1, count // 30)) * 0.5 * (1 + math.cos(math.pi * step / count))
        found.append(finished(step, loss, norm=(0.4 + loss / 3) * math.exp(chance.gauss(0, 0.35)), rate=rate))
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [40, 300, 2500])
def test_an_ordinary_run_is_told_of_nothing(count: int, seed: int) -> None:
    chance = random.Random(seed)
    assert codes(told(ordinary(count, seed), lambda step: math.exp(chance.gauss(0, 0.3)))) == []


def test_learning_by_heart_is_no_plateau_and_its_small_gradients_are_no_spikes() -> None:
    chance = random.Random(3)
    losses = [0.2 * math.exp(-step / 60) * math.exp(chance.gauss(0, 0.5)) + 1e-4 for step in range(1, 400)]
    assert (
        codes(told(finished(n, loss, norm=loss * math.exp(chance.gauss(0, 0.5))) for n, loss in enumerate(losses, 1)))
        == []
    )


def test_one_spike_is_an_odd_row_and_three_soon_after_one_another_are_told_once() -> None:
    spiky = lambda at: [finished(n, 2 - n / 200, norm=20.0 if n in at else 1.0) for n in range(1, 200)]  # noqa: E731
    assert told(spiky({60})) == []
    (found,) = told(spiky({60, 70, 80, 90}))
    assert found.code == "train.gradient_spikes"
    assert found.values == {"step": 80, "times": "20", "rate": "0.0002"}


def test_spikes_that_come_again_after_they_had_gone_away_are_told_again() -> None:
    at = {60, 70, 80, 300, 310, 320}
    found = told(finished(n, 2 - n / 400, norm=20.0 if n in at else 1.0) for n in range(1, 400))
    assert [each.values["step"] for each in found] == [80, 320]


def test_a_single_enormous_gradient_is_told() -> None:
    found = told(finished(n, 2 - n / 200, norm=400.0 if n == 120 else 1.0) for n in range(1, 150))
    assert codes(found) == ["train.gradient_spikes"]


def test_a_loss_that_does_not_move_is_a_plateau_and_says_where() -> None:
    chance = random.Random(1)
    (found,) = told(finished(n, 2.5 * math.exp(chance.gauss(0, 0.05))) for n in range(1, 400))
    assert found.code == "train.plateau"
    assert found.values["loss"].startswith("2.5")
    assert found.values["step"] < 200


def test_a_loss_that_lies_still_because_the_schedule_has_lowered_the_rate_is_no_plateau() -> None:
    steps = [finished(n, 3 * 0.98**n + 1, rate=2e-4 * (1 - n / 400)) for n in range(1, 400)]
    flat_late = [finished(n, each.loss if n < 200 else 1.0, rate=each.learning_rate) for n, each in enumerate(steps, 1)]
    assert told(flat_late) == []


def test_a_validation_loss_that_rises_three_times_is_told_with_the_best_step_and_what_to_do() -> None:
    losses = {0: 3.0, 10: 2.0, 20: 1.5, 30: 1.6, 40: 1.7, 50: 1.8, 60: 1.9}
    for patience, code in ((None, "train.validation_rises"), (4, "train.validation_rises_with_patience")):
        watch = Watch(patience)
        found = [
            each for step, loss in losses.items() for each in watch.validated(events.Validated(step=step, loss=loss))
        ]
        assert codes(found) == [code]
        assert (found[0].values["best_step"], found[0].values["step"]) == (20, 50)
    assert Watch(4).validated(events.Validated(step=10, loss=math.nan)) == []


@pytest.mark.parametrize(
    "losses", [[2.0, 1.5, 1.6, 1.7, 1.6, 1.7, 1.8], [2.0, 1.5, 1.501, 1.502, 1.503], [1.0, 1.1, 1.2]]
)
def test_a_validation_loss_that_wavers_is_not_told(losses: list[float]) -> None:
    watch = Watch()
    for step, loss in enumerate(losses, 1):
        assert watch.validated(events.Validated(step=step, loss=loss)) == []


def test_lost_speed_is_told_after_half_a_minute_and_again_only_after_it_had_come_back() -> None:
    slow = {*range(50, 90), *range(120, 160)}
    found = told([finished(n, 3 - n / 200) for n in range(1, 200)], lambda step: 8.0 if step in slow else 1.0)
    assert codes(found) == ["train.slow", "train.slow"]
    assert found[0].values == {"step": 54, "now": "125", "usual": "1,000"}


def test_a_short_hiccup_and_one_long_step_are_no_lost_speed() -> None:
    hiccup = {50: 100.0, 80: 4.0, 81: 4.0, 82: 4.0, 83: 4.0, 84: 4.0, 85: 4.0}
    assert told([finished(n, 3 - n / 200) for n in range(1, 200)], lambda step: hiccup.get(step, 1.0)) == []


def test_a_disk_is_nearly_full_when_two_checkpoints_do_not_fit_and_that_is_told_once(tmp_path: Path) -> None:
    watch = Watch()
    assert watch.disk(tmp_path, 1e6) == []
    (found,) = watch.disk(tmp_path, 1e15)
    assert found.code == "train.disk_nearly_full"
    assert found.values["needed"] == round(disk_needed(1e15) / 1e6)
    assert watch.disk(tmp_path, 1e15) == []
    assert watch.disk(tmp_path, 1e6) == []
    assert len(watch.disk(tmp_path, 1e15)) == 1


def test_a_watch_that_recalls_a_log_tells_nothing_twice_and_goes_on_where_it_was() -> None:
    steps = [finished(n, 2 - n / 400, norm=20.0 if n in (60, 70, 80, 130) else 1.0) for n in range(1, 200)]
    rising = [events.Validated(step=step, loss=loss) for step, loss in ((10, 1.0), (20, 1.1), (30, 1.2))]
    watch = Watch()
    watch.recall([*steps[:100], *rising])
    assert told(steps[100:], watch=watch) == []
    (found,) = watch.validated(events.Validated(step=40, loss=1.3))
    assert found.values["best_step"] == 10


def test_a_step_whose_loss_is_no_number_is_left_to_the_loop() -> None:
    assert told([finished(n, math.nan, norm=math.inf) for n in range(1, 60)]) == []


def test_a_long_run_is_watched_at_next_to_no_cost() -> None:
    steps = [finished(n, 1 + 1 / n) for n in range(1, 20_001)]
    began = time.process_time()
    told(steps)
    assert (time.process_time() - began) / len(steps) < 1e-4  # seconds a step


@pytest.mark.parametrize("language", languages())
def test_every_trouble_has_its_words(language: str) -> None:
    chance = random.Random(1)
    watch = Watch()
    found = told([finished(n, 2.5 * math.exp(chance.gauss(0, 0.05)), norm=900.0 if n == 50 else 1.0) for n in range(1, 300)],
                 lambda step: 20.0 if step > 200 else 1.0, watch)  # fmt: skip
    assert set(codes(found)) == {"train.gradient_spikes", "train.plateau", "train.slow"}
    for each in found:
        assert all(len(sentence) > 5 and "{" not in sentence for sentence in each.sentences(language))


def beating(job: Path, directory_of_the_project: Path) -> subprocess.Popen[bytes]:
    script = f"from core.runs import heartbeat; import pathlib, time; heartbeat.EVERY = 0.05; heartbeat.start(pathlib.Path({str(job)!r})); time.sleep(60)"  # noqa: E501
    return subprocess.Popen([sys.executable, "-c", script], cwd=directory_of_the_project)


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_worker_that_is_stopped_falls_silent_and_one_that_goes_on_is_heard_again(tmp_path: Path) -> None:
    assert heartbeat.silent_for(tmp_path) is None
    worker = beating(tmp_path, Path(__file__).parent.parent)
    try:
        process.note_process(tmp_path, worker.pid)
        wait_until(lambda: (heartbeat.silent_for(tmp_path) or 9) < 0.5)
        os.kill(worker.pid, signal.SIGSTOP)
        assert process.worker_pid(tmp_path) == worker.pid  # its process id tells nothing
        wait_until(lambda: (heartbeat.silent_for(tmp_path) or 0) > 1)
        os.kill(worker.pid, signal.SIGCONT)
        wait_until(lambda: (heartbeat.silent_for(tmp_path) or 9) < 0.5)
        process.note_process(tmp_path, os.getpid())  # another worker has begun and has given no sign yet
        os.kill(worker.pid, signal.SIGSTOP)
        time.sleep(0.1)
        process.note_process(tmp_path, os.getpid())
        assert heartbeat.silent_for(tmp_path) is None
    finally:
        worker.kill()
        worker.wait()
