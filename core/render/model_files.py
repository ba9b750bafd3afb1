"""What a model folder says about chatting, read from its files: tokenizer, chat templates, special and stop tokens."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from core.errors import ModelError, problem

_OLDER = ("tokenizer.model", "vocab.json", "vocab.txt", "spiece.model")  # of tokenizers without a tokenizer.json


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a model folder.

    Raises:
        ModelError: if tokenizer.json is missing or broken.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        older = next((name for name in _OLDER if (folder / name).is_file()), None)
        code = "model.no_tokenizer" if older is None else "model.slow_tokenizer"
        raise ModelError(problem(code, folder.name, file=older))
    values = _without_trimming(read_json(folder, file.name))
    try:
        return Tokenizer.from_str(json.dumps(values))
    except Exception as error:  # tokenizers raises Exception itself, from Rust; there is no narrower class
        raise ModelError(problem("model.broken_file", f"{folder.name}/{file.name}", reason=str(error))) from error


def without_prefix(tokenizer: Tokenizer) -> Tokenizer | None:
    """Return the tokenizer for text that goes on, None when it is the same.

    Some tokenizers put a space before a text. Where a text is encoded in two pieces, the second must not get one.
    """
    before = json.loads(tokenizer.to_str())
    after = dict(before)
    for part in ("normalizer", "pre_tokenizer"):
        after[part] = _unprefixed(before[part])
    return None if after == before else Tokenizer.from_str(json.dumps(after))


def _unprefixed(step: dict[str, Any] | None) -> dict[str, Any] | None:
    if step is None or step["type"] == "Prepend":
        return None
    if step["type"] == "Sequence":
        key = "normalizers" if "normalizers" in step else "pretokenizers"
        return {**step, key: [kept for each in step[key] if (kept := _unprefixed(each)) is not None]}
    if step["type"] == "Metaspace":
        return {**step, "prepend_scheme": "never"}
    return {**step, "add_prefix_space": False} if step["type"] == "ByteLevel" else step


def _without_trimming(values: Any) -> Any:
    """Turn `trim_offsets` off: ids stay the same, but with it a space seems to belong to no token."""
    if isinstance(values, dict):
        return {key: False if key == "trim_offsets" else _without_trimming(each) for key, each in values.items()}
    return values if not isinstance(values, list) else [_without_trimming(each) for each in values]


def read_templates(folder: Path, settings: dict[str, Any]) -> dict[str, str]:
    """Return the chat templates by name: "default", and "tool_use" where a model has another one for tools.

    A file wins over the configuration, as in transformers.
    """
    file = folder / "chat_template.jinja"
    if file.is_file():
        more = {
            each.stem: each.read_text(encoding="utf-8") for each in folder.glob("additional_chat_templates/*.jinja")
        }
        return {**more, "default": file.read_text(encoding="utf-8")}
    given = settings.get("chat_template")
    if isinstance(given, list):
        pairs = [(each.get("name"), each.get("template")) for each in given if isinstance(each, dict)]
        return {name: text for name, text in pairs if isinstance(name, str) and isinstance(text, str)}
    return {"default": given} if isinstance(given, str) else {}


_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
          "chat_template.jinja")  # fmt: skip


def state_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return name, size and time of change of the files that decide how text becomes tokens: the key of what is kept."""
    files = [*(folder / name for name in _FILES), *sorted(folder.glob("additional_chat_templates/*.jinja"))]
    return tuple((each.name, each.stat().st_size, each.stat().st_mtime_ns) for each in files if each.is_file())


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model folder, {} if there is no such file."""
    file = folder / name
    if not file.is_file():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(problem("model.broken_file", f"{folder.name}/{name}", reason=str(error))) from error
    return values if isinstance(values, dict) else {}


def content(token: Any) -> str | None:
    """Return the text of a special token: tokenizer_config.json has a string, or an object with `content`."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else None
