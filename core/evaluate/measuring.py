"""How surprised each contestant is by what was expected, and by ordinary prose: nats and tokens, weighted by tokens."""

from collections.abc import Mapping, Sequence

from core.evaluate.items import Item
from core.evaluate.perplexity import losses
from core.evaluate.probes import kept
from core.evaluate.scoring import GENERAL, Measured
from core.models.load import Many
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer, Encoded, Example


def measure(
    loaded: Many, tokenizers: Mapping[str, ChatTokenizer], system: Mapping[str, str | None], items: Sequence[Item]
) -> Measured:
    """Return the losses of the expected answers of each data set, and of general texts where a probe asks for them."""
    found: Measured = {}
    rows = [item for item in items if item.kind == "data" and item.expected]
    for who, tokenizer in tokenizers.items():
        texts = {
            source: [
                tokenizer.encode(_answered(item.asked_under(system[who]))) for item in rows if item.source == source
            ]
            for source in dict.fromkeys(item.source for item in rows)
        }
        if any(item.kind == "kept" for item in items):
            texts[GENERAL] = [tokenizer.encode_text(text) for text in kept.texts()]
        for source, encoded in texts.items():
            found.setdefault(source, {})[who] = _loss(loaded, who, encoded, tokenizer.pad_id)
    return found


def _loss(loaded: Many, who: str, encoded: Sequence[Encoded], pad_id: int) -> tuple[float, int]:
    with loaded.speaking_as(who):
        told = losses(loaded.model, [Example(each.ids, each.labels) for each in encoded], pad_id)
    return sum(nats for nats, _ in told), sum(tokens for _, tokens in told)


def _answered(item: Item) -> Conversation:
    """Return the question with its expected answer, of which alone something is to be told."""
    asked = [Message(m.role, m.content, m.tool_calls, m.name, train=False) for m in item.messages]
    return Conversation((*asked, Message("assistant", item.expected)), tools=item.tools)
