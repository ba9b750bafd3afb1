"""The device that a training would use, told without torch."""

import os

import psutil
import pytest
import torch

from core.train import machine as machines
from core.train.machine import Machine, machine

GB = 1 << 30


def group(folder, limit, current, file):
    folder.mkdir()
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{current}\n")
    (folder / "memory.stat").write_text(f"anon {current - file}\nfile {file}\nkernel 5\n")
    return folder


def test_a_machine_without_a_card_trains_on_its_processor():
    found = machine()
    assert found.device == "cpu"
    assert 0 < found.free <= found.total <= psutil.virtual_memory().total
    assert found.name.endswith(f"x {len(os.sched_getaffinity(0))}")


def test_a_container_has_what_it_is_allowed_and_files_that_were_read_are_free(tmp_path):
    limited = machines._processor(group(tmp_path / "limited", GB, 700 << 20, 500 << 20))
    assert (limited.total, limited.free) == (GB, 824 << 20)
    unlimited = machines._processor(group(tmp_path / "unlimited", "max", GB, 0))
    assert unlimited.total == psutil.virtual_memory().total
    assert machines._processor(tmp_path / "none").total == psutil.virtual_memory().total


@pytest.fixture
def with_a_card(tmp_path, monkeypatch):
    """A system whose nvidia-smi answers as that of one card does, and a torch that could use it."""
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        '#!/bin/sh\necho "$@" >> "$(dirname "$0")/asked"\necho "NVIDIA H100 80GB HBM3, 81559, 80994, 9.0"\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machines, "_torch_uses_cards", lambda: True)
    machines._card.cache_clear()
    yield tmp_path / "asked"
    machines._card.cache_clear()


def test_a_card_is_used_with_its_own_memory(with_a_card):
    assert machine() == Machine("cuda", "NVIDIA H100 80GB HBM3", 81559 << 20, 80994 << 20, True)


def test_the_card_that_is_visible_is_asked_for(with_a_card, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert machine().device == "cuda"
    assert with_a_card.read_text().split()[-2:] == ["-i", "2"]


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_a_hidden_card_is_none(with_a_card, monkeypatch, hidden):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert machine().device == "cpu"


def test_a_card_counts_only_for_a_torch_that_was_built_for_cards():
    assert machines._torch_uses_cards() == bool(torch.version.cuda or torch.version.hip)
