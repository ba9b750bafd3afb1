"""Generic question wrappers around a noun phrase, shared by all abilities: what makes unseen phrasings work.

A pilot with phrasings written for each ability reached 66 % on phrasings it had not seen; one set of wrappers shared by
every ability, 83 % in the same time: "{x}" is learnt as the question, all around it as noise. Wrappers in `HELD_OUT` and
`HELD_OUT_ZH` occur in no training data of any kind; all tests are asked with them.
"""

from __future__ import annotations

import random

WRAPPERS = (
    "What is {x}?", "Tell me {x}.", "Can you tell me {x}?", "I need to know {x}.", "Please give me {x}.", "{X}?",
    "What about {x}?", "Could you say what {x} is?", "Do you happen to know {x}?", "I want {x}.", "Let me know {x}.",
    "May I ask {x}?", "Just {x}, please.", "I would like to have {x}.", "Say {x}.", "Do you remember {x}?", "Give {x}.",
    "Quick question: what is {x}?", "I am looking for {x}.", "Name {x}.", "Can I know {x}?", "I want to know {x}.",
    "Could you tell me what {x} is?", "{X}, please.", "Would you tell me {x}?", "I am asking for {x}.", "What's {x}?",
    "Can you give me {x}?", "My question is {x}.", "Help me with {x}.", "I have to know {x}.", "Please say {x}.",
    "I wonder what {x} is.", "Answer me: what is {x}?", "You know {x}, right?", "Show me {x}.", "Remind me of {x}.",
)  # fmt: skip
HELD_OUT = (
    "I would like to know {x}.", "Do you know {x}?", "Please tell me {x}.", "Could you give me {x}?",
    "Do you know what {x} is?",
)  # fmt: skip
WRAPPERS_ZH = (
    "{x}是什么？", "请告诉我{x}。", "我想知道{x}。", "{x}？", "你能告诉我{x}吗？", "请说出{x}。", "请问{x}是什么？",
    "告诉我{x}。",
    "你知道{x}吗？", "我需要{x}。", "说说{x}。", "我要知道{x}。", "{x}呢？", "请给我{x}。", "我的问题是{x}。",
)  # fmt: skip
HELD_OUT_ZH = ("我想问{x}是什么？", "请你告诉我{x}。", "能告诉我{x}吗？")
OPENERS = ("Hello, ", "Hi, ", "OK, ", "Now ", "Please, ", "Excuse me, ", "One more question: ", "Well, ", "So ")
OPENERS_ZH = ("你好，", "请问，", "好的，", "那么，")
CLOSERS = (" Thank you.", " Thanks!", " Please.", " I forgot it.", " It is important.")


def capitalised(text: str) -> str:
    """`text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def wrap(wrapper: str, noun_phrase: str) -> str:
    """The question that `wrapper` asks about `noun_phrase`; {X} stands for the phrase at the start of a sentence."""
    return wrapper.replace("{X}", capitalised(noun_phrase)).replace("{x}", noun_phrase)


def is_chinese(text: str) -> bool:
    """Whether `text` has a Chinese character or Chinese punctuation."""
    return any(ord(char) > 0x2E7F for char in text)


def roughen(question: str, rng: random.Random) -> str:
    """`question` as people type it: at times with an opener, a closer, without its last mark, in lower case at the start.

    Only training questions are roughened; the words that an answer depends on stay as they are.
    """
    chinese = is_chinese(question.split(" ")[0])
    if rng.random() < 0.15:
        opener = rng.choice(OPENERS_ZH if chinese else OPENERS)
        keep = chinese or question[:2] == "I " or question[1:2].isupper()
        question = opener + (question if keep else question[0].lower() + question[1:])
    if rng.random() < 0.08 and not chinese:
        question += rng.choice(CLOSERS)
    elif rng.random() < 0.12:
        question = question.rstrip("?？.。!！")
    if rng.random() < 0.3:
        question = question.replace("？", "?")
    return question
