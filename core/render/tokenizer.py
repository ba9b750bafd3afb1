"""Text to token ids and labels, with nothing but `tokenizers`, so that the web process can count and colour tokens too.

A `ChatTokenizer` is what a model folder says about chatting: tokenizer, chat template, control and stop tokens. Training
reads `example`, evaluation and chat read `prompt_ids`, the preview reads `segments`; all three go through `render` and
`_encode`, so that what is asked later is what was trained.
"""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tokenizers import Tokenizer

from core.errors import ModelError, problem
from core.records import Conversation, Message
from core.render.template import RenderedText, render

IGNORE_INDEX = -100  # torch.nn.functional.cross_entropy's default ignore_index
CHATML = Path(__file__).parent / "templates" / "chatml.jinja"
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

Kind = Literal["learnt", "context", "control"]


@dataclass(frozen=True)
class Example:
    """One training example. Both lists have the same length; a label of -100 is not learnt."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class _Encoding:
    """Token ids with the [start, end) characters of the text that each came from."""

    ids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


class ChatTokenizer:
    """The tokenizer and chat template of one model folder.

    `template_source` says whether the template is the model's own or our ChatML. `stop_ids` end an answer.
    """

    def __init__(
        self, tokenizer: Tokenizer, template: str, template_source: Literal["model", "chatml"], settings: dict[str, Any]
    ):
        """`settings` is tokenizer_config.json, with generation_config.json's `eos_token_id` as a list."""
        self.template = template
        self.template_source = template_source
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._control = {
            id: added.content for id, added in tokenizer.get_added_tokens_decoder().items() if added.special
        }
        self.control_tokens: tuple[str, ...] = tuple(self._control.values())
        self._variables = {name: text for name in _NAMED if (text := _content(settings.get(name)))}
        self._unknown = self._id("unk_token")
        self.bos_id: int | None = self._id("bos_token")
        eos = self._id("eos_token")
        self.stop_ids: tuple[int, ...] = self._stops(eos, settings.get("eos_token_id", []))
        self._stop_tokens = [token for id in self.stop_ids if (token := tokenizer.id_to_token(id))]
        pad = self._id("pad_token")
        self.pad_id: int = next((id for id in (pad, eos, *self.stop_ids) if id is not None), 0)

    @classmethod
    def load(cls, folder: Path) -> "ChatTokenizer":
        """Read tokenizer.json, tokenizer_config.json, generation_config.json and chat_template.jinja of a model folder.

        Raises:
            ModelError: if tokenizer.json is missing, a file is broken, or there is no template and ChatML does not fit.
        """
        tokenizer = _read_tokenizer(folder)
        settings = {**_read_json(folder, "special_tokens_map.json"), **_read_json(folder, "tokenizer_config.json")}
        eos = _read_json(folder, "generation_config.json").get("eos_token_id")
        settings["eos_token_id"] = eos if isinstance(eos, list) else [] if eos is None else [eos]
        template = _read_template(folder, settings)
        if template is not None:
            return cls(tokenizer, template, "model", settings)
        if None in (tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")):
            raise ModelError(problem("model.no_template", folder.name))
        return cls(tokenizer, CHATML.read_text(encoding="utf-8"), "chatml", settings)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> RenderedText:
        """Return the text of the messages, with the spans to learn.

        Raises:
            ModelError: if the template fails, or does not show where the answers are.
        """
        return render(
            self.template,
            [message.to_dict() for message in messages],
            control_tokens=self.control_tokens,
            add_generation_prompt=add_generation_prompt,
            stop_tokens=self._stop_tokens,
            variables=self._variables,
        )

    def example(self, conversation: Conversation) -> Example:
        """Return the ids of the whole conversation; the answers with their stop tokens are learnt.

        A token is learnt when its first character lies in a span.
        """
        rendered = self.render(conversation.messages)
        encoding = self._encode(rendered)
        learnt = _learnt(encoding, rendered)
        labels = [id if yes else IGNORE_INDEX for id, yes in zip(encoding.ids, learnt, strict=True)]
        return Example(encoding.ids, labels)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Return the ids after which the model writes its answer."""
        return self._encode(self.render(messages, add_generation_prompt=True)).ids

    def decode(self, ids: Sequence[int], skip_control: bool = True) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_control)

    def segments(self, messages: Sequence[Message]) -> list[tuple[str, Kind]]:
        """Return the rendered text in pieces of one kind each, for a coloured preview.

        A stop token that is learnt counts as learnt, not as control: that it is learnt is what a person wants to see.
        """
        rendered = self.render(messages)
        encoding = self._encode(rendered)
        pieces: list[tuple[str, Kind]] = []
        position = 0
        for id, end, learnt in zip(encoding.ids, encoding.ends, _learnt(encoding, rendered), strict=True):
            kind: Kind = "learnt" if learnt else "control" if id in self._control else "context"
            text = rendered.text[position:end]  # empty for the second token of one character
            if text and pieces and pieces[-1][1] == kind:
                pieces[-1] = (pieces[-1][0] + text, kind)
            elif text:
                pieces.append((text, kind))
            position = max(position, end)
        return pieces

    def _encode(self, rendered: RenderedText) -> _Encoding:
        """Encode the whole text at once, as inference does, except where it must be cut.

        Besides the cuts that rendering found, a token is split that would reach over the beginning of an answer (a generation
        begins exactly there), and a control token that the tokenizer's normaliser made out of ordinary text.
        """
        cuts = set(rendered.cuts)
        while True:
            encoding = self._encode_pieces(rendered.text, sorted(cuts))
            more = (_straddled(encoding, rendered) | self._made_up(encoding, rendered.text)) - cuts
            if not more:
                return encoding
            cuts |= more

    def _encode_pieces(self, text: str, cuts: list[int]) -> _Encoding:
        whole = _Encoding()
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            piece = self._tokenizer.encode(text[start:end], add_special_tokens=False)
            whole.ids.extend(piece.ids)
            whole.starts.extend(start + a for a, _ in piece.offsets)
            whole.ends.extend(start + b for _, b in piece.offsets)
        return whole

    def _made_up(self, encoding: _Encoding, text: str) -> set[int]:
        return {
            start + 1
            for id, start, end in zip(encoding.ids, encoding.starts, encoding.ends, strict=True)
            if id in self._control and id != self._unknown and text[start:end].strip() != self._control[id].strip()
        }

    def _id(self, name: str) -> int | None:
        return self._tokenizer.token_to_id(self._variables.get(name, ""))

    def _stops(self, eos: int | None, generation: list[int]) -> tuple[int, ...]:
        im_end = self._tokenizer.token_to_id("<|im_end|>") if "<|im_end|>" in self.template else None
        return tuple(dict.fromkeys(id for id in (eos, *generation, im_end) if id is not None))


def _learnt(encoding: _Encoding, rendered: RenderedText) -> list[bool]:
    return [any(a <= start < b for a, b in rendered.spans) for start in encoding.starts]


def _straddled(encoding: _Encoding, rendered: RenderedText) -> set[int]:
    """Return the beginnings of answers that lie inside a token."""
    found = set()
    for start, _ in rendered.spans:
        before = bisect_left(encoding.starts, start) - 1
        if before >= 0 and encoding.ends[before] > start:
            found.add(start)
    return found


def _read_tokenizer(folder: Path) -> Tokenizer:
    file = folder / "tokenizer.json"
    if not file.is_file():
        raise ModelError(problem("model.no_tokenizer", folder.name))
    values = _without_trimming(_read_json(folder, file.name))
    try:
        return Tokenizer.from_str(json.dumps(values))
    except Exception as error:  # tokenizers raises Exception itself, from Rust; there is no narrower class
        raise ModelError(problem("model.broken_file", f"{folder.name}/{file.name}", reason=str(error))) from error


def _without_trimming(values: Any) -> Any:
    """Turn `trim_offsets` off: ids stay the same, but with it a space seems to belong to no token."""
    if isinstance(values, dict):
        return {key: False if key == "trim_offsets" else _without_trimming(each) for key, each in values.items()}
    return values if not isinstance(values, list) else [_without_trimming(each) for each in values]


def _read_template(folder: Path, settings: dict[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    given = settings.get("chat_template")
    if isinstance(given, list):
        named = {each.get("name"): each.get("template") for each in given if isinstance(each, dict)}
        given = named.get("default")
    return given if isinstance(given, str) else None


def _read_json(folder: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file of a model folder, {} if there is no such file."""
    file = folder / name
    if not file.is_file():
        return {}
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ModelError(problem("model.broken_file", f"{folder.name}/{name}", reason=str(error))) from error
    return values if isinstance(values, dict) else {}


def _content(token: Any) -> str | None:
    """Return the text of a special token: tokenizer_config.json has a string, or an object with `content`."""
    value = token.get("content") if isinstance(token, dict) else token
    return value if isinstance(value, str) else None
