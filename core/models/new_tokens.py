"""ChatML on a model without it: a tokenizer with <|im_start|> and <|im_end|>, the template, the stop token. No torch here.

`tokenizer_folder` is the one place that says whose tokenizer a run uses. What becomes of the weights stands in
`core.models.grow`: the embeddings get a row for each new token, and only these rows are trained.
"""

import hashlib
import json
import shutil
import uuid
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from core.models.folder import TOKENIZER_FILES
from core.render.completion import completion_template
from core.render.model_files import read_json, read_templates, read_tokenizer, state_of
from core.render.tokenizer import CHATML, ChatTokenizer
from core.settings import RunSettings
from core.workspace import Workspace

START, END = "<|im_start|>", "<|im_end|>"


def tokenizer_folder(workspace: Workspace, settings: RunSettings, model: Path) -> Path:
    """Return the folder whose tokenizer, template and stop tokens a run uses.

    It is the model's own, or a copy in the workspace's cache: one that speaks ChatML with `model.add_chatml`, one that
    writes plain text with `data.template` "completion". config.json lies in each.

    Raises:
        ModelError: if the model's tokenizer cannot be read.
    """
    if settings.data.template == "completion":
        return _cached(workspace, model, "completion", with_completion)
    return _cached(workspace, model, "chatml", with_chatml) if _added(settings, model) else model


def _cached(workspace: Workspace, model: Path, kind: str, write: Callable[[Path, Path], Path]) -> Path:
    key = hashlib.sha256(json.dumps([str(model), state_of(model)]).encode()).hexdigest()[:16]
    target = workspace.cache / kind / key
    if not (target / "tokenizer.json").is_file():
        aside = target.with_name(f"{key}.{uuid.uuid4().hex}")
        write(model, aside)
        try:
            aside.rename(target)
        except OSError:  # somebody else was faster
            shutil.rmtree(aside)
    return target


def new_token_ids(settings: RunSettings, model: Path) -> list[int]:
    """Return the ids of the control tokens whose rows a run trains: none unless `model.add_chatml` asks for it."""
    return sorted(_chatml_ids(model, state_of(model))) if _added(settings, model) else []


def with_completion(model: Path, target: Path) -> Path:
    """Write the tokenizer files of a model into `target`, with the template of completions, and return `target`."""
    target.mkdir(parents=True, exist_ok=True)
    for name in (*TOKENIZER_FILES, "config.json"):
        if (model / name).is_file():
            shutil.copyfile(model / name, target / name)
    template = completion_template(ChatTokenizer.load(model))
    (target / "chat_template.jinja").write_text(template, encoding="utf-8")
    return target


def with_chatml(model: Path, target: Path) -> Path:
    """Write the tokenizer files of a model into `target`, changed so that they speak ChatML, and return `target`.

    A model that puts its begin-of-text token before every text keeps doing so.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in (*TOKENIZER_FILES, "config.json"):
        if (model / name).is_file():
            shutil.copyfile(model / name, target / name)
    tokenizer = _extended(model)
    tokenizer.save(str(target / "tokenizer.json"))
    _write(target / "tokenizer_config.json", _settings(model, tokenizer))
    for name, values in (
        ("special_tokens_map.json", {"eos_token": END}),
        ("added_tokens.json", {token: tokenizer.token_to_id(token) for token in (START, END)}),
    ):
        if (model / name).is_file():
            _write(target / name, read_json(model, name) | values)
    before = ChatTokenizer.load(model)
    stops = [*dict.fromkeys([tokenizer.token_to_id(END), *before.stop_ids])]
    _write(target / "generation_config.json", read_json(model, "generation_config.json") | {"eos_token_id": stops})
    first = "{{- bos_token }}\n" if before.puts_bos_first else ""
    (target / "chat_template.jinja").write_text(first + CHATML.read_text(encoding="utf-8"), encoding="utf-8")
    return target


def added_ids(base: Path, tokenizer: Path) -> list[int]:
    """Return the ids that the tokenizer in one folder has and the base model's own has not.

    Raises:
        ModelError: if a tokenizer cannot be read.
    """
    if not (tokenizer / "tokenizer.json").is_file() or not (base / "tokenizer.json").is_file():
        return []
    if (tokenizer / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes():
        return []
    known = read_tokenizer(base).get_vocab(with_added_tokens=True)
    found = read_tokenizer(tokenizer).get_vocab(with_added_tokens=True)
    return sorted(id for text, id in found.items() if text not in known)


def _added(settings: RunSettings, model: Path) -> bool:
    asked = settings.model.add_chatml and settings.data.template == "chat"
    return asked and "default" not in read_templates(model, _named(model))


@lru_cache(maxsize=8)
def _chatml_ids(model: Path, _: object) -> frozenset[int]:
    tokenizer = _extended(model)
    return frozenset(id for token in (START, END) if (id := tokenizer.token_to_id(token)) is not None)


def _extended(model: Path) -> Tokenizer:
    tokenizer = read_tokenizer(model)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in (START, END)])
    return tokenizer


def _settings(model: Path, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return tokenizer_config.json with the new tokens: <|im_end|> ends, <|im_start|> is special."""
    settings = read_json(model, "tokenizer_config.json")
    settings.pop("chat_template", None)
    key = (
        "extra_special_tokens"
        if isinstance(settings.get("extra_special_tokens"), list)
        else "additional_special_tokens"
    )
    known = settings.get(key)
    settings |= {"eos_token": END, key: [*(known if isinstance(known, list) else []), START]}
    if isinstance(decoder := settings.get("added_tokens_decoder"), dict):
        plain = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False, "special": True}
        decoder |= {str(tokenizer.token_to_id(token)): {"content": token, **plain} for token in (START, END)}
    return settings


def _named(model: Path) -> dict[str, Any]:
    return {**read_json(model, "special_tokens_map.json"), **read_json(model, "tokenizer_config.json")}


def _write(file: Path, values: dict[str, Any]) -> None:
    file.write_text(json.dumps(values, ensure_ascii=False, indent=1), encoding="utf-8")
