"""Questions and answers as plain text that goes on, for a model without a chat template or one that is not to chat.

It is a chat template like any other, so that training, evaluation, chat and other programs read it from the folder of the run
and write the same prompt.
"""

import json
from pathlib import Path

from core.render.tokenizer import ChatTokenizer

_TEMPLATE = Path(__file__).parent / "templates" / "completion.jinja"


def completion_template(tokenizer: ChatTokenizer) -> str:
    """Return the template: every turn on a line of its own, each answer ended by the tokenizer's stop token.

    The begin-of-text token stands first where the model is used to it.
    """
    first = tokenizer.bos_token if tokenizer.puts_bos_first else ""
    stop = tokenizer.stop_tokens[0] if tokenizer.stop_tokens else ""
    named = "".join(f"{{%- set {name} = {json.dumps(text)} %}}" for name, text in (("first", first), ("stop", stop)))
    return f"{named}\n{_TEMPLATE.read_text(encoding='utf-8')}"
