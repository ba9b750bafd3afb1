"""Which ways to read a row there are, from its columns and what they hold.

`matches` goes through the rules from the most to the least specific. A rule that leaves no doubt ends the search; messages
and question-answer columns are all listed, because a row may have both, and then a person has to say which is meant.
"""

from collections.abc import Callable, Mapping
from typing import Any

from core.data.formats.dialogues import ASKED, TOLD
from core.data.formats.look import Look, Match
from core.data.formats.rendered import family
from core.data.formats.roles import CALLS, ROLE_OF, role_of
from core.data.formats.turns import is_messages, tags_of

LISTS = (
    "messages",
    "conversations",
    "conversation",
    "dialog",
    "dialogue",
    "texts",
    "turns",
    "chat",
    "interview",
    "qa_pairs",
    "data",
)
UNCLEAR = {"guest", "customer", "host", "q", "a"}  # names of people: which of them the model shall be is a choice
_PARTS = {"history", "prompt", "completion", "response", "chosen", "rejected"}  # may hold messages that are a part only
_ASKING = ("instruction", "prompt", "query", "question", "problem")
_ANSWERING = ("output", "response", "answer", "answers", "completion", "target", "targets", "solution")
PASSAGES = ("context", "article", "passage", "paragraph")


def matches(values: Mapping[str, Any]) -> tuple[Match, ...]:
    """Return every reading that fits a row, the best first; none where nothing is known."""
    look = Look(values)
    for rule in _CERTAIN:
        if found := rule(look):
            return found
    if found := (*_pairs(look), *_lists(look)):
        return found
    return next((found for rule in _REST if (found := rule(look))), ())


def _tokenised(look: Look) -> tuple[Match, ...]:
    if look.is_list_of("input_ids", int) and look.is_list_of("labels", int):
        return (Match("tokenised", {}, ("input_ids", "labels")),)
    return ()


def _canonical(look: Look) -> tuple[Match, ...]:
    """Tell our own form by what only it has: messages beside `docs` or `meta`, answers or a prompt that are lists of them."""
    messages = look.is_list_of("messages", dict)
    beside = [name for name in ("docs", "task", "label", "meta") if name in look and not look.is_boolean(name)]
    if messages and look.is_list_of("chosen", dict) and look.is_list_of("rejected", dict) and "prompt" not in look:
        return (Match("canonical", {}, ("messages", "chosen", "rejected")),)
    if messages and beside and all("role" in each and "content" in each for each in look.value("messages")):
        return (Match("canonical", {}, ("messages", *beside)),)
    if look.is_list_of("prompt", dict) and ("task" in look or "meta" in look) and "completion" not in look:
        return (Match("canonical", {}, ("prompt", *beside)),)
    return ()


def _preference(look: Look) -> tuple[Match, ...]:
    for kind, better, worse in (
        ("preference", "chosen", "rejected"),
        ("preference_alt", "chosen_messages", "rejected_messages"),
        ("preference_alt", "chosen_response", "rejected_response"),
        ("preference_alt", look.first("response", "output", "completion", "chosen"), "rejected_response"),
    ):
        if better and better in look and worse in look:
            return _answers(look, kind, better, worse)
    return ()


def _answers(look: Look, kind: str, better: str, worse: str) -> tuple[Match, ...]:
    asked = look.first("prompt", "question", "instruction", "query")
    query = "input" if asked == "instruction" and "input" in look else ""
    system = look.first("system", "system_prompt")
    parts = look.columns(
        chosen=better, rejected=worse, prompt=asked, query=query, system=system, tools=look.first("tools")
    )
    if all(look.text(name) and not is_messages(look.value(name)) for name in (better, worse)):
        if asked and look.text(asked):
            return (Match(kind, parts, (asked, better, worse)),)
        told = family(look.text(better)) and family(look.text(worse))
        return (
            (Match("preference_messages", parts, (f"{better} + {worse} in the chat format {told}",)),) if told else ()
        )
    listed = next((name for name in LISTS if _is_question(look.value(name))), "")
    if listed:
        parts |= look.columns(messages=listed)
    name = "preference_messages" if kind == "preference" else kind
    evidence = tuple(each for each in (listed or asked, better, worse) if each)
    return (Match(name, parts, evidence),)


def _is_question(given: Any) -> bool:
    """Tell whether a value is messages that wait for an answer; some sets repeat the whole conversation beside its parts."""
    tags = tags_of(given)
    return tags is not None and role_of(given[-1][tags[0]]) != "assistant"


def _unpaired(look: Look) -> tuple[Match, ...]:
    """Tell wanted and unwanted answers by a column that is true or false; 1 and 0 may be something else as well."""
    tag = next((name for name in ("kto_tag", "label") if look.is_boolean(name) or look.is_binary(name)), "")
    if not tag:
        return ()
    others = (*_pairs(look), *_lists(look))
    usual = tag == "kto_tag" or "completion" in look or any("messages" in each.columns for each in others)
    sure = usual and look.is_boolean(tag)
    found = [
        Match("kto", {**each.columns, "kto_tag": look.written(tag)}, (*each.evidence, f"{tag} true/false"))
        for each in others
        if {"messages", "response"} & each.columns.keys()
    ]
    return tuple(found) if sure else (*found, *others)


def _stepwise(look: Look) -> tuple[Match, ...]:
    if "prompt" in look and look.is_list_of("completions", str) and isinstance(look.value("labels"), list):
        return (Match("stepwise", {}, ("prompt", "completions", "labels")),)
    return ()


def _raft(look: Look) -> tuple[Match, ...]:
    if not ("question" in look and "cot_answer" in look):
        return ()
    shown = "<DOCUMENT>" in look.text("instruction")
    beside = look.first("oracle_context", "context")
    if not (shown or beside):
        return ()
    return (Match("raft", {}, ("question", "cot_answer", "<DOCUMENT>" if shown else beside)),)


_CERTAIN: tuple[Callable[[Look], tuple[Match, ...]], ...] = (
    _tokenised, _canonical, _preference, _unpaired, _stepwise, _raft,
)  # fmt: skip


def _pairs(look: Look) -> tuple[Match, ...]:
    """Return every pair of question and answer columns; LLaMA-Factory's own names leave no doubt among them."""
    found: list[tuple[str, str, str, str]] = []  # kind, question, what stands beside it, answer
    if "instruction" in look and "output" in look:
        found.append(("alpaca", "instruction", "input", "output"))
    elif "instruction" in look and "response" in look:
        found.append(("dolly", "instruction", look.first("context", "input"), "response"))
    if "prompt" in look and "completion" in look:
        found.append(("prompt_completion", "prompt", "", "completion"))
    if "response" in look:
        found += [(f"{name}_response", name, "", "response") for name in ("prompt", "query") if name in look]
        if "question" in look and ("system_prompt" in look or not (found or "answer" in look)):
            found.append(("openorca" if "system_prompt" in look else "qa", "question", "", "response"))
    given, target = look.first("input", "inputs"), look.first("target", "targets", "output")
    if given and target and not any(each[0] == "alpaca" for each in found):
        found.append(("input_target", given, "", target))
    for name in ("answer", "answers"):
        if "question" in look and name in look:
            found.append((_asking_kind(look, name), "question", look.first(*PASSAGES), name))
    if not found:
        found += _one_each(look)
    return tuple(match for each in found for match in (_pair(look, *each), *_two_answers(look, *each)))


def _one_each(look: Look) -> list[tuple[str, str, str, str]]:
    """Return the one column that asks and the one that answers, by the usual names; with two of a sort none is chosen."""
    asking = [name for name in _ASKING if name in look] or [name for name in ("input", "inputs") if name in look]
    answering = [name for name in _ANSWERING if name in look]
    if len(asking) != 1 or len(answering) != 1:
        return []
    beside = "input" if asking[0] == "instruction" and "input" in look else ""
    return [("qa", asking[0], beside, answering[0])]


def _two_answers(look: Look, kind: str, asked: str, beside: str, answer: str) -> tuple[Match, ...]:
    """Return that two answers in a list may be a better and a worse one, as in LLaMA-Factory's first preference sets."""
    given = look.raw(answer)
    two = isinstance(given, list) and len(given) == 2 and all(isinstance(each, str) for each in given)
    if not two or kind in ("squad", "context_qa"):
        return ()
    columns = look.columns(prompt=asked, query=beside if beside in look else "", answers=answer)
    return (Match("preference_alt", columns, (asked, f"{answer}: two texts")),)


def _asking_kind(look: Look, answer: str) -> str:
    if look.first(*PASSAGES) == "context" and answer == "answers":
        return "squad"
    return "context_qa" if look.first(*PASSAGES) else "qa"


def _pair(look: Look, kind: str, asked: str, beside: str, answer: str) -> Match:
    beside = beside if beside in look else ""
    if kind in ("squad", "context_qa"):
        return Match(kind, look.columns(context=beside, question=asked, answer=answer), (beside, asked, answer))
    system = look.first("system", "system_prompt")
    extra = {name: look.first(name) for name in ("history", "tools")}
    parts = look.columns(prompt=asked, query=beside, response=answer, system=system, **extra)
    evidence = [asked, answer]
    if kind == "openorca":
        evidence.insert(0, "system_prompt")
    if "<DOCUMENT>" in look.text(asked) and "<ANSWER>:" in look.text(answer):
        return Match("raft_export", parts, (f"{asked} with <DOCUMENT>", f"{answer} with <ANSWER>:"))
    return Match(kind, parts, tuple(evidence))


def _lists(look: Look) -> tuple[Match, ...]:
    """Return every column that holds a conversation: those with a usual name, and any with roles and contents."""
    return tuple(found for name in look.names() if name not in _PARTS and (found := _list(look, name)))


def _list(look: Look, name: str) -> Match | None:
    beside = look.columns(messages=name, system=look.first("system", "system_prompt"), tools=look.first("tools"))
    if look.is_list_of(name, dict):
        return _of_objects(look.value(name), name, beside)
    if name in LISTS and look.is_list_of(name, str):
        return Match("alternating", beside, (f"{name}: a list of texts",))
    return None


def _of_objects(given: list[dict[str, Any]], name: str, beside: dict[str, str]) -> Match | None:
    tags = tags_of(given)
    if tags:
        role_tag, content_tag = tags
        if any("<DOCUMENT>" in str(each.get(content_tag)) for each in given) and "<ANSWER>:" in str(
            given[-1].get(content_tag)
        ):
            return Match("raft_export", beside, (f"{name} with <DOCUMENT>", "<ANSWER>:"))
        kind = "sharegpt" if tags == ("from", "value") else "messages"
        clear = all(_is_clear(each[role_tag]) for each in given)
        return Match(kind if clear else "podcast", beside, (f"{name}: {role_tag} + {content_tag}",))
    if name in LISTS and all(_has_both(each) for each in given):
        kind = "interview" if any("question" in map(str.lower, each) for each in given) else "pair_turns"
        return Match(kind, beside, (f"{name}: {' + '.join(list(given[0])[:2])}",))
    if name in LISTS and all(len(each) == 1 and _is_clear(next(iter(each))) for each in given):
        return Match(
            "pair_turns", beside, (f"{name}: {' + '.join(dict.fromkeys(key for each in given for key in each))}",)
        )
    return None


def _is_clear(role: str) -> bool:
    small = role.strip().lower()
    return (small in ROLE_OF and small not in UNCLEAR) or small in CALLS


def _has_both(each: dict[str, Any]) -> bool:
    names = [name.strip().lower() for name in each]
    return any(name in ASKED for name in names) and any(name in TOLD for name in names)


def _labelled(look: Look) -> tuple[Match, ...]:
    name, label = look.first("text", "sentence"), look.first("label")
    if not (name and label) or isinstance(look.value(label), list | dict | float):
        return ()
    found = [Match("classification", look.columns(text=name, label=label), (name, label))]
    return tuple(found + ([Match("rendered", look.columns(text=name), (name,))] if family(look.text(name)) else []))


def _rendered(look: Look) -> tuple[Match, ...]:
    name = look.first("text")
    told = family(look.text(name)) if name else ""
    return (Match("rendered", look.columns(text=name), (f"text in the chat format {told}",)),) if told else ()


def _running_text(look: Look) -> tuple[Match, ...]:
    if isinstance(look.value("text"), str):
        return (Match("text", look.columns(prompt="text"), ("text",)),)
    return ()


def _prompt_only(look: Look) -> tuple[Match, ...]:
    if "prompt" in look and (look.text("prompt") or look.is_list_of("prompt", dict)):
        return (Match("prompt_only", look.columns(prompt="prompt"), ("prompt",)),)
    return ()


_REST: tuple[Callable[[Look], tuple[Match, ...]], ...] = (_labelled, _rendered, _running_text, _prompt_only)
