"""Control tokens in what people wrote: those of the known families of models, and those of one tokenizer."""

import re
from collections.abc import Iterable

CONTROL_TOKEN = re.compile(  # of the known families of models, whatever the tokenizer
    r"<\|[a-zA-Z0-9_]{2,40}\|>|<｜[^｜<>\n]{1,40}｜>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
    r"|\[gMASK\]|\A<s>|</s>\s*\Z"
)


class ControlSearch:
    """Looks for the control tokens of the known families and for `own`, those of the chosen tokenizer."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        others = [each for each in own if len(each) > 2 and not CONTROL_TOKEN.fullmatch(each)]
        names = "|".join(re.escape(each) for each in sorted(others, key=len, reverse=True))
        self._own = re.compile(names) if names else None

    @property
    def has_own(self) -> bool:
        """Whether the tokenizer has some that are not of a known family."""
        return self._own is not None

    def search(self, text: str) -> re.Match[str] | None:
        """Return the first one in a text: of the families where there is one, else of the tokenizer."""
        signs = "<" in text or "[" in text
        found = CONTROL_TOKEN.search(text) if signs else None
        return found or (self._own.search(text) if self._own else None)
