"""The page without a browser: what it is made of, what it words, and how curves are thinned out."""

import re
import time
from html import escape
from pathlib import Path
from typing import Any

import pytest

from app import charts, jobs, page
from app.controls import control, from_lines, settings_from, to_lines
from app.curves import Curve, Smoothed
from app.notices import guarded, notice
from app.pages.run_panel import follow
from app.preview import rendered, tokenizer
from app.server import preferred
from app.story import Curves
from app.studio import Studio
from app.waiting import Waited
from core.errors import DataError, SettingsError, problem
from core.records import Conversation, Message
from core.runs import directory, events
from core.settings import RunSettings, fields, from_dict
from core.wording import languages, table, words
from core.workspace import Workspace
from tests.tiny import build_tiny_model

T = words("en")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Workspace.at(tmp_path))


def steps(count: int) -> list[events.Event]:
    return [
        events.StepFinished(step=n, epoch=0, loss=5 / n, learning_rate=1e-3, grad_norm=1, tokens=9, tokens_per_second=100,
                            seconds_left=count - n)
        for n in range(1, count + 1)
    ]  # fmt: skip


def make_job(folder: Path, *seen: events.Event) -> Path:
    job = directory.create(folder, "job", {"kind": "train"})
    for event in seen:
        events.append(job / "events.jsonl", event)
    return job


@pytest.mark.parametrize("language", languages())
def test_every_setting_its_unit_and_its_choices_have_words(language: str) -> None:
    known = table(language)
    for row in fields():
        assert known[f"setting.{row.path}.label"].strip()
        assert len(known[f"setting.{row.path}.help"]) > 10
        assert not row.unit or f"unit.{row.unit}" in known
        if row.kind == "choice":
            assert all(f"setting.{row.path}.choice.{name}" in known for name in row.choices)


@pytest.mark.parametrize("language", languages())
def test_a_page_has_a_control_for_every_setting_and_no_id_twice(studio: Studio, language: str) -> None:
    blocks = page.build(studio, language)
    ids = [each.elem_id for each in blocks.blocks.values() if getattr(each, "elem_id", None)]
    assert sorted(set(ids)) == sorted(ids)
    assert {row.path for row in fields()} <= set(ids)


def test_both_pages_are_built_within_two_seconds(studio: Studio) -> None:
    page.build(studio, "en")  # what is imported late is imported now
    began = time.process_time()
    for language in languages():
        page.build(studio, language)
    assert time.process_time() - began < 2


def test_nothing_of_the_page_is_a_public_endpoint(studio: Studio) -> None:
    blocks = page.build(studio, "en")
    assert blocks.fns
    assert {function.api_visibility for function in blocks.fns.values()} == {"private"}


def test_controls_give_back_the_settings_they_show() -> None:
    given = {"data": {"train": ["a", "b"]}, "prompt": {"blanks": {"name": "Lumen"}}, "lora": {"alpha": 24}, "seed": 3}
    settings = from_dict(given)
    controls = {row.path: control(row.path, settings, T) for row in fields()}
    values = {component: component.value for component in controls.values()}
    assert settings_from(values, controls) == settings


def test_an_empty_field_is_found_by_the_studio_and_an_empty_required_one_is_an_error() -> None:
    settings = RunSettings(data={"train": ["a"]})  # type: ignore[arg-type]
    controls = {path: control(path, settings, T) for path in ("data.train", "lora.alpha", "lora.rank")}
    values: dict[Any, Any] = dict(zip(controls.values(), (["a"], "", 8), strict=True))
    assert settings_from(values, controls).lora.alpha is None
    values[controls["lora.rank"]] = None
    values[controls["lora.alpha"]] = "many"
    with pytest.raises(SettingsError) as found:
        settings_from(values, controls)
    assert {each.where for each in found.value.problems} == {"lora.rank", "lora.alpha"}


def test_lines_of_blanks_are_read_back() -> None:
    assert from_lines(to_lines({"name": "Lumen", "author": "A = B"})) == {"name": "Lumen", "author": "A = B"}
    assert from_lines(" name \n\n") == {"name": ""}


@pytest.mark.parametrize("count", [1, 497, 499, 500, 501, 20_000])
def test_a_curve_has_at_most_500_points_and_keeps_its_ends_and_spikes(count: int) -> None:
    points = [(float(n), 1.0) for n in range(count)]
    points[count // 3] = (count // 3, 99.0)
    curve = Curve()
    for point in points:
        curve.add(*point)
    thin = curve.points()
    assert len(thin) <= 500
    assert thin if count > 498 else thin == points
    assert thin[-1] == points[-1]
    assert max(y for _, y in thin) == 99.0
    assert thin == sorted(set(thin))


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant() -> None:
    assert Smoothed().add(4.0) == pytest.approx(4.0)
    constant = Smoothed()
    assert [constant.add(2.0) for _ in range(50)] == pytest.approx([2.0] * 50)


def test_a_chart_of_a_loss_that_is_not_a_number_is_still_drawn() -> None:
    seen = [*steps(3), events.StepFinished(step=4, epoch=0, loss=float("nan"), learning_rate=1, grad_norm=1, tokens=1,
                                           tokens_per_second=1, seconds_left=0)]  # fmt: skip
    drawn = charts.chart(charts.loss_series(Curves.of(seen), T), "Loss", 4, T)
    assert "nan" not in drawn
    assert 'role="img"' in drawn


def test_the_log_of_a_job_is_read_once_and_only_what_is_new_after(studio: Studio) -> None:
    job = make_job(studio.workspace.runs, *steps(2))
    assert len(studio.events(job)) == 2
    events.append(job / "events.jsonl", events.RunFinished())
    assert [each.event for each in studio.events(job)] == ["step_finished", "step_finished", "run_finished"]


def test_progress_is_told_in_words_and_to_screen_readers(studio: Studio) -> None:
    started = events.RunStarted(total_steps=10, examples=1, validation_examples=0, tokens=1, dropped=0, device="cpu",
                                trainable_parameters=1, micro_batch_size=1)  # fmt: skip
    job = make_job(studio.workspace.runs, started, *steps(4))
    bar = jobs.progress_bar(jobs.look(studio, job), T)
    assert "Step 4 of 10" in bar
    assert 'aria-valuenow="4"' in bar


def test_a_page_that_waits_says_how_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = Waited()
    assert waited.words("plan.tokenising", T) == ""
    now = [100.0]
    monkeypatch.setattr("app.waiting.time.monotonic", lambda: now[0])
    waited(0, 400)
    now[0] += 30
    waited(100, 400)
    assert "25 % done, about 2 min left" in waited.words("plan.tokenising", T)


def test_what_was_counted_is_no_progress_of_the_next_phase(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.runs.process.worker_pid", lambda job: 1)  # it runs
    counted = events.Progress(done=3_000_000, total=4_000_000, seconds_left=2.0, unit="bytes")
    job = make_job(studio.workspace.runs, events.Phase(name="tokenising"), counted)
    assert "3 MB of 4 MB" in jobs.progress_bar(jobs.look(studio, job), T)
    events.append(job / "events.jsonl", events.Phase(name="loading_model"))
    assert jobs.progress_bar(jobs.look(studio, job), T) == ""
    events.append(job / "events.jsonl", steps(4)[-1])
    events.append(job / "events.jsonl", events.Phase(name="saving"))
    assert "Step 4" in jobs.progress_bar(jobs.look(studio, job), T)


def test_a_tab_follows_the_newest_run_unless_an_older_one_was_chosen() -> None:
    assert follow(["b", "a"], None, None) == "b"
    assert follow(["c", "b", "a"], "b", ["b", "a"]) == "c"
    assert follow(["c", "b", "a"], "a", ["b", "a"]) == "a"
    assert follow(["b", "a"], "a", ["b", "a"], chosen=True) == "a"
    assert follow(["b"], "deleted", ["deleted", "b"]) == "b"
    assert follow([], "deleted", ["deleted"]) is None


@pytest.mark.parametrize("language", languages())
def test_a_notice_has_what_why_and_fix_and_escapes_what_a_file_brings(language: str) -> None:
    found = problem("data.missing_column", where="<img src=x>.json:3", column="<script>", has='"a"')
    shown = notice([found], language)
    for sentence in found.sentences(language):
        assert escape(sentence) in shown
    assert "<script>" not in shown
    assert "<img" not in shown
    assert 'role="alert"' in shown


def test_an_error_reaches_its_panel_and_keeps_everything_else() -> None:
    def broken(values: dict[str, Any]) -> dict[str, Any]:
        raise DataError(problem("data.unknown", "pets", known="dogs"))

    def wrong(values: dict[str, Any]) -> dict[str, Any]:
        raise ZeroDivisionError

    def fine(values: dict[str, Any]) -> dict[str, Any]:
        return {"other": 1}

    told = guarded(broken, "panel", "en", show_toast=False)({})
    assert list(told) == ["panel"]
    assert "pets" in told["panel"]
    assert "defect of the studio" in guarded(wrong, "panel", "en", show_toast=False)({})["panel"]
    assert guarded(fine, "panel", "en")({}) == {"panel": "", "other": 1}


def test_a_stream_that_breaks_off_tells_why_after_what_it_had() -> None:
    def breaking(values: dict[str, Any]) -> Any:
        yield {"text": "half"}
        raise DataError(problem("data.unknown", "pets", known="dogs"))

    first, last = guarded(breaking, "panel", "en", show_toast=False)({})
    assert first["text"] == "half"
    assert "pets" in last["panel"]


def test_the_preview_shows_the_whole_text_with_learnt_parts_marked(tmp_path: Path) -> None:
    model = tokenizer(build_tiny_model(tmp_path))
    shown = rendered(Conversation((Message("user", "<b>hi</b>"), Message("assistant", "yes"))), model, T)
    assert escape("<b>hi</b>") in shown
    learnt = "".join(re.findall(r'<span class="token learnt">(.*?)</span>', shown, re.DOTALL))
    assert learnt == escape("yes<|im_end|>")
    plain = re.sub(r"<[^>]+>", "", shown)
    assert plain == escape(model.render([Message("user", "<b>hi</b>"), Message("assistant", "yes")]).text)


@pytest.mark.parametrize(
    ("header", "expected"),
    [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de,en;q=0.7,zh;q=0.9", "zh"), ("fr", "en"), ("", "en"), (";q=x,zh", "zh")],
)
def test_the_start_page_speaks_what_the_browser_prefers(header: str, expected: str) -> None:
    assert preferred(header) == expected


def test_every_word_of_the_page_is_used_somewhere() -> None:
    """A key that no source mentions, not even by its beginning, is a leftover."""
    root = Path(__file__).parent.parent
    sources = "\n".join(
        path.read_text(encoding="utf-8") for path in (*root.glob("app/**/*.py"), *root.glob("core/**/*.py"))
    )
    begun = re.findall(r'"([a-z_]+(?:\.[a-z_]+)*\.)(?:\{|"\s*\+)', sources)
    own = {
        "data",
        "train",
        "evaluate",
        "chat",
        "merge",
        "runs",
        "job",
        "run",
        "header",
        "plan",
        "start",
        "prompt",
        "proof",
    }
    keys = [key for key in table("en") if key.partition(".")[0] in own]
    mentioned = re.compile("|".join(f"[\"']{re.escape(key)}[\"']" for key in keys))
    found = {match[1:-1] for match in mentioned.findall(sources)}
    unused = [key for key in keys if key not in found and not key.startswith(tuple(begun))]
    assert not unused, unused
