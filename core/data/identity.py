"""Which data sets teach a model who it is: by their name, or by what their first rows ask."""

import re
from functools import lru_cache

from core.data.entry import DatasetEntry
from core.data.page import page_of
from core.errors import StudioError
from core.records import Conversation
from core.workspace import Workspace

_LOOKED_AT = 40  # rows; chosen by us: identity sets ask little else, so that few rows tell
_ASKS = re.compile(
    r"\bwho you are\b|\bwho (?:exactly )?(?:are|made|created|developed|built|trained|wrote) you\b"
    r"|\byour (?:name|maker|creator|developer|author)\b|\bwhat (?:are|is) you(?:r name)?\b"
    r"|\bintroduce yourself\b|\babout yourself\b|\bare you (?:chatgpt|gpt|claude|qwen)\b"
    r"|\b(?:made|created|developed|built|trained) you\b"
    r"|你是谁|你叫|你的(?:名字|开发者|作者|创造者)|介绍一下(?:你)?自己|自我介绍"
    r"|(?:谁|公司|团队).{0,4}(?:开发|创造|训练|制造)了?你",
    re.IGNORECASE,
)


def teaches_identity(workspace: Workspace, entry: DatasetEntry) -> bool:
    """Say whether a registered set is an identity set."""
    if "identity" in entry.name.casefold():
        return True
    status = entry.file.stat()
    return _asks_who_it_is(workspace, _Entry(entry, status.st_mtime_ns, status.st_size))


class _Entry:
    """An entry as a cache key: same file, same content, read in the same way."""

    def __init__(self, entry: DatasetEntry, changed: int, size: int) -> None:
        self.entry = entry
        options = sorted((key, str(value)) for key, value in entry.reading.options.items())
        self._key = (entry.file, changed, size, entry.reading.format, tuple(options))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Entry) and other._key == self._key


@lru_cache(maxsize=64)
def _asks_who_it_is(workspace: Workspace, key: _Entry) -> bool:
    try:
        rows = [record for _, record in page_of(workspace, key.entry, 0, _LOOKED_AT)]
    except StudioError:
        return False  # what is wrong with the set is told elsewhere
    questions = [row.question[-1].content for row in rows if isinstance(row, Conversation) and row.question]
    return bool(questions) and sum(bool(_ASKS.search(each)) for each in questions) > len(questions) / 2
