"""Was it asked as it was trained? The prompt, compared token for token with what stood before the answers that were learnt.

A model that was trained behind one prompt and is asked behind another shows less than it has learnt, and nothing in its
answers says why.
"""

from bisect import bisect_left
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from core.records import Conversation
from core.render.tokenizer import ChatTokenizer, Encoded
from core.runs.directory import Run

_AROUND = 60  # characters shown before and behind the first difference


def parity(
    run: Run,
    tuned: ChatTokenizer,
    base: ChatTokenizer,
    conversations: Sequence[Conversation],
    prompt_text: str | None,
) -> dict[str, Any]:
    """Return whether the prompts of training rows are, under the prompt of this evaluation, what the run was trained behind.

    `same` is None where there was no row to compare and nothing else tells of a difference.

    Args:
        tuned: the tokenizer that lies with the tuned model; `base` is that of the base model.
        conversations: some rows of the training data, without the run's system prompt.
        prompt_text: the system prompt of this evaluation; None for none.

    Raises:
        ModelError: if the template does not take a row.
    """
    trained_text = run.config["prompt"]["text"]
    compared, differs = 0, None
    for row in conversations:
        learnt = _before_last_answer(tuned.encode(row.with_system(trained_text)))
        if learnt is None:  # its last answer is not learnt
            continue
        asked = row.with_system(prompt_text)
        prompt = tuned.encode_prompt(asked.question, asked.tools)
        compared += 1
        if differs is None and learnt.ids != prompt.ids:
            differs = _difference(row, learnt, prompt)
    # A base model without a template was given one before the training.
    template_same = tuned.template == base.template or base.template_source == "none"
    system_same = (trained_text or "") == (prompt_text or "")
    same = differs is None and template_same and (compared > 0 or system_same)
    return {
        "same": same if compared or not same else None,
        "rows": compared,
        "differs_at": differs,
        "template_same": template_same,
        "template_sha256": sha256(tuned.template.encode()).hexdigest(),
        "system_same": system_same,
    }


def _before_last_answer(encoded: Encoded) -> Encoded | None:
    """Return the tokens before the first learnt one of the last answer; None where that is not learnt."""
    rendered = encoded.rendered
    last = max(rendered.answers, default=0)
    span = next((span for span in rendered.spans if span[1] > last), None)
    if span is None:
        return None
    first = bisect_left(encoded.starts, span[0])
    return Encoded(rendered, encoded.ids[:first], encoded.starts[:first], encoded.ends[:first], encoded.learnt[:first])


def _difference(row: Conversation, learnt: Encoded, asked: Encoded) -> dict[str, Any]:
    """Return the number of the first token that differs, and the text of both around it."""
    pairs = zip(learnt.ids, asked.ids, strict=False)
    at = next((n for n, (one, other) in enumerate(pairs) if one != other), min(len(learnt.ids), len(asked.ids)))
    return {"where": row.where, "token": at, "trained": _shown(learnt, at), "asked": _shown(asked, at)}


def _shown(encoded: Encoded, at: int) -> str:
    end = encoded.ends[-1] if encoded.ends else 0
    place = encoded.starts[at] if at < len(encoded.starts) else end
    return encoded.rendered.text[max(0, place - _AROUND) : min(end, place + _AROUND)]
