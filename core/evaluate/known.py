"""What contestants have answered before: kept by model, prompt and decoding, so that nothing is asked twice.

cache/answers/KEY.jsonl     one line an answer; KEY stands for weights, tokenizer, bits, precision, device and decoding

A question is known by its token ids, which hold data and system prompt: the base's answers serve every run on it.
"""

import hashlib
import json
from array import array
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.evaluate.generate import Said


class Known:
    """The answers of one contestant under one decoding."""

    def __init__(self, folder: Path, *about: Any) -> None:
        """`about` is everything that an answer depends on besides the prompt."""
        key = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
        self._file = folder / f"{key}.jsonl"
        self._said: dict[str, Said] = {}
        with suppress(FileNotFoundError):
            data = self._file.read_bytes()
            for line in data[: data.rfind(b"\n") + 1].split(b"\n"):
                with suppress(ValueError, TypeError, KeyError):  # a torn line, or one of another version
                    values = json.loads(line)
                    prompt = values.pop("prompt")
                    self._said[prompt] = Said(**values)

    def look(self, prompt: Sequence[int]) -> Said | None:
        return self._said.get(_name(prompt))

    def add(self, prompts: Iterable[Sequence[int]], said: Iterable[Said]) -> None:
        """Keep what was said, with one write; a full disk keeps nothing."""
        fresh = {_name(prompt): each for prompt, each in zip(prompts, said, strict=True)}
        self._said |= fresh
        lines = "".join(
            json.dumps({"prompt": name, **asdict(each)}, ensure_ascii=False) + "\n" for name, each in fresh.items()
        )
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(b"\n" + lines.encode())  # what a kill may have cut off before ends there


def _name(prompt: Sequence[int]) -> str:
    return hashlib.sha256(array("q", prompt).tobytes()).hexdigest()[:32]
