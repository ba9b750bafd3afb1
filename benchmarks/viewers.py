"""What open pages that watch a run cost its training, and the server. Prints JSON.

    python benchmarks/viewers.py [--viewers 50] [--windows 4] [--seconds 20]

A real server and a real training of the starter model. Every viewer is opened as the page is: the page itself, its Gradio
session with the events of loading, the connection that keeps the session alive, and then the questions that the page's
script asks, as often as the server's answers say. All viewers are one light process, whose own work is told apart. Stretches
of the training with the viewers asking and without take turns, so that both see the same machine; `speed` is the median of
the ratios of steps a second, each to the two stretches beside it. Where other programs are at work these waver;
`share_of_machine` does not: what the server does more while it is watched, as a part of all cores. The limits:
speed 0.95, server under 600 MB.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psutil

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from core.runs import process, supervisor  # noqa: E402
from core.runs.directory import Run  # noqa: E402
from core.settings import load_recipe  # noqa: E402
from core.train.prepare import prepare  # noqa: E402
from core.workspace import SAMPLES, Workspace  # noqa: E402
from tests.studio_server import Server, running  # noqa: E402

LIMITS = {"speed": 0.95, "server_mb": 600.0}
SETTLING = 15.0  # seconds after the first step that belong to no stretch


class Connection:
    """One connection that is kept open, with as little work as may be: the viewers must not cost more than the server."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> "Connection":
        self._in, self._out = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def get(self, path: str) -> bytes:
        try:
            return await self._get(path)
        except (
            ConnectionError,
            asyncio.IncompleteReadError,
        ):  # the server closes a connection that is not used for 5 s
            await self.open()
            return await self._get(path)

    async def _get(self, path: str) -> bytes:
        await self.ask(path)
        length, line = 0, b"-"
        while line.strip():
            line = await self._in.readuntil(b"\n")
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return await self._in.readexactly(length)

    async def ask(self, path: str) -> None:
        self._out.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n\r\n".encode())
        await self._out.drain()


class Viewers:
    """The open pages. They ask only while `asking` is set."""

    def __init__(self, server: Server, run: Run, count: int) -> None:
        self._server, self._run, self._count = server, run, count
        self.asking = asyncio.Event()
        self.asked = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        with urllib.request.urlopen(f"{self._server.url}/en/config") as answer:
            config = json.load(answer)
        for number in range(self._count):
            await asyncio.to_thread(_load, self._server, config, f"viewer{number}")
            alive = await Connection(self._server.port).open()
            await alive.ask(f"/en/gradio_api/heartbeat/viewer{number}")
            self._tasks.append(asyncio.create_task(self._watch(number, alive)))

    async def _watch(self, number: int, _: Connection) -> None:
        line, stamp = await Connection(self._server.port).open(), ""
        while True:
            await self.asking.wait()
            asked = urlencode({"run": self._run.name, "stamp": stamp, "viewer": f"v{number}", "log": -1})
            said = json.loads(await line.get(f"/live/en?{asked}"))
            self.asked += 1
            stamp = said.get("stamp", stamp)
            await asyncio.sleep(said["wait"] / 1000)


def _load(server: Server, config: dict[str, Any], session: str) -> None:
    """Open the page and send the events that a browser sends when it has loaded it."""
    with urllib.request.urlopen(f"{server.url}/en/") as page:
        page.read()
    defaults = {each["id"]: each["props"].get("value") for each in config["components"]}
    for event in config["dependencies"]:
        if any(trigger == "load" for _, trigger in event["targets"]):
            values = [defaults.get(each) for each in event["inputs"]]
            data = {
                "data": values,
                "fn_index": event["id"],
                "session_hash": session,
                "event_data": None,
                "trigger_id": None,
            }
            asked = urllib.request.Request(
                f"{server.url}/en/gradio_api/queue/join",
                json.dumps(data).encode(),
                {"content-type": "application/json"},
            )
            urllib.request.urlopen(asked).read()
            with urllib.request.urlopen(f"{server.url}/en/gradio_api/queue/data?session_hash={session}") as results:
                results.read()


async def _measure(server: Server, run: Run, options: argparse.Namespace) -> dict[str, Any]:
    own, page = psutil.Process(), psutil.Process(server.process.pid)
    alone_mb = page.memory_info().rss / 1e6
    viewers = Viewers(server, run, options.viewers)
    await viewers.open()
    _say(f"{options.viewers} pages are open")
    while not _steps(run):
        await asyncio.sleep(0.5)
    await asyncio.sleep(SETTLING)
    stretches: list[dict[str, float]] = []
    for number in range(2 * options.windows + 1):
        watched = number % 2 == 1
        if watched:
            viewers.asking.set()
            await asyncio.sleep(5)  # until their questions have spread
        before = time.time(), _cpu(own), _cpu(page), viewers.asked
        await asyncio.sleep(options.seconds)
        took = time.time() - before[0]
        viewers.asking.clear()
        stretches.append(
            {
                "steps": sum(before[0] < each <= before[0] + took for each in _steps(run)) / took,
                "viewers_cpu": (_cpu(own) - before[1]) / took,
                "server_cpu": (_cpu(page) - before[2]) / took,
                "asked": (viewers.asked - before[3]) / took,
                "mb": page.memory_info().rss / 1e6,
            }
        )
        _say(f"{'watched' if watched else 'alone'}: {stretches[-1]}; load {os.getloadavg()[0]:.1f}")
        await asyncio.sleep(3)
    return _figures(stretches, alone_mb, options)


def _figures(stretches: list[dict[str, float]], alone_mb: float, options: argparse.Namespace) -> dict[str, Any]:
    watched = stretches[1::2]
    ratios = [
        2 * each["steps"] / (before["steps"] + after["steps"])
        for before, each, after in zip(stretches[::2], watched, stretches[2::2], strict=False)
    ]
    middle = {name: statistics.median(each[name] for each in watched) for name in watched[0]}
    alone = {name: statistics.median(each[name] for each in stretches[::2]) for name in watched[0]}
    found = {
        "viewers": options.viewers,
        "speed": round(statistics.median(ratios), 3),
        "speeds": [round(each, 3) for each in ratios],
        "steps_per_second_alone": round(alone["steps"], 2),
        "server_cpu_watched": round(middle["server_cpu"], 3),
        "server_cpu_alone": round(alone["server_cpu"], 3),
        "viewers_cpu": round(middle["viewers_cpu"], 3),
        "share_of_machine": round((middle["server_cpu"] - alone["server_cpu"]) / (os.cpu_count() or 1), 4),
        "answers_per_second": round(middle["asked"], 1),
        "server_mb": round(max(each["mb"] for each in stretches)),
        "server_mb_without_pages": round(alone_mb),
    }
    within = found["speed"] >= LIMITS["speed"] and found["server_mb"] <= LIMITS["server_mb"]
    return {**found, "load": round(os.getloadavg()[0], 2), "limits": LIMITS, "within": within}


def _steps(run: Run) -> list[float]:
    """Return when each step was told."""
    try:
        lines = run.log.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line)["time"] for line in lines if '"step_finished"' in line and line.endswith("}")]


def _cpu(one: psutil.Process) -> float:
    spent = one.cpu_times()
    return spent.user + spent.system


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=int, default=50)
    parser.add_argument("--windows", type=int, default=4, help="stretches with viewers; there is one more without")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one stretch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.at(Path(folder) / "workspace")
        chosen = {"data.train": ["desk", "general"], "data.test": ["desk_test"], "schedule.epochs": 1_000}
        run = prepare(workspace, load_recipe(SAMPLES / "recipes" / "starter.yaml", chosen))
        with running(workspace.root) as server:
            supervisor.launch(run.path, "core.train.worker")
            try:
                print(json.dumps(asyncio.run(_measure(server, run, options))))
            finally:
                process.kill(run.path)


if __name__ == "__main__":
    main()
