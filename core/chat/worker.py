"""The process that holds a model and answers: `python -m core.chat.worker`, JSON lines over stdin and stdout.

It lives as long as its stdin is open, so that a killed studio leaves no process behind that holds memory. Stdout is for the
protocol alone: the real one is put aside before anything is imported that might print, and file descriptor 1 goes to the log.
"""

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.chat.protocol import Sampling, send
from core.errors import StudioError, problem
from core.records import Message

if TYPE_CHECKING:
    from core.chat.model import ChatModel


class Inbox(threading.Thread):
    """Reads requests while the model works. The process ends with its stdin or with a close request, whatever it is doing."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(name="inbox", daemon=True)
        self.requests: queue.Queue[dict[str, Any]] = queue.Queue()
        self.stop = threading.Event()
        self._stream = stream
        self._lock = threading.Lock()
        self._current: int | None = None
        self._stopped: set[int] = set()

    def run(self) -> None:
        for line in self._stream:
            request = json.loads(line)
            if "close" in request:
                break
            if "stop" in request:
                self._ask_to_stop(request["stop"])
            else:
                self.requests.put(request)
        os._exit(0)  # there is nothing to save, and the main thread may be deep inside a matrix product

    def next(self) -> dict[str, Any]:
        """Wait for the next question and clear the stop sign, unless its asker has already called it off."""
        request = self.requests.get()
        with self._lock:
            self._current = request.get("id")
            self.stop.set() if self._current in self._stopped else self.stop.clear()
        return request

    def _ask_to_stop(self, number: int) -> None:
        with self._lock:
            self._stopped.add(number)
            if number == self._current:
                self.stop.set()


def serve(inbox: Inbox, out: IO[str]) -> None:
    """Load what the first message names and answer one question after the other, for ever."""
    send(out, {"event": "loading"})
    opened = inbox.next()["open"]
    try:
        from core.chat.model import ChatModel

        tuned = Path(opened["tuned"]) if opened["tuned"] else None
        model = ChatModel(Path(opened["folder"]), tuned, bits=opened["bits"])
    except Exception as error:
        send(out, {"event": "error", "problems": _problems(error)})
        sys.exit(1)
    send(out, {"event": "ready", **model.facts()})
    while True:
        request = inbox.next()
        try:
            _answer(model, request, inbox, out)
        except Exception as error:
            send(out, {"event": "error", "id": request["id"], "problems": _problems(error)})


def _answer(model: "ChatModel", request: dict[str, Any], inbox: Inbox, out: IO[str]) -> None:
    done = model.answer(
        [Message(**message) for message in request["messages"]],
        request["which"],
        Sampling(**request["sampling"]),
        say=lambda text: send(out, {"event": "piece", "id": request["id"], "text": text}),
        stop=inbox.stop,
    )
    send(out, {"event": "done", "id": request["id"], **done})


def _problems(error: Exception) -> list[dict[str, Any]]:
    """Return the problems of an error; this is the border where a worker catches everything."""
    if isinstance(error, StudioError):
        return [each.to_dict() for each in error.problems]
    traceback.print_exc()
    memory = isinstance(error, MemoryError) or "out of memory" in str(error).lower()
    reason = f"{type(error).__name__}: {error}"[:400]
    return [problem("chat.out_of_memory" if memory else "chat.crashed", reason=reason).to_dict()]


def main() -> None:
    """Put stdout aside, start listening and serve."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    inbox = Inbox(os.fdopen(os.dup(0), encoding="utf-8"))
    inbox.start()
    try:
        serve(inbox, out)
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more


if __name__ == "__main__":
    main()
