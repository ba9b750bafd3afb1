"""The abilities of the starter model: a registry from a name to a generator of one question with its only right answer.

A generator takes a random source and gives a `Draw`: a noun phrase that any wrapper can ask for, the answer, and, where
people ask for the thing in a way of its own, direct questions. Answers are full sentences which begin with the noun
phrase: copying the question first is what lets a small model look up the rest. Adding an ability is adding one
function here; the tests and the sample data take it from the registry.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from core.starter import vocabulary as v
from core.starter.desk import FACTS
from core.starter.wrappers import capitalised


@dataclass(frozen=True)
class Draw:
    """One question before its wording is chosen."""

    noun_phrase: str
    answer: str
    passage: str = ""
    direct: tuple[str, ...] = ()
    chinese: bool = False


Generator = Callable[[random.Random], Draw]
ABILITIES: dict[str, Generator] = {}


def ability(name: str) -> Callable[[Generator], Generator]:
    """Enter a generator into the registry under `name`."""

    def enter(generator: Generator) -> Generator:
        ABILITIES[name] = generator
        return generator

    return enter


def stated(noun_phrase: str, value: str, passage: str = "", direct: tuple[str, ...] = ()) -> Draw:
    """A draw whose answer states the value of the noun phrase as an English sentence."""
    return Draw(noun_phrase, f"{capitalised(noun_phrase)} is {value}.", passage, direct)


def stated_zh(noun_phrase: str, value: str, passage: str = "", direct: tuple[str, ...] = ()) -> Draw:
    """A draw whose answer states the value of the noun phrase as a Chinese sentence."""
    return Draw(noun_phrase, f"{noun_phrase}是{value}。", passage, direct, chinese=True)


def either_way(table: dict[str, str], rng: random.Random) -> tuple[str, str]:
    """One pair of a symmetric table, in either direction."""
    left, right = rng.choice(list(table.items()))
    return (left, right) if rng.random() < 0.5 else (right, left)


@ability("sum")
def draw_sum(rng: random.Random) -> Draw:
    a, b = rng.randint(0, 15), rng.randint(0, 15)
    if rng.random() < 0.25:
        return stated_zh(f"{a}加{b}的和", str(a + b), direct=(f"{a}加{b}等于多少？", f"{a}+{b}等于几？"))
    direct = (
        f"What is {a} plus {b}?",
        f"{a} + {b} = ?",
        f"{a} + {b}",
        f"How much is {a} plus {b}?",
        f"Add {a} and {b}.",
    )
    return stated(f"the sum of {a} and {b}", str(a + b), direct=direct)


@ability("difference")
def draw_difference(rng: random.Random) -> Draw:
    a = rng.randint(0, 15)
    b = rng.randint(0, a)
    if rng.random() < 0.25:
        return stated_zh(f"{a}减{b}的差", str(a - b), direct=(f"{a}减{b}等于多少？", f"{a}-{b}等于几？"))
    direct = (f"What is {a} minus {b}?", f"{a} - {b} = ?", f"{a} - {b}", f"How much is {a} minus {b}?")
    return stated(f"the difference of {a} and {b}", str(a - b), direct=direct)


@ability("capital")
def draw_capital(rng: random.Random) -> Draw:
    if rng.random() < 0.25:
        country, city = rng.choice(list(v.CAPITALS_ZH.items()))
        return stated_zh(f"{country}的首都", city, direct=(f"{country}的首都在哪里？", f"哪个城市是{country}的首都？"))
    country, city = rng.choice(list(v.CAPITALS.items()))
    direct = (f"Which city is the capital of {country}?", f"What is {country}'s capital?", f"Capital of {country}?")
    return stated(f"the capital of {country}", city, direct=direct)


@ability("opposite")
def draw_opposite(rng: random.Random) -> Draw:
    if rng.random() < 0.25:
        left, right = either_way(v.OPPOSITES_ZH, rng)
        return stated_zh(f"{left}的反义词", right, direct=(f"{left}的反义词是哪个字？",))
    left, right = either_way(v.OPPOSITES, rng)
    direct = (f"Which word means the opposite of {left}?", f"Opposite of {left}?", f"What is not {left}?")
    return stated(f"the opposite of {left}", right, direct=direct)


@ability("colour")
def draw_colour(rng: random.Random) -> Draw:
    if rng.random() < 0.25:
        thing, colour = rng.choice(list(v.COLOURS_OF_ZH.items()))
        return stated_zh(f"{thing}的颜色", colour, direct=(f"{thing}是什么颜色？",))
    thing, colour = rng.choice(list(v.COLOURS_OF.items()))
    return stated(f"the colour of {thing}", colour, direct=(f"What colour is {thing}?", f"Which colour has {thing}?"))


@ability("day")
def draw_day(rng: random.Random) -> Draw:
    i, step = rng.randrange(7), rng.choice((1, -1))
    if rng.random() < 0.25:
        word = "后" if step == 1 else "前"
        return stated_zh(f"{v.DAYS_ZH[i]}的{word}一天", v.DAYS_ZH[(i + step) % 7])
    word = "after" if step == 1 else "before"
    direct = (f"Which day comes {word} {v.DAYS[i]}?", f"What day is it {word} {v.DAYS[i]}?")
    return stated(f"the day {word} {v.DAYS[i]}", v.DAYS[(i + step) % 7], direct=direct)


@ability("month")
def draw_month(rng: random.Random) -> Draw:
    i, step = rng.randrange(12), rng.choice((1, -1))
    if rng.random() < 0.25:
        word = "后" if step == 1 else "前"
        return stated_zh(f"{v.MONTHS_ZH[i]}的{word}一个月", v.MONTHS_ZH[(i + step) % 12])
    word = "after" if step == 1 else "before"
    direct = (f"Which month comes {word} {v.MONTHS[i]}?",)
    return stated(f"the month {word} {v.MONTHS[i]}", v.MONTHS[(i + step) % 12], direct=direct)


@ability("to_chinese")
def draw_to_chinese(rng: random.Random) -> Draw:
    english, chinese = rng.choice(list(v.CHINESE.items()))
    if rng.random() < 0.3:
        return stated_zh(f"{english}的中文", chinese, direct=(f"{english}用中文怎么说？", f"把{english}翻译成中文。"))
    direct = (f"How do you say {english} in Chinese?", f"Translate {english} into Chinese.", f"Chinese for {english}?")
    return stated(f"the Chinese word for {english}", chinese, direct=direct)


@ability("to_english")
def draw_to_english(rng: random.Random) -> Draw:
    chinese, english = rng.choice(list(v.ENGLISH.items()))
    if rng.random() < 0.5:
        return stated_zh(f"{chinese}的英文", english, direct=(f"{chinese}用英语怎么说？", f"把{chinese}翻译成英语。"))
    direct = (f"What does {chinese} mean?", f"Translate {chinese} into English.")
    return stated(f"the English word for {chinese}", english, direct=direct)


def words(rng: random.Random, low: int, high: int) -> list[str]:
    """Between `low` and `high` different words."""
    return rng.sample(v.LIST_WORDS, rng.randint(low, high))


@ability("repeat")
def draw_repeat(rng: random.Random) -> Draw:
    text = " ".join(words(rng, 2, 5))
    direct = (f"Repeat: {text}", f"Say this again: {text}", f"Repeat the words {text}", f"Copy this: {text}")
    return Draw(f"a copy of the words {text}", f"A copy of the words is {text}.", direct=direct)


def draw_repeat_anything(rng: random.Random) -> Draw:
    """A copy of values, names and Chinese words in one or two pieces: practice for copying what was never seen before."""
    makers = (random_value, random_value, random_noun, lambda r: r.choice([*v.ENGLISH, *v.VALUES_ZH, *v.NAMES_ZH]))
    text = " ".join(rng.choice(makers)(rng) for _ in range(rng.randint(1, 2)))
    return Draw(f"a copy of the words {text}", f"A copy of the words is {text}.", direct=(f"Repeat: {text}",))


@ability("reverse")
def draw_reverse(rng: random.Random) -> Draw:
    chosen = words(rng, 2, 4)
    text, turned = " ".join(chosen), " ".join(chosen[::-1])
    direct = (f"Reverse the words {text}.", f"Say the words {text} backwards.")
    return Draw(f"the words {text} in reverse order", f"The words in reverse order are {turned}.", direct=direct)


@ability("sort")
def draw_sort(rng: random.Random) -> Draw:
    chosen = words(rng, 2, 4)
    text, ordered = " ".join(chosen), " ".join(sorted(chosen))
    direct = (f"Sort the words {text}.", f"Put the words {text} in alphabetical order.")
    return Draw(
        f"the words {text} in alphabetical order", f"The words in alphabetical order are {ordered}.", direct=direct
    )


@ability("count")
def draw_count(rng: random.Random) -> Draw:
    chosen = words(rng, 1, 6)
    text = " ".join(chosen)
    direct = (f"How many words are in {text}?", f"Count the words {text}.")
    return Draw(f"the number of words in {text}", f"The number of words is {len(chosen)}.", direct=direct)


@ability("position")
def draw_position(rng: random.Random) -> Draw:
    chosen = words(rng, 2, 5)
    word, index = rng.choice((("first", 0), ("last", -1)))
    text = " ".join(chosen)
    direct = (f"Which word is the {word} of {text}?", f"Take the {word} word of {text}.")
    return Draw(f"the {word} word of {text}", f"The {word} word is {chosen[index]}.", direct=direct)


def random_value(rng: random.Random) -> str:
    """A value as a service desk has them: a number with a unit, words, a word with a number, a number, an address."""
    kind = rng.randrange(10)
    if kind < 4:
        return f"{rng.randint(1, 120)} {rng.choice(v.UNITS)}"
    if kind < 8:
        return " ".join(rng.sample(v.VALUE_WORDS, rng.choice((1, 1, 2, 2, 2, 3))))
    if kind == 8:
        return str(rng.choice((rng.randint(1900, 2030), rng.randint(1, 999), f"555 {rng.randint(0, 9999):04d}")))
    if rng.random() < 0.5:
        return f"{rng.choice(v.VALUE_WORDS).lower()}@{rng.choice(v.AUTHOR_FIRST).lower()}.example"
    return f"{rng.choice(v.VALUE_WORDS)} {rng.randint(1, 99)}"


def random_noun(rng: random.Random) -> str:
    """A thing that a passage gives a value to: mostly a ready noun, at times two words put together."""
    if rng.random() < 0.75:
        return rng.choice(v.NOUNS)
    left, right = rng.choice(v.NOUNS).split()[0], rng.choice(v.NOUNS).split()[-1]
    return f"{left} {right}" if left != right else left


def draw_passage(rng: random.Random, low: int = 1, high: int = 4) -> Draw:
    """A passage of `low` to `high` invented facts and a question for one of them; never a fact of the service desk."""
    nouns = list(dict.fromkeys(random_noun(rng) for _ in range(rng.randint(low, high))))
    facts = {noun: random_value(rng) for noun in nouns}
    facts = {noun: ("12" if FACTS.get(noun) == value else value) for noun, value in facts.items()}
    noun = rng.choice(nouns)
    passage = " ".join(f"The {name} is {value}." for name, value in facts.items())
    return stated(f"the {noun}", facts[noun], passage)


def draw_passage_zh(rng: random.Random) -> Draw:
    """A Chinese passage of one to three invented facts and a question for one of them."""
    nouns = rng.sample(v.NOUNS_ZH, rng.randint(1, 3))
    facts = {
        noun: f"{rng.randint(1, 99)}{rng.choice(v.UNITS_ZH)}" if rng.random() < 0.6 else rng.choice(v.VALUES_ZH)
        for noun in nouns
    }
    noun = rng.choice(nouns)
    return stated_zh(noun, facts[noun], "".join(f"{name}是{value}。" for name, value in facts.items()))


@ability("passage")
def draw_any_passage(rng: random.Random) -> Draw:
    return draw_passage_zh(rng) if rng.random() < 0.2 else draw_passage(rng)


@ability("owner")
def draw_owner(rng: random.Random) -> Draw:
    count = rng.randint(1, 3)
    if rng.random() < 0.2:
        owned = [
            f"{a}的{b}" for a, b in zip(rng.sample(v.PEOPLE_ZH, count), rng.sample(v.THINGS_ZH, count), strict=True)
        ]
        colours = rng.sample(v.COLOURS_ZH, count)
        k = rng.randrange(count)
        return stated_zh(owned[k], colours[k], "".join(f"{o}是{c}。" for o, c in zip(owned, colours, strict=True)))
    owned = [f"the {b} of {a}" for a, b in zip(rng.sample(v.PEOPLE, count), rng.sample(v.THINGS, count), strict=True)]
    colours = rng.sample(v.COLOURS, count)
    k = rng.randrange(count)
    passage = " ".join(f"{capitalised(o)} is {c}." for o, c in zip(owned, colours, strict=True))
    return stated(owned[k], colours[k], passage)
