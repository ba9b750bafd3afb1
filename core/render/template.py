"""Messages to text, and which characters of that text the model learns to write.

The chat template (Jinja, as transformers reads it) stays in charge of the text. What we need to know about the text travels
through the template as marks: Unicode noncharacters, which no text holds on purpose and which are taken out of the content
first. `{% generation %}` blocks leave a mark at either end. Where a control token stands in a message (somebody wrote
`<|im_end|>` in a question), `core.render.guard` leaves a mark at which the encoder keeps it ordinary text.
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
from core.render.answers import as_asked, mark_by_prefix
from core.render.guard import CUT, EDGE, END, START, Guard, guard, without_marks
from core.render.turns import names

_MARKS = re.compile(f"([{START}{END}{CUT}{EDGE}])")
_ESCAPED_MARK = re.compile(r"(?<!\\)((?:\\\\)*)\\u(fdd[0-3])")
# What a template's own code can raise while it runs; TemplateError covers syntax, undefined names and the sandbox.
_FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError, AttributeError, RecursionError)


@dataclass(frozen=True)
class RenderedText:
    """`text` as the model sees it; positions count characters.

    `spans` are the [start, end) ranges that the model learns to write, `answers` the beginnings of all answers, learnt or
    not. At each of `cuts` the text is encoded in two pieces, so that a control token that a person wrote stays ordinary
    text; `written` are those tokens.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()
    cuts: tuple[int, ...] = ()
    answers: tuple[int, ...] = ()
    written: tuple[str, ...] = ()


def render(
    template: str,
    messages: list[dict[str, Any]],
    *,
    control_tokens: Sequence[str],
    tools: list[dict[str, Any]] | None = None,
    learn: Sequence[bool] | None = None,
    add_generation_prompt: bool = False,
    stop_tokens: Sequence[str] = (),
    variables: Mapping[str, Any] | None = None,
) -> RenderedText:
    """Render messages of the form {"role", "content", "tool_calls"?, "name"?} with a chat template.

    `learn` says for each message whether it is learnt if it is an answer (all are, unless told otherwise). Where the template
    has no generation marks, the spans are found by prefix: an answer begins where the text of the messages before it with the
    generation prompt ends, and ends with the first stop token after that; and the last answer stands behind exactly the text
    that is asked for it. `variables` are further names that the template may use (bos_token …).

    Raises:
        ModelError: `render.template_failed` if the template cannot be read or raises, `render.no_tools` or `render.drops` if
            it leaves out tools, calls or a message, `render.no_spans` if it does not say where the answers are (never when
            only a prompt is asked for).
    """
    control = guard(frozenset((*control_tokens, *stop_tokens)))
    guarded = [_guarded(message, control) for message in messages]
    offered = control.strings(tools)

    def fill(some: Sequence[Mapping[str, Any]], prompt: bool = True) -> str:
        return _fill(template, some, tools=offered, add_generation_prompt=prompt, **(variables or {}))

    marked = fill(guarded, add_generation_prompt)
    by_prefix = START not in marked
    if by_prefix and not add_generation_prompt:
        marked = as_asked(marked, guarded, fill)
    _refuse_gaps(without_marks(marked), messages, tools)
    wanted = [
        yes for yes, each in zip(learn or [True] * len(messages), messages, strict=True) if each["role"] == "assistant"
    ]
    if wanted and by_prefix:
        found = mark_by_prefix(marked, guarded, fill, stop_tokens)
        if found is None and not add_generation_prompt:
            raise ModelError(problem("render.no_spans"))
        return _read_marks(marked if found is None else found, wanted, control)
    rendered = _read_marks(_with_stop(marked, stop_tokens), wanted, control)
    if len(rendered.answers) != len(wanted) and not all(wanted) and not add_generation_prompt:
        raise ModelError(problem("render.no_spans"))  # which of the blocks is the one to leave out would be a guess
    return rendered


def running_text(text: str, ending: str, control_tokens: Sequence[str]) -> RenderedText:
    """Return a text without turns, learnt whole with the token that ends it."""
    control = guard(frozenset((*control_tokens, ending)))
    return _read_marks(START + control.strings(text) + ending + END, [True], control)


def _guarded(message: Mapping[str, Any], control: Guard) -> dict[str, Any]:
    return {key: each if key == "role" else control.strings(each) for key, each in message.items()}


def _refuse_gaps(text: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> None:
    """Refuse a template that drops a message or tools without a word: the model would be asked otherwise than it learnt.

    Answers without calls are left alone: whether they can be found is checked where they are learnt.
    """
    for name in names(messages, tools):
        if not _shows(text, name):
            raise ModelError(problem("render.no_tools", tool=name))
    for message in messages:
        said = message["content"].rpartition("</think>")[2]  # many templates take the thinking out of earlier answers
        if (message["role"] != "assistant" or "tool_calls" in message) and not _shows(text, said):
            raise ModelError(problem("render.drops", role=message["role"], start=said.strip()[:40]))


def _shows(text: str, content: str) -> bool:
    plain = without_marks(content).strip()
    return plain in text or json.dumps(plain)[1:-1] in text or json.dumps(plain, ensure_ascii=False)[1:-1] in text


def _with_stop(marked: str, stop_tokens: Sequence[str]) -> str:
    """Move an end mark behind a stop token that follows it: a model that never learns to stop talks on."""
    if not stop_tokens:
        return marked
    stops = "|".join(re.escape(token) for token in stop_tokens)
    return re.sub(f"{END}({stops})", rf"\1{END}", marked)


def _read_marks(marked: str, wanted: Sequence[bool], control: Guard) -> RenderedText:
    pieces: list[str] = []
    spans: list[tuple[int, int]] = []
    cuts: list[int] = []
    edges: list[int] = []
    position, start = 0, None
    for piece in _MARKS.split(marked):
        if piece == START:
            start = position
        elif piece == END and start is not None:
            spans.append((start, position))
            start = None
        elif piece == CUT:
            cuts.append(position)
        elif piece == EDGE:
            edges.append(position)
        elif piece != END:
            pieces.append(piece)
            position += len(piece)
    text = "".join(pieces)
    cuts = sorted({*cuts, *control.cuts_at(edges, text)})
    learnt = spans if all(wanted) else [span for span, yes in zip(spans, wanted, strict=False) if yes]
    return RenderedText(text, tuple(learnt), tuple(cuts), tuple(a for a, _ in spans), control.written(cuts, text))


def _fill(template: str, messages: Sequence[Mapping[str, Any]], **variables: Any) -> str:
    try:
        return _compiled(template).render(messages=list(messages), documents=None, **variables)
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
    return environment.from_string(without_marks(template))


class _Generation(Extension):
    """Implements {% generation %} … {% endgeneration %} with a mark at either end of the block."""

    tags = {"generation"}  # noqa: RUF012  the base class declares it so

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_mark"), [], [], body).set_lineno(line)

    def _mark(self, caller: Callable[[], str]) -> str:
        return f"{START}{caller()}{END}"


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    text = json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    return _ESCAPED_MARK.sub(lambda found: found[1] + chr(int(found[2], 16)), text) if ensure_ascii else text
