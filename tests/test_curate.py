"""Jobs on data sets: what they do, what they leave when they are stopped, and that a worker does the same as this process."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from core.curate import jobs, tasks
from core.data.formats import conversations
from core.data.index import RowIndex
from core.data.page import page_of
from core.data.registry import Registry
from core.doctor.examine import cached
from core.errors import DataError
from core.progress import Cancelled, Deaf
from core.runs import events, process, supervisor
from core.runs.follow import follow
from core.runs.listening import JobListener
from core.workspace import Workspace

CAPITALS = ["Paris", "Berlin", "Rome", "Madrid", "Vienna", "Lisbon", "Oslo", "Dublin", "Athens", "Prague"]
LANDS = ["France", "Germany", "Italy", "Spain", "Austria", "Portugal", "Norway", "Ireland", "Greece", "Czechia"]


def rows(count: int) -> list[dict[str, str]]:
    """Questions that are no near duplicates of each other, with answers long enough to be let through."""
    return [
        {
            "instruction": f"Tell me about item {number * 7919 % 10007} of {LANDS[number % 10]} and {hash_word(number)}.",
            "output": f"Its number is {number}, and {CAPITALS[number % 10]} is not far from {hash_word(number + 1)}.",
        }
        for number in range(count)
    ]


def hash_word(number: int) -> str:
    """Return a word that no other number has."""
    return "".join("bcdfghjklmnpqrstvwxz"[(number * 7919 + place * 104729) // 20**place % 20] + "aeiou"[(number + place) % 5]
                   for place in range(5))  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "w", (tmp_path,))


def write(file: Path, values: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in values), encoding="utf-8")
    return str(file)


def added(workspace: Workspace, tmp_path: Path, count: int = 40, **how: Any) -> dict[str, Any]:
    return tasks.add(workspace, Deaf(), file=write(tmp_path / "mine.jsonl", rows(count)), **how)


def content(workspace: Workspace) -> dict[str, bytes]:
    """Return everything in the workspace but the cache and the jobs."""
    kept = [file for file in workspace.root.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
    apart = (workspace.cache, workspace.jobs)
    return {str(file): file.read_bytes() for file in kept if not any(file.is_relative_to(each) for each in apart)}


def test_adding_registers_checks_and_keeps_the_report(workspace: Workspace, tmp_path: Path) -> None:
    done = added(workspace, tmp_path, description="about lands")
    entry = Registry(workspace).get("mine")
    assert (done["name"], done["rows"], done["kind"], done["sha1"]) == ("mine", 40, "chat", entry.sha1)
    assert (entry.description, entry.parts, done["split"]) == ("about lands", None, None)
    assert done["errors"] == []
    report = cached(workspace, entry)
    assert report is not None
    assert (report.rows, report.score, report.thorough) == (40, done["score"], True)
    assert json.loads(json.dumps(done)) == done


def test_a_set_of_two_hundred_rows_is_split_and_a_smaller_one_is_not(workspace: Workspace, tmp_path: Path) -> None:
    assert added(workspace, tmp_path, 199, name="small")["split"] is None
    split = added(workspace, tmp_path, 200, name="large")["split"]
    assert split["train"] + split["validation"] + split["test"] == 200
    assert split["test"] >= 16
    parts = Registry(workspace).get("large").parts
    assert parts is not None
    assert (parts.shares, parts.grouped) == ((0.9, 0.05, 0.05), "near")


def test_the_person_decides_about_the_split(workspace: Workspace, tmp_path: Path) -> None:
    assert added(workspace, tmp_path, 200, split=False)["split"] is None
    assert added(workspace, tmp_path, 30, name="other", split=True)["split"]["test"] > 0


def test_a_set_with_a_test_set_beside_it_stays_whole(workspace: Workspace, tmp_path: Path) -> None:
    Registry(workspace).add(Path(write(tmp_path / "t.jsonl", rows(3))), "mine_test")
    assert added(workspace, tmp_path, 200)["split"] is None
    assert added(workspace, tmp_path, 200, name="other_test")["split"] is None


def test_rows_of_the_test_set_beside_it_are_found(workspace: Workspace, tmp_path: Path) -> None:
    Registry(workspace).add(Path(write(tmp_path / "t.jsonl", rows(3))), "mine_test")
    done = added(workspace, tmp_path)
    assert done["level"] == "error"
    assert 3 in {done["findings"][code] for code in done["errors"]}
    assert tasks.TASKS["check"](workspace, Deaf(), name="mine", against=[])["errors"] == []


def test_a_broken_file_is_told_and_nothing_is_left(workspace: Workspace, tmp_path: Path) -> None:
    before = content(workspace)
    with pytest.raises(DataError) as caught:
        tasks.add(workspace, Deaf(), file=write(tmp_path / "bad.jsonl", [*rows(3), {"instruction": "q"}]))
    assert caught.value.problems[0].where == "bad.jsonl:4"
    assert content(workspace) == before


def test_a_file_can_be_checked_without_registering_it(workspace: Workspace, tmp_path: Path) -> None:
    before = content(workspace)
    file = write(tmp_path / "bad.jsonl", [*rows(30), {"instruction": "q", "output": ""}])
    done = tasks.TASKS["check"](workspace, Deaf(), file=file)
    assert (done["name"], done["rows"], done["level"]) == ("bad", 31, "error")
    assert content(workspace) == before


def test_splitting_again_with_the_same_seed_gives_the_same_letters(workspace: Workspace, tmp_path: Path) -> None:
    added(workspace, tmp_path, 100)
    registry = Registry(workspace)
    letters = []
    for seed in (1, 2, 1):
        done = tasks.TASKS["split"](workspace, Deaf(), name="mine", shares=(0.8, 0.1, 0.1), seed=seed)
        parts = registry.get("mine").parts
        assert parts is not None
        assert done["split"] == {"train": parts.train, "validation": parts.validation, "test": parts.test}
        letters.append(parts.letters())
    assert letters[0] == letters[2] != letters[1]


def test_near_duplicates_are_not_torn_apart_by_a_split(workspace: Workspace, tmp_path: Path) -> None:
    pairs = [{**row, "instruction": row["instruction"] + mark} for row in rows(100) for mark in ("", "!", " ?")]
    tasks.add(workspace, Deaf(), file=write(tmp_path / "mine.jsonl", pairs), split=True)
    parts = Registry(workspace).get("mine").parts
    assert parts is not None
    letters = parts.letters()
    assert all(len(set(letters[start : start + 3])) == 1 for start in range(0, 300, 3))
    assert set(letters) == {"t", "v", "e"}


def test_augmenting_changes_training_rows_only_and_can_be_undone(workspace: Workspace, tmp_path: Path) -> None:
    added(workspace, tmp_path, 100, split=True)
    registry = Registry(workspace)
    before = registry.get("mine")
    done = tasks.TASKS["augment"](workspace, Deaf(), name="mine", methods=["noise"], share=0.5)
    after = registry.get("mine")
    assert done["rows"] == after.rows > 100
    assert sum(done["made"].values()) == after.rows - 100
    for part in ("validation", "test"):
        assert [each.messages for each in conversations(after, part=part)] == [
            each.messages for each in conversations(before, part=part)
        ]
    train = conversations(after, part="train")
    assert sum(1 for each in train if "aug_of" in each.meta) == after.rows - 100
    assert registry.undo("mine") == before


def test_a_fix_drops_rows_and_the_split_goes_with_those_that_stay(workspace: Workspace, tmp_path: Path) -> None:
    values = rows(60)
    values.insert(5, values[4])
    values.insert(30, values[2])
    tasks.add(workspace, Deaf(), file=write(tmp_path / "mine.jsonl", values), split=True)
    registry = Registry(workspace)
    before = registry.get("mine")
    assert before.parts is not None
    of = dict(zip((each.messages for each in conversations(before)), before.parts.letters(), strict=True))
    report = cached(workspace, before)
    assert report is not None
    found = next(each for each in report.findings if each.code == "duplicates")
    assert (found.count, found.fix is not None) == (2, True)
    done = tasks.TASKS["fix"](workspace, Deaf(), name="mine", codes=[found.fix])
    after = registry.get("mine")
    assert (done["rows_before"], done["rows"], done["versions"]) == (62, 60, 2)
    assert after.made_by == f"fix:{found.fix}"
    assert after.parts is not None
    assert {
        each.messages: letter for each, letter in zip(conversations(after), after.parts.letters(), strict=True)
    } == of
    assert registry.undo("mine") == before


def test_a_file_can_be_mended_before_it_is_registered(workspace: Workspace, tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "It is on the left."},
             {"role": "user", "content": "Thank you."}]  # fmt: skip
    file = write(tmp_path / "talk.jsonl", [{"messages": turns}])
    with pytest.raises(DataError):
        tasks.add(workspace, Deaf(), file=file)
    checked = tasks.TASKS["check"](workspace, Deaf(), file=file)
    report = cached(workspace, Registry(workspace).candidate(Path(file)))
    assert report is not None
    fixes = [each.fix for each in report.findings if each.code in checked["errors"] and each.fix]
    done = tasks.add(workspace, Deaf(), file=file, fixes=fixes)
    (talk,) = conversations(Registry(workspace).get(done["name"]))
    assert [(each.role, each.content) for each in talk.messages] == [
        ("user", "Where is it?"), ("assistant", "It is on the left."),
    ]  # fmt: skip
    assert Registry(workspace).get("talk").made_by == f"add:{','.join(fixes)}"
    assert Path(file).read_text().count("Thank you") == 1
    Registry(workspace).verify(done["name"])


def test_blanks_are_filled_as_a_new_version(workspace: Workspace, tmp_path: Path) -> None:
    row = {"instruction": "Who are you?", "output": "I am {{name}}."}
    tasks.add(workspace, Deaf(), file=write(tmp_path / "mine.jsonl", [*rows(30), row]))
    with pytest.raises(DataError):
        tasks.TASKS["fix"](workspace, Deaf(), name="mine", codes=["fill"])
    done = tasks.TASKS["fix"](workspace, Deaf(), name="mine", codes=["fill"], values={"name": "Lumen"})
    assert (done["rows"], conversations(Registry(workspace).get("mine"))[30].answer) == (31, "I am Lumen.")


def test_rows_of_the_test_set_are_dropped_from_the_training_set(workspace: Workspace, tmp_path: Path) -> None:
    Registry(workspace).add(Path(write(tmp_path / "t.jsonl", rows(3))), "mine_test")
    report = added(workspace, tmp_path)
    done = tasks.TASKS["fix"](workspace, Deaf(), name="mine", codes=report["errors"])
    assert (done["rows"], tasks.TASKS["check"](workspace, Deaf(), name="mine")["errors"]) == (37, [])


def test_exporting_writes_the_rows_of_a_part(workspace: Workspace, tmp_path: Path) -> None:
    added(workspace, tmp_path, 100, split=True)
    entry = Registry(workspace).get("mine")
    assert entry.parts is not None
    out = tmp_path / "out" / "mine.json"
    out.parent.mkdir()
    done = tasks.TASKS["export"](workspace, Deaf(), name="mine", format="alpaca", out=str(out), part="test")
    assert done["files"] == [str(out)]
    assert len(json.loads(out.read_text())) == entry.parts.test
    whole = out.with_name("whole.json")
    tasks.TASKS["export"](workspace, Deaf(), name="mine", format="alpaca", out=str(whole))
    assert len(json.loads(whole.read_text())) == 100


def test_a_folder_of_llama_factory_is_registered_as_it_says(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "lf"
    folder.mkdir()
    (folder / "talks.json").write_text(
        json.dumps([{"talk": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]}])
    )
    (folder / "pairs.json").write_text(json.dumps([{"q": "x", "good": "a", "bad": "b"}]))
    (folder / "books.jsonl").write_text('{"text": "Once upon a time."}\n')
    info = {
        "talks": {"file_name": "talks.json", "formatting": "sharegpt", "columns": {"messages": "talk"}},
        "pairs": {
            "file_name": "pairs.json",
            "ranking": True,
            "columns": {"prompt": "q", "chosen": "good", "rejected": "bad"},
        },
        "books": {"file_name": "books.jsonl", "columns": {"prompt": "text"}},
        "far": {"hf_hub_url": "org/name"},
        "gone": {"file_name": "gone.json"},
        "outside": {"file_name": "/etc/hostname"},
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    done = tasks.TASKS["folder"](workspace, Deaf(), folder=str(folder), prefix="lf_")
    assert [(each["name"], each["kind"]) for each in done["datasets"]] == [
        ("lf_talks", "chat"), ("lf_pairs", "preference"), ("lf_books", "text"),
    ]  # fmt: skip
    codes = [each["code"] for each in done["problems"]]
    assert codes == ["data.unsupported_entry", "data.file_missing", "path.outside"]
    assert conversations(Registry(workspace).get("lf_talks"))[0].answer == "a"
    assert all(cached(workspace, Registry(workspace).get(each["name"])) for each in done["datasets"])


def test_a_folder_without_its_list_is_told(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        tasks.TASKS["folder"](workspace, Deaf(), folder=str(tmp_path))
    assert caught.value.problems[0].code == "data.no_info"


class Stopping:
    """Cancels a task at one of its phases, or at the first progress after it."""

    def __init__(self, at: str, in_progress: bool) -> None:
        self.at, self.in_progress, self.reached = at, in_progress, False

    def phase(self, name: str) -> None:
        self.reached = self.reached or name == self.at
        if self.reached and not self.in_progress:
            raise Cancelled

    def __call__(self, done: int, total: int) -> None:
        if self.reached:
            raise Cancelled


@pytest.mark.parametrize("in_progress", [True, False])
@pytest.mark.parametrize(
    ("task", "phase", "values"),
    [
        ("split", "finding_copies", {}),
        ("split", "splitting", {}),
        ("augment", "augmenting", {"methods": ["noise"]}),
        ("fix", "fixing", {"codes": ["drop_duplicates"]}),
        ("check", "checking_data", {"against": ["mine"]}),
        ("export", "exporting", {"format": "alpaca"}),
    ],
)
def test_a_cancelled_task_leaves_everything_as_it_was(
    workspace: Workspace, tmp_path: Path, task: str, phase: str, values: dict[str, Any], in_progress: bool
) -> None:
    added(workspace, tmp_path, 60, split=True)
    before = content(workspace)
    outside = set(tmp_path.iterdir())
    more = {"out": str(tmp_path / "out.json")} if task == "export" else {}
    with pytest.raises(Cancelled):
        tasks.TASKS[task](workspace, Stopping(phase, in_progress), name="mine", **values, **more)
    assert content(workspace) == before
    assert set(tmp_path.iterdir()) == outside


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("phase", ["adding", "finding_copies", "splitting", "indexing", "checking_data"])
def test_a_cancelled_add_registers_nothing_and_keeps_the_file_that_was_to_be_added(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, inside: bool
) -> None:
    monkeypatch.setattr(tasks, "INDEX_FROM", 50)
    added(workspace, tmp_path, 60, name="other", split=True)
    file = write((workspace.data if inside else tmp_path) / "mine2.jsonl", rows(61))
    before = content(workspace)
    with pytest.raises(Cancelled):
        tasks.add(workspace, Stopping(phase, False), file=file, split=True)
    assert content(workspace) == before
    with pytest.raises(Cancelled):  # one that was there already stays
        tasks.add(workspace, Stopping("checking_data", False), file=str(tmp_path / "mine.jsonl"), name="other")
    assert Registry(workspace).get("other").rows == 60


def test_a_job_does_the_task_in_a_process_of_its_own(workspace: Workspace, tmp_path: Path) -> None:
    job = jobs.submit(workspace, "add", file=write(tmp_path / "mine.jsonl", rows(20)), name="mine")
    assert job.parent == workspace.jobs
    assert job.name.endswith("_add_mine")
    thread = supervisor.launch(job, "core.curate.worker")
    seen = list(follow(job))
    thread.join()
    assert process.status(job) == "finished"
    assert [each.name for each in seen if isinstance(each, events.Phase)] == ["adding", "checking_data"]
    assert jobs.result(job)["rows"] == 20
    assert Registry(workspace).get("mine").rows == 20
    assert jobs.listing(workspace, "add") == [job]
    assert jobs.listing(workspace, "fix") == []


def test_a_job_that_fails_says_why_in_words(workspace: Workspace, tmp_path: Path) -> None:
    job = jobs.submit(workspace, "add", file=write(tmp_path / "bad.jsonl", [{"frage": "q"}]))
    supervisor.launch(job, "core.curate.worker").join()
    last = process.last_event(job)
    assert isinstance(last, events.RunFailed)
    assert (last.problems[0]["code"], last.details) == ("data.unknown_columns", "")
    assert jobs.result(job) == {}


def test_a_job_that_is_asked_to_stop_ends_as_stopped(workspace: Workspace, tmp_path: Path) -> None:
    added(workspace, tmp_path, 60)
    before = content(workspace)
    job = jobs.submit(workspace, "split", name="mine")
    process.ask_to_stop(job)
    supervisor.launch(job, "core.curate.worker").join()
    assert process.status(job) == "stopped"
    assert content(workspace) == before


def test_a_task_that_does_not_exist_is_a_defect(workspace: Workspace) -> None:
    with pytest.raises(KeyError):
        jobs.submit(workspace, "bake", name="mine")


def test_progress_is_thinned_out_and_a_stop_file_is_seen_within_a_moment(tmp_path: Path) -> None:
    listener = JobListener(tmp_path)
    listener.phase("adding")
    threading.Timer(0.7, process.ask_to_stop, [tmp_path]).start()
    began = time.monotonic()
    calls = 0

    def work() -> None:
        nonlocal calls
        while time.monotonic() - began < 10:
            calls += 1
            listener(calls, 10**9)

    with pytest.raises(Cancelled):
        work()
    told, _ = events.read_from(tmp_path / "events.jsonl")
    assert time.monotonic() - began < 2
    assert calls > 1000
    assert [each.event for each in told][:2] == ["phase", "progress"]
    assert len(told) <= 4


def test_only_the_latest_ended_jobs_are_kept(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_KEPT", 2)
    ended = []
    for number in range(4):
        ended.append(jobs.submit(workspace, "check", name=f"x{number}"))
        events.append(ended[-1] / "events.jsonl", events.RunFinished())
    jobs.submit(workspace, "check", name="x4")
    assert [job.exists() for job in ended] == [False, False, True, True]


def test_any_page_of_a_large_set_is_ready_when_it_was_added(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "INDEX_FROM", 50)
    added(workspace, tmp_path, 60)
    monkeypatch.setattr("core.data.index.iter_rows", None)  # so that the index cannot be made again
    shown = page_of(workspace, Registry(workspace).get("mine"), 58, 5)
    assert [row.number for row, _ in shown] == [59, 60]
    assert len(RowIndex.of(Registry(workspace).get("mine").file, workspace.cache)) == 60
