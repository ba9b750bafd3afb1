"""Errors in the data stop a start; warnings are accepted once, and the run says what was accepted."""

import json

import pytest
import yaml
from typer.testing import CliRunner

from core.commands.demo import prepared
from core.commands.root import tree
from core.data.identity_sets import identity_sets
from core.data.registry import Registry
from core.doctor.examine import report
from core.errors import DataError
from core.evaluate.questions import rows_asked
from core.prompts.store import PromptStore
from core.runs.directory import listing
from core.settings import from_dict, load_recipe
from core.train.gate import accept, look
from core.train.plan import plan
from core.train.prepare import prepare
from core.workspace import SAMPLES, Workspace
from tests.tiny import build_tiny_model

ROWS = [{"instruction": f"Which number is {n}?", "output": f"It is {n}."} for n in range(80)]
TOOLS = ("bicycle", "tractor", "sledge")
COPIES = [*ROWS, *ROWS[:4]]  # 4 of 84 rows stand twice: a warning from 1 %


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path / "workspace")
    build_tiny_model(workspace.models / "tiny")
    return workspace


def add(workspace, name, rows):
    file = workspace.root / f"{name}.json"
    file.write_text(json.dumps(rows))
    return Registry(workspace).add(file, name=name)


def settings(train, test=(), **more):
    return from_dict({"model": {"path": "models/tiny"}, "data": {"train": train, "test": list(test), **more}})


def codes(caught):
    return [(each.code, each.where) for each in caught.value.problems]


def accepted(run):
    return yaml.safe_load((run.path / "config.yaml").read_text())["findings"]


def test_clean_data_starts_and_the_run_says_that_nothing_was_accepted(workspace):
    add(workspace, "clean", ROWS)
    assert accepted(prepare(workspace, settings(["clean"]))) == {"clean": {"accepted": []}}


def test_a_test_row_among_the_training_rows_stops_the_start(workspace):
    add(workspace, "facts", ROWS)
    add(workspace, "facts_test", [{"instruction": "which number is 7", "output": "It is 7"}])
    add(workspace, "other_test", [{"instruction": "Which number is 7?", "output": "Seven."}])
    with pytest.raises(DataError) as caught:
        prepare(workspace, settings(["facts"], ["facts_test"], accept_warnings=True))
    assert codes(caught) == [("doctor.leakage", "facts")]
    assert listing(workspace) == []
    with pytest.raises(DataError) as caught:  # another answer is not the same row, but nearly
        prepare(workspace, settings(["facts"], ["other_test"]))
    assert codes(caught) == [("gate.not_accepted", ""), ("doctor.contamination", "facts")]


def test_warnings_stop_the_start_until_they_are_accepted_once(workspace):
    add(workspace, "copies", COPIES)
    with pytest.raises(DataError) as caught:
        prepare(workspace, settings(["copies"]))
    assert codes(caught) == [("gate.not_accepted", ""), ("doctor.duplicates", "copies")]
    assert "`studio data accept copies duplicates`" in caught.value.say("en")
    assert listing(workspace) == []
    accept(workspace, look(workspace, settings(["copies"])))
    run = prepare(workspace, settings(["copies"]))
    assert accepted(run) == {"copies": {"accepted": ["duplicates"]}}
    assert accepted(prepare(workspace, settings(["copies"]))) == {"copies": {"accepted": ["duplicates"]}}


def test_the_setting_accepts_and_the_acceptance_stays_with_the_data(workspace):
    add(workspace, "copies", COPIES)
    prepare(workspace, settings(["copies"], accept_warnings=True))
    assert Registry(workspace).get("copies").accepted == {"duplicates"}
    assert accepted(prepare(workspace, settings(["copies"]))) == {"copies": {"accepted": ["duplicates"]}}


def test_other_content_wants_to_be_accepted_anew(workspace):
    add(workspace, "copies", COPIES)
    prepare(workspace, settings(["copies"], accept_warnings=True))
    entry = Registry(workspace).get("copies")
    entry.file.write_text(json.dumps([*COPIES, *ROWS[10:12]]))
    Registry(workspace).accept("copies")  # the new content is meant; that says nothing about what is in it
    with pytest.raises(DataError, match="copies"):
        prepare(workspace, settings(["copies"]))


def test_what_only_the_texts_show_is_asked_too(workspace):
    told = "Take it to the shed behind the house, wash it with warm water, oil its chain and leave it until spring"
    told += (
        ", when the snow is gone, the roads are dry and somebody finds the time to look at the brakes and the lights"
    )
    near = [{"instruction": f"Where does my {what} go in winter?", "output": f"{told}."} for what in TOOLS]
    twins = [{**row, "instruction": row["instruction"] + " Thanks"} for row in near]
    mail = {"instruction": "Whom do I write to?", "output": "Write to jane.miller@millersbikes.com, she helps."}
    add(workspace, "texts", [*ROWS, *near, *twins, mail])
    found = {each.code for each in look(workspace, settings(["texts"]))[0].open}
    assert found == {"near_duplicates", "personal_data"}


def test_the_models_tokenizer_and_the_cutoff_of_the_run_are_asked(workspace):
    long = [{"instruction": f"Tell me {n}", "output": " ".join(map(str, range(n)))} for n in range(100, 110)]
    add(workspace, "long", [*ROWS, *long])
    wide = from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["long"]}, "batch": {"cutoff_len": 512}})
    narrow = from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["long"]}, "batch": {"cutoff_len": 256}})
    assert look(workspace, wide)[0].open == ()
    assert [each.code for each in look(workspace, narrow)[0].open] == ["truncated"]


def test_the_system_prompt_and_the_models_context_count(workspace):
    long = [{"instruction": f"Tell me {n}", "output": " ".join(map(str, range(n)))} for n in range(100, 110)]
    add(workspace, "long", [*ROWS, *long])
    build_tiny_model(workspace.models / "short", context=256)
    PromptStore(workspace).save("wordy", "Be kind. " * 40)
    base = {"model": {"path": "models/tiny"}, "data": {"train": ["long"]}, "batch": {"cutoff_len": 512}}
    assert look(workspace, from_dict(base))[0].open == ()
    short = from_dict({**base, "model": {"path": "models/short"}})
    assert [(each.code, each.values["cutoff"]) for each in look(workspace, short)[0].open] == [("truncated", 256)]
    wordy = from_dict({**base, "prompt": {"name": "wordy"}})
    assert [each.code for each in look(workspace, wordy)[0].open] == ["truncated"]


def test_control_tokens_that_only_this_model_has_are_told(workspace):
    model = build_tiny_model(workspace.models / "own")
    for file in (model / "tokenizer.json", model / "tokenizer_config.json"):
        file.write_text(file.read_text().replace("<|endoftext|>", "<extra_0>"))
    add(workspace, "signs", [*ROWS, {"instruction": "What is <extra_0>?", "output": "A sign."}])
    assert look(workspace, settings(["signs"]))[0].open == ()
    chosen = from_dict({"model": {"path": "models/own"}, "data": {"train": ["signs"]}})
    assert [each.accepting for each in look(workspace, chosen)[0].open] == ["control_tokens=1"]


def test_what_depends_on_the_run_is_accepted_for_no_more_rows(workspace):
    long = [{"instruction": f"Tell me {n}", "output": " ".join(map(str, range(n)))} for n in range(70, 110)]
    add(workspace, "long", [*ROWS, *long])

    def chosen(cutoff):
        return from_dict(
            {"model": {"path": "models/tiny"}, "data": {"train": ["long"]}, "batch": {"cutoff_len": cutoff}}
        )

    before = look(workspace, chosen(300))
    accept(workspace, before)
    assert look(workspace, chosen(300))[0].open == ()
    assert look(workspace, chosen(320))[0].open == ()  # fewer rows are too long
    (more,) = look(workspace, chosen(280))[0].open
    assert (more.code, more.count > before[0].open[0].count) == ("truncated", True)


def test_a_tokenizer_that_changes_is_read_again(workspace):
    add(workspace, "clean", ROWS)
    before = look(workspace, settings(["clean"]))[0].report
    template = workspace.models / "tiny" / "chat_template.jinja"
    template.write_text(template.read_text().replace("+ message['role'] +", "+ message['role'] + ' says: ' * 60 +"))
    narrow = from_dict({"model": {"path": "models/tiny"}, "data": {"train": ["clean"]}, "batch": {"cutoff_len": 512}})
    with pytest.raises(DataError, match="longer than the longest allowed"):
        plan(workspace, narrow)
    assert before.errors == ()


def test_a_large_set_that_nobody_looked_into_says_so_until_somebody_does(workspace, monkeypatch):
    monkeypatch.setattr("core.train.gate.THOROUGH_UP_TO", 50)
    entry = add(workspace, "large", COPIES)
    tests = [add(workspace, f"{name}_test", [{"instruction": f"{name}?", "output": "Yes."}]) for name in ("a", "b")]
    chosen = settings(["large"], ["b_test", "a_test"])
    opened = look(workspace, chosen)[0].open
    assert [each.code for each in opened] == ["not_checked", "duplicates"]
    assert "`studio data check large --against b_test --against a_test`" in opened[0].problem("large").say("en")
    report(workspace, entry)
    assert [each.code for each in look(workspace, chosen)[0].open] == ["not_checked", "duplicates"]
    report(workspace, entry, against=tests)  # as "Check" on the Data page does, in whatever order
    assert [each.code for each in look(workspace, chosen)[0].open] == ["duplicates"]


def test_a_small_set_starts_without_being_asked(workspace):
    add(workspace, "few", ROWS[:10])
    assert accepted(prepare(workspace, settings(["few"]))) == {"few": {"accepted": []}}


def test_a_set_that_is_trained_and_tested_whole_is_left_to_the_plan(workspace):
    add(workspace, "facts", ROWS)
    prepare(workspace, settings(["facts"], ["facts"]))


def test_a_set_is_examined_once_for_each_state_of_its_file(workspace):
    add(workspace, "facts", ROWS)
    add(workspace, "facts_test", [{"instruction": "Which number is 200?", "output": "It is 200."}])
    chosen = settings(["facts"], ["facts_test"])
    first = look(workspace, chosen)
    reports = workspace.cache / "reports"
    written = {file: file.stat().st_mtime_ns for file in reports.iterdir()}
    assert look(workspace, chosen) == first
    assert {file: file.stat().st_mtime_ns for file in reports.iterdir()} == written
    add(workspace, "more_test", [{"instruction": "Which number is 300?", "output": "It is 300."}])
    look(workspace, settings(["facts"], ["more_test"]))  # another test is another question
    assert {file.stat().st_mtime_ns for file in written} == set(written.values())
    assert len(list(reports.iterdir())) > len(written)


def test_several_sets_are_told_together(workspace):
    add(workspace, "copies", COPIES)
    add(workspace, "disputed", [*ROWS, *({**row, "output": "No."} for row in ROWS[:4])])
    with pytest.raises(DataError) as caught:
        prepare(workspace, settings(["copies", "disputed"]))
    assert codes(caught) == [
        ("gate.not_accepted", ""),
        ("doctor.duplicates", "copies"),
        ("doctor.contradictions", "disputed"),
    ]
    assert "copies, disputed" in caught.value.problems[0].say("zh")


def split(workspace, name, letters):
    Registry(workspace).set_parts(name, letters, 7, (0.9, 0.05, 0.05), "question")


def test_the_starter_recipe_needs_no_acceptance(workspace):
    names = [entry.name for entry in identity_sets(Registry(workspace), "Lumen", "Aurora Labs")]
    chosen = load_recipe(
        SAMPLES / "recipes" / "starter.yaml",
        {"data.train": [names[0], "desk", "general"], "data.test": [names[1], "desk_test", "general_test"]},
    )
    known = {
        names[0]: ["near_duplicates"],
        "desk": ["near_duplicates"],
        "general": ["contamination=2", "near_duplicates"],
    }
    assert accepted(prepare(workspace, chosen)) == {name: {"accepted": codes} for name, codes in known.items()}
    assert not plan(workspace, chosen).warnings


@pytest.mark.parametrize("name", ["desk", "desk_format2", "desk_format3", "desk_test", "general", "general_test"])
def test_the_samples_have_no_errors_and_their_warnings_are_accepted(workspace, name):
    registry = Registry(workspace)
    test = registry.get(f"{name.partition('_')[0]}_test")
    entry = registry.get(name)
    found = report(workspace, entry, against=[test] if test.name != name else [])
    assert not found.errors
    assert not found.open_warnings(entry.accepted)
    assert entry.rows == found.rows


def test_a_row_in_both_parts_of_one_set_stops_the_start(workspace):
    add(workspace, "facts", [*ROWS, ROWS[0]])
    split(workspace, "facts", "t" * 80 + "e")
    with pytest.raises(DataError) as caught:
        prepare(workspace, settings(["facts"]))
    assert codes(caught) == [("doctor.leakage", "facts")]


def test_the_test_part_of_one_set_must_not_be_learnt_from_another(workspace):
    add(workspace, "facts", ROWS)
    split(workspace, "facts", "t" * 60 + "e" * 20)
    add(workspace, "others", [ROWS[70], *({"instruction": f"Say {n}", "output": f"{n}"} for n in range(60))])
    with pytest.raises(DataError) as caught:
        prepare(workspace, settings(["facts", "others"], ["facts"]))
    assert codes(caught) == [("doctor.leakage", "others")]
    prepare(workspace, settings(["facts", "others"]))  # a part that nobody tests with is no secret


def rows_asked_that_two_sets_both_train_are_no_leak(workspace):
    add(workspace, "facts", ROWS)
    split(workspace, "facts", "t" * 60 + "e" * 20)
    add(workspace, "others", [ROWS[5], *({"instruction": f"Say {n}", "output": f"{n}"} for n in range(60))])
    prepare(workspace, settings(["facts", "others"], ["facts"]))


def test_a_whole_set_that_is_trained_itself_is_no_secret_to_the_others(workspace):
    add(workspace, "facts", ROWS)
    add(workspace, "others", [ROWS[5], *({"instruction": f"Say {n}", "output": f"{n}"} for n in range(60))])
    prepare(workspace, settings(["facts", "others"], ["facts"]))


def test_an_evaluation_asks_the_test_part_and_a_whole_set_whole(workspace):
    add(workspace, "facts", ROWS)
    assert len(rows_asked(Registry(workspace).get("facts"))) == 80
    split(workspace, "facts", "t" * 60 + "v" * 5 + "e" * 15)
    asked = rows_asked(Registry(workspace).get("facts"))
    assert [row.answer for row in asked] == [f"It is {n}." for n in range(65, 80)]
    split(workspace, "facts", "t" * 75 + "v" * 5)
    assert len(rows_asked(Registry(workspace).get("facts"))) == 80


def test_a_plan_on_the_command_line_says_what_would_stop_the_start(workspace):
    add(workspace, "copies", COPIES)
    recipe = workspace.root / "recipe.yaml"
    recipe.write_text("model: {path: models/tiny}\ndata: {train: [copies]}\n")
    arguments = ["train", str(recipe), "--workspace", str(workspace.root), "--json"]
    result = CliRunner().invoke(tree(), [*arguments, "--plan"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["findings"] == {
        "copies": {"errors": [], "warnings": ["duplicates"]}
    }
    refused = CliRunner().invoke(tree(), arguments)
    assert refused.exit_code == 1
    told = [each["code"] for each in json.loads(refused.stdout.splitlines()[-1])["problems"]]
    assert told == ["gate.not_accepted", "doctor.duplicates"]


def test_what_the_demo_trains_may_start_without_anybody_accepting_anything(tmp_path):
    run = prepared(Workspace.at(tmp_path), seed=7)
    assert run.status == "queued"
    assert run.config["findings"]["identity_lumen"]["accepted"] == ["near_duplicates"]  # as of the set with the blanks
