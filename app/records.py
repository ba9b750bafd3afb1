"""A record of a data set as a person reads it: turns, tools, passages, better and worse answers. No tokens here."""

import json
from html import escape
from typing import Any

from app.notices import sentences
from core.errors import Problem
from core.records import (
    Conversation,
    Message,
    Preference,
    Prompt,
    Record,
    Text,
    Tokenised,
    UnpairedPreference,
)
from core.wording import Translator

_LONGEST = 2000  # characters of one text that are shown; chosen by us: the whole row stands in the file
_IDS = 60  # token ids that are shown of a row that is tokens already


def record(found: Record, t: Translator) -> str:
    """Return a record as HTML. Everything in it is escaped: it comes from a file."""
    match found:
        case Conversation():
            return _turns(found.messages, t) + _documents(found, t) + _keywords(found, t) + _tools(found.tools, t)
        case Preference():
            return (
                _turns(found.messages, t)
                + _answers(found.chosen, "chosen", t)
                + _answers(found.rejected, "rejected", t)
                + _tools(found.tools, t)
            )
        case UnpairedPreference():
            kind = "wanted" if found.desirable else "unwanted"
            return f'<p class="mark {kind}">{escape(t(f"records.{kind}"))}</p>{_turns(found.messages, t)}'
        case Text():
            return f'<p class="plain-text">{escape(_short(found.text))}</p>'
        case Prompt():
            return _turns(found.messages, t)
        case Tokenised():
            ids = " ".join(str(each) for each in found.input_ids[:_IDS])
            more = " …" if len(found.input_ids) > _IDS else ""
            count = t("records.tokens", n=f"{len(found.input_ids):,}")
            return f'<p class="small">{escape(count)}</p><p class="plain-text">{escape(ids + more)}</p>'


def broken(why: Problem, language: str) -> str:
    """Return why a row could not be read, in its place among the others."""
    return f'<p class="unreadable">{sentences(why, language)}</p>'


def raw(values: Any, t: Translator) -> str:
    """Return a row as it stands in the file, folded."""
    text = json.dumps(values, ensure_ascii=False, indent=1, default=str)
    return (
        f'<details class="raw"><summary>{escape(t("records.raw"))}</summary>'
        f'<pre class="code">{escape(text[: 4 * _LONGEST])}</pre></details>'
    )


def _turns(messages: tuple[Message, ...], t: Translator) -> str:
    return "".join(_turn(message, t) for message in messages)


def _turn(message: Message, t: Translator) -> str:
    role = t("role." + message.role)
    named = f"{role} · {message.name}" if message.name else role
    unlearnt = message.role == "assistant" and not message.train
    note = f' <em class="small">{escape(t("records.not_learnt"))}</em>' if unlearnt else ""
    calls = "".join(
        f'<p class="call"><code>{escape(call.name)}({escape(_short(call.arguments))})</code></p>'
        for call in message.tool_calls
    )
    text = f"<p>{escape(_short(message.content))}{note}</p>" if message.content or not calls else ""
    return f'<div class="turn {message.role}"><span>{escape(named)}</span><div>{text}{calls}</div></div>'


def _answers(messages: tuple[Message, ...], kind: str, t: Translator) -> str:
    return f'<div class="side {kind}"><b>{escape(t(f"records.{kind}"))}</b>{_turns(messages, t)}</div>'


def _documents(found: Conversation, t: Translator) -> str:
    if not found.docs:
        return ""
    listed = "".join(
        f'<li class="{"oracle" if each.is_oracle else ""}">'
        f"{'<b>' + escape(t('records.oracle')) + '</b> ' if each.is_oracle else ''}"
        f"{escape(_short(each.title + ': ' if each.title else ''))}{escape(each.text[:300])}</li>"
        for each in found.docs
    )
    title = escape(t("records.documents", n=len(found.docs)))
    return f'<details class="documents"><summary>{title}</summary><ol>{listed}</ol></details>'


def _keywords(found: Conversation, t: Translator) -> str:
    parts = []
    if found.keywords:
        parts.append(t("data.keywords", words=", ".join(found.keywords)))
    if found.task:
        parts.append(t("records.task", name=found.task))
    if found.label:
        parts.append(t("records.label", name=found.label))
    return "".join(f'<p class="small">{escape(each)}</p>' for each in parts)


def _tools(tools: str, t: Translator) -> str:
    if not tools:
        return ""
    return (
        f'<details class="raw"><summary>{escape(t("records.tools"))}</summary>'
        f'<pre class="code">{escape(_short(tools))}</pre></details>'
    )


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
