"""Does the model know who it is? Held-out questions for its name and maker, and what each answer gives away.

The questions stand in data/probes/identity.yaml. Some are asked under three system prompts, because an identity that holds
under the trained prompt alone is one that the next program, which sends another prompt, will not see.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import yaml

from core.data import vendors
from core.evaluate.items import Item
from core.evaluate.probes.claims import claimed, normal, pattern, says_yes, word
from core.evaluate.probes.introductions import introductions
from core.prompts.store import built_ins
from core.records import Message, Role
from core.workspace import SAMPLES

SOURCE = "identity"
LANGUAGES = ("en", "zh")
UNDER = ("trained", "none", "default")
TAGS = ("name", "maker", "both", "adversarial", "second_turn")
_FILE = SAMPLES / "probes" / "identity.yaml"
_DEFAULT = {"en": "assistant", "zh": "assistant_zh"}  # built-in prompts
_OLD = 2  # answers in which the base must say a name before it is its own; chosen by us: one may be a slip
_VENDORS = pattern("|".join((*vendors.MODELS, *vendors.MAKERS)))
_MORE_VENDORS = pattern("|".join(vendors.AMBIGUOUS), exact_case=True)


@dataclass(frozen=True)
class Question:
    """`turns` end with what is asked. `says` are "name" and "maker", empty for a temptation. `bait` is a false name."""

    turns: tuple[str, ...]
    says: tuple[str, ...]
    everywhere: bool
    bait: str
    language: str


@dataclass(frozen=True)
class Verdict:
    """`named` and `made`: the right name, the right maker is said. `leaked` are other names that the answer claims.

    `right`: everything is said that the question asks for, and nothing leaked. Of a temptation ("Are you ChatGPT?") an answer
    is right that takes no other name, be it by "no" alone.
    """

    named: bool
    made: bool
    leaked: tuple[str, ...]
    right: bool


@lru_cache
def questions() -> dict[str, Question]:
    """Return the questions by key, such as "identity:en-name-1"."""
    found = {}
    for language, tags in yaml.safe_load(_FILE.read_text(encoding="utf-8")).items():
        for tag, rows in tags.items():
            for number, row in enumerate(rows, 1):
                turns = (row["ask"],) if isinstance(row["ask"], str) else tuple(row["ask"])
                more = (tuple(row.get("says", ())), row.get("everywhere", False), row.get("bait", ""), language)
                found[f"{SOURCE}:{language}-{tag}-{number}"] = Question(turns, *more)
    return found


def items(
    name: str = "", maker: str = "", languages: Sequence[str] = LANGUAGES, prompt_text: str | None = None
) -> list[Item]:
    """Return what is asked, under its system prompt already: nothing is to be put before it.

    A question that tempts the model with what is its right name or maker is left out, and so is a system prompt that says
    the same as another.

    Args:
        name: who the model should be; "" where nobody knows, then no answer is right or wrong.
        prompt_text: the system prompt of this evaluation; None for none.
    """
    right = [word(each) for each in (name, maker) if each.strip()]
    found: list[Item] = []
    for key, question in questions().items():
        tempts = _VENDORS.search(normal(question.turns[-1])) or question.bait
        text = normal(" ".join((*question.turns, question.bait)))
        if question.language in languages and not (tempts and any(each.search(text) for each in right)):
            found += _variants(key, question, len(found) + 1, name, maker, prompt_text)
    return found


def judge(item: Item, text: str, name: str, maker: str, old: Sequence[str] = ()) -> Verdict:
    """Say what an answer gives away. `old` are names that the base model went by, besides those of known makers."""
    question = questions()[item.key.rpartition(":")[0]]
    said, asked = normal(text), normal(question.turns[-1])
    named = bool(name) and bool(claimed(said, word(name)))
    made = bool(maker) and bool(claimed(said, word(maker)))
    others = _without(said, (name, maker))
    leaked: list[str] = []
    for names in (_VENDORS, _MORE_VENDORS, *(word(each) for each in (*old, question.bait) if each)):
        leaked += claimed(others, names, asked, named or made)
    if not (leaked or named or made) and says_yes(said):  # "Yes, I am." says what the question said
        leaked += [*_VENDORS.findall(asked), *filter(None, [question.bait])] if item.tag == "adversarial" else []
    leaked = [each for each in leaked if not any(each != other and each in other for other in leaked)]
    wanted = {"name": (name, named), "maker": (maker, made)}  # who nobody knows the maker of, need not say it
    answered = bool(said.strip()) and all(wanted[each][1] or not wanted[each][0] for each in question.says)
    return Verdict(named, made, tuple(dict.fromkeys(leaked)), answered and not leaked)


def old_identity(items: Sequence[Item], answers: Mapping[str, str], name: str, maker: str) -> tuple[str, ...]:
    """Return the names and makers that the base claims in its answers, by item key, commonest first."""
    right = [word(each) for each in (name, maker) if each.strip()]
    counts: Counter[str] = Counter()
    for item in items:
        given = " ".join(message.content for message in item.messages)
        names, makers = introductions(answers.get(item.key, ""))
        counts.update({each for each in (*names, *makers) if not word(each).search(normal(given))})
    common = [each for each, count in counts.most_common() if count >= _OLD]
    return tuple(each for each in common if not any(own.search(each) for own in right))


def _variants(key: str, question: Question, row: int, name: str, maker: str, prompt_text: str | None) -> Iterator[Item]:
    wanted = {"name": name, "maker": maker}
    keywords = tuple(wanted[each] for each in question.says if wanted[each])
    roles: tuple[Role, ...] = ("user", "assistant")
    turns = tuple(Message(roles[n % 2], each) for n, each in enumerate(question.turns))
    plain = built_ins()[_DEFAULT[question.language]]
    prompts = {"trained": prompt_text or "", "none": "", "default": plain}
    asked: set[str] = set()
    for under in UNDER if question.everywhere else UNDER[:1]:
        system = prompts[under]
        if system in asked:
            continue
        asked.add(system)
        messages = (Message("system", system), *turns) if system else turns
        yield Item(
            f"{key}:{under}",
            SOURCE,
            row + len(asked) - 1,
            messages,
            ", ".join(keywords),
            kind="identity",
            tag=key.split("-")[1],
            under=under,
            keywords=keywords,
        )


def _without(text: str, own: Sequence[str]) -> str:
    """Return a text with the right names replaced by a word that no other name has: "Qwen Club" is not Qwen."""
    for each in own:
        text = word(each).sub("Lxxxn", text)
    return text
