"""The last number of a text, and whether two texts end on the same one."""

from dataclasses import dataclass
from decimal import Context, Decimal

import regex

from core.evaluate.metrics.words import CJK

# Letters before a digit make a name of it (H2O, m2), and a minus behind a word or number subtracts. A comma only counts
# between groups of three.
_NUMBER = regex.compile(
    r"(?:(?<![\w)\]%])(?P<sign>[-+])[$€£¥]?)?"
    rf"(?P<value>(?<![^\W\d{CJK}])(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)|\d+)(?:\.\d+)?|(?<![\w.])\.\d+)"
    r"(?P<percent>\s?%)?"
)
_BARE = regex.compile(r"\s*[-+]?[$€£¥]?\d[\d,.]*\s?%?\s*\.?\s*")
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x2212: "-"}  # full-width signs; the true minus
_EXACT = Context(prec=1_000_000)  # digits; moving the point must never round


@dataclass(frozen=True)
class Number:
    """A number as it was written: 50 % has value 50 and `percent`."""

    value: Decimal
    percent: bool = False

    def same(self, other: "Number") -> bool:
        """Say whether two numbers are one: 0.5, .50 and 50 % are, and so are 50 and 50 %, where the unit was left out."""
        return self.value == other.value or self._whole() == other._whole()

    def _whole(self) -> Decimal:
        return self.value.scaleb(-2, _EXACT) if self.percent else self.value


def last_number(text: str) -> Number | None:
    """Return the last number of a text, written with digits of any script, full width ones too; None where there is none."""
    found = list(_NUMBER.finditer(text.translate(_WIDE)))
    if not found:
        return None
    last = found[-1]
    sign = "-" if last["sign"] == "-" else ""
    return Number(Decimal(sign + last["value"].replace(",", "")), last["percent"] is not None)


def is_bare_number(text: str) -> bool:
    """Say whether a text is a number and nothing else."""
    return _BARE.fullmatch(text.translate(_WIDE)) is not None and last_number(text) is not None
