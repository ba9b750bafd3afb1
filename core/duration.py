"""Seconds in words, rounded as a person would say them."""

from core.wording import Translator


def spoken(seconds: float, t: Translator) -> str:
    """Return "40 seconds", "4 minutes" or "2.5 hours" in the language of `t`."""
    if seconds < 90:
        return t("duration.seconds", n=max(1, round(seconds / 5) * 5 if seconds > 10 else round(seconds)))
    if seconds < 5400:
        return t("duration.minutes", n=round(seconds / 60))
    return t("duration.hours", n=f"{seconds / 3600:.1f}")
