"""The doctor's quick examination, its reports, and where they are kept."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from core.data.entry import COLUMNS, TAGS, DatasetEntry
from core.data.formats import entry_records
from core.data.problems import Problems
from core.data.reading import Reading
from core.data.registry import Registry
from core.data.versions import Parts
from core.doctor.codes import CODES
from core.doctor.examine import cached, examine, report
from core.doctor.fixes import FIXES
from core.doctor.report import Example, Finding, Report, found
from core.errors import Problem
from core.progress import Cancelled
from core.wording import table
from core.workspace import Workspace
from tests.tiny import build_tiny_model

OPENAI = {"messages": "messages", "role_tag": "role", "content_tag": "content", "user_tag": "user",
          "assistant_tag": "assistant", "system_tag": "system"}  # fmt: skip


def a_set(folder: Path, rows: list, name: str = "mine", reading: Reading | None = None) -> DatasetEntry:
    """Write rows as JSONL and return an entry for them; a row that is text is written as it is."""
    file = folder / f"{name}.jsonl"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    sha1 = hashlib.sha1(file.read_bytes()).hexdigest()
    reading = reading or Reading("alpaca", {**COLUMNS, **TAGS})
    return DatasetEntry(name, file, sha1, reading.format, dict(COLUMNS), dict(TAGS), reading=reading)


def qa(question: str, answer: str) -> dict:
    return {"instruction": question, "input": "", "output": answer}


def chats(folder: Path, *rows: list[tuple[str, str]], name: str = "mine") -> DatasetEntry:
    given = [{"messages": [{"role": role, "content": text} for role, text in row]} for row in rows]
    return a_set(folder, given, name, Reading("sharegpt", OPENAI))


def codes(report: Report) -> dict[str, int]:
    """Return the findings with their counts, without the advice that a small set gets."""
    return {each.code: each.count for each in report.findings if not each.code.startswith("few_")}


def finding(report: Report, code: str) -> Finding:
    return next(each for each in report.findings if each.code == code)


def test_a_clean_set_has_no_finding_and_the_full_score(tmp_path):
    entry = a_set(tmp_path, [qa(f"What is {n} squared?", f"It is {n * n}, of course.") for n in range(60)])
    found = examine(entry, thorough=False)
    assert found.findings == ()
    assert (found.score, found.level, found.rows) == (100, "good", 60)


def test_a_broken_line_is_told_with_its_line_and_the_reason_and_the_others_are_examined(tmp_path):
    entry = a_set(tmp_path, [qa("a", "b"), '{"instruction": "c", ', qa("d", "{{name}}")])
    found = examine(entry, thorough=False)
    broken = finding(found, "unreadable")
    assert (broken.severity, broken.lines, broken.fix) == ("error", ("2",), "drop_unusable")
    assert "not valid JSON" in broken.examples[0].say("en")
    assert finding(found, "placeholder").lines == ("3",)


def test_a_file_that_is_no_data_gives_a_report_and_no_exception(tmp_path):
    entry = a_set(tmp_path, [""])
    assert examine(entry, thorough=False).level == "error"
    entry.file.unlink()
    assert [each.code for each in examine(entry).errors] == ["unreadable"]


def test_an_edit_behind_the_registrys_back_is_an_error(tmp_path):
    entry = a_set(tmp_path, [qa("a", "b")])
    entry.file.write_text(json.dumps(qa("a", "c")), encoding="utf-8")
    assert "changed" in codes(examine(entry, thorough=False))


@pytest.mark.parametrize(
    ("turns", "code"),
    [
        ([("user", "q"), ("user", "q2"), ("assistant", "a")], "role_order"),
        ([("user", "q"), ("assistant", "a"), ("assistant", "b")], "role_order"),
        ([("assistant", "hello"), ("user", "q"), ("assistant", "a")], "leading_assistant"),
        ([("system", "s"), ("assistant", "hello"), ("user", "q"), ("assistant", "a")], "leading_assistant"),
        ([("user", "q"), ("assistant", "a"), ("user", "thanks")], "ends_with_user"),
        ([("user", "q")], "ends_with_user"),
        ([("user", "q"), ("assistant", "  ")], "empty_answer"),
        ([("user", ""), ("assistant", "a")], "empty_question"),
        ([("user", "q"), ("narrator", "a")], "unknown_role"),
    ],
)
def test_turns_that_cannot_be_learnt_from_are_errors(tmp_path, turns, code):
    entry = chats(tmp_path, [("user", "fine"), ("assistant", "yes")], turns)
    found = examine(entry, thorough=False)
    assert codes(found) == {code: 1}
    assert finding(found, code).lines == ("2",)
    assert finding(found, code).severity == "error"


def test_a_tool_may_speak_after_a_call(tmp_path):
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
    row = {"messages": [{"role": "user", "content": "q"}, call, {"role": "tool", "content": "1"},
                        {"role": "assistant", "content": "It is 1."}]}  # fmt: skip
    assert codes(examine(a_set(tmp_path, [row], reading=Reading("messages", OPENAI)), thorough=False)) == {}


def test_blanks_are_an_error_that_names_them(tmp_path):
    entry = a_set(tmp_path, [qa("Who are you?", "I am {{name}} by {{author}}."), qa("a", "b"), qa("{{ x }}?", "c")])
    found = finding(examine(entry, thorough=False), "placeholder")
    assert (found.count, found.lines, found.values["blanks"]) == (2, ("1", "3"), "author, name, x")
    assert "author, name, x" in found.problem("mine").say("en")


def test_copies_and_contradictions_are_told_apart(tmp_path):
    entry = a_set(tmp_path, [qa("q", "a"), qa("q", "b"), qa("q", "a"), qa("q", "b"), qa("other", "a")])
    found = examine(entry, thorough=False)
    assert finding(found, "contradictions").lines == ("2",)
    assert finding(found, "duplicates").lines == ("3", "4")
    assert finding(found, "duplicates").examples[0].text.startswith("= 1:")


def test_the_same_question_under_two_system_prompts_is_no_contradiction(tmp_path):
    one, other = ([("system", name), ("user", "Who?"), ("assistant", name)] for name in ("Lumen", "Ada"))
    assert codes(examine(chats(tmp_path, one, other), thorough=False)) == {}


def test_one_copy_among_many_rows_is_a_note(tmp_path):
    rows = [qa(f"What is {n}?", f"It is {n}.") for n in range(200)]
    found = examine(a_set(tmp_path, [*rows, rows[0]]), thorough=False)
    assert [(each.code, each.severity) for each in found.findings] == [("duplicates", "note")]


def test_a_small_training_set_and_a_small_test_set_have_different_limits(tmp_path):
    rows = [qa(f"What is {n}?", f"It is {n}.") for n in range(20)]
    assert finding(examine(a_set(tmp_path, rows), thorough=False), "few_rows").values["least"] == 50
    assert examine(a_set(tmp_path, rows, "mine_test"), thorough=False).findings == ()
    assert examine(a_set(tmp_path, rows[:9], "mine_test"), thorough=False).findings[0].code == "few_test_rows"


def test_rows_of_the_test_set_are_found_whatever_their_case_and_punctuation(tmp_path):
    train = a_set(tmp_path, [qa("What is the capital of France?", "Paris."), qa("What is 3 + 4?", "7")])
    tests = a_set(tmp_path, [qa("what is the capital of FRANCE", "paris"), qa("What is 3 - 4?", "7")], "mine_test")
    found = finding(examine(train, against=[tests], thorough=False), "leakage")
    assert (found.severity, found.lines, found.fix) == ("error", ("1",), "drop_leaked")
    assert "mine_test:1" in found.examples[0].text


def test_a_greeting_leaks_only_when_it_is_the_same_to_the_sign(tmp_path):
    train = a_set(tmp_path, [qa("Thanks!", "You are welcome."), qa("Bye", "Bye!")])
    tests = a_set(tmp_path, [qa("Thanks", "You are welcome."), qa("Bye", "Bye!")], "mine_test")
    assert finding(examine(train, against=[tests], thorough=False), "leakage").lines == ("2",)


def test_a_set_with_parts_is_compared_with_its_own_test_rows(tmp_path):
    rows = [qa("What is the capital of Peru?", "Lima."), qa("What is the capital of Chad?", "N'Djamena."),
            qa("What is the capital of Peru", "Lima")]  # fmt: skip
    entry = a_set(tmp_path, rows)
    letters = tmp_path / "mine.parts"
    letters.write_text("tte", encoding="ascii")
    split = DatasetEntry(**{**entry.__dict__, "parts": Parts(letters, 2, 0, 1, 7, (0.9, 0.05, 0.05))})
    assert finding(examine(split, thorough=False), "leakage").lines == ("1",)
    assert "leakage" not in codes(examine(entry, thorough=False))


def test_progress_is_told_and_can_stop_the_examination(tmp_path):
    entry = a_set(tmp_path, [qa(f"question {n}", "answer " * 50) for n in range(5000)])
    told = []
    examine(entry, progress=lambda done, total: told.append(done / total))
    assert told == sorted(told)
    assert told[-1] == 1.0

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        examine(entry, progress=stop)


def test_a_report_survives_as_json():
    told = Example("2 (#1)", "", Problem("data.json", "x:2", {"reason": "r", "column": 3, "excerpt": "e"}))
    one = Finding(
        "unreadable", "error", 7, ("2 (#1)",), (told, Example("3", "text")), {"share": "1 %"}, "drop_unusable"
    )
    made = Report("mine", 10, (one, found("duplicates", 2, share="20 %", rows=10)), {"tokens": {"p50": 3}}, True)
    assert Report.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    assert made.to_dict()["level"] == "error"


def test_a_set_with_an_error_scores_below_every_set_without_one():
    warnings = tuple(found(code, 100) for code, (severity, _) in CODES.items() if severity == "warning")
    assert Report("bad", 100, (found("unreadable", 1),)).score < 100
    assert Report("bad", 100, (found("leakage", 1),)).score <= 60
    assert Report("many", 100, warnings).score == 55
    assert (
        Report("worst", 100, (*warnings, *(found(code, 100) for code in ("leakage", "changed", "placeholder")))).score
        == 0
    )


def test_a_report_is_kept_until_anything_it_depends_on_changes(tmp_path):
    workspace = Workspace.at(tmp_path / "w")
    entry = a_set(tmp_path, [qa("a", "b")])
    tests = a_set(tmp_path, [qa("x", "y")], "mine_test")
    assert cached(workspace, entry) is None
    quick = report(workspace, entry, thorough=False)
    assert cached(workspace, entry) == quick
    made = report(workspace, entry)
    assert (quick.thorough, made.thorough) == (False, True)
    assert cached(workspace, entry) == made
    assert cached(workspace, entry, against=[tests]) is None
    other = DatasetEntry(**{**entry.__dict__, "reading": Reading("alpaca", {**COLUMNS, "prompt": "output"})})
    assert cached(workspace, other) is None
    entry.file.write_text(json.dumps(qa("a", "other")), encoding="utf-8")
    assert cached(workspace, entry) is None


def test_another_question_makes_only_what_it_concerns_anew(tmp_path):
    workspace = Workspace.at(tmp_path / "w")
    model = build_tiny_model(tmp_path / "model")
    entry = a_set(tmp_path, [qa(f"What is {n}?", f"It is {n}, of course.") for n in range(60)])
    tests = a_set(tmp_path, [qa("x", "y")], "mine_test")
    reports = workspace.root / "cache" / "reports"

    def new_files(**asked: object) -> int:
        before = set(reports.glob("*.json"))
        report(workspace, entry, **asked)
        return len(set(reports.glob("*.json")) - before)

    assert new_files() == 2  # structure, texts
    assert new_files(cutoff_len=64) == 0  # nobody counts tokens without a model
    assert new_files(against=[tests]) == 2  # leakage, contamination
    assert new_files(model=model, cutoff_len=8) == 1
    assert "truncated" in codes(report(workspace, entry, model=model, cutoff_len=8))
    assert "truncated" not in codes(report(workspace, entry, model=model, cutoff_len=640))
    assert new_files(model=model, cutoff_len=640, against=[tests]) == 0
    assert new_files(model=model, cutoff_len=640, system_prompt="Be kind.") == 1
    (model / "special_tokens_map.json").write_text("{}")
    assert new_files(model=model, cutoff_len=640) == 1
    assert new_files(against=[replace(tests, name="quiz")]) == 2  # the report names it
    assert new_files() == 0
    entry = replace(entry, name="exam_test")  # few rows are enough for a test
    assert new_files() == 1
    letters = tmp_path / "mine.parts"
    for made in ("t" * 50 + "e" * 10, "t" * 40 + "e" * 20):
        letters.write_text(made, encoding="ascii")
        counts = (made.count("t"), 0, made.count("e"))
        entry = replace(entry, parts=Parts(letters, *counts, 7, (0.9, 0.05, 0.05)))
        assert new_files() == 4


def test_thorough_means_that_the_texts_were_compared_with_the_tests_too(tmp_path):
    workspace = Workspace.at(tmp_path / "w")
    entry = a_set(tmp_path, [qa("a", "b")])
    tests = a_set(tmp_path, [qa("x", "y")], "mine_test")
    report(workspace, entry)
    report(workspace, entry, against=[tests], thorough=False)
    assert not cached(workspace, entry, against=[tests]).thorough
    report(workspace, entry, against=[tests])
    assert cached(workspace, entry, against=[tests]).thorough


def test_two_folders_do_not_share_a_report(tmp_path):
    workspace = Workspace.at(tmp_path / "w", (tmp_path,))
    found = []
    for name, count in (("one", 60), ("two", 5)):
        (tmp_path / name).mkdir()
        rows = [json.dumps(qa(f"What is {n}?", f"It is {n}, of course.")) for n in range(count)]
        (tmp_path / name / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
        found.append(report(workspace, Registry(workspace).candidate(tmp_path / name)).rows)
    assert found == [60, 5]
    (tmp_path / "two" / "b.jsonl").write_text(json.dumps(qa("x", "y")), encoding="utf-8")
    assert report(workspace, Registry(workspace).candidate(tmp_path / "two")).rows == 6


def test_a_token_of_the_model_is_found_beside_those_of_the_known_families(tmp_path):
    model = build_tiny_model(tmp_path / "model")
    for file in (model / "tokenizer.json", model / "tokenizer_config.json"):
        file.write_text(file.read_text().replace("<|endoftext|>", "<extra_0>"))
    entry = a_set(tmp_path, [qa("What is <|im_end|>?", "A sign."), qa("What is <extra_0>?", "Another sign.")])
    assert finding(examine(entry), "control_tokens").count == 1
    assert finding(examine(entry, model=model), "control_tokens").count == 2


def test_a_broken_report_in_the_cache_is_made_anew(tmp_path):
    workspace = Workspace.at(tmp_path / "w")
    entry = a_set(tmp_path, [qa("a", "b")])
    made = report(workspace, entry, thorough=False)
    for file in (workspace.root / "cache" / "reports").iterdir():
        file.write_text("{", encoding="utf-8")
    assert report(workspace, entry, thorough=False) == made


def test_every_finding_and_every_fix_has_its_words():
    english = table("en")
    missing = [f"error.doctor.{code}.{part}" for code in CODES for part in ("what", "why", "fix")
               if f"error.doctor.{code}.{part}" not in english]  # fmt: skip
    missing += [f"doctor.fix.{name}" for name in FIXES if f"doctor.fix.{name}" not in english]
    assert not missing
    assert {fix for _, fix in CODES.values() if fix} == set(FIXES)


def test_the_samples_have_no_errors_but_blanks_and_no_warnings_but_the_known_ones(tmp_path):
    registry = Registry(Workspace.at(tmp_path))
    known = {"near_duplicates", "contamination"}
    for name in registry.names():
        tests = [registry.get(f"{name}_test")] if f"{name}_test" in registry.names() else []
        made = examine(registry.get(name), against=tests)
        blanks = {"placeholder"} if name.startswith("identity") else set()
        assert {each.code for each in made.errors} == blanks, name
        assert {each.code for each in made.warnings} <= known, name
        for each in made.findings:
            assert all(each.problem(name).say(language) for language in ("en", "zh"))


def said(*pairs: tuple[str, str]) -> list[dict]:
    return [{"role": role, "content": text} for role, text in pairs]


@pytest.mark.parametrize(
    ("format", "row"),
    [
        ("alpaca", qa("q", "a")),
        ("alpaca", {**qa("q", "a"), "history": [["before", " "]]}),
        ("alpaca", qa(" ", "a")),
        ("alpaca", qa("q", "\n")),
        ("alpaca", {"instruction": "q", "output": ["a"]}),
        ("canonical", {"messages": said(("user", "q"), ("assistant", "a"))}),
        ("canonical", {"messages": said(("system", "s"), ("assistant", "a"))}),
        ("canonical", {"messages": said(("user", "q"), ("tool", "7"), ("assistant", "a"))}),
        ("canonical", {"messages": said(("user", "q"), ("system", "late"), ("assistant", "a"))}),
        ("canonical", {"messages": []}),
        ("canonical", {"text": " "}),
        ("canonical", {"messages": said(("user", "q")), "chosen": said(("assistant", "a")), "rejected": []}),
        (
            "canonical",
            {"messages": said(("user", "q")), "chosen": said(("assistant", "a")), "rejected": said(("user", "b"))},
        ),
        ("canonical", {"messages": said(("user", "q")), "kto_tag": True}),
        ("canonical", {"messages": said(("user", "q"), ("assistant", " ")), "kto_tag": False}),
    ],
)
def test_what_training_would_refuse_is_an_error_and_nothing_else_is(tmp_path, format, row):
    columns = {**COLUMNS, **TAGS, "history": "history"} if format == "alpaca" else {}
    entry = a_set(tmp_path, [row, row] if "history" in row else [row], reading=Reading(format, columns))
    problems = Problems(entry.file.name)
    list(entry_records(entry, problems))
    assert bool(examine(entry, thorough=False).errors) == bool(problems)
