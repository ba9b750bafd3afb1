"""The ways a file can be read, each with its reason, three rows read that way, the questions it leaves, and a button.

Shown where a file fits more than one reading or none surely, and in the Columns section for a set that is registered. The
answers stand in the browser until the button is pressed; it hands all of them over, and they are checked here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

import gradio as gr

from app import records
from app.data import mapping as data_mapping
from app.parts import empty
from core.data.formats import Fit, Question, Recognition, converter, recognise, spread
from core.data.formats.values import RowError
from core.data.readers import Row, sample_rows
from core.data.reading import Reading
from core.errors import DataError, problem
from core.wording import Translator, has

_ROWS = 3
_ANSWERING = """
const answers = (reading) => Object.fromEntries(
  [...reading.querySelectorAll('input:checked, input[type=text], select')].map((field) => [field.dataset.key, field.value]));
let focus = '';
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick]');
  if (button) trigger('click', {pick: button.dataset.pick, answers: answers(button.closest('[data-reading]'))});
});
element.addEventListener('change', (event) => {
  const input = event.target.closest('input[type=radio]');
  if (!input) return;
  focus = input.id;
  const reading = input.closest('[data-reading]');
  trigger('click', {pick: `try:${reading.dataset.reading}`, answers: answers(reading)});
});
new MutationObserver(() => {
  const input = focus && document.getElementById(focus);
  if (input && input !== document.activeElement) { focus = ''; input.focus(); }
}).observe(element, {childList: true, subtree: true});
"""


def block(id: str) -> gr.HTML:
    """Return the HTML block whose buttons raise its click event, with `pick` (the number of a fit) and `answers`.

    An answer to a question raises it too, with `try:` before the number, so that the preview can follow.
    """
    return gr.HTML("", elem_id=id, js_on_load=_ANSWERING)


@dataclass(frozen=True)
class Look:
    """A file that was looked at: what it may be, from its first rows and some from all over it."""

    name: str
    found: Recognition
    rows: list[Row]

    @property
    def columns(self) -> list[str]:
        """The columns of the first rows, in the order in which they appear."""
        rows = [row.values for row in self.rows[:50] if isinstance(row.values, dict)]
        return list(dict.fromkeys(str(key) for row in rows for key in row))


@dataclass(frozen=True)
class Tried:
    """Answers that a person tries out for the fit of that number."""

    number: str
    answers: Mapping[str, Any]


def look(file: Path) -> Look:
    """Look at a file.

    Raises:
        DataError: if it cannot be read at all.
    """
    rows = list(sample_rows(file))
    if not rows:
        raise DataError(problem("data.no_rows", file.name))
    return Look(file.name, recognise(rows, file.name), rows)


def shown(
    seen: Look, place: str, t: Translator, now: Reading | None = None, may_choose: bool = True, tried: Tried | None = None
) -> str:  # fmt: skip
    """Return the fits, best first. `now` is how a registered set is read at present, `tried` answers not yet given."""
    head = f'<p class="small">{escape(t("readings.columns", columns=", ".join(seen.columns)))}</p>'
    parts = []
    for number, fit in enumerate(seen.found.fits):
        present = now is not None and _same(fit, now)
        options = now.options if now is not None and present else {}
        given = tried.answers if tried is not None and tried.number == str(number) else options
        unchanged = present and given is options  # nothing to choose: it is read so now
        parts.append(_fit(seen, fit, f"{place}-{number}", t, given, present, may_choose and not unchanged))
    own = data_mapping.forms(seen.columns, now, t) if may_choose else ""
    return head + ("".join(parts) or empty(t("readings.none"))) + own


def trying(pick: str, answers: Mapping[str, Any]) -> Tried | None:
    """Return the answers that a person tries out, None when the button was pressed."""
    kind, _, number = pick.partition(":")
    return Tried(number, answers) if kind == "try" else None


def picked(seen: Look, pick: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to add the file with: the chosen fit and the answers to its questions, or a form that was filled in.

    Raises:
        DataError: if there is no such fit, an answer is not one of the choices, or one is missing.
    """
    own, _, shape = pick.partition(":")
    if own == "own":
        return data_mapping.picked(shape, answers, seen.columns, seen.name)
    number = int(pick) if pick.isdecimal() else -1
    if not 0 <= number < len(seen.found.fits):
        raise DataError(problem("data.unknown_columns", seen.name, has=", ".join(seen.columns)))
    fit = seen.found.fits[number]
    options = {}
    for question in fit.questions:
        given = answers.get(question.key, question.default)
        if given not in question.choices:
            values = {"kind": fit.kind, "key": question.key, "choices": ", ".join(question.choices)}
            raise DataError(problem("data.undecided", seen.name, **values))
        options[question.key] = given
    return {"formatting": fit.kind, "options": options}


def preview(reading: Reading, rows: Sequence[Row], name: str, t: Translator) -> str:
    """Return three rows as they become records under a reading."""
    read = converter(reading, name)
    parts = []
    for row in islice(spread(rows, reading), _ROWS):
        try:
            parts.append(records.record(read(row), t))
        except RowError as error:
            parts.append(records.broken(problem(error.code, row.place, **error.values), t("language.code")))
    return "".join(f'<div class="record">{each}</div>' for each in parts)


def _fit(
    seen: Look, fit: Fit, place: str, t: Translator, given: Mapping[str, Any], present: bool, may_choose: bool
) -> str:  # fmt: skip
    what, why, fix = fit.why.sentences(t("language.code"))
    badge = f' <span class="pill data-ready">{escape(t("readings.now"))}</span>' if present else ""
    chosen = {each.key: str(given.get(each.key, each.default or "")) for each in fit.questions}
    questions = "".join(_question(place, each, chosen[each.key], t) for each in fit.questions)
    number = place.rpartition("-")[2]
    button = (
        f'<div class="foot"><button type="button" class="small strong" data-pick="{number}">'
        f"{escape(t('readings.use'))}</button></div>"
    )
    return (
        f'<section class="reading" data-reading="{number}"><h4>{escape(what)} '
        f'<span class="count">{escape(fit.kind)}</span>{badge}</h4><p class="why">{escape(why)} {escape(fix)}</p>'
        f"{questions}{_tried(seen, fit, chosen, t)}{button if may_choose else ''}</section>"
    )


def _tried(seen: Look, fit: Fit, chosen: Mapping[str, str], t: Translator) -> str:
    """Return the first rows read with the answers so far; a question without one gets its first choice, which is said."""
    answers = {
        each.key: chosen[each.key] if chosen[each.key] in each.choices else each.choices[0] for each in fit.questions
    }
    named = ", ".join(_choice(answers[each.key], t) for each in fit.questions)
    title = t("readings.preview_as", answers=named) if named else t("readings.preview")
    rows = preview(Reading(fit.reading.format, {**fit.reading.options, **answers}), seen.rows, seen.name, t)
    return f"<details open><summary>{escape(title)}</summary>{rows}</details>"


def _question(place: str, asked: Question, chosen: str, t: Translator) -> str:
    what, why, _ = asked.why.sentences(t("language.code"))
    group = f"{place}-{asked.key}"
    choices = "".join(
        f'<label><input type="radio" id="{escape(f"{group}-{number}")}" name="{escape(group)}" '
        f'data-key="{escape(asked.key)}" value="{escape(each)}"{" checked" if each == chosen else ""}> '
        f"{escape(_choice(each, t))}</label>"
        for number, each in enumerate(asked.choices)
    )
    return f'<fieldset><legend>{escape(what)} <span class="small">{escape(why)}</span></legend>{choices}</fieldset>'


def _choice(value: str, t: Translator) -> str:
    """Return an answer in words where it has some; names of speakers and the like stand for themselves."""
    key = f"recognised.choice.{value}"
    return t(key) if has(key) else value


def kind_name(kind: str, t: Translator) -> str:
    """Return what a kind is in one sentence, its bare name where it has none."""
    key = f"error.recognised.{kind}.what"
    return t(key) if has(key) else kind


def _same(fit: Fit, now: Reading) -> bool:
    """Tell whether a set is read by a fit; columns that a reading leaves out have the format's usual names."""
    if fit.reading.format != now.format:
        return False
    return all(now.options.get(key) == each for key, each in fit.reading.options.items())
