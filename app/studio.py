"""What all visitors of one server share: the workspace, what was read of running jobs, and loaded chat models."""

import contextlib
import os
import shutil
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import psutil

from app.story import Story
from core.chat.session import ChatSession
from core.data.registry import Registry
from core.models.folder import known_models
from core.prompts.store import PromptStore
from core.runs.directory import Run, find
from core.runs.events import Event, Resumed, read_from, standing
from core.runs.owner import Owner
from core.runs.summary import Shelf
from core.workspace import Workspace

_LOGS = 64  # event logs kept in memory; the least recently watched is dropped and read again when wanted


@dataclass
class _Log:
    """What was read of one log, up to `offset`; of the log of a training its story instead of every event."""

    offset: int = 0
    seen: list[Event] = field(default_factory=list)
    story: Story = field(default_factory=Story)


class Studio:
    """Holds nothing that is not on disk, but for loaded chat models; a restarted server loses only those."""

    def __init__(self, workspace: Workspace, owner: Owner | None = None) -> None:
        """`owner` is the right of this process to change the workspace; None where nobody shares it with others."""
        self.workspace = workspace
        self.owner = owner
        self.registry = Registry(workspace)
        self.prompts = PromptStore(workspace)
        self.shelf = Shelf(workspace)
        self._logs: OrderedDict[Path, _Log] = OrderedDict()
        self._stories: OrderedDict[Path, _Log] = OrderedDict()
        self._reading = threading.Lock()
        self._chats: dict[str, ChatSession] = {}
        self._opening: dict[str, threading.Lock] = {}
        self._chatting = threading.Lock()

    def events(self, job: Path) -> Sequence[Event]:
        """Return all events of a job that stand. Each byte of its log is read once, however many watch it.

        The list is the one that is kept, and grows: a log of 100,000 events is not copied for each viewer.
        """
        with self._reading:
            log = self._log(self._logs, job)
            fresh, log.offset = read_from(job / "events.jsonl", log.offset)
            if _takes_back(fresh):
                log.seen = standing([*log.seen, *fresh])
            else:
                log.seen += fresh
            return log.seen

    def story(self, job: Path) -> Story:
        """Return what the page tells of a training, of bounded size whatever its length."""
        with self._reading:
            log = self._log(self._stories, job)
            fresh, log.offset = read_from(job / "events.jsonl", log.offset)
            if _takes_back(fresh):  # what was drawn already stands no longer: read it all again, once
                everything, log.offset = read_from(job / "events.jsonl")
                log.story, fresh = Story.of(standing(everything)), []
            for event in fresh:
                log.story.add(event)
            log.story.read = log.offset
            return log.story

    def _log(self, logs: "OrderedDict[Path, _Log]", job: Path) -> _Log:
        log = logs.setdefault(job, _Log())
        logs.move_to_end(job)
        if len(logs) > _LOGS:
            logs.popitem(last=False)
        return log

    def runs(self) -> list[Run]:
        """Return all runs, newest first."""
        return self.shelf.runs()

    def run(self, name: str) -> Run:
        """Return a run by name.

        Raises:
            RunError, PathError: if there is none.
        """
        return find(self.workspace, name)

    def models(self) -> list[str]:
        """Return the model paths worth offering."""
        return known_models(self.workspace)

    def chat(self, key: str) -> ChatSession | None:
        """Return the loaded model called `key` (`run:NAME` or `model:PATH`), if it is loaded and lives."""
        with self._chatting:
            session = self._chats.get(key)
        return session if session is not None and session.alive else None

    def open_chat(self, key: str) -> ChatSession:
        """Return the loaded model called `key`, loading it when nobody has.

        Raises:
            StudioError: if it cannot be loaded.
        """
        with self._chatting:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:  # two visitors who load the same model share one
            session = self.chat(key)
            if session is None:
                kind, _, name = key.partition(":")
                run = self.run(name) if kind == "run" else None
                session = ChatSession.open(self.workspace, model=None if run else name, run=run)
                with self._chatting:
                    self._chats[key] = session
            return session

    def chats(self) -> list[ChatSession]:
        """Return the models that are loaded."""
        with self._chatting:
            return [session for session in self._chats.values() if session.alive]

    def end_chats(self) -> None:
        """End all loaded models and give their memory back."""
        for key in list(self._chats):
            self.release_chat(key)

    def release_chat(self, key: str) -> None:
        """End a loaded model and give its memory back."""
        with self._chatting:
            session = self._chats.pop(key, None)
        if session is not None:
            session.close()

    def close(self) -> None:
        """End what this process holds. Running jobs are left alone: they do not need the server."""
        self.end_chats()
        if self.owner is not None:
            self.owner.give_up()

    @cached_property
    def graphics_card(self) -> str:
        """The name and memory of the first NVIDIA card, "" where there is none."""
        tool = shutil.which("nvidia-smi")
        if tool is None:
            return ""
        query = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            found = subprocess.run(query, capture_output=True, text=True, timeout=5, check=True).stdout
            return found.partition("\n")[0].strip()
        return ""


def _takes_back(fresh: Sequence[Event]) -> bool:
    return any(isinstance(each, Resumed) for each in fresh)


def machine() -> tuple[int, float, float]:
    """Return the processor cores this process may use, and gigabytes of memory: used, in all."""
    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores, (memory.total - memory.available) / 1e9, memory.total / 1e9
