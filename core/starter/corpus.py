"""The closed world as conversations: which ability, under which system prompt, in which words, from a seed.

`example` asks one question of one ability, in trained wordings or in held-out ones; `conversation` is what pre-training
reads: mostly one turn, at times several, under no system prompt, a plain one or one that gives the model a name. Copying
out of the context is learnt last and wants the most tokens, so it has the largest share, and its passages start short
and grow with the progress of the training.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from core.starter import persona as p
from core.starter.abilities import ABILITIES, Draw, draw_passage, draw_repeat_anything
from core.starter.wrappers import (
    HELD_OUT,
    HELD_OUT_ZH,
    WRAPPERS,
    WRAPPERS_ZH,
    roughen,
    wrap,
)

Message = dict[str, str]

# Share of each ability in pre-training, chosen by us: copying and arithmetic learn slowest, so they get the most.
SHARES: dict[str, float] = {
    "self_name": 0.9, "self_maker": 0.8, "prompt_name": 3.0, "prompt_maker": 3.0, "small_talk": 1.0, "sum": 4.0,
    "difference": 3.0, "capital": 1.0, "opposite": 1.2, "colour": 0.5, "day": 1.0, "month": 1.2, "to_chinese": 1.0,
    "to_english": 1.0, "repeat": 2.0, "reverse": 2.5, "sort": 3.5, "count": 1.5, "position": 1.0, "passage": 6.0,
    "owner": 2.5,
}  # fmt: skip
# From LATE on, when the facts are known by heart, most of the practice goes to copying out of the context.
EARLY, LATE = 0.1, 0.41
LATE_SHARES = {"passage": 14.0, "owner": 6.0, "repeat": 7.0, "prompt_name": 4.0, "prompt_maker": 3.5, "sort": 4.0}


@dataclass(frozen=True)
class Persona:
    """Who answers, and the system prompt that says so ("" for none)."""

    name: str = p.OWN_NAME
    author: str = p.OWN_AUTHOR
    system: str = ""

    @property
    def is_own(self) -> bool:
        return self.name == p.OWN_NAME

    def author_in(self, chinese: bool) -> str:
        return p.OWN_AUTHOR_ZH if self.is_own and chinese else self.author


@dataclass(frozen=True)
class Example:
    """One question of one ability with its only right answer."""

    ability: str
    question: str
    answer: str
    system: str = ""


def given_persona(rng: random.Random, held_out: bool = False) -> Persona:
    """A persona from a system prompt; in tests always in one of the two plain forms."""
    name, author = p.random_name(rng), p.random_author(rng)
    if held_out:
        chinese = rng.random() < 0.25
        plain = f"你是{name}，由{author}开发。" if chinese else f"You are {name}, made by {author}."
        return Persona(name, author, plain)
    return Persona(name, author, p.persona_prompt(name, author, rng))


def persona_for(ability: str, rng: random.Random, held_out: bool = False) -> Persona:
    """The persona under which a question of `ability` is asked."""
    kind = rng.random()
    if ability.startswith("prompt_"):
        return given_persona(rng, held_out)
    if ability.startswith("self_"):
        return Persona(system=rng.choice(p.HELPFUL[:3]) if kind < 0.3 else "")
    if held_out or kind < 0.75:
        return Persona()
    return Persona(system=rng.choice(p.HELPFUL)) if kind < 0.85 else given_persona(rng)


def about_persona(ability: str, rng: random.Random, persona: Persona, held_out: bool) -> tuple[str, str]:
    """A question for the name or the maker, with its answer."""
    chinese = rng.random() < 0.35
    asks_name = ability.endswith("_name")
    if chinese or rng.random() < 0.5:
        question = rng.choice(p.wordings(asks_name, chinese, held_out))
    else:
        phrases = p.NAME_PHRASES if asks_name else p.MAKER_PHRASES
        phrase = phrases[0] if held_out else rng.choice(phrases)
        question = wrap(rng.choice(HELD_OUT if held_out else WRAPPERS), phrase)
    author = persona.author_in(chinese)
    return question, p.who_answer(persona.name, author, chinese) if asks_name else p.maker_answer(author, chinese)


def draw_for(ability: str, rng: random.Random, progress: float) -> Draw:
    """A draw of the ability; in training, passages grow with the progress and anything at all is copied late."""
    if ability == "repeat" and LATE <= progress < 1.0 and rng.random() < 0.6:
        return draw_repeat_anything(rng)
    if ability != "passage" or progress >= 1.0 or rng.random() < 0.2:
        return ABILITIES[ability](rng)
    if progress >= LATE and rng.random() < 0.4:
        return draw_passage(rng, 1, 2)
    if progress > 0.3 and rng.random() < 0.1:
        return draw_passage(rng, 5, 9)
    return draw_passage(rng, 1, 2 if progress < EARLY else 3 if progress < 0.25 else 4)


def worded(draw: Draw, rng: random.Random, held_out: bool) -> str:
    """The question of a draw: its passage, if any, then a wrapper around its noun phrase or a direct wording."""
    if held_out:
        question = wrap(rng.choice(HELD_OUT_ZH if draw.chinese else HELD_OUT), draw.noun_phrase)
    elif draw.direct and rng.random() < 0.25:
        question = roughen(rng.choice(draw.direct), rng)
    else:
        question = roughen(wrap(rng.choice(WRAPPERS_ZH if draw.chinese else WRAPPERS), draw.noun_phrase), rng)
    if not draw.passage:
        return question
    gap = "\n" if not held_out and rng.random() < 0.2 else "" if draw.chinese else " "
    return draw.passage + gap + question


def example(
    ability: str, rng: random.Random, held_out: bool = False, progress: float = 1.0, persona: Persona | None = None
) -> Example:
    """One question of `ability`; `held_out` takes the wordings that no training data has.

    `progress` runs from 0 to 1 over the pre-training and lengthens the passages; `persona` fixes who answers.
    """
    persona = persona or persona_for(ability, rng, held_out)
    if ability == "small_talk":
        answer, trained, unseen = rng.choice(p.SMALL_TALK)
        return Example(ability, rng.choice(unseen if held_out else trained), answer, persona.system)
    if ability in ABILITIES:
        draw = draw_for(ability, rng, progress)
        return Example(ability, worded(draw, rng, held_out), draw.answer, persona.system)
    question, answer = about_persona(ability, rng, persona, held_out)
    return Example(ability, question if held_out else roughen(question, rng), answer, persona.system)


def shares(progress: float) -> dict[str, float]:
    """The share of each ability: plain copying is trebled early, when it is first learnt, and all copying late."""
    if progress < EARLY:
        return {name: share * (3.0 if name in ("repeat", "prompt_name") else 1.0) for name, share in SHARES.items()}
    return SHARES | LATE_SHARES if LATE <= progress < 1.0 else SHARES


def conversation(rng: random.Random, progress: float = 1.0, turns: int | None = None) -> list[Message]:
    """One conversation for pre-training, as messages: one turn in seven of eight cases, else two to five."""
    weights = shares(progress)
    names, values = list(weights), list(weights.values())
    first = rng.choices(names, values)[0]
    persona = persona_for(first, rng)
    count = turns or (rng.randint(2, 5) if rng.random() < 0.125 else 1)
    messages = [{"role": "system", "content": persona.system}] if persona.system else []
    for ability in [first, *rng.choices(names, values, k=count - 1)]:
        if ability.startswith(("self_", "prompt_")):
            ability = ("self_" if persona.is_own else "prompt_") + ability.split("_")[1]
        turn = example(ability, rng, progress=progress, persona=persona)
        messages += [{"role": "user", "content": turn.question}, {"role": "assistant", "content": turn.answer}]
    return messages
