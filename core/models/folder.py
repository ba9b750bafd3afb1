"""What a model folder tells without loading it: is it safe, how large is it, which one is it. No torch here."""

import hashlib
import shutil
from functools import lru_cache
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from core.errors import ModelError, problem
from core.models.files import config, count, header, headers, shards, weight_files
from core.models.size import context_of
from core.workspace import Workspace

# What a model needs, and nothing that could run: no Python files, no pickles.
WANTED = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "*.model", "*.txt"]
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SAMPLE = 65_536  # bytes read at each of 17 places of a weight file for its fingerprint


def find_model(workspace: Workspace, path: str, *, download: bool = False) -> Path:
    """Return the checked folder of a model: a local folder, or the cached snapshot of a hub name such as `org/name`.

    With `download`, a hub model that is not cached is fetched (safetensors and configuration only).

    Raises:
        ModelError: if it is missing, has only pickled weights, wants to run its own code, or is not a model.
        PathError: if it lies outside of the folders that may be read.
    """
    folder = workspace.readable(path)
    if not folder.exists():
        folder = _from_hub(path, download)
    _check(folder)
    return folder


def parameters(folder: Path) -> int:
    """Return how many weights the safetensors files hold, from their headers."""
    return sum(count(tensor["shape"]) for tensor in headers(folder).values())


def linear_shapes(folder: Path) -> list[tuple[int, int]]:
    """Return the (out, in) shapes of the linear layers, without embeddings and output: what QLoRA quantises and adapts."""
    return [
        (tensor["shape"][0], tensor["shape"][1])
        for name, tensor in headers(folder).items()
        if len(tensor["shape"]) == 2 and not any(part in name for part in ("embed", "lm_head", "wte", "wpe"))
    ]


def context_length(folder: Path) -> int:
    """Return the longest text, in tokens, that the model was made for; 0 when it does not say."""
    return context_of(config(folder))


def weight_bytes(folder: Path) -> int:
    """Return the size of the weights on disk."""
    return sum(file.stat().st_size for file in weight_files(folder))


def fingerprint(folder: Path) -> str:
    """Return a SHA-256 that tells this model from another, in milliseconds whatever its size.

    It covers config.json, and of each weight file the name, the size, the header and 64 kB at each of 17 places. It finds a
    swapped, retrained or truncated model, not a few deliberately changed bytes.
    """
    files = (folder / "config.json", *weight_files(folder))
    return _fingerprint(tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files))


@lru_cache(maxsize=32)
def _fingerprint(files: tuple[tuple[str, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, size, _ in files:
        digest.update(f"{Path(path).name} {size}\n".encode())
        with open(path, "rb") as file:
            for part in range(17):
                file.seek(min(part * size // 16, max(0, size - _SAMPLE)))
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


def _from_hub(name: str, download: bool) -> Path:
    parts = name.split("/")
    if len(parts) != 2 or name.startswith((".", "/", "~")) or not all(parts):
        raise ModelError(problem("model.missing", name))
    try:
        return Path(snapshot_download(name, allow_patterns=WANTED, local_files_only=not download))
    except LocalEntryNotFoundError as error:
        code = "model.no_download" if download else "model.not_cached"
        raise ModelError(problem(code, name)) from error
    except (HFValidationError, HfHubHTTPError, OSError) as error:
        raise ModelError(problem("model.no_download", name)) from error


def _check(folder: Path) -> None:
    name = folder.name
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ModelError(problem("model.is_adapter", name))
        raise ModelError(problem("model.no_config", name))
    try:
        values = config(folder)
    except ValueError as error:
        raise ModelError(problem("model.bad_config", name, reason=str(error))) from error
    if not isinstance(values, dict):
        raise ModelError(problem("model.bad_config", name, reason=f"{type(values).__name__}"))
    if "auto_map" in values:
        raise ModelError(problem("model.own_code", name))
    if not weight_files(folder):
        pickled = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickled:
            raise ModelError(problem("model.pickle_only", name, files=", ".join(pickled[:3])))
        raise ModelError(problem("model.no_weights", name))
    for file in weight_files(folder):
        header(file)
    missing = sorted(shards(folder) - {file.name for file in weight_files(folder)})
    if missing:
        raise ModelError(problem("model.missing_shards", name, files=", ".join(missing[:3])))


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                   "chat_template.jinja", "generation_config.json", "vocab.json", "merges.txt",
                   "tokenizer.model")  # fmt: skip


def copy_tokenizer(model: Path, target: Path) -> None:
    """Copy the tokenizer and the chat template of a model next to an adapter or merged weights."""
    for name in TOKENIZER_FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, target / name)
