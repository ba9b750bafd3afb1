"""The form of an evaluation: what can be chosen for a run, and the values that were chosen as the engine wants them."""

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from app.evaluate.layout import AUTO, NOBODY, TRAINED, EvaluatePage
from app.studio import Studio
from core.data.endpoint import Endpoint
from core.errors import StudioError
from core.evaluate.contestants import Other, checkpoints_of
from core.evaluate.in_words import called
from core.evaluate.options import ENDPOINT, Options, options
from core.evaluate.prepare import prepare
from core.prompts.store import SystemPrompt
from core.runs.directory import Run
from core.wording import Translator

_MOST_OTHERS = 200  # choices; chosen by us: a longer list is searched by nobody


def prepared(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any]) -> Any:
    """Return the job that the form asks for.

    Raises:
        StudioError: if something in the form cannot be used.
    """
    form, run = page.form, studio.run(values[page.run] or "")
    return prepare(
        studio.workspace,
        run,
        values[form.tests] or [],
        prompt=_prompt(studio, values[form.prompt]),
        options=_options(page, values),
        others=[_other(each) for each in values[form.others] or []],
    )


def for_run(studio: Studio, page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of the form for the run that was chosen."""
    form, name = page.form, values[page.run]
    run = studio.run(name) if name else None
    known = studio.registry.names()
    kept = [each for each in run.settings.data.test if each in known] if run else []
    return {
        form.tests: gr.update(choices=known, value=kept),
        form.others: gr.update(choices=_others(studio, run, t) if run else [], value=[]),
        form.prompt_note: note(studio, name, values[form.prompt], t),
        form.start: ready(page, {page.run: name, form.tests: kept, form.probes: values[form.probes]}, t),
    }


def ready(page: EvaluatePage, values: Mapping[Any, Any], t: Translator) -> dict[str, Any]:
    """Return the state of the button: its label says what is missing."""
    asked = values[page.form.tests] or values[page.form.probes]
    missing = "choose_run" if not values[page.run] else "" if asked else "choose_tests"
    return gr.update(value=t(f"evaluate.{missing or 'start'}"), interactive=not missing)


def note(studio: Studio, run: str | None, name: str | None, t: Translator) -> str:
    """Return under which prompt the questions are asked, plainly when it is not the trained one."""
    if not run:
        return ""
    learnt = studio.run(run).config["prompt"]
    if not name:
        text = learnt["text"]
        return f'<p class="note">{escape(t("prompt_note.trained", text=text) if text else t("prompt_note.trained_none"))}</p>'
    text = studio.prompts.get(name).text
    same = (text or "") == (learnt["text"] or "")
    words = t("prompt_note.same") if same else t("prompt_note.other", trained=learnt["text"] or "–", chosen=text or "–")
    return f'<p class="note {"" if same else "different"}">{escape(words)}</p>'


def prompts(studio: Studio, t: Translator) -> list[tuple[str, str]]:
    return [(t("evaluate.trained_prompt"), TRAINED), *((name, name) for name in studio.prompts.names())]


def judges(studio: Studio, t: Translator) -> list[tuple[str, str]]:
    """Return who could compare answers: the address that the environment names, and the models that are here."""
    try:
        endpoint = Endpoint.from_environment()
    except StudioError:
        endpoint = None  # what is wrong with it is told where it is used
    named = [(t("evaluate.judge_endpoint", host=endpoint.host, model=endpoint.model), ENDPOINT)] if endpoint else []
    return [*named, *((model, model) for model in studio.models())]


def patterned(kind: str | None, t: Translator) -> dict[str, Any]:
    """Return the field for a check's pattern, shown for the kinds that use one."""
    shown = kind in ("regex", "json", "label", "marker", "citation")
    return gr.update(visible=shown, **({"placeholder": t(f"check.pattern.{kind}")} if shown else {}))


def _options(page: EvaluatePage, values: Mapping[Any, Any]) -> Options:
    form = page.form
    kind, pattern = values[form.check] or AUTO, (values[form.pattern] or "").strip()
    check = f"{kind}:{pattern}" if pattern and kind != AUTO else kind
    return options(
        max_new_tokens=_whole(values[form.longest], 64),
        limit=_whole(values[form.limit], None),
        temperature=values[form.temperature] or 0.0,
        repetition_penalty=values[form.penalty] or 1.0,
        checks={} if check == AUTO else dict.fromkeys(values[form.tests] or [], check),
        name=(values[form.name] or "").strip(),
        maker=(values[form.maker] or "").strip(),
        probes=bool(values[form.probes]),
        judge=values[form.judge] or NOBODY,
        rubric=(values[form.rubric] or "").strip(),
    )


def _others(studio: Studio, run: Run, t: Translator) -> list[tuple[str, str]]:
    """Return what can be asked beside a run: its checkpoints, and other runs on the same base."""
    mine = [(called(other.saved.rpartition("/")[2], t), f"{run.name}\n{other.saved}") for other in checkpoints_of(run)]
    base = run.config["model"].get("fingerprint")
    theirs = [
        (other.name, f"{other.name}\n")
        for other in studio.runs()[:_MOST_OTHERS]
        if base
        and other.name != run.name
        and other.config["model"].get("fingerprint") == base
        and other.adapter() is not None
    ]
    return [*mine, *theirs]


def _other(value: Any) -> Other:
    run, _, saved = str(value).partition("\n")
    return Other(run, saved)


def _prompt(studio: Studio, name: str | None) -> SystemPrompt | None:
    return studio.prompts.get(name) if name else None


def _whole(value: Any, default: int | None) -> Any:
    """Return a field's value as a whole number; what is not one is handed on, to be refused in words."""
    if value is None or value == "":
        return default
    try:
        return int(float(value)) if float(value).is_integer() else value
    except (ValueError, OverflowError):
        return value
