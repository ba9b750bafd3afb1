"""An entry of dataset_info.json: where a data set lies and how its rows are read, in LLaMA-Factory's schema.

Columns and tags that an entry does not list keep their defaults, so that existing files work unchanged. How a format that
LLaMA-Factory does not have is read stands in our own keys `format` and `options`. Entries that need something we do not have
(hub downloads, images) stay in the list and say so when they are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from core.data.reading import Reading
from core.data.versions import Parts, Version
from core.errors import PathError, Problem, problem
from core.records import Kind
from core.workspace import Workspace, is_name

Formatting = Literal["alpaca", "sharegpt"]
COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "",  # not read unless the entry names a column, as in LLaMA-Factory; so are all the empty ones
    "system": "",
    "messages": "conversations",
    "keywords": "keywords",  # ours: strings that a right answer contains, in test sets
    "tools": "",
    "chosen": "",
    "rejected": "",
    "kto_tag": "",
}
TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
_NOT_SUPPORTED = (
    "hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name", "script_url", "folder", "subset", "num_samples",
)  # fmt: skip
_COLUMNS_NOT_SUPPORTED = ("images", "videos", "audios")
_RANKED = ("chosen", "rejected")


@dataclass(frozen=True)
class DatasetEntry:
    """`file` is checked to be readable by the studio; `problem` is why the entry cannot be used, if it cannot.

    `formatting`, `columns` and `tags` are LLaMA-Factory's; `reading` is how the rows are read, whatever the format, and
    `formatting` is its name. `recognised` is what the file was told to be (`openorca`, `dolly` …), `rows` is 0 when nobody
    has counted. `versions` are the older ones, oldest first; `made_by` and `made` say what made the present one and when
    (ISO, UTC). `accepted` are the codes of the doctor's findings that a person accepted for exactly this content.
    """

    name: str
    file: Path
    sha1: str
    formatting: str
    columns: dict[str, str]
    tags: dict[str, str]
    description: str = ""
    sample: bool = False
    problem: Problem | None = field(default=None, compare=False)
    reading: Reading = field(default=None)  # type: ignore[assignment]  # made of formatting, columns and tags where not given
    recognised: str = ""
    kind: Kind = "chat"
    rows: int = 0
    parts: Parts | None = None
    versions: tuple[Version, ...] = ()
    made_by: str = ""
    made: str = field(default="", compare=False)
    accepted: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.reading is None:
            object.__setattr__(self, "reading", Reading(self.formatting, {**self.columns, **self.tags}))


def parse(
    workspace: Workspace, name: str, values: Any, folder: Path, sample: bool, accepted: frozenset[str] = frozenset()
) -> DatasetEntry:
    """Read one entry of the dataset_info.json in `folder`. What is wrong with it stands in its `problem`."""
    values = values if isinstance(values, dict) else {}
    wrong = None if is_name(name) else problem("path.name", name=name)  # a name becomes a file's name
    wrong = wrong or _unsupported(name, values) or _malformed(name, values)
    try:
        if wrong is None:
            return _parsed(workspace, name, values, folder, sample, accepted)
    except PathError as error:
        wrong = error.problems[0]
    return DatasetEntry(name, Path(), "", "alpaca", dict(COLUMNS), dict(TAGS), sample=sample, problem=wrong)


def _parsed(
    workspace: Workspace, name: str, values: dict[str, Any], folder: Path, sample: bool, accepted: frozenset[str]
) -> DatasetEntry:
    reading = reading_of(values)
    known = {**COLUMNS, **TAGS, **(reading.options if reading.format in get_args(Formatting) else {})}
    return DatasetEntry(
        name,
        _locate(workspace, folder, values["file_name"]),
        str(values.get("file_sha1") or "").lower(),
        reading.format,
        {key: known[key] for key in COLUMNS},
        {key: known[key] for key in TAGS},
        str(values.get("description") or ""),
        sample,
        reading=reading,
        recognised=str(values.get("recognised") or ""),
        kind=_kind(values, reading),
        rows=values.get("rows") or 0,
        parts=_parts(workspace, values, folder),
        versions=tuple(_version(workspace, each, folder) for each in values.get("versions") or ()),
        made_by=str(values.get("made_by") or ""),
        made=str(values.get("made") or ""),
        accepted=accepted | frozenset(values.get("accepted") or ()),
    )


def reading_of(values: Mapping[str, Any]) -> Reading:
    """Return how the rows of an entry with these (checked) values are read."""
    if values.get("format"):
        return Reading(values["format"], dict(values.get("options") or {}))
    listed = values.get("columns") or {}
    columns = {**COLUMNS, **{key: each for key, each in listed.items() if key in COLUMNS and each is not None}}
    if _is_running_text(values):
        columns["response"] = ""
    if not values.get("ranking"):  # LLaMA-Factory reads these two columns only in an entry that says so
        columns |= dict.fromkeys(_RANKED, "")
    tags = {**TAGS, **{key: each for key, each in (values.get("tags") or {}).items() if key in TAGS and each}}
    return Reading(values.get("formatting") or "alpaca", {**columns, **tags})


def values_of(reading: Reading) -> dict[str, Any]:
    """Return the keys of an entry that say how it is read; the inverse of `reading_of`."""
    if reading.format not in get_args(Formatting):
        return {"format": reading.format} | ({"options": dict(reading.options)} if reading.options else {})
    columns = {key: each for key, each in reading.options.items() if key in COLUMNS and each != COLUMNS[key]}
    tags = {key: each for key, each in reading.options.items() if key in TAGS and each != TAGS[key]}
    optional = {"columns": columns, "tags": tags, "ranking": all(columns.get(key) for key in _RANKED)}
    return {"formatting": reading.format} | {key: each for key, each in optional.items() if each}


def _is_running_text(values: Mapping[str, Any]) -> bool:
    """Tell whether an entry has no answers: LLaMA-Factory's pre-training sets name a prompt column and nothing else.

    An entry that says "formatting" keeps the default answer column: we always write that key, LLaMA-Factory's entries seldom.
    """
    columns = values.get("columns") or {}
    return "prompt" in columns and columns.get("response") is None and not {"formatting", "ranking"} & values.keys()


def _kind(values: Mapping[str, Any], reading: Reading) -> Kind:
    if values.get("kind") in get_args(Kind):
        return values["kind"]
    if reading.format in get_args(Formatting):
        if values.get("ranking"):
            return "preference"
        if reading.options.get("kto_tag"):
            return "unpaired"
        if not reading.options["response"]:
            return "text"
    return "chat"


def _parts(workspace: Workspace, values: Mapping[str, Any], folder: Path) -> Parts | None:
    given = values.get("parts")
    if not given:
        return None
    train, validation, test = (float(share) for share in given["shares"])
    file = _locate(workspace, folder, given["file_name"])
    counts = (given["train"], given["validation"], given["test"], given["seed"])
    return Parts(file, *counts, (train, validation, test), given.get("grouped", ""))


def _version(workspace: Workspace, values: Mapping[str, Any], folder: Path) -> Version:
    return Version(
        _locate(workspace, folder, values["file_name"]),
        str(values.get("file_sha1") or "").lower(),
        reading_of(values),
        values.get("rows") or 0,
        str(values.get("made_by") or ""),
        str(values.get("made") or ""),
        _parts(workspace, values, folder),
    )


def _locate(workspace: Workspace, folder: Path, file_name: str) -> Path:
    """Resolve against the folder of dataset_info.json, or its `data` where the file lies there."""
    beside, below = folder / file_name, folder / "data" / file_name
    try:
        return workspace.readable(below if below.exists() and not beside.exists() else beside)
    except OSError as error:  # no permission to look, or a name longer than the system takes
        raise PathError(problem("path.unreadable", file_name, reason=error.strerror or str(error))) from error


def _unsupported(name: str, values: dict[str, Any]) -> Problem | None:
    columns = values.get("columns")
    listed = columns if isinstance(columns, dict) else {}
    found = [key for key in _NOT_SUPPORTED if values.get(key)]
    if values.get("ranking") and not all(listed.get(key) for key in _RANKED):
        found.append("ranking")
    found += [f"columns.{key}" for key in _COLUMNS_NOT_SUPPORTED if listed.get(key)]
    return problem("data.unsupported_entry", name, keys=", ".join(found)) if found else None


def _malformed(name: str, values: dict[str, Any]) -> Problem | None:
    if not isinstance(values.get("file_name"), str) or not values["file_name"]:
        return problem("data.bad_entry", name, key="file_name", wanted='"my_file.json"')
    if values.get("formatting") not in (None, "alpaca", "sharegpt"):
        return problem("data.bad_entry", name, key="formatting", wanted="alpaca | sharegpt")
    for key in ("columns", "tags", "options"):
        given = values.get(key) or {}
        if not isinstance(given, dict) or not all(each is None or isinstance(each, str) for each in given.values()):
            return problem("data.bad_entry", name, key=key, wanted='{"…": "…"}')
    return _malformed_own_keys(name, values)


def _malformed_own_keys(name: str, values: dict[str, Any]) -> Problem | None:
    """Check what only the studio writes, so that a slip of the hand in it is told and not a crash."""
    if not isinstance(values.get("format") or "", str):
        return problem("data.bad_entry", name, key="format", wanted='"openorca"')
    if not isinstance(values.get("rows") or 0, int):
        return problem("data.bad_entry", name, key="rows", wanted="1200")
    codes = values.get("accepted") or []
    if not isinstance(codes, list) or not all(isinstance(each, str) for each in codes):
        return problem("data.bad_entry", name, key="accepted", wanted='["…", …]')
    if not _is_parts(values.get("parts")):
        return problem("data.bad_entry", name, key="parts", wanted='{"file_name": "…", "train": 90, …}')
    versions = values.get("versions") or []
    if not isinstance(versions, list) or not all(
        isinstance(each, dict) and _malformed(name, {**each, "versions": None}) is None for each in versions
    ):
        return problem("data.bad_entry", name, key="versions", wanted='[{"file_name": "…"}, …]')
    return None


def _is_parts(given: Any) -> bool:
    if not given:
        return True
    if not isinstance(given, dict) or not isinstance(given.get("file_name"), str):
        return False
    shares = given.get("shares")
    numbers = all(isinstance(given.get(key), int) for key in ("train", "validation", "test", "seed"))
    listed = isinstance(shares, list) and len(shares) == 3 and all(isinstance(each, int | float) for each in shares)
    return numbers and listed and isinstance(given.get("grouped", ""), str)
