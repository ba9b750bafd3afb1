"""Text that was written as UTF-8 and read as Windows-1252: `Ã©` for `é`, `â€™` for `’`. Finding it and turning it back.

A run of such characters is taken for damage only if its bytes are valid UTF-8, which real words practically never are.
"""

import re

_C1 = {
    ord(bytes([byte]).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_FOLLOWING = "\u0080-\u00bf" + "".join(re.escape(chr(code)) for code in _C1)
_RUN = re.compile(f"(?:[\u00c2-\u00f4][{_FOLLOWING}]{{1,3}})+")


def repaired(text: str) -> str:
    """Return the text with every damaged run turned back; what is not damaged stays."""
    return text if text.isascii() else _RUN.sub(_turned_back, text)


def _turned_back(found: re.Match[str]) -> str:
    run = found[0]
    try:
        back = bytes(_C1.get(ord(each), ord(each)) for each in run).decode("utf-8")
    except (UnicodeDecodeError, ValueError):
        return run
    # Two characters that begin with another letter than Â or Ã may be real: CAFÉ— is Windows-1252's bytes of ɗ.
    return back if len(run) > 2 or run[0] in "ÂÃ" else run
