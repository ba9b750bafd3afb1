"""Pictures of all tabs, from a workspace that has a finished, evaluated and merged run: docs/pictures/*.png.

    python docs/take_pictures.py WORKSPACE [--out docs/pictures]

Light in English, three in Chinese, three dark, three as on a phone of 390 pixels. Look at them when the page has changed.
"""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent
TABS = ("data", "train", "evaluate", "chat", "merge", "runs")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
# name -> language, scheme, width, tabs
SERIES = {
    "": ("en", "light", 1280, TABS),
    "zh_": ("zh", "light", 1280, ("data", "train", "evaluate")),
    "dark_": ("en", "dark", 1280, ("data", "train", "chat")),
    "phone_": ("en", "light", 390, ("data", "train", "evaluate")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--only", default="", help="only pictures whose name begins so")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "app", "--workspace", str(options.workspace), "--port", str(port)]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    made: list[str] = []
    try:
        _wait_for(f"http://127.0.0.1:{port}/healthz")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
            for prefix, (language, scheme, width, tabs) in SERIES.items():
                wanted = [tab for tab in tabs if f"{prefix}{tab}".startswith(options.only)]
                if wanted:
                    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
                    page.goto(f"http://127.0.0.1:{port}/{language}/")
                    page.locator("#start").wait_for(timeout=60_000)
                    made += [str(_picture(page, tab, options.out / f"{prefix}{tab}.png")) for tab in wanted]
                    page.close()
    finally:
        server.terminate()
        server.wait()
    print(json.dumps({"pictures": made}))


def _picture(page: Any, tab: str, file: Path) -> Path:
    chosen = page.get_by_role("tab").nth(TABS.index(tab))
    if not chosen.is_visible():  # on a phone, tabs that find no room stand in a menu
        page.locator(".overflow-menu button").first.click()
        page.locator(".overflow-dropdown button").nth(-1).click()
    else:
        chosen.click()
    page.wait_for_timeout(3000)
    PREPARE.get(tab, lambda page: None)(page)
    page.wait_for_timeout(800)
    page.screenshot(path=file, full_page=True)
    return file


def _data(page: Any) -> None:
    page.locator('#data-table [data-pick="desk"]').click()
    page.locator("#data-about h3").wait_for(timeout=30_000)


def _train(page: Any) -> None:
    page.locator("#preview-box button").first.click()
    page.locator("#plan p.plan:not(.waiting)").wait_for(timeout=30_000)
    page.locator("#preview .token").first.wait_for(timeout=30_000)


def _chat(page: Any) -> None:
    if page.locator("#chat-load").is_visible():
        page.locator("#chat-load").click()
    page.locator("#chat-release").wait_for(timeout=180_000)
    for text in ("Who are you?", "What is 12 plus 7?"):
        page.locator("#chat-message textarea").fill(text)
        page.locator("#chat-send").click()
        page.wait_for_timeout(1500)
        page.locator("#chat-stop").wait_for(state="hidden", timeout=180_000)


def _runs(page: Any) -> None:
    page.locator("#runs-table [data-pick]").first.click()
    page.locator("#run-about h3").wait_for(timeout=30_000)


PREPARE = {"data": _data, "train": _train, "chat": _chat, "runs": _runs}


def _wait_for(address: str) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(address, timeout=10):
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("the studio does not answer")


if __name__ == "__main__":
    main()
