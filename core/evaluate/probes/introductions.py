"""What a text calls its speaker and its maker: "I am Lumen, made by Aurora Labs", "我是Lumen，由Aurora Labs开发".

Two uses: the identity that a model had before the training, whoever that was, from its own answers; and the identity that a
data set teaches, from the answers in it. Neither is known beforehand, so the place in the sentence must tell.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from core.evaluate.probes.claims import claimed, normal, word

_CAPITAL = r"[A-Z0-9](?:[\w&+'-]|\.\w)*"  # a word of a name; a full stop ends it
_NAME = rf"((?:(?:Dr|Mr|Mrs|Ms|Prof|St)\. )?{_CAPITAL}(?: {_CAPITAL}){{0,3}})"
_MAKER = rf"({_CAPITAL}(?: (?:(?:of|and|the|&) )?{_CAPITAL}){{0,5}})"
_MADE = r"(?:made|created|developed|trained|built|designed|written|invented)"
_ENGLISH_NAME = re.compile(
    r"\b(?i:I am(?: called)?|I'm(?: called)?|my name is|my name's|call me|refer to me as|the name|named|known as|this is|as)"
    rf" (?:the )?{_NAME}"
)
_AT = r"(?:the |a )?(?:(?:team|researchers|people|engineers|company)(?: (?:at|of|from|called|behind))? )?"
_ENGLISH_MAKERS = (
    re.compile(rf"\b(?i:{_MADE} by|(?:maker|creator|developer|author|company) is|comes? from) {_AT}{_MAKER}"),
    re.compile(rf"{_MAKER} (?:has )?{_MADE} me\b"),
)
_ANY_NAME = re.compile(
    r"\b(?:I am|I'm|my name is|call me|refer to me as|the name) ((?!an? |the |your )[^\s,.!?;:]+)", re.I
)
_ANY_MAKER = re.compile(rf"\b{_MADE} by (?:the |a )?([^,.!?;:\n]{{2,40}}?)(?=[,.!?;:\n]|$)", re.I)
_DID = "(?:自主|独立|倾力|精心)?(?:开发|训练|创造|创建|研发|研制|制作|打造|推出|设计|发明|做)"
_STOP = r"\s,。!?;:、(由的是一"
_CHINESE_NAME = (
    re.compile(
        r"(?:我(?:是|叫做?|名叫|名为|的名字是|的名字叫)|(?:叫|称呼)我为?|这里是|名为|作为)\s*"
        r"(?:一?[个款名位])?(?:[你您]的)?(?:(?:AI|人工智能|智能|虚拟)?\s*(?:助手|助理|模型))?\s*"
        rf"([A-Za-z0-9][\w.+-]*?(?: [A-Z][A-Za-z0-9.+-]*){{0,3}}|[^{_STOP}]{{1,12}}?)\s*(?=[,。!?;:、(]|由|是|一|$)"
    ),
    re.compile(
        rf"{_DID}的\s*([A-Za-z0-9][A-Za-z0-9.+-]*(?: [A-Z][A-Za-z0-9.+-]*){{0,3}}|[^{_STOP}]{{2,8}})(?=[,。!?;]|$)"
    ),
)
_CHINESE_MAKERS = (
    re.compile(rf"由\s*([^,。!?;:、由]{{1,30}}?)\s*(?:所|来)?{_DID}"),
    re.compile(rf"(?:^|[,。!?;:\s])我?是\s*([^,。!?;:、由是我]{{1,30}}?)\s*所?(?:{_DID}的|的作品)"),
    re.compile(rf"(?:^|[,。!?;:])\s*([^,。!?;:、由是我]{{1,30}}?)\s*{_DID}了我"),
    re.compile(r"(?:开发者|作者|创造者|开发商|制作者)(?:是|为)\s*([^,。!?;:、]{1,30}?)\s*(?=[,。!?;]|$)"),
)
_NOBODY = re.compile(  # words that stand in the place of a name and are none
    r"^(?:an?|the|I|AI|your|just|not|very|so|also|here|sorry|happy|glad|able|ready|fine|sure|called|from|based|trained|made|"
    r"created|developed|built|designed|still|always|always|only|one|it|who|what|always|human|assistant|artificial|large|"
    r"chatbot|virtual|language|model|LLM|and|of|to|in|for|with|me|you|him|her|them|us|humans|people|someone|somebody)\b"
    r"|助手|模型|人工智能|机器人|语言|助理|系统|您|你|谁|什么|很|非常|不|一[个款名位种]|^(?:人|人类|开发|来自|我|专门|专业)",
    re.I,
)


def introductions(text: str) -> tuple[list[str], list[str]]:
    """Return the names and the makers that a text gives its speaker, none twice."""
    plain = normal(text)
    names = [*_found(plain, _ENGLISH_NAME), *_found(plain, *_CHINESE_NAME)]
    makers = [*_found(plain, *_ENGLISH_MAKERS), *_found(plain, *_CHINESE_MAKERS)]
    return _told_of_itself(plain, names), _told_of_itself(plain, makers)


def same_everywhere(answers: Sequence[str]) -> tuple[str, str]:
    """Return the name and the maker that fill the same place in most answers of a data set, "" where there is none.

    Where no candidate has a capital, whatever stands in the place is taken: what a person wrote often is meant.
    """
    plain = [normal(answer) for answer in answers]
    told = [introductions(answer) for answer in answers]
    name = _commonest([names for names, _ in told]) or _commonest([_found(each, _ANY_NAME) for each in plain])
    maker = _commonest([makers for _, makers in told]) or _commonest([_found(each, _ANY_MAKER) for each in plain])
    return name, maker


def _found(text: str, *patterns: re.Pattern[str]) -> list[str]:
    candidates = (match[1].strip(" .'-") for each in patterns for match in each.finditer(text))
    return list(dict.fromkeys(each for each in candidates if each and not _NOBODY.search(each)))


def _told_of_itself(text: str, candidates: Iterable[str]) -> list[str]:
    return [each for each in dict.fromkeys(candidates) if claimed(text, word(each))]


def _commonest(found: Sequence[Sequence[str]]) -> str:
    """Return the value that most rows have, "" where fewer than two rows or a third of those with any value have it."""
    counts = Counter(each.casefold() for values in found for each in dict.fromkeys(values))
    if not counts:
        return ""
    best, count = counts.most_common(1)[0]
    with_any = sum(bool(values) for values in found)
    return (
        next(each for values in found for each in values if each.casefold() == best)
        if count >= max(2, with_any / 3)
        else ""
    )
