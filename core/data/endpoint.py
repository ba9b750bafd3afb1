"""A text generator behind an OpenAI-compatible address, named by the environment and by nothing else.

STUDIO_GEN_BASE_URL   such as http://localhost:8000/v1
STUDIO_GEN_MODEL      the model's name there
STUDIO_GEN_API_KEY    where one is needed; it is sent as a bearer token, and never written down or shown
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import DataError, problem

if TYPE_CHECKING:
    from httpx import Response

VARIABLES = ("STUDIO_GEN_BASE_URL", "STUDIO_GEN_MODEL", "STUDIO_GEN_API_KEY")
_SECONDS = 60.0  # for one answer; chosen by us: a slow local model writes a sentence in that time
_TRIES = 3
_AGAIN = (408, 429, 500, 502, 503, 504)  # answers after which another try makes sense
_LONGEST = 200_000  # characters of an answer that are read


@dataclass(frozen=True)
class Endpoint:
    """Call it with a request in words to get the model's answer."""

    base_url: str
    model: str
    key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Endpoint | None":
        """Return the endpoint that the environment names, None where it names none.

        Raises:
            DataError: if the address is none, or the model's name is missing.
        """
        url, model, key = (environment.get(name, "").strip() for name in VARIABLES)
        if not url:
            return None
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not model:
            raise DataError(problem("augment.endpoint_unclear", "", model=model or "-"))
        return cls(url.rstrip("/"), model, key)

    @property
    def host(self) -> str:
        """The name to show: an address may carry a password."""
        return urlsplit(self.base_url).hostname or ""

    def __call__(self, request: str, temperature: float = 0.7) -> str:
        """Return the model's answer, stripped. May be called from several threads at once.

        Raises:
            DataError: if it cannot be reached, refuses, or answers in another form; with the host, never with the key.
        """
        import httpx  # half a second that only those who ask should pay

        body = {"model": self.model, "messages": [{"role": "user", "content": request}], "temperature": temperature}
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        reason = ""
        for attempt in range(_TRIES):
            if attempt:
                time.sleep(2.0**attempt / 2)
            try:
                url = f"{self.base_url}/chat/completions"
                answer = httpx.post(url, json=body, headers=headers, timeout=_SECONDS, follow_redirects=False)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = type(error).__name__
                continue
            if answer.status_code == 200:
                text = _text_of(answer, self.host)
                return text.replace(self.key, "…") if self.key else text  # what it says may be shown and written down
            reason = f"HTTP {answer.status_code}"
            if answer.status_code not in _AGAIN:
                break
        raise DataError(problem("augment.endpoint_failed", "", host=self.host, reason=reason))


def _text_of(answer: "Response", host: str) -> str:
    try:
        text = answer.json()["choices"][0]["message"]["content"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(problem("augment.endpoint_failed", "", host=host, reason=type(error).__name__)) from error
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise DataError(problem("augment.endpoint_failed", "", host=host, reason="no text"))
    return text.strip()
