"""What the characters of the texts give away: damage, invisible signs, remains of a template, another maker's name."""

import re
from collections.abc import Iterable
from typing import Any

from core.data import vendors
from core.doctor.mojibake import repaired
from core.doctor.report import Finding, Tally, excerpt, percent
from core.doctor.source import Seen
from core.progress import Progress, silent
from core.records import Text
from core.render.control import ControlSearch

_MANY = 0.01  # share of rows from which a few odd ones are worth a warning
RESIDUE = re.compile(
    r"^###\s*(?:Response|Instruction|Input|Human|Assistant|User|System)\s*:|<STOP>|\A\s*(?:Assistant|ASSISTANT|GPT)\s*:\s",
    re.MULTILINE,
)
INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u00ad]")
BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe]")
_SLOT = re.compile(
    r"<(?:NAME|AUTHOR|YOUR[ _]NAME|(?:BOT|MODEL|COMPANY)(?:[ _]NAME)?)>"
    r"|(?<!\{)\{(?:name|author|your_name|company|model_name)\}(?!\})"
)
_BRACKET = re.compile(
    r"\[(?:insert|your|name of)\b[^\[\]\n]{0,40}\](?!\()|\[(?:姓名|名字|作者|公司)[^\[\]\n]{0,10}\]", re.I
)
_MAKERS, _MODELS = "|".join(vendors.MAKERS), "|".join(vendors.MODELS)
VENDOR = re.compile(
    rf"\b(?:I am|I'm|I’m|my name is|call me|this is) (?:[a-z ,]{{0,30}})?\b(?P<a>{_MODELS})\b"
    rf"|\bI(?: am|'m|’m| was|'ve been)\b[^.!?\n]{{0,80}}\b(?:made|created|developed|trained|built|designed) by"
    rf" (?P<b>{_MAKERS})\b"
    rf"|我(?:是|叫|的名字是)[^。！？\n]{{0,12}}?(?P<c>{_MODELS})"
    rf"|我[^。！？\n]{{0,20}}?由(?P<d>{_MAKERS})[^。！？\n]{{0,12}}(?:开发|训练|创造|研发|推出|打造)",
    re.I,
)
_NAMES = tuple(  # the beginnings of all these names, in lower case
    dict.fromkeys(re.split(r"[^\w]", name.lower())[0] for name in f"{_MAKERS}|{_MODELS}".split("|"))
)
DISCLAIMER = re.compile(
    r"\bas an? (?:AI|artificial intelligence|large)(?: |-)?(?:language )?(?:model|assistant)?\b[^.\n]{0,12}(?:,|I\b)"
    r"|作为一?[个名款位]?(?:AI|人工智能|大型?语言|语言)(?:语言)?(?:模型|助手)",
    re.I,
)


class Characters:
    """Mojibake and characters that nobody sees."""

    def __init__(self) -> None:
        self._mojibake = Tally("mojibake")
        self._invisible = Tally("invisible")
        self._kinds: set[str] = set()

    def see(self, seen: Seen) -> None:
        for _, text in seen.texts:
            if "\ufffd" in text or repaired(text) != text:
                self._mojibake.add(seen.place, _around_damage(text))
                break
        for _, text in seen.texts:
            found = INVISIBLE.search(text) or (None if RIGHT_TO_LEFT.search(text) else BIDI.search(text))
            if found:
                self._kinds.add(f"U+{ord(found[0]):04X}")
                self._invisible.add(
                    seen.place, excerpt(text, found.start()).replace(found[0], f"⟦U+{ord(found[0]):04X}⟧")
                )
                break

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        if self._mojibake.count:
            yield self._mojibake.finding(share=percent(self._mojibake.count, rows))
        if self._invisible.count:
            yield self._invisible.finding(kinds=", ".join(sorted(self._kinds)[:5]))

    def stats(self) -> dict[str, Any]:
        return {}


class ControlTokens:
    """Control tokens of the known families of models in the texts, and `own` ones of the chosen tokenizer."""

    def __init__(self, own: Iterable[str] = ()) -> None:
        self._search = ControlSearch(own)
        self._tally = Tally("control_tokens")
        self._names: set[str] = set()

    def see(self, seen: Seen) -> None:
        for _, text in seen.texts:
            if found := self._search.search(text):
                self._names.add(found[0].strip())
                self._tally.add(seen.place, excerpt(text, found.start()))
                break

    def findings(self, rows: int, progress: Progress = silent) -> Iterable[Finding]:
        if self._tally.count:
            yield self._tally.finding(names=listed(self._names), share=percent(self._tally.count, rows))

    def stats(self) -> dict[str, Any]:
        return {}


class Residue:
    """Remains of a template, blanks in another notation, disclaimers, and another maker's identity."""

    def __init__(self) -> None:
        self._residue = Tally("template_residue")
        self._slot = Tally("other_placeholder")
        self._bracket = Tally("bracket_placeholder")
        self._vendor = Tally("other_identity")
        self._disclaimer = Tally("disclaimer")
        self._makers: set[str] = set()

    def see(self, seen: Seen) -> None:
        _first(self._residue, RESIDUE, seen, ("#", "<STOP", "ssistant", "SSISTANT", "GPT"))
        _first(self._slot, _SLOT, seen, ("<", "{"))
        if isinstance(seen.record, Text):
            return
        _first(self._bracket, _BRACKET, seen, ("[",))
        for role, text in seen.texts:
            if role == "assistant" and (maker := names_other_maker(text, seen)):
                self._makers.add(maker)
                self._vendor.add(seen.place, excerpt(text, text.find(maker)))
                break
        if (place := disclaims(seen.answer)) is not None:
            self._disclaimer.add(seen.place, excerpt(seen.answer, place))

    def findings(self, rows: int, progress: Progress) -> Iterable[Finding]:
        for tally in (self._residue, self._slot, self._bracket, self._vendor, self._disclaimer):
            if tally.count:
                minor = tally in (self._disclaimer, self._residue) and tally.count <= _MANY * rows
                names = listed(self._makers) if tally is self._vendor else ""
                yield tally.finding(minor, names=names, share=percent(tally.count, rows))

    def stats(self) -> dict[str, Any]:
        return {}


def names_other_maker(text: str, seen: Seen) -> str:
    """Return the name of a model or maker that an answer takes for its own though nobody told it to, or "".

    A name that the system prompt or the question gives is the row's own subject.
    """
    low = text.lower()
    if not any(name in low for name in _NAMES):
        return ""
    found = VENDOR.search(text)
    if not found:
        return ""
    name = next(each for each in found.groups() if each)
    told = f"{seen.system}\n{seen.question}".lower()
    return "" if name.lower() in told else name


def disclaims(answer: str) -> int | None:
    """Return where an answer excuses itself with being a machine, or None."""
    if "作为" not in answer and "as a" not in answer.lower():
        return None
    found = DISCLAIMER.search(answer)
    return found.start() if found else None


def _first(tally: Tally, pattern: re.Pattern[str], seen: Seen, signs: tuple[str, ...]) -> None:
    """Tell the first text that the pattern is in; one of the signs stands in every such text, and is found faster."""
    for _, text in seen.texts:
        if any(sign in text for sign in signs) and (found := pattern.search(text)):
            tally.add(seen.place, excerpt(text, found.start()))
            return


def _around_damage(text: str) -> str:
    place = text.find("\ufffd")
    if place < 0:
        back = repaired(text)
        place = next((i for i, (a, b) in enumerate(zip(text, back, strict=False)) if a != b), len(back))
    return excerpt(text, place)


def listed(names: Iterable[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:6]) + (" …" if len(shown) > 6 else "")
