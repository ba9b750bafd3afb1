"""What is written as YAML is read again to the character, by the reader of the studio and by PyYAML's own."""

import pytest
import yaml

from core import yaml_text

TEXTS = [
    "a\x85b", "\x85", "a\u2028b\u2029", "\ufeffa", "a\x7f\x00b", "a\r\nb\r", "a\n b\n\n", "\ta", " a ", "", "yes", "1e3",
    "é你😀", "a: b # c", "- a", "'\"", "x" * 500 + " " + "y" * 500,
]  # fmt: skip


@pytest.mark.parametrize("loader", [yaml_text.LOADER, yaml.SafeLoader])
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_read_as_it_was_written(text: str, loader: type) -> None:
    written = yaml_text.dump({"text": text, text: [text]})
    assert yaml.load(written, Loader=loader) == {"text": text, text: [text]}  # noqa: S506  (both are safe ones)


def test_values_that_occur_twice_are_written_out() -> None:
    shared = {"a": [1, None, True, 0.1]}
    written = yaml_text.dump({"one": shared, "two": shared})
    assert yaml.safe_load(written) == {"one": shared, "two": shared}
    assert "&" not in written
