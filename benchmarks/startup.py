"""How long from starting the studio to its first page, and how much memory the web process then holds. Prints JSON.

    python benchmarks/startup.py [--runs 3] [--browser]

`seconds_to_page` is the median over starts from nothing to the complete answer of /en/; `seconds_to_drawn` (with --browser)
until the Start button is visible in Chromium that is already open. Memory is the resident set after the page was loaded.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
LIMITS = {"seconds_to_page": 4.0, "megabytes": 350.0}  # first page within 4 s, web process under 350 MB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--browser", action="store_true", help="also time until the page is drawn in Chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _browser(options.browser) as browser:
        measured = [_measure(Path(folder), browser) for _ in range(options.runs)]
    result: dict[str, Any] = {
        name: round(statistics.median(each[name] for each in measured), 2) for name in measured[0]
    }
    result |= {"runs": options.runs, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 2), "limits": LIMITS}
    result["within"] = all(result[name] <= limit for name, limit in LIMITS.items())
    print(json.dumps(result))


def _measure(workspace: Path, browser: Any) -> dict[str, float]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "--workspace", str(workspace), "--port", str(port)]
    address = f"http://127.0.0.1:{port}/en/"
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        _wait_for(address, process)
        found = {"seconds_to_page": time.perf_counter() - began}
        if browser is not None:
            page = browser.new_page()
            page.goto(address)
            page.locator("#start").wait_for(timeout=60_000)
            found["seconds_to_drawn"] = time.perf_counter() - began
            page.close()
        found["megabytes"] = psutil.Process(process.pid).memory_info().rss / 1e6
        return found
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            with urllib.request.urlopen(address, timeout=30) as answer:
                answer.read()
                return
        except OSError:
            if process.poll() is not None:
                sys.exit("the studio ended before it answered")
            time.sleep(0.02)


@contextlib.contextmanager
def _browser(wanted: bool) -> Any:
    if not wanted:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        yield playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)


if __name__ == "__main__":
    main()
