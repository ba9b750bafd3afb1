"""The split that a folder or an archive brings with it: files, or folders, named after training, validation and test.

As `datasets` writes them (`train/data-00000-of-00001.arrow`), the hub keeps them (`data/test-00000-of-00002.parquet`), and
people name them (`my_train.jsonl`).
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from core.data.versions import TEST, TRAIN, VALIDATION

_LETTERS = {"train": TRAIN, "training": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION,
            "dev": VALIDATION, "test": TEST, "testing": TEST}  # fmt: skip
_WORD = re.compile(r"[^a-z]+")


def letters_by_file(files: Iterable[str]) -> dict[str, str]:
    """Return file -> letter of its part; empty unless all of the files say what they are for, and one is for training."""
    found = {file: _letter(file) for file in files}
    tells = all(found.values()) and len(set(found.values())) > 1 and TRAIN in found.values()
    return found if tells else {}


def _letter(file: str) -> str:
    """Return what the name of a file says, else what the folder that it lies in says; "" where that is not one thing."""
    path = PurePosixPath(file)
    for name in (path.name.split(".")[0], path.parent.name):
        said = {_LETTERS[word] for word in _WORD.split(name.lower()) if word in _LETTERS}
        if said:
            return said.pop() if len(said) == 1 else ""
    return ""
