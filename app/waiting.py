"""How far work is that a page waits for, in words."""

import time

from core.duration import spoken
from core.wording import Translator


class Waited:
    """A progress (`core.progress`) that can be asked from another thread."""

    def __init__(self) -> None:
        self._began = 0.0
        self._share = 0.0

    def __call__(self, done: int, total: int) -> None:
        self._began = self._began or time.monotonic()
        self._share = done / total if total else 0.0

    def words(self, key: str, t: Translator) -> str:
        """Return the sentence `key` with `percent` and `left`, "" while nothing can be told yet."""
        if not self._share:
            return ""
        left = (time.monotonic() - self._began) * (1 - self._share) / self._share
        return t(key, percent=round(100 * self._share), left=spoken(left, t))
