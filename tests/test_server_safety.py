"""The web process from outside: who may call it, what it gives away, and how it starts and refuses to."""

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.gate import WRONG_PASSWORDS
from app.server import bind, create_app, is_loopback
from app.studio import Studio
from core.workspace import Workspace
from tests.studio_server import ROOT, free_port, running

HOME = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Studio:
    return Studio(Workspace.at(tmp_path_factory.mktemp("safety")))


@pytest.fixture(scope="module")
def client(studio: Studio) -> Iterator[TestClient]:
    with TestClient(create_app(studio), base_url=HOME, follow_redirects=False) as client:
        yield client


def start(*flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *flags], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env={**os.environ, "LANG": "C", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("language", ["en", "zh"])
def test_each_language_has_a_page(client: TestClient, language: str) -> None:
    answer = client.get(f"/{language}/")
    assert answer.status_code == 200
    assert "gradio_config" in answer.text


def test_the_root_leads_to_the_preferred_language_and_health_answers(client: TestClient) -> None:
    assert client.get("/", headers={"accept-language": "zh-CN"}).headers["location"] == "/zh"
    assert client.get("/healthz").json()["status"] == "ok"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:7860", ""])
def test_another_host_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/en/", headers={"host": host}).status_code == 400


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:7861", "https://127.0.0.1.evil.example"]
)
def test_another_origin_cannot_change_anything(client: TestClient, origin: str) -> None:
    answer = client.post("/en/gradio_api/queue/join", headers={"origin": origin}, json={})
    assert answer.status_code == 403
    assert client.options("/en/gradio_api/queue/join", headers={"origin": origin}).status_code == 403


def test_the_own_origin_gets_through(client: TestClient) -> None:
    assert client.post("/en/gradio_api/queue/join", headers={"origin": HOME}, json={}).status_code not in (
        400,
        401,
        403,
    )


def test_a_script_of_another_site_cannot_read(client: TestClient) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"}
    assert client.get("/en/config", headers=headers).status_code == 403
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/en/", headers=linked).status_code == 200


@pytest.mark.parametrize("path", ["/en/", "/healthz", "/en/config", "/nothing"])
def test_every_answer_has_the_safe_headers_and_no_cors(client: TestClient, path: str) -> None:
    headers = client.get(path, headers={"origin": "http://evil.example"}).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control-")]


@pytest.mark.parametrize("path", ["monitoring", "monitoring/summary", "gradio_api/monitoring/summary"])
def test_nobody_is_told_about_the_traffic(client: TestClient, path: str) -> None:
    assert client.get(f"/en/{path}").status_code in (403, 404)


def test_files_of_the_workspace_the_project_and_the_system_are_not_served(client: TestClient, studio: Studio) -> None:
    secret = studio.workspace.root / "secret.txt"
    secret.write_text("hush")
    for path in (secret, ROOT / "pyproject.toml", Path("/etc/passwd"), studio.workspace.root / "x/../secret.txt"):
        answer = client.get(f"/en/gradio_api/file={path}")
        assert answer.status_code in (403, 404)
        assert "hush" not in answer.text


def test_the_settings_that_are_unsafe_by_default_are_set(client: TestClient) -> None:
    config = client.get("/en/config").json()
    assert config["analytics_enabled"] is False
    assert config["max_file_size"] == 512 * 1024 * 1024
    assert config["footer_links"] == []
    assert config.get("run_history") is False
    assert "fonts.googleapis" not in json.dumps(config)
    assert "fonts.googleapis" not in client.get("/en/theme.css").text


def test_an_upload_over_the_limit_is_refused(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.server.MAX_UPLOAD", "1kb")
    with TestClient(create_app(studio), base_url=HOME) as client:
        answer = client.post(
            "/en/gradio_api/upload", files={"files": ("a.json", b"x" * 5000)}, headers={"origin": HOME}
        )
        assert answer.status_code == 413


def test_a_password_is_asked_for_and_guessing_is_slowed_down(studio: Studio) -> None:
    def login(password: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}

    with TestClient(create_app(studio, password="right"), base_url=HOME) as client:
        assert client.get("/en/").status_code == 401
        assert "basic" in client.get("/en/").headers["www-authenticate"].lower()
        assert client.get("/en/", headers=login("right")).status_code == 200
        assert client.get("/en/", headers={"authorization": "Basic ???"}).status_code == 401
        for _ in range(WRONG_PASSWORDS):
            assert client.get("/en/", headers=login("wrong")).status_code in (401, 429)
        late = client.get("/en/", headers=login("right"))
        assert late.status_code == 429
        assert int(late.headers["retry-after"]) <= 61


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.5.0.1", True), ("0.0.0.0", False), ("10.0.0.5", False),
     ("my-machine", False)],
)  # fmt: skip
def test_loopback_is_told_from_the_rest(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_an_address_beyond_this_machine_is_refused_without_a_password(tmp_path: Path) -> None:
    refused = start("--workspace", str(tmp_path), "--host", "0.0.0.0", "--port", str(free_port()), STUDIO_PASSWORD="")
    assert refused.returncode == 1
    assert "STUDIO_PASSWORD" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_second_studio_on_the_same_port_says_so(tmp_path: Path) -> None:
    with running(tmp_path / "workspace") as first:
        second = start("--workspace", str(tmp_path), "--port", str(first.port), "--lang", "en")
    assert second.returncode == 1
    assert f"Port {first.port} is already in use" in second.stderr
    assert "Traceback" not in second.stderr


def test_no_answer_is_held_back_in_its_middle() -> None:
    """Else the system waits 40 ms before it sends the second piece of an answer."""

    async def accepted() -> int:
        told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def serve(_: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
            told.set_result(out.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            out.close()

        listening = bind("127.0.0.1", free_port())
        async with await asyncio.start_server(serve, sock=listening):
            _, out = await asyncio.open_connection(*listening.getsockname())
            out.close()
            return await told

    assert asyncio.run(accepted()) == 1


@pytest.mark.parametrize("flags", [["--port", "0"], ["--port", "many"], ["--lang", "xx"], ["--unknown"]])
def test_wrong_usage_leaves_with_2(flags: list[str]) -> None:
    assert start(*flags).returncode == 2


def test_a_workspace_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = start("--workspace", str(tmp_path / "file"))
    assert refused.returncode == 1
    assert "--workspace" in refused.stderr


def test_the_web_process_imports_no_torch_and_lives_in_a_private_directory(tmp_path: Path) -> None:
    script = (
        "import os, stat, sys, json; from app import private; private.settle(); import app.server;"
        "print(json.dumps([sorted(sys.modules.keys() & {'torch','transformers','peft','bitsandbytes'}), os.listdir('.'),"
        "stat.S_IMODE(os.stat(os.environ['GRADIO_TEMP_DIR']).st_mode), os.environ.get('GRADIO_VIBE_MODE'),"
        "os.environ['GRADIO_SHARE']]))"
    )
    unsafe = {"GRADIO_SHARE": "True", "GRADIO_VIBE_MODE": "1", "GRADIO_ALLOWED_PATHS": "/"}
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **unsafe},
    )
    assert json.loads(answer.stdout) == [[], [], 0o700, None, "False"]
