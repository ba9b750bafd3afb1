"""What every contender is given, and what it gives back. Travels between the processes as JSON; imports nothing heavy."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

CONTENDERS = ("studio", "trl", "trainer")
OUT_OF_MEMORY = 77  # exit code of a contender for which the GPU was too small


@dataclass(frozen=True, kw_only=True)
class Task:
    """One training: the same model, rows, length, batch, rate and adapter for whoever does it.

    The rate is constant, so that no two schedules have to agree on their first and last step. `source` are the rows to read;
    without it rows are invented. A contender at its `best` has the settings that are fastest for it, else its defaults.
    `micro_batch_size` (rows, or packs of `cutoff_len` tokens) and `recompute` are for those that do not find them out.
    """

    folder: str
    model: str
    shape: str  # a key of `material.SHAPES`
    source: str | None
    method: str  # lora | qlora
    rows: int  # each is shown once
    heldout: int
    global_batch_size: int
    cutoff_len: int
    learning_rate: float
    rank: int
    seed: int
    best: bool = False
    micro_batch_size: int
    recompute: bool = True
    only_first_step: bool = False

    @property
    def workspace(self) -> Path:
        """Where the studio reads the rows."""
        return Path(self.folder, "workspace")

    @property
    def train_file(self) -> Path:
        return Path(self.folder, "train.jsonl")

    @property
    def heldout_file(self) -> Path:
        return Path(self.folder, "heldout.jsonl")

    @property
    def alpha(self) -> int:
        return 2 * self.rank

    def adapter(self, contender: str) -> Path:
        return Path(self.folder, "adapters", contender)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Task":
        return cls(**json.loads(text))
