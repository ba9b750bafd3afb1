"""Every word exists, in every language, with the same blanks."""

import re
import string
from pathlib import Path

import pytest
import yaml

from core.errors import Problem, problem
from core.settings import fields
from core.wording import LOCALES, languages, table, words

ROOT = Path(__file__).parent.parent
SOURCES = [*ROOT.glob("core/**/*.py"), *ROOT.glob("app/**/*.py")]
CODE = re.compile(r"""(?:problem|Problem|_unsupported)\(\s*"([a-z_]+\.[a-z0-9_]+)"|code="([a-z_]+\.[a-z0-9_]+)\"""")


def blanks(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_language_has_the_same_keys_and_blanks():
    english = {key: blanks(text) for key, text in table("en").items()}
    assert languages() == ["en", "zh"]
    for language in languages()[1:]:
        assert {key: blanks(text) for key, text in table(language).items()} == english


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_key_stands_twice(language):
    for file in LOCALES.glob(f"**/{language}*.yaml"):
        keys = [
            line.split(":")[0] for line in file.read_text(encoding="utf-8").splitlines() if re.match(r"[\w.]+:", line)
        ]
        assert len(keys) == len(set(keys))
        assert len(keys) == len(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_every_error_that_the_code_raises_has_its_three_sentences():
    codes = {a or b for path in SOURCES for a, b in CODE.findall(path.read_text(encoding="utf-8"))}
    assert len(codes) > 40
    missing = [f"{code}.{part}" for code in sorted(codes) for part in ("what", "why", "fix")
               if f"error.{code}.{part}" not in table("en")]  # fmt: skip
    assert not missing, missing


def test_every_setting_has_a_label_and_a_help():
    missing = [f"setting.{row.path}.{part}" for row in fields() for part in ("label", "help")
               if f"setting.{row.path}.{part}" not in table("en")]  # fmt: skip
    assert not missing, missing


def test_chinese_text_has_chinese_punctuation():
    wrong = [
        key for key, text in table("zh").items() if re.search(r"[\u4e00-\u9fff][,;?!]|[\u4e00-\u9fff]:(?!//)", text)
    ]
    assert not wrong, wrong


def test_blanks_are_filled_and_doubled_braces_are_braces():
    problem = Problem("settings.yaml", "a.yaml:3", {"reason": "{odd} text"})
    assert "{odd} text" in problem.say()
    assert "lora: {rank: 16}" in problem.say()


def test_chinese_sentences_stand_without_a_space_between_them():
    told = problem("data.no_rows", "a.json")
    assert "。 " not in told.say("zh")
    assert ". " in told.say("en")


def test_an_unknown_key_is_a_defect_and_not_papered_over():
    with pytest.raises(KeyError):
        words("en")("no.such.key")
