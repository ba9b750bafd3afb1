"""A small Hugging Face hub on this machine: the two addresses that a download asks, and the ways in which they fail.

/api/models/ORG/NAME[/revision/COMMIT]?blobs=true      what the model consists of
/ORG/NAME/resolve/COMMIT/FILE                          a file, from any byte on
"""

import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LARGE = 10_000  # bytes; the hub keeps larger files apart and gives their SHA-256


@dataclass
class Hub:
    """What the server has and how it behaves. `asked` lists the requests for files, with the byte that they began at."""

    models: dict[str, Path] = field(default_factory=dict)
    commit: str = "a" * 40
    refuse: tuple[int, str] | None = None  # status and X-Error-Code of every answer
    token: str = ""  # asked for where it is set
    cut_after: int = 0  # bytes of a large file after which the line breaks, once for each file
    cut_for_good: bool = False  # and brings nothing more
    ignore_range: bool = False
    no_range_behind: bool = False  # answers 416 to whoever goes on
    spoil: str = ""  # name of a file that arrives changed
    stall_after: int = 0  # bytes of a large file after which nothing comes for a while, once
    stall: float = 0.0  # seconds
    pause: float = 0.0  # seconds after each 4 kB of a large file
    asked: list[tuple[str, int]] = field(default_factory=list)
    address: str = ""
    _cut: set[str] = field(default_factory=set)

    def begins(self, name: str) -> list[int]:
        """Return the bytes at which a file was asked for, in order."""
        return [start for asked, start in self.asked if asked == name]


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve the hub on a free port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.hub.refuse or (self.hub.token and self.headers.get("authorization") != f"Bearer {self.hub.token}"):
            status, code = self.hub.refuse or (401, "GatedRepo")
            self._answer(status, b"no", {"X-Error-Code": code} if code else {})
            return
        path = self.path.partition("?")[0]
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/\w+)?", path):
            self._model(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/(\w+)/(.+)", path):
            self._file(found[1], found[2], found[3])
        else:
            self._answer(404, b"nothing here", {})

    def _model(self, name: str) -> None:
        folder = self.hub.models.get(name)
        if folder is None:
            self._answer(404, b"no", {"X-Error-Code": "RepoNotFound"})
            return
        files = [_described(file, folder) for file in sorted(folder.rglob("*")) if file.is_file()]
        values = {"id": name, "sha": self.hub.commit, "siblings": files, "private": False, "tags": []}
        if (folder / "README.md").is_file():
            values["cardData"] = {"license": "apache-2.0"}
        self._answer(200, json.dumps(values).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, commit: str, path: str) -> None:
        file = self.hub.models[name] / path
        if commit != self.hub.commit or not file.is_file():
            self._answer(404, b"no", {"X-Error-Code": "EntryNotFound"})
            return
        content = file.read_bytes()
        if path == self.hub.spoil:
            content = content[:-1] + b"!"
        given = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        start = int(given[1]) if given else 0
        self.hub.asked.append((path, start))
        if start and self.hub.no_range_behind:
            self._answer(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            return
        if self.hub.ignore_range:
            start = 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        self._send(path, content[start:])

    def _send(self, path: str, content: bytes) -> None:
        again = path in self.hub._cut
        cut = len(content) > LARGE and self.hub.cut_after and (self.hub.cut_for_good or not again)
        if cut:
            content = content[: 0 if again else self.hub.cut_after]
            self.hub._cut.add(path)
        for start in range(0, len(content), 4096):
            self.wfile.write(content[start : start + 4096])
            if self.hub.pause and len(content) > LARGE:
                time.sleep(self.hub.pause)
            if 0 < self.hub.stall_after <= start:
                self.hub.stall_after = 0
                time.sleep(self.hub.stall)
        if cut:
            self.wfile.flush()
            self.connection.close()
            self.close_connection = True

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, BrokenPipeError, ValueError):  # whoever asked is gone
            super().handle()

    def log_message(self, *_: Any) -> None:
        return


def _described(file: Path, folder: Path) -> dict[str, Any]:
    content = file.read_bytes()
    told: dict[str, Any] = {"rfilename": str(file.relative_to(folder)), "size": len(content)}
    told["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    if len(content) >= LARGE:
        told["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return told
