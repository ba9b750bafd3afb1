"""What the Hugging Face hub says of a model before it is downloaded: files, sizes, commit, config.json, licence."""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

from core.errors import ModelError, Problem, problem
from core.models.architecture import unsuited
from core.models.cache import is_hub_name

# What a model needs, and nothing that could run: no Python files, no pickles.
_WANTED = (".json", ".jinja", ".txt", ".model", ".safetensors")
_ABOUT = ("README.md", "LICENSE", "LICENSE.txt", "LICENSE.md")
_TEMPLATES = "additional_chat_templates/"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_SECONDS = 10.0  # for the hub to answer; what it uses itself for its questions


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model on the hub. `hash` is the SHA-256 of a large file, else the git hash of its content."""

    name: str
    size: int
    hash: str
    large: bool


@dataclass(frozen=True)
class Offer:
    """A model on the hub at one commit: what would be downloaded."""

    name: str
    revision: str
    files: tuple[RemoteFile, ...]
    config: dict[str, Any]
    licence: str
    newest: bool  # no commit was asked for

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)


def look_up(name: str, revision: str | None = None) -> Offer:
    """Ask the hub about a model; `revision` is a commit, None takes the newest.

    Raises:
        ModelError: if there is no network or no such model, if its licence must be accepted first, if it has only pickled
            weights, wants to run its own code, or cannot be trained to write.
    """
    if not is_hub_name(name):
        raise ModelError(problem("model.missing", name))
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=_SECONDS)
        found = [_remote(each) for each in info.siblings or []]
        files = _needed(found)
        if not any(file.name == "config.json" for file in files):
            raise ModelError(problem("model.no_config", name))
        config = _config(name, str(info.sha))
    except (HTTPError, OSError) as error:
        raise ModelError(in_words(error, name)) from error
    pickled = [file.name for file in found if file.name.endswith(_PICKLES)]
    if not any(file.name.endswith(".safetensors") for file in files):
        code = "model.pickle_only" if pickled else "model.no_weights"
        raise ModelError(problem(code, name, files=", ".join(pickled[:3])))
    unfit = unsuited(config, name)
    if unfit is not None:
        raise ModelError(unfit)
    card = info.card_data.to_dict() if info.card_data else {}
    licence = str(card.get("license_name") or card.get("license") or "")
    return Offer(name, str(info.sha), tuple(files), config, licence, revision is None)


class Sink(Protocol):
    """What a file is received into, behind what it has."""

    def write(self, chunk: bytes) -> None: ...

    def tell(self) -> int: ...

    def restart(self) -> None: ...


class _Text(bytearray):
    def write(self, chunk: bytes) -> None:
        self.extend(chunk)

    def tell(self) -> int:
        return len(self)

    def restart(self) -> None:
        self.clear()


def receive(name: str, revision: str, file: str, sink: Sink) -> None:
    """Receive what a sink has not of a file. A server that cannot begin in the middle makes it begin anew.

    The library's own function hands over 10 MB at a time, which a slow or broken line loses.

    Raises:
        HfHubHTTPError: if the hub refuses.
        HTTPError: if the line breaks; what came before is in the sink.
    """
    had = sink.tell()
    headers = {**build_hf_headers(), "Accept-Encoding": "identity", **({"Range": f"bytes={had}-"} if had else {})}
    url = hf_hub_url(name, file, revision=revision)
    with get_session().stream("GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT) as response:
        hf_raise_for_status(response)
        if had and response.status_code == 200:
            sink.restart()
        for chunk in response.iter_raw():  # as it comes: what a chunk size holds back is lost with the line
            sink.write(chunk)


def in_words(error: Exception, name: str) -> Problem:
    """Return what an error of the hub or of the network means."""
    address = f"{constants.ENDPOINT}/{name}"
    if isinstance(error, OfflineModeIsEnabled):
        return problem("model.offline_mode", name)
    if isinstance(error, GatedRepoError):
        return problem("model.gated" if get_token() is None else "model.gated_for_you", name, address=address)
    if isinstance(error, RepositoryNotFoundError | RevisionNotFoundError | EntryNotFoundError):
        return problem("model.not_on_hub", name, address=address)
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        code = {401: "model.token_refused", 403: "model.gated_for_you"}.get(status, "model.hub_trouble")
        return problem(code, name, status=status, address=address)
    return problem("model.no_network", name, hub=constants.ENDPOINT, reason=str(error) or type(error).__name__)


def _remote(each: Any) -> RemoteFile:
    hash = each.lfs.sha256 if each.lfs else each.blob_id
    return RemoteFile(each.rfilename, each.size or 0, str(hash), each.lfs is not None)


def _needed(files: list[RemoteFile]) -> list[RemoteFile]:
    """Return the files to download: those of the model itself, and its weights once."""
    names = {file.name for file in files}
    found = [file for file in files if _is_wanted(file.name)]
    if "model.safetensors" in names:
        weights = {"model.safetensors"}
    elif "model.safetensors.index.json" in names:  # parts are called model-00001-of-00004; the rest is a second layout
        weights = {name for name in names if name.startswith("model-") and name.endswith(".safetensors")}
    else:
        weights = names
    return [file for file in found if not file.name.endswith(".safetensors") or file.name in weights]


def _is_wanted(name: str) -> bool:
    if "/" in name:
        return name.startswith(_TEMPLATES) and name.count("/") == 1 and name.endswith(".jinja")
    return name in _ABOUT or name.endswith(_WANTED)


def _config(name: str, revision: str) -> dict[str, Any]:
    content = _Text()
    receive(name, revision, "config.json", content)
    try:
        values = json.loads(bytes(content))
    except ValueError as error:
        raise ModelError(problem("model.bad_config", name, reason=str(error))) from error
    if not isinstance(values, dict):
        raise ModelError(problem("model.bad_config", name, reason=type(values).__name__))
    return values
