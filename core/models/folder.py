"""What a model folder tells without loading it: is it safe, how large is it, which one is it. No torch here."""

import hashlib
import shutil
from functools import lru_cache, partial
from pathlib import Path

from core.errors import ModelError, Problem, StudioError, problem
from core.models.architecture import unsuited
from core.models.cache import cached, cached_names, is_hub_name
from core.models.files import config, count, header, headers, weight_files
from core.models.size import context_of
from core.workspace import Workspace

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SAMPLE = 65_536  # bytes read at each of 17 places of a weight file for its fingerprint


def find_model(workspace: Workspace, path: str, revision: str | None = None) -> Path:
    """Return the checked folder of a model: a local folder, or the cached snapshot of a hub name such as `org/name`.

    Args:
        revision: the commit of a hub model; None takes the one that was downloaded last.

    Raises:
        ModelError: if it is missing, has only pickled weights, wants to run its own code, or cannot be trained to write;
            `model.not_cached` if it has the form of a hub name and was not downloaded, or not wholly.
        PathError: if it lies outside of the folders that may be read.
    """
    folder = workspace.readable(path)
    if folder.exists():
        check(folder)
        return folder
    if not is_hub_name(path):
        raise ModelError(problem("model.missing", path))
    snapshot = cached(path, revision)
    if snapshot is None:
        raise ModelError(problem("model.not_cached", path))
    try:
        check(snapshot, downloaded=True)
    except ModelError as error:
        if error.problems[0].code in ("model.no_weights", "model.missing_shards"):  # the download was interrupted
            raise ModelError(problem("model.not_cached", path)) from error
        raise
    return snapshot


def known_models(workspace: Workspace) -> list[str]:
    """Return the models worth offering: the starter, those of the workspace, and what of the hub is here and can be used."""
    own = sorted(each.parent.name for each in workspace.models.glob("*/config.json"))
    return [
        "data/starter",
        *(f"models/{name}" for name in own),
        *filter(partial(_is_usable, workspace), cached_names()),
    ]


def _is_usable(workspace: Workspace, name: str) -> bool:
    try:
        find_model(workspace, name)
    except StudioError:
        return False
    return True


def parameters(folder: Path) -> int:
    """Return how many weights the safetensors files hold, from their headers."""
    return sum(count(tensor["shape"]) for tensor in headers(folder).values())


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


def check(folder: Path, downloaded: bool = False) -> None:
    """Check that a folder holds a model that can be loaded safely and trained to write.

    Args:
        downloaded: it was downloaded by the studio, which leaves program code behind: a config.json that names some is then
            harmless, as long as transformers knows the family itself.

    Raises:
        ModelError: if it does not.
    """
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
    if "auto_map" in values and not downloaded:
        raise ModelError(problem("model.own_code", name))
    unfit = unsuited(values, name) or _makes_vectors(folder)
    if unfit is not None:
        raise ModelError(unfit)
    _check_weights(folder)


def _makes_vectors(folder: Path) -> Problem | None:
    """Recognise a model of sentence-transformers, which may have the architecture of one that writes."""
    made = any((folder / name).is_file() for name in ("modules.json", "config_sentence_transformers.json"))
    return problem("model.embeds", folder.name, architecture="sentence-transformers") if made else None


def _check_weights(folder: Path) -> None:
    name = folder.name
    if not weight_files(folder):
        pickled = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
        if pickled:
            raise ModelError(problem("model.pickle_only", name, files=", ".join(pickled[:3])))
        raise ModelError(problem("model.no_weights", name))
    missing = [file.name for file in weight_files(folder) if not file.is_file()]
    if missing:
        raise ModelError(problem("model.missing_shards", name, files=", ".join(missing[:3])))
    for file in weight_files(folder):
        header(file)


TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                   "chat_template.jinja", "generation_config.json", "vocab.json", "merges.txt",
                   "tokenizer.model")  # fmt: skip


def copy_tokenizer(model: Path, target: Path) -> None:
    """Copy the tokenizer and the chat template of a model next to an adapter or merged weights."""
    for name in TOKENIZER_FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, target / name)
