"""Messages to text, and which characters of that text the model learns to write.

The chat template (Jinja, as transformers reads it) stays in charge of the text. What we need to know about the text travels
through the template as marks: Unicode noncharacters, which no text holds on purpose and which are taken out of the content
first. `{% generation %}` blocks leave a mark at either end. Control tokens that stand in a message's content (somebody
wrote `<|im_end|>` in a question) get a cut after their first character, so that the encoder can keep them ordinary text.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from jinja2 import Environment, Template, TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.errors import ModelError, problem

_START, _END, _CUT = "\ufdd0", "\ufdd1", "\ufdd2"
_NONCHARACTERS = re.compile("[\ufdd0-\ufdef]")
_MARKS = re.compile(f"([{_START}{_END}{_CUT}])")
# What a template's own code can raise while it runs; TemplateError covers syntax, undefined names and the sandbox.
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True)
class RenderedText:
    """`text` as the model sees it; positions count characters.

    `spans` are the [start, end) ranges that the model learns to write. At each of `cuts` the text is encoded in two
    pieces, so that a control token that a person wrote stays ordinary text.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    cuts: tuple[int, ...] = ()


def render(
    template: str,
    messages: list[dict[str, Any]],
    *,
    control_tokens: Sequence[str],
    add_generation_prompt: bool = False,
    stop_tokens: Sequence[str] = (),
    variables: Mapping[str, Any] | None = None,
) -> RenderedText:
    """Render messages of the form {"role", "content"} with a chat template.

    Where the template has no generation marks, the spans are found by prefix: an answer begins where the text of the
    messages before it with the generation prompt ends, and ends with the first stop token after that. `variables` are
    further names that the template may use (bos_token …).

    Raises:
        ModelError: `render.template_failed` if the template cannot be read or raises, `render.no_spans` if it does not say
            where the answers are (never when only a prompt is asked for).
    """

    def fill(some: Sequence[Mapping[str, Any]], prompt: bool) -> str:
        return _fill(template, some, add_generation_prompt=prompt, **(variables or {}))

    guarded = _guard(messages, (*control_tokens, *stop_tokens))
    marked = fill(guarded, add_generation_prompt)
    has_answers = any(message["role"] == "assistant" for message in messages)
    if has_answers and _START not in marked:
        found = _mark_by_prefix(marked, guarded, fill, stop_tokens)
        if found is None and not add_generation_prompt:
            raise ModelError(problem("render.no_spans"))
        marked = marked if found is None else found
    return _read_marks(_with_stop(marked, stop_tokens))


def _guard(messages: Sequence[Mapping[str, Any]], tokens: Sequence[str]) -> list[dict[str, Any]]:
    """Take our marks out of the contents and put a cut into every control token there."""
    longer = "|".join(re.escape(token) for token in set(tokens) if len(token) > 1)
    control = re.compile(f"(?=(?:{longer}))(.)", re.DOTALL) if longer else None

    def clean(content: str) -> str:
        plain = _NONCHARACTERS.sub("", content)
        return control.sub(rf"\1{_CUT}", plain) if control else plain

    return [{**message, "content": clean(message["content"])} for message in messages]


def _mark_by_prefix(
    whole: str,
    messages: Sequence[Mapping[str, Any]],
    fill: Callable[[Sequence[Mapping[str, Any]], bool], str],
    stop_tokens: Sequence[str],
) -> str | None:
    """Return the text with marks around every answer, or None when the template is not built from prefixes."""
    if not stop_tokens:
        return None
    stop = re.compile("|".join(re.escape(token) for token in stop_tokens))
    spans: list[tuple[int, int]] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prefix = fill(messages[:index], True)
        ending = stop.search(whole, len(prefix))
        if ending is None or not whole.startswith(prefix):
            return None
        if message["content"].strip() not in whole[len(prefix) : ending.start()]:
            return None
        spans.append((len(prefix), ending.end()))
    for start, end in reversed(spans):
        whole = whole[:start] + _START + whole[start:end] + _END + whole[end:]
    return whole


def _with_stop(marked: str, stop_tokens: Sequence[str]) -> str:
    """Move an end mark behind a stop token that follows it: a model that never learns to stop talks on."""
    if not stop_tokens:
        return marked
    stops = "|".join(re.escape(token) for token in stop_tokens)
    return re.sub(f"{_END}({stops})", rf"\1{_END}", marked)


def _read_marks(marked: str) -> RenderedText:
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    cuts: list[int] = []
    position, start = 0, None
    for piece in _MARKS.split(marked):
        if piece == _START:
            start = position
        elif piece == _END and start is not None:
            spans.append((start, position))
            start = None
        elif piece == _CUT:
            cuts.append(position)
        elif piece != _END:
            pieces.append(piece)
            position += len(piece)
    return RenderedText("".join(pieces), tuple(spans), tuple(cuts))


def _fill(template: str, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    try:
        return _compiled(template).render(
            messages=[dict(each) for each in messages], tools=[], documents=[], **variables
        )
    except _FAILURES as error:
        raise ModelError(
            problem("render.template_failed", reason=(str(error) or type(error).__name__).rstrip("."))
        ) from error


@lru_cache(maxsize=64)
def _compiled(template: str) -> Template:
    """Compile with what transformers gives to templates (transformers.utils.chat_template_utils), and nothing more."""
    environment: Environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = lambda style: datetime.now().strftime(style)
    return environment.from_string(_NONCHARACTERS.sub("", template))


class _Generation(Extension):
    """Implements {% generation %} … {% endgeneration %} with a mark at either end of the block."""

    tags = {"generation"}  # noqa: RUF012  the base class declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return f"{_START}{caller()}{_END}"


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
