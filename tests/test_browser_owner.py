"""One server of a workspace may write; a second one looks, says so, and takes over when it is asked to."""

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from app import page
from app.owner_guard import READING
from app.standing import told
from app.studio import Studio
from core.errors import ResourceError
from core.runs import owner as owners, process, queue
from core.runs.directory import listing
from core.runs.owner import Owner
from core.wording import words
from core.workspace import Workspace
from tests.studio_server import Visitor, fill, open_tab, running, small_workspace, start_server, status, train_tiny

SERVER = """
import sys, time
from core.runs.owner import Owner
from core.workspace import Workspace
owner = Owner(Workspace.at(sys.argv[1]), "http://first/")
print(owner.take(), flush=True)
while True:
    owner.keep_turn()
    time.sleep(0.05)
"""
# Buttons whose handlers change nothing on disk, so that a server that only looks may run them.
LOOKS = {
    *("answers-back", "answers-onward", "answers-search", "evaluate-csv", "evaluate-report"),
    *(
        "chat-clear",
        "chat-exact-show",
        "chat-message",
        "chat-release",
        "chat-send",
        "chat-stop",
        "data-no",
        "data-remove",
    ),
    *("data-table", "go-chat", "go-evaluate", "go-merge", "mixture", "preset-undo", "preview-next", "pulse-again"),
    *(
        "pulse-data",
        "experiments-list",
        "experiments-report",
        "pulse-evaluations",
        "pulse-experiments",
        "pulse-jobs",
        "pulse-listed",
        "pulse-merges",
        "pulse-runs",
        "records-back",
        "records-goto",
        "records-onward",
        "run-body",
        "run-no",
        "runs-bundle",
    ),
    *(
        "runs-compare",
        "runs-compare-close",
        "runs-more",
        "runs-no",
        "runs-show",
        "runs-table",
        "xray-back",
        "xray-onward",
    ),
}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "workspace")


@pytest.fixture
def first(workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the workspace."""
    command = [sys.executable, "-c", SERVER, str(workspace.root)]
    other = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert other.stdout is not None
    assert other.stdout.readline() == "True\n"
    yield other
    other.kill()
    other.wait()


def second(workspace: Workspace) -> Owner:
    return Owner(workspace, "http://second/")


def test_the_second_of_two_servers_only_looks_and_names_the_first(
    workspace: Workspace, first: subprocess.Popen[str]
) -> None:
    mine = second(workspace)
    assert not mine.take()
    mine.keep_turn()
    assert not mine.writes
    with pytest.raises(ResourceError, match="http://first/ has it open"), mine.writing():
        pass


def test_a_server_that_was_killed_holds_nothing(workspace: Workspace, first: subprocess.Popen[str]) -> None:
    mine = second(workspace)
    first.send_signal(signal.SIGKILL)
    first.wait()
    mine.keep_turn()
    assert mine.writes
    assert mine.where() == "http://second/"
    with mine.writing():
        pass


def test_a_server_that_is_asked_gives_up_and_has_the_right_again_when_the_other_ends(
    workspace: Workspace, first: subprocess.Popen[str]
) -> None:
    mine, began = second(workspace), time.monotonic()
    mine.take_over()
    assert mine.writes
    assert time.monotonic() - began < 3
    third = Owner(workspace, "http://third/")
    assert not third.take()
    mine.give_up()
    mine._retry_from = time.monotonic() + 60  # this server has ended
    assert third.take()


def test_a_server_that_does_not_answer_keeps_the_right_and_the_words_say_what_to_do(
    workspace: Workspace, first: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "PATIENCE", 0.6)
    mine = second(workspace)
    first.send_signal(signal.SIGSTOP)
    with pytest.raises(ResourceError, match=f"end process {first.pid}"):
        mine.take_over()
    assert not mine.writes
    first.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    assert not mine.take()  # the question was taken back: the first, awake again, keeps what it has


def test_what_is_being_written_ends_before_the_right_is_given_up(workspace: Workspace) -> None:
    mine, order = second(workspace), []
    mine.take()
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with mine.writing():
            inside.set()
            leave.wait(5)
            order.append("written")

    writer = threading.Thread(target=write)
    writer.start()
    inside.wait(5)
    threading.Timer(0.3, leave.set).start()
    mine.give_up()
    order.append("given up")
    writer.join()
    assert order == ["written", "given up"]


def test_what_is_written_for_long_keeps_the_right_and_the_one_who_asks_has_it_afterwards(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_ENDING", 0.2)
    mine, other = second(workspace), Owner(workspace, "http://third/")
    asking = owners.Server(f"{process.identity(os.getppid())}", "http://third/", 0.0)
    mine.take()
    owners._write(mine._request, asking)
    with mine.writing():
        done = threading.Thread(target=mine.keep_turn)
        done.start()
        done.join()
        assert mine.writes
        assert not other.take()
    mine._request.unlink()
    assert not mine.give_up(asking)  # it waits no more
    owners._write(mine._request, asking)
    mine.keep_turn()
    assert not mine.writes
    assert other.take()


def test_a_studio_opens_on_a_full_disk(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    stale = owners.Server("1 1.0", "http://gone/", 0.0)
    mine = second(workspace)
    owners._write(mine._holder, stale)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # nothing can be written any more
    try:
        assert mine.take()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert mine.writes
    assert mine.holder() is None
    mine.give_up()


def test_a_server_that_only_looks_refuses_every_handler_that_could_change_something(
    workspace: Workspace, first: subprocess.Popen[str]
) -> None:
    blocks = page.build(Studio(workspace, second(workspace)), "en")
    refused, let_through = set(), set()
    for event in blocks.fns.values():
        clicked = {blocks.blocks[target].elem_id for target, name in event.targets if name not in READING}
        if clicked and "take-over" not in clicked:
            (refused if _refuses(event.fn) else let_through).update(clicked)
    assert let_through == LOOKS
    assert refused.isdisjoint(LOOKS)


def _refuses(function: Any) -> bool:
    """Tell whether a handler answers that this studio may only look, whatever it is given."""
    result = function({})
    result = next(result) if hasattr(result, "__next__") else result
    return any("can only look" in str(each) for each in result.values())


def test_a_page_is_told_who_has_the_workspace(workspace: Workspace, first: subprocess.Popen[str]) -> None:
    looking = told(Studio(workspace, second(workspace)), words("en"), True)
    assert "http://first/" in looking["notes"]
    assert 'data-press="take-over"' in looking["notes"]
    assert told(Studio(workspace), words("en"), False) == {"badge": "", "notes": ""}


def _worker_of(job: Path) -> int:
    deadline = time.monotonic() + 30
    while (pid := process.worker_pid(job)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return pid


def _start_another(page: Page, newest: str, waiting: int) -> None:
    expect(page.locator("#run input")).to_have_value(newest, timeout=30_000)  # what the last press has started is shown
    page.locator("#start").click()
    expect(page.locator("#doing")).to_contain_text(words("en")("queue.so_many_wait", n=waiting), timeout=30_000)


def test_a_person_orders_the_queue_and_a_second_studio_looks_and_takes_over(tmp_path: Path, visitor: Visitor) -> None:
    t, root = words("en"), small_workspace(tmp_path / "workspace")
    workspace = Workspace.at(root)
    with running(root) as first:
        page = visitor.open(f"{first.url}/en/")
        train_tiny(page, "900")
        pid = _worker_of(listing(workspace)[0].path)
        os.kill(pid, signal.SIGSTOP)  # it stays at work, and leaves the processor to this test
        for waiting in (1, 2):
            _start_another(page, listing(workspace)[0].name, waiting)
        newest, older, works = listing(workspace)
        expect(page.locator("#doing")).to_contain_text("processor: Training tiny_qlora")
        open_tab(page, 5)
        rows = page.locator("#queue-box ol li")
        expect(rows.nth(0)).to_contain_text(older.name, timeout=15_000)
        rows.filter(has_text=newest.name).get_by_role("button", name=t("queue.first")).click()
        expect(rows.nth(0)).to_contain_text(newest.name, timeout=15_000)

        rows.filter(has_text=newest.name).get_by_role("button", name=t("queue.edit")).click()
        expect(page.locator("#train-filled")).to_contain_text(newest.name, timeout=15_000)
        fill(page, "schedule.epochs", "5")
        expect(page.locator("#start")).to_be_enabled(timeout=30_000)
        page.locator("#start").click()
        expect(page.locator("#run input")).not_to_have_value(newest.name, timeout=30_000)
        edited = listing(workspace)[0]
        assert edited.settings.schedule.epochs == 5
        assert (workspace.trash / newest.name).is_dir()
        assert [each.job for each in queue.look(workspace).waiting] == [f"runs/{edited.name}", f"runs/{older.name}"]

        other = start_server(root)
        try:
            looking = visitor.open(f"{other.url}/en/")
            expect(looking.locator("#read-only")).to_contain_text(first.url, timeout=15_000)
            open_tab(looking, 5)
            expect(looking.locator("#queue-box li")).to_have_count(3, timeout=15_000)
            expect(looking.locator("#queue-box button")).to_have_count(0)
            looking.get_by_role("button", name=t("owner.take_over"), exact=True).click()
            expect(looking.locator("#queue-box ol button").first).to_be_visible(timeout=20_000)
            expect(looking.locator("#read-only")).to_have_count(0, timeout=20_000)
            expect(page.locator("#read-only")).to_contain_text(other.url, timeout=20_000)
            for left in (1, 0):
                looking.locator("#queue-box ol").get_by_role("button", name=t("queue.cancel")).first.click()
                expect(looking.locator("#queue-box ol li")).to_have_count(left, timeout=15_000)
            looking.close()
        finally:
            other.kill()
        assert process.worker_pid(works.path) == pid
        expect(status(page)).to_have_text(t("status.running"))
        visitor.assert_nothing_went_wrong()
