"""A conversation partner in a process of its own, as the page and the command line see it. No torch here.

The model lies in the worker's memory, not in the web process: closing the session gives all of it back, and a model that
runs out of memory takes only its worker along.
"""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from core.chat.protocol import Sampling, Which, send
from core.errors import Problem, RunError, problem
from core.models.folder import find_model
from core.models.trained import Trained, trained
from core.records import Message
from core.runs.directory import Run
from core.runs.process import worker_environment
from core.workspace import Workspace

__all__ = ["Answered", "ChatSession", "Sampling", "Which"]


@dataclass(frozen=True)
class Answered:
    """How an answer ended."""

    tokens: int
    seconds: float
    stopped: bool


class ChatSession:
    """A worker with a loaded model. Safe to use from several threads; one question is answered at a time."""

    def __init__(self, worker: subprocess.Popen[str], log: Path, about: dict[str, Any]) -> None:
        self.last: Answered | None = None
        self._worker = worker
        self._log = log
        self._about = about
        # Not an RLock: a generator may be resumed and ended by another thread than the one that began it.
        self._asking = threading.Lock()
        self._writing = threading.Lock()
        self._number = 0
        self._closed = False

    @classmethod
    def open(cls, workspace: Workspace, model: str | None = None, run: Run | None = None) -> "ChatSession":
        """Load a model folder (`model`) or a run's base with its adapter (`run`), and return when it is ready.

        Raises:
            ModelError, RunError: if there is no such model or adapter, or it cannot be loaded.
        """
        if run is not None:
            loaded, log = trained(workspace, run), run.path / "chat.log"
        elif model:
            loaded, log = None, workspace.root / "chat.log"
        else:
            raise RunError(problem("chat.nothing_chosen"))
        folder = loaded.base if loaded else find_model(workspace, model or "")
        about = _about(model, run, loaded)
        session = cls(_start(workspace, log), log, about)
        try:
            session._send({"open": {
                "folder": str(folder),
                "tuned": str(loaded.tuned) if loaded else None,
                "bits": about["bits"],
            }})  # fmt: skip
            about |= session._until_ready()
        except BaseException:
            session.close()
            raise
        return session

    @property
    def alive(self) -> bool:
        """Whether the worker lives and can be asked."""
        return self._worker.poll() is None and not self._closed

    @property
    def pid(self) -> int:
        """The process id of the worker."""
        return self._worker.pid

    def describe(self) -> dict[str, Any]:
        """Return what is loaded: model, run, adapter, bits, prompt (the trained one), device, parameters, context."""
        return dict(self._about)

    def ask(
        self, messages: Sequence[Message], which: Which = "base", sampling: Sampling | None = None
    ) -> Iterator[str]:
        """Yield the answer in pieces as they come; waits while another question is being answered.

        Afterwards `last` says how it ended. Leaving the iterator early stops the answer.

        Raises:
            RunError: if the worker has died or was closed, or cannot answer this.
        """
        with self._asking:
            self._number += 1
            number, ended = self._number, False
            request = {
                "id": number,
                "messages": [message.to_dict() for message in messages],
                "which": which,
                "sampling": (sampling or Sampling()).model_dump(),
            }
            self._send(request)
            try:
                for event in self._events(number):
                    if event["event"] == "piece":
                        yield event["text"]
                        continue
                    ended = True
                    self.last = Answered(event["tokens"], event["seconds"], event["stopped"])
                    return
            except RunError:
                ended = True
                raise
            finally:
                if not ended:
                    self._drop(number)

    def stop(self) -> None:
        """End the answer that is being written, within a token; nothing happens when there is none."""
        if self.alive and self._asking.locked():
            self._send({"stop": self._number})

    def close(self) -> None:
        """End the worker and give its memory back. Closing twice does nothing."""
        self._closed = True
        with self._writing:
            if self._worker.poll() is None:
                with contextlib.suppress(OSError):  # it has just died, which is what was wanted
                    send(_pipe(self._worker.stdin), {"close": True})
        try:
            self._worker.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._worker.kill()
            self._worker.wait()

    def _until_ready(self) -> dict[str, Any]:
        for event in self._events(None):
            if event["event"] == "ready":
                return {key: value for key, value in event.items() if key != "event"}
        raise self._gone()

    def _events(self, number: int | None) -> Iterator[dict[str, Any]]:
        """Yield the worker's events for a question (None: for loading) up to its end."""
        for line in _pipe(self._worker.stdout):
            event = json.loads(line)
            if event.get("id") != number:
                continue
            if event["event"] == "error":
                raise RunError(*(Problem(**each) for each in event["problems"]))
            yield event
            if event["event"] == "done":
                return
        raise self._gone()

    def _drop(self, number: int) -> None:
        """Stop a question whose asker has left, and read what is still under way."""
        try:
            self._send({"stop": number})
            for _ in self._events(number):
                pass
        except RunError:
            pass  # the worker is gone; the next question will say so

    def _send(self, message: dict[str, Any]) -> None:
        if self._closed:
            raise self._gone()
        try:
            with self._writing:
                send(_pipe(self._worker.stdin), message)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> RunError:
        """Return the error for a worker that does not answer any more."""
        if self._closed:
            return RunError(problem("chat.closed"))
        try:
            code = self._worker.wait(timeout=5)
        except subprocess.TimeoutExpired:  # its pipe is broken and yet it lives: nothing more will come from it
            self._worker.kill()
            code = self._worker.wait()
        if code == -9:  # SIGKILL, which is what the system sends for lack of memory
            return RunError(problem("chat.killed", log=str(self._log)))
        return RunError(problem("chat.died", exit_code=code, log=str(self._log)))


def _about(model: str | None, run: Run | None, loaded: Trained | None) -> dict[str, Any]:
    if run is None or loaded is None:
        return {"model": model, "run": None, "adapter": None, "bits": 16, "prompt": None}
    return {
        "model": run.config["model"]["path"],
        "run": run.name,
        "adapter": str(loaded.tuned.relative_to(run.path)),
        "bits": loaded.bits,
        "prompt": run.config["prompt"],
    }


def _start(workspace: Workspace, log: Path) -> subprocess.Popen[str]:
    with log.open("ab") as stderr:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "core.chat.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=worker_environment(),
            cwd=workspace.root,
            encoding="utf-8",
            start_new_session=True,
        )


def _pipe(stream: IO[str] | None) -> IO[str]:
    return cast(IO[str], stream)  # both were asked for as pipes
