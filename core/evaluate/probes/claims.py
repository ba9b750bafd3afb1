"""Does a text claim a name for its speaker, deny it, or speak of somebody else? English and Chinese.

"No, I am not ChatGPT, I am Lumen" has two clauses: the first denies a name, the second claims one. A name counts as claimed
in an answer to "Who are you?" unless its clause denies it, compares with it, asks for it or has another subject. Rules over
clauses, no model: what they take an answer for can be seen in the answer.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_READ = 2000  # characters; chosen by us
_SPACE = re.compile(r"\s+")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = rf"[^\W_{_CJK}]"  # of a script that writes spaces between words
_SENTENCE = re.compile(r"(?:[^.!?。！？\n]|\.(?!\s|$))+(?:\.(?=\s|$)|[!?。！？\n])*")
_BORDER = re.compile(
    r"([,;:，；：、()（）—–]|\s-\s|\b(?:but|however|although|though|because|since|while|whereas|and)\b"
    r"|而是|但是|但|只是|不过|其实|实际上)",
    re.I,
)
_LIST = frozenset({",", "，", "、", "and"})  # what follows may be one more of the same
# Before a name in its clause, these say that the speaker is somebody else, or only like it.
_DENIAL = re.compile(
    r"\b(?:not(?! (?:only|just|merely|simply)\b)|never|neither|nor|cannot|without|unlike|nothing|than|instead of|different"
    r"|no (?:longer|relation\w*|connection|affiliation|link|way)|as opposed to|(?<!would )(?<!'d )like|similar|such as"
    r"|confus\w+|mistak\w+|mixed up)\b|n't\b"
    r"|不是|并非|并不|不叫|不属|不由|不来自|不算|不能|不会|从未|没有|无关|不同|不像|不基于|类似|而非|(?<!除)非(?!常)|像",
    re.I,
)
_DENIED_BEHIND = re.compile(
    r"^\W*(?:is|are|was|were|did|does|do|has|have)(?: not\b|n't\b)|^.{0,8}(?:没有|没关系|无关|不同|不一样|不是|并非|区别)",
    re.I,
)
_MINE = re.compile(
    r"\b(?:I|I'm|I've|me|my|mine|myself|this (?:assistant|model|is))\b|我|这里是|本(?:助手|模型|人)|咱|俺", re.I
)
_AFFIRMED = re.compile(r"\b(?:I am|I'm|my \w+ is|by)\b|我(?:就)?(?:是|叫|由)|名叫|名为", re.I)
_OTHERS = re.compile(r"^\W*(?:you|people|users|many|some|others|they|he|she|there|both)\b", re.I)
_OTHERS_ZH = re.compile(r"^\W*(?:您|你|很多人|有人|有些人|他们|它)(?!好)")
_TALKING = re.compile(r"\b(?:talking|speaking|chatting) (?:to|with)\b|正在(?:和|与|跟)", re.I)
_VERB = re.compile(
    r"\b(?:I|I'm|my|me|am|is|are|was|were|be|been|call\w*|named?|did|does|can|would|will|have|has)\b|是|叫|由|我", re.I
)
_PARTICIPLE = re.compile(r"^\W*(?:made|created|developed|trained|built|designed|powered|based|by|from)\b", re.I)
_BECOMES = re.compile(r"^\W*(?:is|was|are|由|是|属于|belongs|has|have)\b|^\W*(?:是|由|属于)", re.I)
_YES = re.compile(
    r"^\W*(?:yes|yeah|yep|yup|correct|right|sure|exactly|indeed|of course|certainly|that(?:'s| is) (?:right|correct|me))\b"
    r"|^\W*(?:是的|是(?=$|[\s,。!，！])|对|没错|当然|嗯|正确|确实)",
    re.I,
)


@dataclass(frozen=True)
class Clause:
    """`start` counts characters of the text. `denied` is taken over from the clause before; `asks` is a question."""

    text: str
    start: int
    denied: bool
    asks: bool


def normal(text: str) -> str:
    """Return the beginning of a text in one form: half width, composed, straight apostrophes, single spaces.

    A model that repeats itself without end has said by then who it is.
    """
    plain = unicodedata.normalize("NFKC", text[:_READ]).replace("’", "'").replace("‘", "'")
    return _SPACE.sub(lambda found: "\n" if "\n" in found[0] else " ", plain)


def pattern(names: str, exact_case: bool = False) -> re.Pattern[str]:
    """Return what finds a regular expression of names as whole words; Chinese ones need no border."""
    bordered = rf"(?:(?<!{_LETTER})|(?<=[{_CJK}]))(?:{names})(?!{_LETTER})"
    return re.compile(bordered, 0 if exact_case else re.I)


def word(value: str) -> re.Pattern[str]:
    """Return what finds this value as a whole word, in any case and with any white space inside."""
    parts = [re.escape(part) for part in normal(value).split()]
    before = rf"(?<!{_LETTER})" if parts and re.match(_LETTER, parts[0]) else ""
    after = rf"(?!{_LETTER})" if parts and re.match(_LETTER, parts[-1][-1]) else ""
    return re.compile(before + r"\s*".join(parts) + after, re.I) if parts else re.compile(r"(?!)")


def claimed(text: str, names: re.Pattern[str], told: str = "", knows_itself: bool = False) -> list[str]:
    """Return the names that a text claims for its speaker, in order, none twice.

    Args:
        text: in its `normal` form.
        told: the question; a name that stands in it may be spoken of as somebody else's.
        knows_itself: the text claims its right name elsewhere, so that what it says of others is about others.
    """
    found: dict[str, str] = {}
    for clause in clauses(text, names):
        for match in names.finditer(clause.text):
            others = knows_itself or names.search(told) is not None
            if match[0].casefold() in found:
                continue
            if not clause.asks and not _is_denied(clause, match) and not (others and _is_of_others(clause, match)):
                found.setdefault(match[0].casefold(), match[0])
    return list(found.values())


def says_yes(text: str) -> bool:
    return bool(_YES.search(text))


def clauses(text: str, names: re.Pattern[str]) -> Iterator[Clause]:
    """Yield the clauses of a text. A bare name behind a comma is as denied as the clause before: "not Claude, Gemini"."""
    for sentence in _SENTENCE.finditer(text):
        pieces = _BORDER.split(sentence[0])
        question = sentence[0].rstrip().endswith("?")
        last = max((n for n in range(0, len(pieces), 2) if pieces[n].strip(" ?")), default=0)
        start, denied, denied_names, speaks = sentence.start(), False, False, False
        for number in range(0, len(pieces), 2):
            piece = pieces[number]
            speaks = speaks or bool(_MINE.search(piece))
            asks = question and (number == last or not speaks)
            joined = number > 0 and pieces[number - 1].strip().lower() in _LIST
            bare = not _VERB.search(piece)
            takes_over = joined and bare and (denied_names if _PARTICIPLE.match(piece) else denied)
            if piece.strip():
                yield Clause(piece, start, takes_over, asks)
                denied = takes_over or bool(_DENIAL.search(piece))
                denied_names = denied and (denied_names if takes_over else bool(names.search(piece)))
            start += len(piece) + (len(pieces[number + 1]) if number + 1 < len(pieces) else 0)


def _is_denied(clause: Clause, match: re.Match[str]) -> bool:
    before, behind = clause.text[: match.start()], clause.text[match.end() :]
    if clause.denied or _DENIAL.search(before):
        return True
    return not _AFFIRMED.search(before) and bool(_DENIED_BEHIND.search(behind))


def _is_of_others(clause: Clause, match: re.Match[str]) -> bool:
    """Say whether a clause has another subject than its speaker: "ChatGPT is made by OpenAI", "You mean Claude"."""
    if _MINE.search(clause.text) or _TALKING.search(clause.text):
        return False
    if _OTHERS.search(clause.text) or _OTHERS_ZH.search(clause.text):
        return True
    subject = re.match(r"\W*(?:the )?$", clause.text[: match.start()], re.I)
    first = subject is not None and bool(_BECOMES.search(clause.text[match.end() :]))
    return first or bool(
        re.match(r"\W*\S{2,20}\s*(?:is|was|是|由)", clause.text[: match.start()], re.I) and subject is None
    )
