"""The documentation says what is so."""

import re
from pathlib import Path

from core.settings.document import document

ROOT = Path(__file__).parent.parent


def test_the_documented_settings_are_the_real_ones():
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == document(), "make it again: python -m core.settings.document > docs/settings.md"


def test_every_picture_and_page_that_a_document_links_to_is_there():
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_test_that_the_page_on_exactness_names_is_there():
    tests = set(
        re.findall(r"^def (test_\w+)", "\n".join(map(Path.read_text, ROOT.glob("tests/test_*.py"))), re.MULTILINE)
    )
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / "exactness.md").read_text(encoding="utf-8"))
    assert set(named) <= tests
    assert len(named) >= 15
