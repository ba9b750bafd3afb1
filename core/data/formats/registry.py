"""Which formats there are. Adding one is a reader and a line here."""

from core.data.formats import (
    alpaca,
    canonical,
    choices,
    classification,
    dialogues,
    mixed,
    passage_qa,
    plain,
    preference,
    raft,
    rendered,
    sharegpt,
)
from core.data.formats.reader import Read, Reader
from core.data.reading import Reading
from core.errors import DataError, problem

FORMATS: dict[str, Reader] = {
    "alpaca": alpaca.reader,
    "sharegpt": sharegpt.reader,
    "canonical": canonical.reader,
    "columns": choices.reader,
    "messages": sharegpt.messages_reader,
    "podcast": dialogues.podcast_reader,
    "interview": dialogues.interview_reader,
    "alternating": dialogues.alternating_reader,
    "raft": raft.reader,
    "passage_qa": passage_qa.reader,
    "classification": classification.reader,
    "rendered": rendered.reader,
    "preference": preference.reader,
    "prompt": plain.prompt_reader,
    "tokenised": plain.tokenised_reader,
    "stepwise": plain.stepwise_reader,
    "mixed": mixed.reader,
}


def reader_of(reading: Reading, strict: bool = True) -> Read:
    """Return the function that reads rows as `reading` says.

    Raises:
        DataError: `data.unknown_format` if there is no such format.
    """
    if reading.format not in FORMATS:
        raise DataError(problem("data.unknown_format", reading.format, known=", ".join(FORMATS)))
    return FORMATS[reading.format](reading.options, strict)
