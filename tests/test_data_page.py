"""The pieces of the Data page without a browser: what they say, what they escape, and what they refuse."""

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app import findings, records
from app.data import (
    download as data_download,
    jobs as data_jobs,
    mapping as data_mapping,
    readings as data_readings,
    versions as data_versions,
)
from app.datasets import describe
from app.pages import data
from app.studio import Studio
from core.curate import jobs as curate
from core.data.export import FORMATS
from core.data.formats import Fit, Question, Recognition
from core.data.readers import Row
from core.data.reading import Reading
from core.data.registry import Registry
from core.doctor.report import Example, Finding, Report
from core.errors import DataError, problem
from core.records import (
    Conversation,
    Document,
    Message,
    Preference,
    Prompt,
    Text,
    Tokenised,
    ToolCall,
    UnpairedPreference,
)
from core.runs import events
from core.wording import languages, words
from core.workspace import Workspace

T = words("en")
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(Workspace.at(tmp_path / "workspace"))


def every_kind(text: str) -> list[Any]:
    asked, told = Message("user", text), Message("assistant", text)
    call = Message("assistant", "", (ToolCall(text, '{"a": 1}'),), train=False)
    return [
        Conversation((Message("system", text), asked, call, Message("tool", text, name=text), told), keywords=(text,),
                     tools=text, label=text, docs=(Document(text, text, True), Document(text)), task=text),
        Preference(messages=(asked,), chosen=(told,), rejected=(told,)),
        UnpairedPreference(messages=(asked, told), desirable=False),
        Text(text=text),
        Prompt(messages=(asked,)),
        Tokenised(input_ids=(1, 2, 3), labels=(-100, 2, 3)),
    ]  # fmt: skip


@pytest.mark.parametrize("language", languages())
def test_a_record_of_every_kind_is_shown_and_escaped(language: str) -> None:
    for found in every_kind(EVIL):
        shown = records.record(found, words(language))
        assert "<img" not in shown
        assert isinstance(found, Tokenised) or escape(EVIL) in shown


def test_a_preference_shows_the_better_answer_before_the_worse_one() -> None:
    pair = Preference(
        messages=(Message("user", "Hi"),), chosen=(Message("assistant", "yes"),), rejected=(Message("assistant", "no"),)
    )
    shown = records.record(pair, T)
    assert shown.index("Better") < shown.index("yes") < shown.index("Worse") < shown.index("no")


def test_a_turn_that_is_not_learnt_says_so() -> None:
    shown = records.record(Conversation((Message("user", "a"), Message("assistant", "b", train=False))), T)
    assert T("records.not_learnt") in shown
    assert T("records.not_learnt") not in records.record(Conversation((Message("assistant", "b"),)), T)


def finding(code: str, severity: Any, fix: str | None = None) -> Finding:
    examples = (Example("37 (#12)", EVIL),)
    values = {"rows": 40, "share": "10 %", "least": 50, "first": "1", "most": 1}
    return Finding(code, severity, 4, ("37 (#12)", "41"), examples, values, fix)


def test_a_report_shows_counts_lines_examples_and_the_buttons_that_apply() -> None:
    made = Report("houses", 40, (finding("duplicates", "warning", "drop_duplicates"), finding("few_rows", "warning")))
    shown = findings.report(made, {"few_rows"}, T, may_fix=True)
    assert f"{made.score} of 100" in shown
    assert T("findings.warnings", n=2) in shown
    assert "37 (#12), 41" in shown
    assert escape(EVIL) in shown
    assert "<img" not in shown
    assert 'data-pick="fix:duplicates"' in shown
    assert 'data-pick="fix:few_rows"' not in shown
    assert 'data-pick="accept:duplicates"' in shown
    assert 'data-pick="accept:few_rows"' not in shown  # it is accepted already
    assert 'data-pick="fix:' not in findings.report(made, (), T, may_fix=False)


def test_errors_cannot_be_accepted() -> None:
    made = Report("houses", 40, (finding("duplicates", "error", "drop_duplicates"),))
    shown = findings.report(made, (), T, may_fix=True)
    assert 'data-pick="fix:duplicates"' in shown
    assert "accept:" not in shown


def look(*fits: Fit) -> data_readings.Look:
    rows = [Row(1, {"zif": "a", "zaf": "b"}, 1)]
    return data_readings.Look("odd.jsonl", Recognition(fits, {}, 1), rows)


def fit(*questions: Question) -> Fit:
    return Fit(
        "openorca", Reading("alpaca", {"prompt": "zif", "response": "zaf"}), 1.0, problem("data.no_rows"), questions
    )


def test_an_answer_is_taken_only_from_the_choices() -> None:
    asked = Question("speaker", ("guest", "host"), None, problem("data.no_rows"))
    assert data_readings.picked(look(fit(asked)), "0", {"speaker": "host"}) == {
        "formatting": "openorca",
        "options": {"speaker": "host"},
    }
    for answers in ({}, {"speaker": "nobody"}):
        with pytest.raises(DataError) as found:
            data_readings.picked(look(fit(asked)), "0", answers)
        assert found.value.problems[0].code == "data.undecided"


def test_a_question_with_a_usual_answer_needs_none() -> None:
    asked = Question("tags", ("keep", "strip"), "strip", problem("data.no_rows"))
    assert data_readings.picked(look(fit(asked)), "0", {})["options"] == {"tags": "strip"}


@pytest.mark.parametrize("pick", ["1", "-1", "own", "own:<script>", "", "x"])
def test_a_reading_that_was_not_offered_is_refused(pick: str) -> None:
    with pytest.raises(DataError):
        data_readings.picked(look(fit()), pick, {})


def test_a_filled_in_form_says_columns_and_tags() -> None:
    picked = data_mapping.picked("alpaca", {"prompt": "zif", "response": "zaf", "role_tag": "x"}, ["zif", "zaf"], "odd")
    assert picked["formatting"] == "alpaca"
    assert {key: each for key, each in picked["columns"].items() if each} == {"prompt": "zif", "response": "zaf"}
    assert picked["tags"] == {}
    talks = data_mapping.picked("sharegpt", {"messages": "talk", "user_tag": "Anna"}, ["talk"], "odd")
    assert talks["tags"] == {"user_tag": "Anna"}


@pytest.mark.parametrize("answers", [{}, {"prompt": "not there"}, {"prompt": "zif", "response": "not there"}])
def test_a_form_without_the_question_or_with_a_foreign_column_is_refused(answers: dict[str, str]) -> None:
    with pytest.raises(DataError) as found:
        data_mapping.picked("alpaca", answers, ["zif", "zaf"], "odd")
    assert found.value.problems[0].code == "mapping.missing"


@pytest.mark.parametrize("language", languages())
@pytest.mark.parametrize("text", ["add", "", "add:leave_out_broken", "fix:duplicates,empty_answer", "augment:noise"])
def test_what_made_a_version_is_told_in_words(text: str, language: str) -> None:
    told = data_versions.made_by(text, words(language))
    assert told
    assert "leave_out" not in told


@pytest.mark.parametrize("language", languages())
def test_every_job_tells_what_it_has_done(language: str) -> None:
    results: dict[str, dict[str, Any]] = {
        "add": {"name": "a", "rows": 1234},
        "folder": {"datasets": [1], "problems": []},
        "check": {"name": "a"},
        "fix": {"name": "a", "rows_before": 1234, "rows": 1200},
        "augment": {"name": "a", "rows_before": 1234, "rows": 1500},
        "split": {"name": "a", "split": {"train": 1, "validation": 2, "test": 3}},
        "export": {"name": "a"},
    }
    told = {task: data_jobs.told(task, result, words(language)) for task, result in results.items()}
    assert "1,234" in told["add"]
    assert "266" in told["augment"]
    assert len(set(told.values())) == len(told)


def test_the_state_of_a_set_follows_its_file_and_its_report(studio: Studio, tmp_path: Path) -> None:
    file = tmp_path / "pets.jsonl"
    file.write_text('{"instruction": "Whose is {{it}}?", "output": "Mine."}\n', encoding="utf-8")
    entry = Registry(studio.workspace).add(file, "pets")
    assert describe(studio, entry).state == "blanks"
    assert describe(studio, entry).blanks == {"it"}
    entry.file.write_text('{"instruction": "Whose is it?", "output": "Mine."}\n', encoding="utf-8")
    assert describe(studio, entry).state == "changed"
    assert describe(studio, entry).problems[0].code == "data.changed"
    accepted = studio.registry.accept("pets")
    assert describe(studio, accepted).state == "unchecked"
    entry.file.unlink()
    assert describe(studio, entry).state == "broken"


def test_an_end_that_a_late_start_has_painted_over_is_shown_again(studio: Studio) -> None:
    with gr.Blocks():
        page = data.build(studio, T)
    entries = studio.registry.entries()
    name = next(iter(entries))
    job = curate.submit(studio.workspace, "check", name=name)
    begun = data_jobs.followed(studio, page.stage.work, job.name, T).updates
    assert begun[page.stage.work.box]["visible"]
    events.append(job / "events.jsonl", events.RunFinished(result={"name": name}))
    values = dict.fromkeys((*page.stage.inputs, page.seen, page.emptying, page.add.job.job))
    values |= {page.stage.work.job: job.name, page.stage.section: data.FIRST}
    shown = data._news(studio, page, values, T)
    values |= {page.seen: shown[page.seen], page.stage.work.job: job.name}  # what a start that arrives late sets
    again = data._news(studio, page, values, T)
    assert not again[page.stage.work.box]["visible"]
    assert again[page.stage.work.job] is None
    values |= {page.seen: again[page.seen], page.stage.work.job: None}
    after = data._news(studio, page, values, T)
    assert data._news(studio, page, {**values, page.seen: after[page.seen]}, T) == gr.skip()


@pytest.mark.parametrize("language", languages())
def test_every_format_to_download_has_a_name_and_says_what_it_leaves_out(language: str) -> None:
    for name, format in FORMATS.items():
        assert words(language)(f"download.{name}")
        assert bool(data_download.left_out(name, words(language))) == bool(format.leaves_out)


@pytest.mark.parametrize("language", languages())
def test_figures_and_a_quick_look_are_told_as_such(language: str) -> None:
    t = words(language)
    spread = {"p50": 357, "p95": 1183, "max": 1702, "cover_95": 1183, "cover_99": 1465}
    stats = {"tokens": spread, "languages": {"en": 799, "zh": 12}, "length_ratio": 1.4}
    shown = findings.report(Report("houses", 999, (), stats, thorough=True), (), t, may_fix=True)
    assert t("figures.cover_of", cover_95="1,183", cover_99="1,465") in shown
    assert "en 799, zh 12" in shown
    assert escape(t("findings.quick")) not in shown
    assert escape(t("findings.quick")) in findings.report(Report("houses", 999, (), {}), (), t, may_fix=True)
