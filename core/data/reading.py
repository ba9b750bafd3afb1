"""How the rows of a file are to be read: the name of a format and what it needs to know."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """`format` is a name of `core.data.formats`; `options` are its columns, tags and choices.

    `alpaca` and `sharegpt` are LLaMA-Factory's: their options are the entry's columns and tags.
    """

    format: str
    options: dict[str, str] = field(default_factory=dict, hash=False)
