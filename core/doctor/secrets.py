"""Keys and personal data: what a model must not learn by heart, because it may say it to anybody.

Patterns alone; what can be checked by arithmetic (cards, Chinese identity numbers) is. Addresses and numbers that are
reserved for examples are left alone. The patterns are ASCII, so that a Chinese character beside a number is not part of it.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from core.doctor.report import Finding, Tally
from core.doctor.source import Seen
from core.progress import Progress

_KEYS = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{20,}\b|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{40,}\b|\bhf_[A-Za-z0-9]{30,}\b|\bxox[abprs]-[A-Za-z0-9-]{20,}"
    r"|\bAIza[0-9A-Za-z_-]{35}\b|\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{10,}",
    re.ASCII,
)
_EMAIL = re.compile(r"(?<![\w.+-])\w[\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}\b", re.ASCII)
_ADDRESS = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])", re.ASCII)
_PHONE = re.compile(
    r"(?<![\w+])\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}(?!\w)"
    r"|(?<!\w)\(\d{3}\) ?\d{3}-\d{4}(?!\w)|(?<![\w-])[2-9]\d{2}-[2-9]\d{2}-\d{4}(?![\w-])|(?<!\w)1[3-9]\d{9}(?!\w)",
    re.ASCII,
)
_CARD = re.compile(  # in one piece, or in the groups that are printed on cards: a list of numbers is none
    r"(?<![\w.-])(?<!\d )(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5})"
    r"(?! ?\d)(?![\w.-])",
    re.ASCII,
)
_IDENTITY = re.compile(
    r"(?<!\w)[1-9]\d{5}(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx](?!\w)", re.ASCII
)
_EXAMPLE_MAIL = re.compile(
    r"@(?:[\w.-]+\.)?(?:example\.\w+|test\.\w+|(?:your|my)?(?:domain|company|email|mail)\.\w+|localhost)$|\.(?:example|invalid|test)$"
    r"|^(?:your|name|user(?:name)?|first\.last|no-?reply|info|support|contact|hello|sales|admin)@",
    re.I,
)
_NOBODYS_ADDRESS = re.compile(
    r"^(?:10\.|127\.|0\.|255\.|192\.168\.|169\.254\.|172\.(?:1[6-9]|2\d|3[01])\.|192\.0\.2\.|198\.51\.100\.|203\.0\.113\."
    r"|8\.8\.|1\.1\.1\.1|22[4-9]\.|23\d\.)|^[1-9]\d?\.\d{1,2}\.\d{1,2}\.\d{1,2}$"
)


def _is_mail(text: str) -> bool:
    return not _EXAMPLE_MAIL.search(text)


def _is_address(text: str) -> bool:
    """Private and documentation addresses are nobody's; numbers below 100 throughout are versions more often."""
    return not _NOBODYS_ADDRESS.match(text)


def _is_phone(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 8 <= len(digits) <= 15 and "555" not in digits[:7] and "12345" not in digits and len(set(digits)) > 3


def _is_card(text: str) -> bool:
    digits = [int(each) for each in text if each.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) < 4 or digits[0] not in (2, 3, 4, 5, 6):
        return False
    doubled = [each if i % 2 == 0 else each * 2 - 9 * (each > 4) for i, each in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _is_identity(text: str) -> bool:
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    rest = sum(int(digit) * weight for digit, weight in zip(text[:17], weights, strict=True)) % 11
    return "10X98765432"[rest] == text[17].upper()


_PERSONAL: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("email", _EMAIL, _is_mail),
    ("identity number", _IDENTITY, _is_identity),
    ("card", _CARD, _is_card),
    ("phone", _PHONE, _is_phone),
    ("IP address", _ADDRESS, _is_address),
)


_KEY_SIGNS = ("PRIVATE KEY", "sk-", "AKIA", "gh", "hf_", "xox", "AIza", "eyJ")  # no key is without one of them
_SIGNS = {  # what a text must hold for the slower pattern of a kind to be tried
    "email": re.compile("@"),
    "IP address": re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d"),
}
_LONG_NUMBER = re.compile(r"\d[\d ().-]{6,}\d")


def key_in(text: str) -> str:
    """Return the first key in a text, or ""."""
    if not any(sign in text for sign in _KEY_SIGNS):
        return ""
    found = _KEYS.search(text)
    return found[0] if found else ""


def personal_in(text: str) -> list[tuple[str, str]]:
    """Return (kind, what) of every piece of personal data in a text."""
    return [
        (kind, found[0])
        for kind, pattern, real in _PERSONAL
        if _SIGNS.get(kind, _LONG_NUMBER).search(text)
        for found in pattern.finditer(text)
        if real(found[0])
    ]


def redacted(text: str) -> str:
    """Return the text with keys and personal data replaced by what they are: [email], [key] …"""
    text = _KEYS.sub("[key]", text)
    for kind, pattern, real in _PERSONAL:
        text = pattern.sub(lambda found, kind=kind, real=real: f"[{kind}]" if real(found[0]) else found[0], text)  # type: ignore[misc]
    return text


class Secrets:
    """Rows that hold a key or personal data. Examples show only the beginning of what was found."""

    def __init__(self) -> None:
        self._keys = Tally("secrets")
        self._personal = Tally("personal_data")
        self._kinds: dict[str, int] = {}

    def see(self, seen: Seen) -> None:
        for _, text in seen.texts:
            if found := key_in(text):
                self._keys.add(seen.place, _masked(found))
                break
        pieces = [piece for _, text in seen.texts for piece in personal_in(text)]
        if pieces:
            for kind in {kind for kind, _ in pieces}:
                self._kinds[kind] = self._kinds.get(kind, 0) + 1
            self._personal.add(seen.place, "; ".join(_masked(what) for _, what in pieces[:3]))

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._keys.count:
            yield self._keys.finding()
        if self._personal.count:
            kinds = {f"personal.{kind.lower().replace(' ', '_')}": self._kinds[kind] for kind in sorted(self._kinds)}
            yield self._personal.finding(kinds=kinds)

    def stats(self) -> dict[str, Any]:
        return {}


def _masked(text: str) -> str:
    """Show enough to find it, not enough to use it."""
    shown = max(3, len(text) // 3)
    return text[:shown] + "…" * (len(text) > shown)
