"""One server of a workspace may write; a second one looks, says so, and takes over when it is asked to."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from app import page
from app.owner_guard import READING
from app.standing import told
from app.studio import Studio
from core.errors import ResourceError
from core.runs import owner as owners, process
from core.runs.directory import listing
from core.runs.owner import Owner
from core.wording import words
from core.workspace import Workspace
from tests.studio_server import Visitor, fill, open_tab, running, setting, small_workspace, start_server, train_tiny

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
LOOKS = set(
    "chat-clear chat-exact-show chat-message chat-release chat-send chat-stop data-no data-remove data-table "
    "go-chat go-evaluate go-merge mixture preset-undo preview-next pulse-again pulse-jobs pulse-runs "
    "records-back records-goto records-onward run-no runs-bundle runs-compare runs-compare-close runs-more runs-no runs-show runs-table xray-back xray-onward".split()
)


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
