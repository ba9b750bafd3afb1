"""Every word that a person reads, by key and language.

The words lie in `app/locales/<language>.yaml`, one flat file a language, so that adding a language is adding a file.
The page, the command line and the text of an error all read them here.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import yaml

LOCALES = Path(__file__).parent.parent / "app" / "locales"

Translator = Callable[..., str]


def languages() -> list[str]:
    """Return the languages that have a file, English first."""
    return sorted((file.stem for file in LOCALES.glob("*.yaml")), key=lambda name: (name != "en", name))


@lru_cache
def table(language: str) -> dict[str, str]:
    """Return key -> text of one language. Keys are flat and dotted, blanks are `{name}`."""
    return yaml.safe_load((LOCALES / f"{language}.yaml").read_text(encoding="utf-8"))


def words(language: str) -> Translator:
    """Return `t(key, **blanks)` for a language.

    Raises:
        KeyError: from `t`, if the key does not exist; a missing word is a defect, not something to paper over.
    """
    entries = table(language)

    def t(key: str, /, **blanks: object) -> str:
        return entries[key].format(**blanks) if blanks else entries[key].replace("{{", "{").replace("}}", "}")

    return t


def joined(sentences: Iterable[str], language: str) -> str:
    """Return sentences as one text; Chinese ones stand without a space between them."""
    return ("" if language == "zh" else " ").join(filter(None, sentences))


def has(key: str) -> bool:
    return key in table("en")
