"""`studio data …` as a person types it: words on stderr, one JSON line on stdout, exit codes."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pytest
from typer.testing import CliRunner, Result

from core.commands.root import tree
from core.data.registry import Registry
from core.doctor.examine import cached
from core.workspace import Workspace

ROOT = Path(__file__).parent.parent
ROWS = [
    {
        "instruction": f"Where does the shop keep part number {number * 37}?",
        "output": f"Part {number * 37} lies on shelf {number} of the hall.",
    }
    for number in range(40)
]


class Studio:
    """Runs `studio data …` in a workspace of its own; in this process, because starting one takes a second."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.workspace = root / "w"

    def __call__(self, *arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(tree(), ["data", *arguments, "--workspace", str(self.workspace)])
        assert done.exit_code == code, f"{done.output}{done.exception!r}"
        return done

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        return json.loads(self(*arguments, "--json", code=code).stdout.splitlines()[-1])

    def file(self, name: str, rows: list[dict[str, Any]]) -> str:
        file = self.root / name
        file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in rows), encoding="utf-8")
        return str(file)


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


@pytest.fixture
def mine(studio: Studio) -> Studio:
    studio("add", studio.file("mine.jsonl", ROWS), "--description", "parts")
    return studio


def codes(answer: dict[str, Any]) -> list[str]:
    return [each["code"] for each in answer["problems"]]


def test_a_file_is_added_shown_and_listed(studio: Studio) -> None:
    added = studio.json("add", studio.file("mine.jsonl", ROWS), "--description", "parts")
    assert (added["name"], added["rows"], added["kind"], added["split"]) == ("mine", 40, "chat", None)
    shown = studio.json("show", "mine", "--rows", "2", "--start", "39")
    assert (shown["description"], shown["sha1"]) == ("parts", added["sha1"])
    assert [each["place"] for each in shown["shown"]] == ["39", "40"]
    assert shown["shown"][0]["record"]["messages"][0] == {"role": "user", "content": ROWS[38]["instruction"]}
    (row,) = [each for each in studio.json("list")["datasets"] if not each["sample"]]
    assert (row["name"], row["rows"], row["problem"]) == ("mine", 40, None)


def test_what_a_file_is_is_said_with_the_reason_and_nothing_is_registered(studio: Studio) -> None:
    file = studio.file("orca.jsonl", [{"system_prompt": "s", "question": "q", "response": "a"}] * 3)
    told = studio.json("recognise", file)
    assert (told["sure"], [each["kind"] for each in told["fits"]], told["rows"]) == (True, ["openorca"], 3)
    assert "system_prompt" in told["fits"][0]["why"]
    assert not [each for each in studio.json("list")["datasets"] if not each["sample"]]


def test_where_two_readings_fit_the_person_is_asked(studio: Studio) -> None:
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "from the messages"}]
    rows = [{"instruction": "q", "output": "from the columns", "messages": turns}] * 3
    file = studio.file("both.jsonl", rows)
    refused = studio.json("add", file, code=1)
    assert codes(refused) == ["data.ambiguous"]
    kinds = [each["kind"] for each in studio.json("recognise", file)["fits"]]
    assert len(kinds) == 2
    for kind in kinds:
        assert kind in refused["problems"][0]["text"]
        studio("add", file, "--name", f"as_{kind}", "--format", kind)
        record = studio.json("show", f"as_{kind}", "--rows", "1")["shown"][0]["record"]
        wanted = "from the columns" if kind == "alpaca" else "from the messages"
        assert record["messages"][-1]["content"] == wanted


def test_a_choice_that_only_a_person_can_make_is_asked_for(studio: Studio) -> None:
    talk = [{"from": "Guest", "text": "How do rockets land?"}, {"from": "Lex", "text": "On their tails."}]
    file = studio.file("talk.jsonl", [{"conversation": talk}] * 3)
    refused = studio.json("add", file, code=1)
    assert codes(refused)[0] == "data.undecided"
    assert "Lex" in refused["problems"][1]["text"]
    (fit,) = studio.json("recognise", file)["fits"]
    asked = next(each for each in fit["questions"] if each["default"] is None)
    assert f"--option {asked['key']}=" in refused["problems"][0]["text"]
    assert (
        studio.json("add", file, "--option", f"{asked['key']}=Lex", "--option", "typo=1", code=1)["status"] == "error"
    )
    studio("add", file, "--option", f"{asked['key']}=Lex")
    record = studio.json("show", "talk", "--rows", "1")["shown"][0]["record"]
    assert [each["role"] for each in record["messages"]] == ["user", "assistant"]
    assert record["messages"][1]["content"] == "On their tails."


def test_a_check_tells_lines_and_leaves_with_1_for_errors_only(mine: Studio) -> None:
    good = mine.json("check", "mine")
    assert (good["status"], good["problems"], good["rows"]) == ("ok", [], 40)
    file = mine.file("bad.jsonl", [*ROWS, {"instruction": "Who are you?", "output": "I am {{name}}."}])
    bad = mine.json("check", file, code=1)
    assert bad["status"] == "error"
    assert any(each["lines"] == ["41"] and "{{name}}" in str(each["examples"]) for each in bad["problems"])
    said = mine("check", file, code=1).stderr
    assert "41" in said
    assert codes(mine.json("check", "mien", code=1)) == ["data.unknown_close"]


def test_a_broken_file_is_told_line_by_line_and_its_good_rows_can_be_kept(studio: Studio) -> None:
    file = Path(studio.file("half.jsonl", ROWS))
    file.write_text(file.read_text() + '{"instruction": "q"}\n{"instruction": \n')
    told = studio.json("add", str(file), code=1)
    assert sorted(each["where"] for each in told["problems"]) == ["half.jsonl:41", "half.jsonl:42"]
    assert studio.json("add", str(file), "--leave-out-broken")["rows"] == 40


def test_a_file_is_mended_while_it_is_added(studio: Studio) -> None:
    file = studio.file("bad.jsonl", [*ROWS, {"instruction": "Who are you?", "output": "I am {{name}}."}])
    assert f"studio data add {file} --fix fill --value" in studio("check", file, code=1).stderr
    assert studio.json("add", file, "--fix", "fill", "--value", "name=Lumen")["errors"] == []
    record = studio.json("show", "bad", "--start", "41")["shown"][0]["record"]
    assert record["messages"][1]["content"] == "I am Lumen."


def test_a_fix_makes_a_version_that_can_be_undone(studio: Studio) -> None:
    studio("add", studio.file("twice.jsonl", [*ROWS, ROWS[0], ROWS[5]]))
    report = studio.json("check", "twice")
    fix = next(each["fix"] for each in report["findings"] if each["code"] == "duplicates")
    assert (studio.json("fix", "twice", fix)["rows"], len(studio.json("versions", "twice")["versions"])) == (40, 2)
    assert studio.json("undo", "twice")["rows"] == 42
    assert codes(studio.json("undo", "twice", code=1)) == ["data.no_version"]
    (trashed,) = studio.json("trash")["trash"]
    assert (trashed["name"], trashed["version"]) == ("twice", True)
    assert studio.json("restore", trashed["id"])["rows"] == 40


def test_warnings_are_accepted_once(studio: Studio) -> None:
    added = studio.json("add", studio.file("few.jsonl", ROWS[:5]))
    assert added["warnings"]
    assert set(added["warnings"]) <= set(studio.json("accept", "few")["accepted"])
    assert all(each["accepted"] for each in studio.json("check", "few")["findings"] if each["severity"] == "warning")


def test_a_set_is_renamed_described_removed_and_restored(mine: Studio) -> None:
    assert mine.json("rename", "mine", "yours")["name"] == "yours"
    assert mine.json("describe", "yours", "shelves")["description"] == "shelves"
    removed = mine.json("remove", "yours")
    assert codes(mine.json("show", "yours", code=1)) == ["data.unknown"]
    assert mine.json("restore", removed["id"])["rows"] == 40
    assert mine.json("show", "yours")["description"] == "shelves"
    assert mine.json("trash") == {"trash": []}
    removed = mine.json("remove", "yours")
    assert mine("trash", "--empty", code=1).stdout.strip() == ""  # nobody said yes
    assert [each["id"] for each in mine.json("trash")["trash"]] == [removed["id"]]
    assert mine.json("trash", "--empty") == {"emptied": 1}
    assert codes(mine.json("restore", removed["id"], code=1)) == ["data.not_in_trash"]


def test_a_removal_is_asked_about(mine: Studio) -> None:
    assert mine("remove", "mine", code=1).stdout.strip() == ""
    assert mine.json("show", "mine")["rows"] == 40
    mine("remove", "mine", "--yes")
    assert "mine" in mine("restore", "mine").stdout


def test_a_set_is_split_and_made_whole_again(mine: Studio) -> None:
    done = mine.json("split", "mine", "--shares", "80/10/10", "--seed", "3")
    assert sum(done["split"].values()) == 40
    assert mine.json("show", "mine")["split"] == done["split"]
    assert mine.json("split", "mine", "--whole")["split"] is None


@pytest.mark.parametrize("shares", ["90", "a/b/c", "0/5/5", "90/-5/5", "nan/1/1"])
def test_shares_that_are_none_are_wrong_usage(mine: Studio, shares: str) -> None:
    assert codes(mine.json("split", "mine", "--shares", shares, code=2)) == ["usage.shares"]


def test_a_set_is_augmented_and_exported(mine: Studio) -> None:
    assert mine.json("augment", "mine", "--method", "noise", "--share", "0.5")["rows"] > 40
    out = mine.root / "out.jsonl"
    assert mine.json("export", "mine", "--format", "messages", "--out", str(out))["files"] == [str(out)]
    first = json.loads(out.read_text().splitlines()[0])
    assert [each["role"] for each in first["messages"]] == ["user", "assistant"]
    assert mine.json("export", "mine", "--format", "nonsense", "--out", str(out), code=1)["status"] == "error"


def test_an_identity_and_its_probes_are_made_in_one_language(studio: Studio) -> None:
    made = studio.json("identity", "--name", "Lumen", "--author", "Aurora Labs", "--languages", "en")
    assert [each["name"].endswith("_test") for each in made["datasets"]] == [False, True]
    name = made["datasets"][0]["name"]
    rows = studio.json("show", name, "--rows", "500")["shown"]
    texts = [message["content"] for each in rows for message in each["record"]["messages"]]
    assert any("Lumen" in text for text in texts)
    assert not any("{{" in text or "\u4e00" <= character <= "\u9fff" for text in texts for character in text)


def test_an_x_ray_shows_what_is_learnt_and_what_another_prompt_changes(mine: Studio) -> None:
    seen = mine.json("xray", "mine", "--row", "2")
    (xray,) = seen["xrays"]
    learnt = "".join(text for text, kind in xray["segments"] if kind == "learnt")
    assert ROWS[1]["output"] in learnt
    assert ROWS[1]["instruction"] not in learnt
    assert 0 < xray["learnt_tokens"] < xray["tokens"]
    assert mine.json("xray", "mine", "--cutoff-len", "5")["xrays"][0]["cut_tokens"] > 0
    assert codes(mine.json("xray", "mine", "--row", "41", code=1)) == ["data.no_such_row"]
    assert codes(mine.json("xray", "mine", "--row", "0", code=1)) == ["data.no_such_row"]
    assert ROWS[1]["output"] in mine("xray", "mine", "--row", "2").stdout


def test_a_folder_of_llama_factory_is_added_with_what_can_be_used(studio: Studio) -> None:
    folder = studio.root / "lf"
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(ROWS))
    info = {"good": {"file_name": "a.json"}, "far": {"hf_hub_url": "org/name"}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    done = studio("add", str(folder), "--json")
    assert [each["name"] for each in json.loads(done.stdout)["datasets"]] == ["good"]
    assert "hf_hub_url" in done.stderr


def test_a_folder_that_the_datasets_library_saved_is_read_as_rows(studio: Studio) -> None:
    folder = studio.root / "saved"
    folder.mkdir()
    table = pyarrow.table({key: [row[key] for row in ROWS] for key in ROWS[0]})
    with pyarrow.ipc.new_stream(str(folder / "data-00000-of-00001.arrow"), table.schema) as file:
        file.write_table(table)
    (folder / "dataset_info.json").write_text('{"features": {}}')
    (folder / "state.json").write_text('{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
    assert studio.json("add", str(folder))["rows"] == len(ROWS)


def test_a_new_version_has_a_report_and_a_renamed_set_keeps_it(mine: Studio) -> None:
    mine.json("fix", "mine", "redact")
    registry = Registry(Workspace.at(mine.workspace))
    found = cached(registry.workspace, registry.get("mine"))
    assert found is not None
    registry.rename("mine", "ours")
    kept = cached(registry.workspace, registry.get("ours"))
    assert kept is not None
    assert (kept.name, kept.findings) == ("ours", found.findings)


def test_ctrl_c_cancels_and_leaves_nothing(studio: Studio) -> None:
    rows = [
        {"instruction": f"What is {number} plus {number}?", "output": f"It is {2 * number}."}
        for number in range(300_000)
    ]
    file = studio.file("large.jsonl", rows)
    command = [sys.executable, "-m", "core.cli", "data", "add", file, "--workspace", str(studio.workspace)]
    heard = {
        "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    }  # a shell's `&` makes it deaf
    worker = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **heard)
    end = time.monotonic() + 30
    while not list(studio.workspace.glob("data/.incoming-*")):
        assert time.monotonic() < end
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGINT)
    _, said = worker.communicate(timeout=30)
    assert worker.returncode == 130, said
    assert "Cancelled" in said
    assert "Traceback" not in said
    assert list(studio.workspace.joinpath("data").iterdir()) == []
    assert not [each for each in studio.json("list")["datasets"] if not each["sample"]]


def test_findings_are_said_in_chinese_on_a_chinese_terminal(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    said = studio(
        "check", studio.file("bad.jsonl", [{"instruction": "谁？", "output": "我是{{name}}。"}]), code=1
    ).stderr
    assert "错误" in said
    assert "{{name}}" in said


@pytest.mark.parametrize("part", ["tests", "train"])
def test_a_part_that_a_set_does_not_have_is_refused_and_nothing_is_written(mine: Studio, part: str) -> None:
    out = mine.root / "out.json"
    refused = mine.json("export", "mine", "--format", "alpaca", "--out", str(out), "--part", part, code=1)
    assert codes(refused) == ["data.no_part"]
    assert not out.exists()
    mine("split", "mine", "--shares", "50/25/25")
    mine("export", "mine", "--format", "alpaca", "--out", str(out), "--part", part, code=int(part == "tests"))


def test_a_choice_that_is_none_of_the_offered_ones_is_refused(studio: Studio) -> None:
    file = studio.file("stop.jsonl", [{"prompt": f"q{number}", "completion": "a<STOP>"} for number in range(3)])
    refused = studio.json("add", file, "--option", "stop=maybe", code=1)
    assert codes(refused) == ["data.bad_entry"]
    assert refused["problems"][0]["values"] == {"key": "options.stop", "wanted": "strip | keep"}


def test_a_folder_of_llama_factory_is_recognised_by_its_entries(studio: Studio) -> None:
    studio.file("a.jsonl", ROWS)
    entries = {"a": {"file_name": "a.jsonl"}, "gone": {"file_name": "gone.json"}, "far": {"hf_hub_url": "x/y"}}
    (studio.root / "dataset_info.json").write_text(json.dumps(entries), encoding="utf-8")
    told = studio.json("recognise", str(studio.root))["datasets"]
    assert [(each["name"], each["problem"] is None) for each in told] == [("a", True), ("gone", False), ("far", False)]


def test_a_check_tells_commands_that_work_as_they_are_written(studio: Studio) -> None:
    long = {"instruction": "Say it all.", "output": " ".join(f"word{number}" for number in range(900))}
    file = studio.file("mine.jsonl", [*ROWS, long, ROWS[0]])
    asked = ("--model", "data/starter", "--cutoff-len", "256")
    told = studio("check", file, *asked).stderr
    assert f"studio data add {file} --fix drop_duplicates\n" in told
    assert "studio data fix mine drop_long --model data/starter --cutoff-len 256\n" in told
    studio("add", file, "--fix", "drop_duplicates")
    studio("fix", "mine", "drop_long", *asked)
    assert studio.json("check", "mine", *asked)["rows"] == 40


def test_a_sample_is_refused_before_any_work_on_it(studio: Studio) -> None:
    refused = studio("split", "identity", code=1)
    assert "identity" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_split_tells_the_rows_that_it_leaves_out(studio: Studio) -> None:
    rows = []
    for number in range(60):
        words = " ".join(hashlib.sha1(f"{number} {place}".encode()).hexdigest()[:6] for place in range(12))
        turns = [{"role": "user", "content": words}, {"role": "assistant", "content": f"It is {number}."}]
        made = [turns[0] | {"content": words + " please"}, turns[1]]
        rows += [{"messages": turns, "meta": {"n": "1"}}, {"messages": made, "meta": {"aug_of": str(number)}}]
    studio("add", studio.file("mine.jsonl", rows))
    told = studio.json("split", "mine", "--shares", "50/25/25")
    assert told["left_out"] > 0
    assert sum(told["split"].values()) + told["left_out"] == told["rows"] == 120
    assert f": {told['left_out']}." in studio("split", "mine", "--shares", "50/25/25").stderr


def test_what_is_no_finding_cannot_be_accepted(mine: Studio) -> None:
    assert codes(mine.json("accept", "mine", "nosuch", code=2)) == ["usage.finding"]
    assert mine.json("accept", "mine", "few_rows")["accepted"] == ["few_rows"]


@pytest.mark.parametrize("task", ["check", "xray"])
def test_a_cutoff_below_one_token_is_refused(mine: Studio, task: str) -> None:
    mine(task, "mine", "--cutoff-len", "0", code=2)


def test_a_check_of_a_file_tells_how_it_was_read_in_the_commands_that_mend_it(studio: Studio) -> None:
    rows = [{"question": f"What is {n}?", "answer": [f"It is {n}.", "{{x}}"]} for n in range(20)]
    file = studio.file("my answers.jsonl", rows)
    told = studio("check", file, "--format", "qa", "--option", "answers=each", code=1).stderr
    assert f"studio data add '{file}' --format qa --option answers=each --fix fill" in told


def test_what_depends_on_the_run_is_accepted_for_so_many_rows(mine: Studio) -> None:
    assert mine.json("accept", "mine", "truncated=3")["accepted"] == ["truncated=3"]
    assert codes(mine.json("accept", "mine", "truncated=x", code=2)) == ["usage.finding"]
