"""Other wordings of a question without a model: templates, question and command swapped, typing noise, synonyms.

Each method takes a text, the words that must stay, and a source of chance, and returns another text, or None where it has
nothing to offer. Code, numbers, quotes, addresses, blanks, tags and names stay as they are in all of them.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from random import Random

Variant = Callable[[str, Sequence[str], Random], str | None]

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_KEPT = re.compile(
    r"```.*?```|`[^`]*`|\{\{.*?\}\}|<[^<>]+>|\[[A-Z_ ]{2,24}\]|https?://\S+|[\w.+-]+@[\w-]+\.\w+"
    r"|\"[^\"]*\"|“[^”]*”|‘[^’]*’|「[^」]*」|『[^』]*』|《[^》]*》|(?<!\w)'[^']+'(?!\w)"
    r"|[A-Za-z0-9_.,:%$€£+\-/]*\d[A-Za-z0-9_.,:%$€£+\-/]*",
    re.DOTALL,
)
_CODE = re.compile(r"[{};]\s*$|=>|\(\)|</|^\s*(?:def|class|import|SELECT|function)\b|#include")
_WORD = re.compile(r"[A-Za-z]+")

_ASKING = {
    "en": ("I have a question: {}", "Could you help me with this? {}", "Please tell me: {}", "Quick question: {}",
           "I would like to know: {}", "{} Please let me know.", "Can you answer this? {}"),
    "zh": ("请问，{}", "我想知道：{}", "请告诉我：{}", "麻烦回答一下：{}", "我有个问题：{}", "能回答这个问题吗？{}"),
}  # fmt: skip
_TELLING = {
    "en": ("Please do the following: {}", "Here is what I need: {}", "I need your help with this: {}",
           "Could you help me with this task? {}", "{} Thank you.", "Here is a task for you: {}"),
    "zh": ("请完成下面的任务：{}", "我需要你的帮助：{}", "麻烦你帮我处理：{}", "请按要求做：{}", "有一个任务：{}"),
}  # fmt: skip

# Question <-> command. Only forms whose other form is certain to be a sentence.
_VERBS = ("describe|explain|summarise|summarize|list|name|translate|define|compare|show me|tell me|give me|write|calculate"
          "|say|find|suggest|classify|rewrite")  # fmt: skip
# What surely is a thing or a person: "What is going on?" has no "what going on is".
_NAMED = (r"(?:[Tt]he|an?|your|my|our|his|her|their|its|this|that|these|those|[A-Z][\w-]*|\d+)"
          r"(?: (?!(?:that|which|who|when)\b)[^ ?]+){0,9}|you|he|she|it|they|we|I")  # fmt: skip
_SWAPS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(rf"^([Ww]hat|[Ww]ho|[Ww]here) (is|are|was|were) ({_NAMED})\?$"),
     lambda m: f"Tell me {m[1].lower()} {m[3]} {m[2].lower()}."),
    (re.compile(r"(?i)^how (?:do|can|should) (?:i|you|we|one) ([^?]+)\?$"), lambda m: f"Explain how to {m[1]}."),
    (re.compile(r"(?i)^how (many|much) ([\w ]+?) (is|are) there( [^?]+)?\?$"),
     lambda m: f"Tell me how {m[1].lower()} {m[2]} there {m[3].lower()}{m[4] or ''}."),
    (re.compile(rf"(?i)^(?:can|could|would) you (?:please )?((?:{_VERBS}) [^?]+)\?$"),
     lambda m: f"{m[1][0].upper()}{m[1][1:]}."),
    (re.compile(rf"(?i)^(?:please )?((?:{_VERBS}) [^.?!]+)\.?$"), lambda m: f"Can you {m[1][0].lower()}{m[1][1:]}?"),
    (re.compile(r"^什么是([^？?，。]+)[？?]$"), lambda m: f"请解释什么是{m[1]}。"),
    (re.compile(r"^([^？?，。]+)是(什么|谁)[？?]$"), lambda m: f"请告诉我{m[1]}是{m[2]}。"),
    (re.compile(r"^(?:如何|怎么|怎样)([^？?，。]+)[？?]$"), lambda m: f"请说明如何{m[1]}。"),
    (re.compile(r"^请((?:解释|说明|介绍|列出|翻译|总结|描述)[^？?。]+)。?$"), lambda m: f"可以{m[1]}吗？"),
    (re.compile(r"^可以((?:解释|说明|介绍|列出|翻译|总结|描述)[^？?。]+)吗[？?]$"), lambda m: f"请{m[1]}。"),
)  # fmt: skip

# Words that stand for each other whatever stands around them ("help" is missing: it is a noun as well), and words that may
# be replaced in one direction only. A small list that can be read through.
_BOTH_WAYS = (
    ("big", "large"), ("simple", "easy"), ("often", "frequently"), ("quickly", "rapidly"), ("almost", "nearly"),
    ("maybe", "perhaps"), ("buy", "purchase"), ("mistake", "error"), ("picture", "image"), ("movie", "film"),
    ("important", "essential"), ("choose", "select"), ("needed", "required"),
    ("allowed", "permitted"), ("explain", "clarify"),
    ("如何", "怎样"), ("为什么", "为何"), ("帮助", "协助"), ("快速", "迅速"), ("喜欢", "喜爱"), ("漂亮", "美丽"),
    ("电脑", "计算机"), ("经常", "常常"), ("立即", "马上"), ("非常", "十分"), ("大约", "大概"), ("因为", "由于"),
)  # fmt: skip
_ONE_WAY = {
    "difficult": "hard", "incorrect": "wrong", "begin": "start", "assist": "help", "entire": "whole", "respond": "reply",
    "obtain": "get", "main": "principal", "brief": "short", "famous": "well-known", "occur": "happen",
    "regulations": "rules", "购买": "买", "解释": "说明", "重要": "关键", "容易": "简单", "方法": "办法",
}  # fmt: skip
_OTHER = {a: b for pair in _BOTH_WAYS for a, b in (pair, pair[::-1])} | _ONE_WAY
_CHINESE_WORDS = re.compile("|".join(sorted((each for each in _OTHER if _CHINESE.match(each)), key=len, reverse=True)))
_MOST_REPLACED = 0.15  # of the words; facts: past 10 to 15 % the meaning drifts
_STARTS = ("what", "who", "where", "when", "why", "how", "which", "can", "could", "please", "tell", "is", "are", "do",
           "does", "explain", "describe", "list", "give", "write")  # fmt: skip


def language_of(text: str) -> str:
    """Return "zh" for a text with Chinese characters, else "en"."""
    return "zh" if _CHINESE.search(text) else "en"


def kept_pieces(text: str, words: Sequence[str] = ()) -> list[tuple[int, int]]:
    """Return the [start, end) of everything that must stay: code, numbers, quotes, addresses, blanks, and `words`."""
    found = [match.span() for match in _KEPT.finditer(text)]
    for word in filter(None, words):
        found += [match.span() for match in re.finditer(re.escape(word), text, re.IGNORECASE)]
    return sorted(found)


def is_code(text: str) -> bool:
    """Say whether a line looks like code, which no method may touch."""
    return _CODE.search(text) is not None


def paraphrase(text: str, words: Sequence[str], chance: Random) -> str | None:
    """Put the text, unchanged, into another sentence."""
    return chance.choice((_ASKING if _asks(text) else _TELLING)[language_of(text)]).replace("{}", text.strip())


def _asks(text: str) -> bool:
    """Say whether a text is a question, also without its mark."""
    if text.rstrip().endswith(("?", "？")) or re.search("什么|谁|哪|吗|呢|几|多少|怎|为何|如何", text):
        return True
    return text.split(" ")[0].lower() in (
        "what",
        "who",
        "where",
        "when",
        "why",
        "how",
        "which",
        "whose",
        "is",
        "are",
        "do",
        "does",
    )


def swap(text: str, words: Sequence[str], chance: Random) -> str | None:
    """Make a command of a question, or a question of a command, where the form is one that is sure to work."""
    for form, other in _SWAPS:
        if match := form.match(text.strip()):
            return other(match)
    return None


def noise(text: str, words: Sequence[str], chance: Random) -> str | None:
    """Return the text as somebody types it in a hurry: a slip, a lost full stop, a small letter, a space too many."""
    slips = [_slip, _no_end, _small_start, _wide_space]
    chance.shuffle(slips)
    made = text
    for slip in slips[: chance.choice((1, 2))]:
        made = slip(made, words, chance) or made
    return made if made != text else None


def synonyms(text: str, words: Sequence[str], chance: Random) -> str | None:
    """Replace up to 15 % of the words, at least one, by words that mean the same."""
    pattern = _CHINESE_WORDS if language_of(text) == "zh" else _WORD
    places = [match for match in _free(pattern, text, words) if match[0] in _OTHER and _article_fits(text, match)]
    if not places:
        return None
    count = len(re.findall(r"\w", text)) / 2 if pattern is _CHINESE_WORDS else len(text.split())
    chance.shuffle(places)
    chosen = sorted(places[: max(1, int(_MOST_REPLACED * count))], key=lambda match: -match.start())
    for match in chosen:
        text = text[: match.start()] + _OTHER[match[0]] + text[match.end() :]
    return text


def _article_fits(text: str, match: re.Match[str]) -> bool:
    """Say whether the article before a word fits the other word as well: "an error" is no "an mistake"."""
    if not re.search(r"\ban? $", text[: match.start()], re.IGNORECASE):
        return True
    return (match[0][0] in "aeiou") == (_OTHER[match[0]][0] in "aeiou")


def _free(pattern: re.Pattern[str], text: str, words: Sequence[str]) -> Iterator[re.Match[str]]:
    """Yield the matches that touch nothing that must stay."""
    kept = kept_pieces(text, words)
    for match in pattern.finditer(text):
        if not any(start < match.end() and match.start() < end for start, end in kept):
            yield match


def _slip(text: str, words: Sequence[str], chance: Random) -> str | None:
    """Swap, lose or double one letter inside a plain English word."""
    long = [match for match in _free(_WORD, text, words) if len(match[0]) > 4 and match[0].islower()]
    if not long:
        return None
    match = chance.choice(long)
    at = match.start() + chance.randrange(1, len(match[0]) - 2)
    kind = chance.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return text[:at] + (text[at] if kind == 1 else "") + text[at + (kind == 2) :]


def _no_end(text: str, words: Sequence[str], chance: Random) -> str | None:
    return text.rstrip()[:-1] if text.rstrip().endswith((".", "?", "。", "？")) else None


def _small_start(text: str, words: Sequence[str], chance: Random) -> str | None:
    first = text.partition(" ")[0].lower()
    return text[0].lower() + text[1:] if first.strip(",.?") in _STARTS and text[0].isupper() else None


def _wide_space(text: str, words: Sequence[str], chance: Random) -> str | None:
    spaces = list(_free(re.compile(r"(?<=\w) (?=\w)"), text, words))
    if not spaces:
        return None
    at = chance.choice(spaces).start()
    return f"{text[:at]} {text[at:]}"
