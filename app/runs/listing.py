"""The list of runs: which are shown, and each as a row with its curve."""

from collections.abc import Collection, Sequence
from html import escape

from app.parts import empty, pick, pill, table
from core.amounts import bytes_of
from core.runs.summary import Summary
from core.wording import Translator

PAGE = 30  # rows at a time; chosen by us: three screens of the box; search finds the rest
FILTERS = ("current", "archived", "elsewhere")
_WIDTH, _HEIGHT = 120.0, 28.0

# A click on a name chooses the run; a tick in a box tells all boxes of the list, so that quick ticks cannot overtake another.
SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-pick]');
  if (!button) return;
  trigger('click', {pick: button.dataset.pick});
  if (innerWidth <= 820) {  // the chosen run stands below the list
    setTimeout(() => document.getElementById('run-about')?.scrollIntoView({ block: 'start' }), 400);
  }
});
// A new list is written over the old one in place: a box would keep the tick of the run that stood there before.
watch('value', () => element.querySelectorAll('[data-compare]').forEach((box) => {
  box.checked = box.hasAttribute('checked');
}));
element.addEventListener('change', (event) => {
  if (!event.target.closest('[data-compare]')) return;
  const boxes = [...element.querySelectorAll('[data-compare]')];
  trigger('click', {
    listed: boxes.map((box) => box.dataset.compare),
    ticked: boxes.filter((box) => box.checked).map((box) => box.dataset.compare),
  });
});
"""


def matching(runs: Sequence[Summary], search: str, which: str, t: Translator) -> list[Summary]:
    """Return the runs that a search finds, in their order; a state is found by its word on the page, too."""
    found = [each for each in runs if _is_of(each, which)]
    words = search.split()
    if not words:
        return found
    said = {each.status: t(f"status.{each.status}").casefold() for each in found}
    return [each for each in found if all(each.matches(one) or one.casefold() in said[each.status] for one in words)]


def rows(
    runs: Sequence[Summary], compared: Collection[str], chosen: str | None, t: Translator, searching: bool = False
) -> str:
    """Return the list as HTML."""
    if not runs:
        return empty(t("runs.none_found" if searching else "runs.none"))
    names = ("compare", "name", "curve", "status", "data", "steps", "loss", "scores", "size", "created")
    headers = [t(f"runs.{name}") for name in names]
    cells = [
        [
            _box(run, run.name in compared, t),
            f"{pick(run.name, run.name == chosen)}{_tags(run, t)}",
            sparkline(run, t),
            pill(run.status, t),
            _data(run, t),
            f"{run.step:,} / {run.total_steps:,}" if run.step else "–",
            _loss(run, t),
            _scores(run, t),
            escape(bytes_of(run.bytes)),
            escape(when_made(run)),
        ]
        for run in runs
    ]
    # On a narrow screen a row is a card, whose lines have two sides: the heading and one cell.
    cells = [[f"<div>{cell}</div>" for cell in row] for row in cells]
    return table(headers, cells, caption=t("tab.runs"), numbers=(5, 6, 8))


def sparkline(run: Summary, t: Translator) -> str:
    """Return the training loss as a small picture, with its first and last value for those who cannot see it."""
    if len(run.curve) < 2:
        return "–"
    steps, losses = [x for x, _ in run.curve], [y for _, y in run.curve]
    low, high = min(losses), max(losses)
    wide, tall = max(run.total_steps, steps[-1], 1), (high - low) or 1.0
    points = "L".join(
        f"{x / wide * _WIDTH:.0f} {_HEIGHT - 2 - (y - low) / tall * (_HEIGHT - 4):.1f}" for x, y in run.curve
    )
    said = t("runs.curve_of", first=f"{losses[0]:.3g}", last=f"{losses[-1]:.3g}")
    return (
        f'<svg class="spark" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(said)}"><title>{escape(said)}</title><path d="M{points}"/></svg>'
    )


def when_made(run: Summary) -> str:
    return run.created.replace("T", " ")[:16]


def _is_of(run: Summary, which: str) -> bool:
    if which == "archived":
        return run.archived
    return not run.archived and (which != "elsewhere" or run.elsewhere)


def _box(run: Summary, ticked: bool, t: Translator) -> str:
    label = escape(t("runs.compare_it", name=run.name))
    return (
        f'<input type="checkbox" data-compare="{escape(run.name)}" aria-label="{label}" {"checked" if ticked else ""}>'
    )


def _tags(run: Summary, t: Translator) -> str:
    chips = [f'<span class="chip">{escape(each)}</span>' for each in run.tags]
    if run.elsewhere:
        chips.insert(0, f'<span class="chip info">{escape(t("runs.elsewhere"))}</span>')
    first = run.note.strip().partition("\n")[0]
    note = f'<div class="small note-line">{escape(first[:120])}</div>' if first else ""
    return (f'<div class="chips">{"".join(chips)}</div>' if chips else "") + note


def _data(run: Summary, t: Translator) -> str:
    prompt = run.prompt or t("runs.no_system_prompt")
    return f'<div class="of-data">{escape(", ".join(run.data))}</div><div class="small">{escape(prompt)}</div>'


def _loss(run: Summary, t: Translator) -> str:
    last = "–" if run.loss is None else f"{run.loss:.3f}"
    best = f'<div class="small">{escape(t("runs.best", loss=f"{run.best:.3f}"))}</div>' if run.best is not None else ""
    return last + best


def _scores(run: Summary, t: Translator) -> str:
    if not run.scores:
        return f'<span class="small">{escape(t("runs.not_evaluated"))}</span>'
    lines = [f"{escape(name)} {base:.0f} → <b>{tuned:.0f}</b> %" for name, base, tuned, _ in run.scores]
    return "<br>".join(lines)
