"""Kept measurements of speed: read when they are whole, and written by one without disturbing another."""

import json
import time

import pytest

from core.models import folder as models
from core.models.size import size
from core.settings import from_dict
from core.train.machine import Machine
from core.train.timing import Shape, Speed, keep, key_of, speed
from core.workspace import Workspace
from tests.tiny import build_tiny_model

CPU = Machine("cpu", "a processor", 16 << 30, 12 << 30, True)
SHAPE = Shape(2048, 400.0, 50.0)
MEASURED = Speed(1e-4, 7.0, 300_000_000, "probe")
SETTINGS = from_dict({"data": {"train": ["x"]}})


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    build_tiny_model(workspace.models / "tiny")
    return workspace


def known(workspace):
    folder = workspace.models / "tiny"
    return speed(workspace, SETTINGS, size(folder), models.fingerprint(folder), models.weight_bytes(folder), CPU, SHAPE)


def kept_in(workspace):
    return workspace.cache / "speed" / f"{key_of(SETTINGS, models.fingerprint(workspace.models / 'tiny'), CPU)}.json"


def keep_it(workspace):
    keep(workspace, kept_in(workspace).stem, SHAPE, MEASURED)


def test_what_was_measured_is_known(workspace):
    assert known(workspace).basis == "estimate"
    keep_it(workspace)
    assert known(workspace) == MEASURED


def whole():
    return {"time": time.time(), "shape": vars(SHAPE), "speed": vars(MEASURED)}


@pytest.mark.parametrize(
    "damaged",
    [
        "",
        "null",
        "[]",
        "{}",
        json.dumps(whole() | {"time": None}),
        json.dumps(whole() | {"shape": {}}),
        json.dumps(whole() | {"shape": None}),
        json.dumps(whole() | {"shape": vars(SHAPE) | {"step": None}}),
        json.dumps(whole() | {"speed": {"basis": "probe"}}),
        json.dumps(whole() | {"speed": [1]}),
    ],
)
def test_a_damaged_measurement_is_none(workspace, damaged):
    keep_it(workspace)
    kept_in(workspace).write_text(damaged)
    assert known(workspace).basis == "estimate"


def test_what_another_process_is_writing_is_left_alone(workspace):
    theirs = kept_in(workspace).with_suffix(".part")
    theirs.parent.mkdir(parents=True)
    theirs.write_text("half of it")
    keep_it(workspace)
    assert theirs.read_text() == "half of it"
    assert known(workspace) == MEASURED
    assert len(list(theirs.parent.iterdir())) == 2
