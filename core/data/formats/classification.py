"""A text and its class: the question names the classes, the answer is one word.

`words` says how the classes are called: `as_they_are`, or one word for each class in order, separated by commas, the first
for 0 or false.
"""

from collections.abc import Mapping
from typing import Any

from core.data.formats.reader import Read
from core.data.formats.values import RowError, column, not_empty, text
from core.records import Conversation, Message

AS_THEY_ARE = "as_they_are"
SENTENCES = {
    "en": "Classify the text. Answer with one of: {classes}.",
    "zh": "请判断文本的类别，只回答其中之一：{classes}。",
}


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads the columns `text` and `label` of the options; `classes` lists those that there are."""
    text_name, label_name = options.get("text", "text"), options.get("label", "label")
    words = options.get("words", AS_THEY_ARE)
    named = [] if words == AS_THEY_ARE else [word.strip() for word in words.replace("，", ",").split(",")]
    classes = ", ".join(named) or options.get("classes", "")
    known = {each.strip() for each in classes.split(", ")} if classes else set()
    sentence = SENTENCES[options.get("language", "en")].format(classes=classes) if classes else ""

    def read(values: dict[str, Any], where: str) -> Conversation:
        given, label = text(column(values, text_name), text_name), column(values, label_name)
        word = text(label, label_name)
        if named:
            word = _word(label, word, named, label_name)
        if strict:
            not_empty("data.empty_question", given, text_name)
            not_empty("data.empty_answer", word, label_name)
            if known and word not in known:
                raise RowError("data.unknown_class", column=label_name, value=word, words=classes)
        asked = f"{sentence}\n\n{given}" if sentence else given
        return Conversation((Message("user", asked), Message("assistant", word)), where, label=word)

    return read


def _word(label: Any, shown: str, named: list[str], name: str) -> str:
    """Return the word of a class: by its number, or as it is where it is one of the words already."""
    numbers = {"false": 0, "true": 1}
    place = numbers.get(shown.strip().lower())
    if place is None and shown.strip().isdigit():
        place = int(shown)
    if place is not None and place < len(named):
        return named[place]
    if shown in named:
        return shown
    raise RowError("data.unknown_class", column=name, value=shown, words=", ".join(named))
