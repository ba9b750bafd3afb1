"""TensorBoard: event files in `tensorboard/` of the run directory. `tensorboard --logdir workspace/runs` shows all runs."""

import time
from collections.abc import Mapping

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from core.train.tracking.tracker import About

_FLUSH_SECONDS = 5  # what a killed run may lose of its curves here; its own events lose nothing


class TensorBoard:
    def __init__(self, about: About) -> None:
        self._writer = EventFileWriter(str(about.folder / "tensorboard"), flush_secs=_FLUSH_SECONDS)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=scalars)))

    def close(self, result: Mapping[str, float]) -> None:
        self.log(int(result.get("step", 0)), {f"result/{name}": value for name, value in result.items()})
        self._writer.close()
