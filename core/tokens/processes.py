"""Encoding on all cores: processes that are given rows and give back arrays, in order.

They are started as commands and not forked: the process that asks may hold threads, a GPU, or torch, none of which a child
should get.
"""

import queue
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import orjson

from core.errors import ResourceError, problem
from core.runs.process import worker_environment
from core.tokens.encoder import Block
from core.tokens.wire import receive

T = TypeVar("T")
_AHEAD = 3  # packets a process that are read before their turn, so that none of them waits


class Processes:
    """So many processes that encode rows for one model and one system prompt; they end with the block, or with us."""

    def __init__(self, count: int, folder: Path, system_prompt: str | None) -> None:
        self._count = count
        self._asked = orjson.dumps([str(folder), system_prompt]) + b"\n"
        self._started: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="tokenising")

    def __enter__(self) -> "Processes":
        for _ in range(self._count):
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "core.tokens.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=worker_environment(),
                start_new_session=True,  # a Ctrl-C is for the one who asked
            )
            self._started.append(process)
            assert process.stdin is not None
            process.stdin.write(self._asked)  # goes out with the first rows
            self._free.put(process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._started:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self._started:
            process.communicate()

    def encode(self, packets: Iterable[tuple[T, bytes]]) -> Iterator[tuple[T, Block]]:
        """Yield the encoded rows of each packet, in their order; at most a few packets a process are held.

        A packet is what the caller wants to know again, and its rows as `core.tokens.wire.packed` made them.

        Raises:
            ResourceError: if a process was ended from outside, as for lack of memory.
        """
        waiting: deque[tuple[T, Future[Block]]] = deque()
        for known, data in packets:
            waiting.append((known, self._threads.submit(self._ask, data)))
            if len(waiting) >= _AHEAD * self._count:
                known, block = waiting.popleft()
                yield known, block.result()
        for known, block in waiting:
            yield known, block.result()

    def _ask(self, data: bytes) -> Block:
        process = self._free.get()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(data)
            process.stdin.flush()
            return receive(process.stdout)
        except (EOFError, OSError) as ended:
            raise ResourceError(problem("tokens.process_ended")) from ended
        finally:
            self._free.put(process)
