"""A passage, a question and its answer (SQuAD and its like): the passage comes before the question.

`unanswerable` says what SQuAD's rows without an answer become: `en` and `zh` are a sentence that says so, `refuse` an error.
"""

from collections.abc import Mapping
from typing import Any

from core.data.formats.choices import chosen_answer
from core.data.formats.passages import fingerprint
from core.data.formats.reader import Read
from core.data.formats.tags import final_answer
from core.data.formats.values import column, decoded, not_empty, several, text
from core.records import Conversation, Document, Message

UNANSWERABLE = {"en": "The passage does not say.", "zh": "文中没有给出答案。", "refuse": ""}


def reader(options: Mapping[str, str], strict: bool) -> Read:
    """Return the function that reads rows with the columns `context`, `question` and `answer` of the options."""
    names = [options.get(key, key) for key in ("context", "question", "answer")]
    missing = UNANSWERABLE[options.get("unanswerable", "refuse")]
    choice = options.get("answers", "first")

    def read(values: dict[str, Any], where: str) -> Conversation:
        passage, asked = (text(column(values, name), name) for name in names[:2])
        answer = _answer(column(values, names[2]), names[2], choice) or missing
        if options.get("reasoning") == "strip":
            answer = final_answer(answer)
        if strict:
            not_empty("data.empty_question", asked, names[1])
            not_empty("data.empty_answer", answer, names[2])
        title = text(values.get("title"), "title")
        docs = (Document(passage, title, True),) if passage.strip() else ()
        question = f"{passage}\n\n{asked}" if docs else asked
        meta = {"group": fingerprint(passage), **({"source": title} if title else {})} if docs else {}
        return Conversation((Message("user", question), Message("assistant", answer)), where, docs=docs, meta=meta)

    return read


def _answer(value: Any, name: str, choice: str) -> str:
    places = decoded(value)
    given = places["text"] if isinstance(places, dict) and "text" in places else value
    answers = several(given)
    return text(given, name) if answers is None else chosen_answer(answers, choice)
