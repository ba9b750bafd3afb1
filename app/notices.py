"""The one place that words an error for a person on the page: what happened, why, what to do; details folded; to copy.

Everything in a notice may come from a file or a model, so everything is escaped.
"""

import inspect
import json
import logging
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from html import escape
from typing import Any

import gradio as gr
from gradio.helpers import log_message

from core.errors import Problem, StudioError, problem
from core.wording import has, joined, words

log = logging.getLogger("studio")
_SHOWN = 20  # problems in one panel; more are counted
Handler = Callable[..., Any]


def notice(problems: Sequence[Problem], language: str, kind: str = "error", details: str = "") -> str:
    """Return a panel as HTML. `kind` is error or warning; `details` are for a bug report, folded."""
    if not problems:
        return ""
    t = words(language)
    shown = "".join(_one(each, language) for each in problems[:_SHOWN])
    more = f"<p>{escape(t('notice.more', n=len(problems) - _SHOWN))}</p>" if len(problems) > _SHOWN else ""
    record = [json.dumps(each.to_dict(), ensure_ascii=False, default=str) for each in problems]
    plain = "\n".join(each.say(language) for each in problems)
    full = "\n".join([*record, *([details] if details else [])])
    role = "alert" if kind == "error" else "status"
    copied = f'data-copied="{escape(t("notice.copied"))}"'
    return (
        f'<div class="notice {kind}" role="{role}">{shown}{more}<div class="notice-foot">'
        f"<details><summary>{escape(t('notice.details'))}</summary><pre>{escape(full)}</pre></details>"
        f'<button type="button" class="small" data-copy="{escape(plain + chr(10) + full)}" {copied}>'
        f"{escape(t('notice.copy'))}</button></div></div>"
    )


def warnings(problems: Sequence[Problem], language: str) -> str:
    """Return warnings as quiet lines, without details."""
    lines = []
    for each in problems:
        lines.append(f"<li>{sentences(each, language)}</li>")
    return f'<ul class="warnings" role="status">{"".join(lines)}</ul>' if lines else ""


def sentences(each: Problem, language: str, before: str = "") -> str:
    """Return the sentences of a problem on one line, the first one strong and led by `before`."""
    what, *others = each.sentences(language)
    return joined([f"<strong>{escape(before + what)}</strong>", *map(escape, others)], language)


def success(text: str, id: str = "") -> str:
    """Return a line that says that something worked."""
    name = f' id="{escape(id)}"' if id else ""
    return f'<div class="notice success" role="status"{name}>{escape(text)}</div>'


def toast(error: StudioError, language: str) -> None:
    """Show the first problem of an error as a passing message; the panel has the rest."""
    first = error.problems[0]
    message = f"{_place(first, language)}{first.sentences(language)[0]}"
    log_message(escape(message), title=words(language)("notice.error"), level="error", duration=8)


def done(text: str, language: str) -> None:
    """Show a passing message that something worked."""
    gr.Success(escape(text), title=words(language)("notice.done"), duration=4)


def unexpected(error: Exception) -> StudioError:
    """Turn an error that nobody foresaw into one with words, and log it under a number that the words carry."""
    number = uuid.uuid4().hex[:8]
    log.error("error %s on the page\n%s", number, "".join(traceback.format_exception(error)))
    return StudioError(problem("page.unexpected", number=number, kind=type(error).__name__))


def guarded(function: Handler, panel: Any, language: str, show_toast: bool = True) -> Handler:
    """Wrap a page handler, which returns a dict of component -> update: the border where everything is caught.

    What goes wrong stands in `panel`, in words, and passes by as a toast; every other component keeps what it shows. When all
    goes well the panel is cleared, unless the handler fills it.
    """

    def told(error: StudioError) -> dict[Any, Any]:
        if show_toast:
            toast(error, language)
        return {panel: notice(error.problems, language)}

    def complete(result: Any) -> Any:
        return {panel: "", **result} if isinstance(result, dict) and "__type__" not in result else result

    @wraps(function)
    def once(*arguments: Any) -> Any:
        try:
            return complete(function(*arguments))
        except StudioError as error:
            return told(error)
        except Exception as error:
            return told(unexpected(error))

    @wraps(function)
    def streaming(*arguments: Any) -> Iterator[Any]:
        try:
            for result in function(*arguments):
                yield complete(result)
        except StudioError as error:
            yield told(error)
        except Exception as error:
            yield told(unexpected(error))

    return streaming if inspect.isgeneratorfunction(function) else once


def _one(each: Problem, language: str) -> str:
    what, why, fix = each.sentences(language)
    return (
        f'<div class="problem"><p class="what">{escape(_place(each, language))}{escape(what)}</p>'
        f'<p class="why">{escape(why)}</p><p class="fix">{escape(fix)}</p></div>'
    )


def _place(each: Problem, language: str) -> str:
    """Return the place as a prefix: a setting by its label, anything else as it is; nothing when the words name it."""
    label = f"setting.{each.where}.label"
    if each.where and has(label):
        return f"{words(language)(label)} ({each.where}): "
    return f"{each.where}: " if each.where and each.where not in each.sentences(language)[0] else ""
