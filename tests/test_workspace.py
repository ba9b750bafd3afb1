"""The path jail: nothing outside of the workspace is read or written."""

import pytest

from core.errors import PathError, ResourceError
from core.workspace import SAMPLES, Workspace, checked_name, require_space, slug


@pytest.fixture
def workspace(tmp_path):
    return Workspace.at(tmp_path / "workspace")


@pytest.mark.parametrize(
    "path", ["../secret", "/etc/passwd", "runs/../../secret", "~/x", "~nobody-of-this-name/x", "a\x00b"]
)
def test_a_path_that_leads_out_is_refused(workspace, path):
    with pytest.raises(PathError):
        workspace.readable(path)
    with pytest.raises(PathError):
        workspace.writable(path)


def test_a_link_cannot_lead_out(workspace, tmp_path):
    (tmp_path / "secret").mkdir()
    (workspace.root / "door").symlink_to(tmp_path / "secret")
    with pytest.raises(PathError):
        workspace.readable("door")


def test_a_folder_beside_with_the_same_beginning_is_outside(workspace, tmp_path):
    (tmp_path / "workspace2").mkdir()
    with pytest.raises(PathError):
        workspace.readable(tmp_path / "workspace2")


def test_the_samples_are_read_but_not_written(workspace):
    assert workspace.readable("data/starter") == SAMPLES / "starter"
    with pytest.raises(PathError):
        workspace.writable(SAMPLES / "starter")


def test_the_persons_own_file_comes_before_a_sample(workspace):
    (workspace.root / "data" / "starter").mkdir()
    assert workspace.readable("data/starter") == workspace.root / "data" / "starter"


def test_an_allowed_folder_is_open(tmp_path):
    (tmp_path / "models").mkdir()
    workspace = Workspace.at(tmp_path / "workspace", (tmp_path / "models",))
    assert workspace.readable(tmp_path / "models") == tmp_path / "models"


@pytest.mark.parametrize("name", ["data_2", "我的数据", "a b-c.1"])
def test_an_ordinary_name_is_taken(name):
    assert checked_name(f" {name} ") == name


def test_a_slug_is_always_a_name():
    assert [slug("Lumen 2!"), slug("小明"), slug("../..")] == ["lumen_2", "小明", "unnamed"]


def test_a_full_disk_is_told_beforehand_with_both_figures(tmp_path):
    with pytest.raises(ResourceError, match=r"MB free; about 1000000000 MB are needed"):
        require_space(tmp_path / "not" / "there", 10**15, "the merged model")


def test_a_workspace_that_cannot_be_made_is_told_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PathError, match="cannot be opened"):
        Workspace.at(tmp_path / "file" / "workspace")


def test_a_name_longer_than_the_system_takes_is_told_in_words(workspace):
    with pytest.raises(PathError, match="cannot be used"):
        workspace.readable("n" * 5000)
