"""An entry of dataset_info.json: where a data set lies and how its rows are read, in LLaMA-Factory's schema.

Columns and tags that an entry does not list keep their defaults, so that existing files work unchanged. Entries that need
something we do not have (hub downloads, images, rankings) stay in the list and say so when they are used.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from core.errors import PathError, Problem, problem
from core.workspace import Workspace

Formatting = Literal["alpaca", "sharegpt"]
COLUMNS = {
    "prompt": "instruction",
    "query": "input",
    "response": "output",
    "history": "",  # not read unless the entry names a column, as in LLaMA-Factory; so is "system"
    "system": "",
    "messages": "conversations",
    "keywords": "keywords",  # ours: strings that a right answer contains, in test sets
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
    "hf_hub_url", "ms_hub_url", "om_hub_url", "cloud_file_name", "script_url", "folder", "subset", "num_samples", "ranking",
)  # fmt: skip
_COLUMNS_NOT_SUPPORTED = ("tools", "images", "videos", "audios", "chosen", "rejected", "kto_tag")


@dataclass(frozen=True)
class DatasetEntry:
    """`file` is checked to be readable by the studio; `problem` is why the entry cannot be used, if it cannot."""

    name: str
    file: Path
    sha1: str
    formatting: Formatting
    columns: dict[str, str]
    tags: dict[str, str]
    description: str = ""
    sample: bool = False
    problem: Problem | None = field(default=None, compare=False)


def parse(workspace: Workspace, name: str, values: Any, folder: Path, sample: bool) -> DatasetEntry:
    """Read one entry of the dataset_info.json in `folder`. What is wrong with it stands in its `problem`."""
    values = values if isinstance(values, dict) else {}
    wrong = _unsupported(name, values) or _malformed(name, values)
    file = Path()
    if wrong is None:
        try:
            file = _locate(workspace, folder, values["file_name"])
        except PathError as error:
            wrong = error.problems[0]
    if wrong is not None:
        return DatasetEntry(name, file, "", "alpaca", dict(COLUMNS), dict(TAGS), sample=sample, problem=wrong)
    return DatasetEntry(
        name,
        file,
        str(values.get("file_sha1") or "").lower(),
        cast(Formatting, values.get("formatting") or "alpaca"),
        {**COLUMNS, **{key: each for key, each in (values.get("columns") or {}).items() if key in COLUMNS and each}},
        {**TAGS, **{key: each for key, each in (values.get("tags") or {}).items() if key in TAGS and each}},
        str(values.get("description") or ""),
        sample,
    )


def _locate(workspace: Workspace, folder: Path, file_name: str) -> Path:
    """Resolve against the folder of dataset_info.json, or its `data` where the file lies there."""
    beside, below = folder / file_name, folder / "data" / file_name
    return workspace.readable(below if below.exists() and not beside.exists() else beside)


def _unsupported(name: str, values: dict[str, Any]) -> Problem | None:
    columns = values.get("columns")
    listed = columns if isinstance(columns, dict) else {}
    found = [key for key in _NOT_SUPPORTED if values.get(key)]
    found += [f"columns.{key}" for key in _COLUMNS_NOT_SUPPORTED if listed.get(key)]
    return problem("data.unsupported_entry", name, keys=", ".join(found)) if found else None


def _malformed(name: str, values: dict[str, Any]) -> Problem | None:
    if not isinstance(values.get("file_name"), str) or not values["file_name"]:
        return problem("data.bad_entry", name, key="file_name", wanted='"my_file.json"')
    if values.get("formatting") not in (None, "alpaca", "sharegpt"):
        return problem("data.bad_entry", name, key="formatting", wanted="alpaca | sharegpt")
    for key in ("columns", "tags"):
        given = values.get(key) or {}
        if not isinstance(given, dict) or not all(each is None or isinstance(each, str) for each in given.values()):
            return problem("data.bad_entry", name, key=key, wanted='{"…": "…"}')
    return None
