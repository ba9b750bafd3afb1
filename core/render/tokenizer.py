"""Text to token ids and labels, with nothing but `tokenizers`, so that the web process can count and colour tokens too.

A `ChatTokenizer` is what a model folder says about chatting: tokenizer, chat template, control and stop tokens. Training
reads `example`, evaluation and chat read `prompt_ids`, the X-ray reads `encode`; all go through `render` and `_encode`, so
that what is asked later is what was trained, and what is shown is what is trained.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from tokenizers import Encoding, Tokenizer

from core.errors import ModelError, problem
from core.records import Conversation, Message
from core.render.model_files import content, read_json, read_templates, read_tokenizer, without_prefix
from core.render.template import RenderedText, render, running_text
from core.render.turns import as_dicts, tool_list

IGNORE_INDEX = -100  # torch.nn.functional.cross_entropy's default ignore_index
CHATML = Path(__file__).parent / "templates" / "chatml.jinja"
_NAMED = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class Example:
    """One training example. Both lists have the same length; a label of -100 is not learnt."""

    input_ids: list[int]
    labels: list[int]


@dataclass(frozen=True)
class _Tokens:
    """Token ids with the [start, end) characters of the text that each came from."""

    ids: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)

    def add(self, piece: Encoding, at: int, count: int | None = None) -> None:
        """Append the first `count` tokens of a piece that begins at character `at`."""
        offsets = piece.offsets[:count]
        self.ids.extend(piece.ids[:count])
        self.starts.extend([at + start for start, _ in offsets])
        self.ends.extend([at + end for _, end in offsets])


@dataclass(frozen=True)
class Encoded:
    """A rendered text as tokens. The lists have one element a token; `starts` and `ends` count characters of the text."""

    rendered: RenderedText
    ids: list[int]
    starts: list[int]
    ends: list[int]
    learnt: list[bool]

    @property
    def labels(self) -> list[int]:
        return [id if yes else IGNORE_INDEX for id, yes in zip(self.ids, self.learnt, strict=True)]

    def behind(self, token: str, id: int) -> "Encoded":
        """Return the same behind one more token, which is not learnt."""
        by, old = len(token), self.rendered
        moved = RenderedText(
            token + old.text,
            tuple((start + by, end + by) for start, end in old.spans),
            tuple(cut + by for cut in old.cuts),
            tuple(start + by for start in old.answers),
            old.written,
        )
        starts, ends = [0, *(each + by for each in self.starts)], [by, *(each + by for each in self.ends)]
        return Encoded(moved, [id, *self.ids], starts, ends, [False, *self.learnt])


class ChatTokenizer:
    """The tokenizer and chat template of one model folder.

    `template_source` says whether the template is the model's own or our ChatML; a model without any ("none") reads running
    text only. `stop_ids` end an answer. `puts_bos_first` tells whether the model is used to a begin-of-text token before
    every text; templates write their own.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: str,
        template_source: Literal["model", "chatml", "none"],
        settings: dict[str, Any],
        tool_template: str | None = None,
        name: str = "",
    ):
        """`settings` is tokenizer_config.json, with generation_config.json's `eos_token_id` as a list.

        `tool_template` is used for conversations with tools, where a model has another one for them; `name` is the model's,
        for messages.
        """
        self._name = name
        self.template = template
        self.template_source = template_source
        self._tool_template = tool_template or template
        self._tokenizer = tokenizer
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._control = {
            id: added.content for id, added in tokenizer.get_added_tokens_decoder().items() if added.special
        }
        self.control_tokens: tuple[str, ...] = tuple(self._control.values())
        self._variables = {name: text for name in _NAMED if (text := content(settings.get(name)))}
        self._unknown = self._id("unk_token")
        self.bos_token: str = self._variables.get("bos_token", "")
        self.bos_id: int | None = self._id("bos_token")
        # As transformers reads tokenizer.json; `add_bos_token` of the configuration counts for nothing beside that.
        self.puts_bos_first = self.bos_id is not None and tokenizer.encode("").ids[:1] == [self.bos_id]
        eos = self._id("eos_token")
        self.stop_ids: tuple[int, ...] = self._stops(eos, settings.get("eos_token_id", []))
        self.stop_tokens = [token for id in self.stop_ids if (token := tokenizer.id_to_token(id))]
        pad = self._id("pad_token")
        self.pad_id: int = next((id for id in (pad, eos, *self.stop_ids) if id is not None), 0)

    @classmethod
    def load(cls, folder: Path) -> "ChatTokenizer":
        """Read tokenizer.json, tokenizer_config.json, generation_config.json and chat_template.jinja of a model folder.

        Raises:
            ModelError: if tokenizer.json is missing or a file is broken.
        """
        tokenizer = read_tokenizer(folder)
        settings = {**read_json(folder, "special_tokens_map.json"), **read_json(folder, "tokenizer_config.json")}
        eos = read_json(folder, "generation_config.json").get("eos_token_id")
        settings["eos_token_id"] = eos if isinstance(eos, list) else [] if eos is None else [eos]
        templates = read_templates(folder, settings)
        if "default" in templates:
            return cls(tokenizer, templates["default"], "model", settings, templates.get("tool_use"), folder.name)
        if None in (tokenizer.token_to_id("<|im_start|>"), tokenizer.token_to_id("<|im_end|>")):
            return cls(tokenizer, "", "none", settings, name=folder.name)
        return cls(tokenizer, CHATML.read_text(encoding="utf-8"), "chatml", settings, name=folder.name)

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False, tools: str = "") -> RenderedText:
        """Return the text of the messages, with the spans to learn. `tools` is a JSON list.

        Raises:
            ModelError: if there is no template, or it fails, drops tools, or does not show where the answers are.
            DataError: if the tools, or the arguments of a call, are not JSON of the right shape.
        """
        if self.template_source == "none":
            raise ModelError(problem("model.no_template", self._name))
        offered = tool_list(tools)
        return render(
            self.template if offered is None else self._tool_template,
            as_dicts(messages),
            tools=offered,
            learn=[message.train for message in messages],
            control_tokens=self.control_tokens,
            add_generation_prompt=add_generation_prompt,
            stop_tokens=self.stop_tokens,
            variables=self._variables,
        )

    def example(self, conversation: Conversation) -> Example:
        """Return the ids of the whole conversation; the answers with their stop tokens are learnt.

        A token is learnt when its first character lies in a span. Answers whose message has `train` False are context.
        """
        encoded = self.encode(conversation)
        return Example(encoded.ids, encoded.labels)

    def encode(self, conversation: Conversation) -> Encoded:
        """Return the whole conversation as tokens with their places: what `example` is made of."""
        return self._encoded(self.render(conversation.messages, tools=conversation.tools))

    def encode_prompt(self, messages: Sequence[Message], tools: str = "") -> Encoded:
        """Return the tokens after which the model writes its answer, none of them learnt."""
        encoded = self._encoded(self.render(messages, add_generation_prompt=True, tools=tools))
        return Encoded(encoded.rendered, encoded.ids, encoded.starts, encoded.ends, [False] * len(encoded.ids))

    def encode_text(self, text: str) -> Encoded:
        """Return running text with the token that ends it, without a template, all of it learnt.

        Where the model is used to it, the begin-of-text token stands before it.
        """
        ending = self.stop_tokens[0] if self.stop_tokens else ""
        encoded = self._encoded(running_text(text, ending, self.control_tokens))
        return (
            encoded.behind(self.bos_token, self.bos_id) if self.puts_bos_first and self.bos_id is not None else encoded
        )

    def prompt_ids(self, messages: Sequence[Message], tools: str = "") -> list[int]:
        """Return the ids after which the model writes its answer."""
        return self._encode(self.render(messages, add_generation_prompt=True, tools=tools)).ids

    def is_control(self, id: int, text: str) -> bool:
        """Tell whether a token that stands for this text is a control token; the unknown token stands for any text."""
        return id in self._control and text.strip() == self._control[id].strip()

    def decode(self, ids: Sequence[int], skip_control: bool = True) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=skip_control)

    def _encoded(self, rendered: RenderedText) -> Encoded:
        tokens = self._encode(rendered)
        learnt = [False] * len(tokens.ids)
        for start, end in rendered.spans:
            first, last = bisect_left(tokens.starts, start), bisect_left(tokens.starts, end)
            learnt[first:last] = [True] * (last - first)
        return Encoded(rendered, tokens.ids, tokens.starts, tokens.ends, learnt)

    def _encode(self, rendered: RenderedText) -> _Tokens:
        """Encode the whole text at once, as inference does, except where it must be cut.

        Besides the cuts that rendering found, a token is split that would reach over the beginning of an answer (a generation
        begins exactly there), and a control token that the tokenizer's normaliser made out of ordinary text.
        """
        cuts = set(rendered.cuts)
        while True:
            tokens = self._encode_pieces(rendered.text, sorted(cuts))
            more = (_straddled(tokens, rendered) | self._made_up(tokens, rendered.text)) - cuts
            if not more:
                return tokens
            cuts |= more

    def _encode_pieces(self, text: str, cuts: list[int]) -> _Tokens:
        whole = _Tokens()
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            if start and self._continuing is not None:
                start = self._go_on(whole, self._continuing, text, start, end)
            whole.add(self._tokenizer.encode(text[start:end], add_special_tokens=False), start)
        return whole

    def _go_on(self, whole: _Tokens, tokenizer: Tokenizer, text: str, start: int, end: int) -> int:
        """Encode up to the next control token without putting a space first; return where that token begins."""
        piece = tokenizer.encode(text[start:end], add_special_tokens=False)
        count = next(
            (n for n, id in enumerate(piece.ids) if id in self._control and id != self._unknown), len(piece.ids)
        )
        whole.add(piece, start, count)
        return end if count == len(piece.ids) else start + piece.offsets[count][0]

    @cached_property
    def _continuing(self) -> Tokenizer | None:
        return without_prefix(self._tokenizer)

    def _made_up(self, tokens: _Tokens, text: str) -> set[int]:
        control, found = self._control, set()
        for number, id in enumerate(tokens.ids):
            if (
                id in control
                and id != self._unknown
                and not self.is_control(id, text[tokens.starts[number] : tokens.ends[number]])
            ):
                found.add(tokens.starts[number] + 1)
        return found

    def _id(self, name: str) -> int | None:
        return self._tokenizer.token_to_id(self._variables.get(name, ""))

    def _stops(self, eos: int | None, generation: list[int]) -> tuple[int, ...]:
        im_end = self._tokenizer.token_to_id("<|im_end|>") if "<|im_end|>" in self.template else None
        return tuple(dict.fromkeys(id for id in (eos, *generation, im_end) if id is not None))


def _straddled(tokens: _Tokens, rendered: RenderedText) -> set[int]:
    """Return the beginnings of answers that lie inside a token."""
    found = set()
    for start in rendered.answers:
        before = bisect_left(tokens.starts, start) - 1
        if before >= 0 and tokens.ends[before] > start:
            found.add(start)
    return found
