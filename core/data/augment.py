"""More rows from the ones that are learnt: the same answer to the same question in other words.

Only training rows are given in, and nothing but the question changes. Each new row says what it came from (`meta`: `aug_of`
the place, `aug_method`, and the `group` of its source, so that a later split keeps them together). New rows that come close
to a test question are dropped and counted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from random import Random

from core.data import variants
from core.data.distractors import Distractors
from core.data.endpoint import Endpoint
from core.data.overlap import overlaps, plain
from core.data.split import group_of, question_key
from core.data.variants import Variant
from core.errors import DataError, problem
from core.progress import Progress, silent
from core.records import Conversation, Message, Preference, Record, UnpairedPreference

Generator = Callable[[str], str]  # a request in words -> the answer
METHODS = ("paraphrase", "swap", "noise", "synonyms", "distractors", "rewrite", "back_translation")
ASKING = ("rewrite", "back_translation")  # methods that need a text generator
_OFFLINE: dict[str, Variant] = {
    "paraphrase": variants.paraphrase,
    "swap": variants.swap,
    "noise": variants.noise,
    "synonyms": variants.synonyms,
}
_REQUESTS = ("paraphrase", "swap")
_TAG = re.compile(r"\[[A-Z_ ]{2,24}\]\s*")
_BATCH = 500  # rows whose variants are compared with the test rows at once
_LONGEST = 4  # times the question; a longer answer of a generator is a talk about it, and no other wording
_REWRITE = (
    "Rewrite the following request in other words, in the same language and with the same meaning. Keep all numbers, names, "
    "code and quoted text exactly. Do not answer it. Reply with the rewritten request only.\n\n{}"
)
_TRANSLATE = "Translate the following text to {}. Do not answer it. Reply with the translation only.\n\n{}"

Asked = Conversation | Preference | UnpairedPreference


@dataclass
class Outcome:
    """What an augmentation made: new rows by method, and how many were dropped because a test question is like them."""

    made: Counter[str] = field(default_factory=Counter)
    contaminated: int = 0


def augmented(
    records: Iterable[Record], methods: Sequence[str], *, share: float = 0.2, seed: int = 7,
    generator: Generator | None = None, against: Iterable[Record] = (), outcome: Outcome | None = None,
    progress: Progress = silent,
) -> Iterator[Record]:  # fmt: skip
    """Yield the rows, and new ones made from them.

    Args:
        records: training rows. Rows that were made by an earlier augmentation are passed on and not varied again.
        methods: names of `METHODS`; each new row is made by one of them, by turns.
        share: new rows for each row; 0.2 makes one from every fifth, 2 makes two from each. Rows that no method can vary
            (running text, code) stay alone, so there may be fewer.
        generator: for `rewrite` and `back_translation`; None takes the endpoint that the environment names.
        against: test rows; a new row whose question is like one of theirs is dropped.
        progress: told the number of rows.

    Raises:
        DataError: if there is no such method, the share is none, or a generator is needed and there is none.
    """
    checked = _checked(methods, share)
    outcome = outcome if outcome is not None else Outcome()
    if generator is None and any(each in ASKING for each in checked):
        generator = Endpoint.from_environment()
        if generator is None:
            raise DataError(problem("augment.no_endpoint", ""))
    maker = _Maker(checked, generator, seed)
    tested = [text for record in against if (text := _own_question(record))]
    return _augmented(records, maker, share, tested, outcome, progress)


def _augmented(
    records: Iterable[Record],
    maker: "_Maker",
    share: float,
    tested: Sequence[str],
    outcome: Outcome,
    progress: Progress,
) -> Iterator[Record]:
    new: list[Asked] = []
    for number, record in enumerate(records):
        progress(number, 0)
        if not isinstance(record, Asked) or record.meta.get("aug_of"):
            yield record
            continue
        source = replace(record, meta={**record.meta, "group": group_of(record)})
        yield source
        new += maker.variants_of(source, number, share)
        if len(new) >= _BATCH:
            yield from _clean(new, tested, outcome)
            new = []
    yield from _clean(new, tested, outcome)


def _checked(methods: Sequence[str], share: float) -> list[str]:
    unknown = [each for each in methods if each not in METHODS]
    if unknown or not methods:
        raise DataError(
            problem("augment.unknown_method", "", given=", ".join(unknown) or "-", known=", ".join(METHODS))
        )
    if not 0 < share <= 10:
        raise DataError(problem("augment.share", "", given=f"{share:g}"))
    return list(dict.fromkeys(methods))


class _Maker:
    """Makes variants, each text once, the methods by turns."""

    def __init__(self, methods: Sequence[str], generator: Generator | None, seed: int) -> None:
        self._methods, self._generator, self._seed = list(methods), generator, seed
        self._distractors = Distractors()
        self._seen: set[int] = set()
        self._turn = 0
        self._owed = 0.0

    def variants_of(self, record: Asked, number: int, share: float) -> list[Asked]:
        """Return the new rows for one row. What a row cannot give, a later one makes up for, up to twice its share."""
        chance = Random(f"{self._seed} {number}")
        self._seen.add(hash((_asked(record), record.meta["group"])))
        self._owed = min(self._owed + share, 2 * share + 1)
        made: list[Asked] = []
        for _ in range(int(self._owed + 1e-9)):
            variant = self._one(record, chance)
            if variant is None:
                break
            made.append(variant)
            self._owed -= 1
        if isinstance(record, Conversation) and "distractors" in self._methods:
            self._distractors.see(record)
        return made

    def _one(self, record: Asked, chance: Random) -> Asked | None:
        """Return a variant by the method whose turn it is, or by the next that has one to offer."""
        for offset in range(len(self._methods)):
            method = self._methods[(self._turn + offset) % len(self._methods)]
            made = self._by(method, record, chance)
            if made is None or (key := hash((_asked(made), made.meta["group"]))) in self._seen:
                continue
            self._seen.add(key)
            self._turn += offset + 1
            return replace(
                made, meta={**made.meta, "aug_of": record.where or record.meta["group"], "aug_method": method}
            )
        return None

    def _by(self, method: str, record: Asked, chance: Random) -> Asked | None:
        if method == "distractors":
            return self._distractors.reshuffled(record, chance) if isinstance(record, Conversation) else None
        place = _place_of(record)
        labelled = isinstance(record, Conversation) and bool(record.label)
        if place is None or (labelled and method in _REQUESTS):  # what is to be classified is no request
            return None
        at, start, end = place
        content = record.messages[at].content
        text = content[start:end]
        kept = _words_to_keep(record)
        if method in _OFFLINE:
            other = _OFFLINE[method](text, kept, chance)
        else:
            assert self._generator is not None
            other = _asked_for(method, text, kept, self._generator)
        if not other or other == text:
            return None
        message = replace(record.messages[at], content=content[:start] + other + content[end:])
        return replace(record, messages=(*record.messages[:at], message, *record.messages[at + 1 :]))


def _place_of(record: Asked) -> tuple[int, int, int] | None:
    """Return the message, start and end of the question's own words; None where there are none to vary.

    That is the last question of the user: of several lines the first (an input below it is data), after passages the last.
    """
    turns = [number for number, message in enumerate(record.messages) if message.role == "user"]
    if not turns:
        return None
    content = record.messages[turns[-1]].content
    docs = record.docs if isinstance(record, Conversation) else ()
    ends = [content.rfind(doc.text) + len(doc.text) for doc in docs if doc.text in content]
    lines = [(start, line) for start, line in _lines(content) if start >= max(ends, default=0) and line.strip()]
    lines = [(start, line) for start, line in lines if not line.startswith("</")]
    if not lines or "```" in content:
        return None
    start, line = lines[-1] if ends else lines[0]
    if variants.is_code(line):
        return None
    tag = _TAG.match(line)
    return turns[-1], start + (tag.end() if tag else 0), start + len(line)


def _own_question(record: Record) -> str:
    """Return the words that a test question is compared by: without its passages, which repeat by design."""
    if isinstance(record, Conversation) and record.docs and (place := _place_of(record)):
        at, start, end = place
        return plain(record.messages[at].content[start:end])
    return question_key(record)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for line in text.split("\n"):
        yield start, line
        start += len(line) + 1


def _words_to_keep(record: Asked) -> list[str]:
    """Return the words that a variant must have as they are: labels, keywords, and names inside the sentence."""
    label = [record.label, *record.keywords] if isinstance(record, Conversation) else []
    words = " ".join(message.content for message in record.messages if message.role == "user").split()
    names = [word.strip(",.?!:;") for before, word in pairwise(words)
             if word[:1].isupper() and not before.endswith((".", "?", "!", ":")) and word != "I"]  # fmt: skip
    return [*label, *(word for word in names if word)]


def _asked_for(method: str, text: str, kept: Sequence[str], generator: Generator) -> str | None:
    """Return a generator's wording of a text; None where it lost something that must stay, or talks."""
    if method == "rewrite":
        made = generator(_REWRITE.format(text))
    else:
        there, back = ("English", "Chinese") if variants.language_of(text) == "zh" else ("Chinese", "English")
        made = generator(_TRANSLATE.format(back, generator(_TRANSLATE.format(there, text))))
    pieces = [text[start:end] for start, end in variants.kept_pieces(text, [word for word in kept if word in text])]
    if not made or "\n" in made or len(made) > _LONGEST * len(text) or any(piece not in made for piece in pieces):
        return None
    return made


def _clean(new: Sequence[Asked], tested: Sequence[str], outcome: Outcome) -> Iterator[Asked]:
    """Yield the new rows whose question is like no test question, and count."""
    left = list(new)
    while left and tested:  # of each test question only the row that is most like it is told
        hit = {each.train for each in overlaps([_own_question(record) for record in left], tested)}
        if not hit:
            break
        left = [record for number, record in enumerate(left) if number not in hit]
    outcome.contaminated += len(new) - len(left)
    outcome.made.update(record.meta["aug_method"] for record in left)
    yield from left


def _asked(record: Asked) -> tuple[Message, ...]:
    return record.question if isinstance(record, Conversation) else record.messages
