"""The model card: what a model is, what a base model lacks, and a download from the hub that is watched and cancelled."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from core.amounts import bytes_of
from core.wording import words
from tests.bare import build_bare_model
from tests.hub_server import Hub, serving
from tests.studio_server import Server, Visitor, choose, fill, open_tab, running, small_workspace
from tests.tiny import build_tiny_model

pytestmark = pytest.mark.timeout(300)
NAME = "org/tiny"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = build_tiny_model(tmp_path_factory.mktemp("remote") / "tiny")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    with serving(Hub({NAME: folder})) as hub:
        yield hub


@pytest.fixture(scope="module")
def server(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = small_workspace(tmp_path_factory.mktemp("studio") / "workspace")
    build_bare_model(folder / "models" / "bare")
    cache = str(folder.parent / "hub")
    with running(folder, HF_ENDPOINT=hub.address, HF_HUB_CACHE=cache, HF_HUB_OFFLINE="") as server:
        yield server


def test_a_model_of_the_hub_is_told_downloaded_and_planned_with(server: Server, hub: Hub, visitor: Visitor) -> None:
    t = words("en")
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 1)
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    fill(page, "model.path", NAME)
    size = sum(file.stat().st_size for file in hub.models[NAME].iterdir())
    button = page.locator("#model-download")
    expect(button).to_have_text(t("model.download", size=bytes_of(size)), timeout=30_000)
    expect(page.locator("#model-info")).to_contain_text("apache-2.0")
    expect(page.locator("#model-info")).to_contain_text(t("model.tokens", n="512"))

    expect(page.locator("#plan")).to_contain_text(t("plan.not_here"))
    expect(page.locator("#plan-notice .notice")).to_have_count(0)

    hub.pause = 0.15
    button.click()
    expect(page.locator("#model-job")).to_contain_text(t("phase.downloading_model"), timeout=30_000)
    expect(page.locator("#model-progress")).to_contain_text(f"{NAME} · ", timeout=30_000)
    page.locator("#model-cancel").click()
    expect(page.locator("#model-ending")).to_contain_text(t("model.cancelled"), timeout=30_000)

    hub.pause = 0
    expect(button).to_be_visible(timeout=30_000)
    button.click()
    expect(page.locator("#model-info")).to_contain_text(t("model.template_model"), timeout=60_000)
    expect(button).to_be_hidden()
    expect(page.locator("#start")).to_be_enabled(timeout=60_000)
    assert hub.begins("model.safetensors")[-1] > 0  # it went on where it was
    assert not visitor.faults


def test_a_base_model_is_given_chatml_by_a_switch(server: Server, visitor: Visitor) -> None:
    t = words("zh")
    page = visitor.open(f"{server.url}/zh/")
    open_tab(page, 1)
    choose(page, "data.train", "pets")
    choose(page, "data.test", "pets_test")
    fill(page, "model.path", "models/bare")
    expect(page.locator("#model-info")).to_contain_text(t("model.template_none"), timeout=30_000)
    expect(page.locator("#plan-notice")).to_contain_text("model.add_chatml", timeout=30_000)
    page.locator("#advanced").get_by_role("button").first.click()
    page.get_by_label(t("setting.model.add_chatml.label")).check()
    expect(page.locator("#plan-notice")).not_to_contain_text("model.add_chatml", timeout=60_000)
    expect(page.locator("#start")).to_be_enabled(timeout=30_000)
    page.locator("#preview-box").get_by_role("button").first.click()
    expect(page.locator("#preview .token.control").first).to_contain_text("<|im_start|>", timeout=30_000)
    visitor.assert_nothing_went_wrong()


def test_what_the_hub_does_not_have_is_said_on_the_card(server: Server, visitor: Visitor) -> None:
    t = words("en")
    page = visitor.open(f"{server.url}/en/")
    open_tab(page, 1)
    fill(page, "model.path", "org/none")
    told = t("error.model.not_on_hub.what", where="org/none")
    expect(page.locator("#model-info .notice")).to_contain_text(told, timeout=30_000)
    expect(page.locator("#model-download")).to_be_hidden()
