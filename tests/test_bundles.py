"""A run travels as one file: what is in it, that another studio can open and repeat it, and what is refused."""

import json
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.evaluate import verdicts
from app.runs import rerun
from app.studio import Studio
from core.errors import RunError
from core.evaluate import answering, answers, items, judge, pairs, scores, votes
from core.evaluate.probes import identity_score, kept_score
from core.evaluate.rows import rows
from core.records import Document, Message, ToolCall
from core.runs import bundle, directory, evaluated, events, notes, scored, unbundle
from core.runs.compare import differences
from core.runs.summary import Shelf
from core.wording import words
from core.workspace import PROJECT, Workspace
from tests.finished_runs import finished_run
from tests.scored import JOB, Told, desk, mood, write_evaluation

ROOT = Path(__file__).parent.parent
SECRET = "s3cret-of-the-tracker"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "workspace")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "elsewhere")


@pytest.fixture
def packed(workspace: Workspace, tmp_path: Path) -> Path:
    return bundle.write(workspace, whole_run(workspace), tmp_path / "one.run.zip")


def whole_run(workspace: Workspace, **config: Any) -> directory.Run:
    """Return a run with everything that one can have."""
    model = {"model.path": str(workspace.models / "base"), "lora.rank": 8}
    run = finished_run(
        workspace, "one", steps=30, prompt="You are Ada. 你好", right=80.0, checkpoints=[10], settings=model, **config
    )
    notes.write(run.path, notes.Notes("It works.", ("good",)))
    (run.path / "worker.log").write_text(
        f"loading {workspace.root}/models/base\nkey {SECRET}\nhttps://me:pw@hub.example/x\n"
    )
    (run.path / "worker.pid").write_text("1 1.0 1")
    job = directory.create(run.path / "evaluations", "pets", {"kind": "evaluate", "workspace": str(workspace.root)})
    events.append(job / "events.jsonl", events.RunFinished())
    (job / "answers.jsonl").write_text('{"dataset": "pets", "tuned": "Ada"}\n')
    return run


def test_a_bundle_holds_what_happened_and_neither_weights_nor_folders_nor_secrets(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    run = whole_run(workspace)
    file = bundle.write(workspace, run, tmp_path / "one.run.zip")
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        text = "\n".join(archive.read(name).decode() for name in names)
    job = run.jobs("evaluations")[0].name
    assert sorted(names) == sorted(
        ["bundle.json", "config.yaml", "events.jsonl", "notes.yaml", "worker.log", "scores/pets_test.json",
         *(f"evaluations/{job}/{each}" for each in ("config.yaml", "events.jsonl", "answers.jsonl"))]
    )  # fmt: skip
    for private in (str(workspace.root), str(PROJECT), str(Path.home()) + "/", SECRET, "me:pw"):
        assert private not in text
    assert "You are Ada. 你好" in text
    assert not list(tmp_path.glob("*.part"))


def test_another_studio_opens_a_bundle_and_has_the_same_run(
    workspace: Workspace, elsewhere: Workspace, packed: Path
) -> None:
    opened = unbundle.open_bundle(elsewhere, packed)
    here, there = Shelf(workspace).look()[0][0], Shelf(elsewhere).look()[0][0]
    same = ("name", "status", "created", "data", "prompt", "step", "total_steps", "loss", "best", "curve", "scores", "note",
            "tags", "seconds")  # fmt: skip
    assert {key: getattr(there, key) for key in same} == {key: getattr(here, key) for key in same}
    assert (here.elsewhere, there.elsewhere) == (False, True)
    assert opened.config["workspace"] == str(elsewhere.root)
    assert [each.path for each in differences([directory.Run(workspace.runs / "one"), opened])] == ["model.path"]
    assert opened.adapter() is None
    assert opened.path.joinpath("worker.log").exists()
    assert not opened.path.joinpath("worker.pid").exists()
    assert unbundle.open_bundle(elsewhere, packed).name == "one_2"
    assert list((elsewhere.cache / "bundles").iterdir()) == []


def test_a_bundle_is_repeated_with_the_data_that_has_the_same_content_here(
    workspace: Workspace, elsewhere: Workspace, tmp_path: Path
) -> None:
    rows = [{"instruction": "Who?", "input": "", "output": f"Cat {n}."} for n in range(4)]
    file = tmp_path / "cats.json"
    file.write_text(json.dumps(rows))
    sha1 = Studio(workspace).registry.add(file, "pets").sha1
    studio = Studio(elsewhere)
    studio.registry.add(file, "my_cats")
    run = finished_run(workspace, "one", data=[("pets", sha1)], prompt="You are Ada.", settings={"lora.rank": 8})
    opened = unbundle.open_bundle(elsewhere, bundle.write(workspace, run, tmp_path / "b.zip"))
    settings, minded = rerun.settings_of(studio, opened)
    assert settings.data.train == ["my_cats"]
    assert settings.lora.rank == 8
    assert studio.prompts.get(settings.prompt.name, settings.prompt.version).text == "You are Ada."
    assert {each.code for each in minded} == {"rerun.other_name", "rerun.prompt_saved", "rerun.other_model"}


@pytest.mark.parametrize("end", ["stopped", "", "failed"])
def test_a_run_that_did_not_finish_travels_too(
    workspace: Workspace, elsewhere: Workspace, tmp_path: Path, end: str
) -> None:
    run = finished_run(workspace, "one", end="" if end == "failed" else end)
    if end == "failed":
        told = {"code": "train.not_finite", "where": "", "values": {"step": 3, "rate": "0.1"}}
        events.append(run.log, events.RunFailed(problems=[told], details="Trace"))
    opened = unbundle.open_bundle(elsewhere, bundle.write(workspace, run, tmp_path / "b.zip"))
    assert opened.status == (end or "lost")


def test_a_run_that_has_not_begun_makes_no_bundle(workspace: Workspace, tmp_path: Path) -> None:
    run = finished_run(workspace, "one")
    run.log.unlink()
    with pytest.raises(RunError):
        bundle.write(workspace, run, tmp_path / "b.zip")
    assert list(tmp_path.glob("b.zip*")) == []


Change = Callable[[dict[str, bytes]], dict[str, bytes]]


def config_with(**changes: object) -> Change:
    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        config = {**yaml.safe_load(files["config.yaml"]), **changes}
        return {**files, "config.yaml": yaml.safe_dump(config).encode()}

    return change


def with_file(name: str, content: str | bytes) -> Change:
    return lambda files: {**files, name: content.encode() if isinstance(content, str) else content}


def without(name: str) -> Change:
    return lambda files: {each: content for each, content in files.items() if each != name}


def with_event(**event: object) -> Change:
    line = json.dumps({"time": 1.0, **event}) + "\n"
    return lambda files: {**files, "events.jsonl": files["events.jsonl"] + line.encode()}


def with_scores(*names: str) -> Change:
    side = {"right": 1.0}
    score = {"job": "a", "created": "x", "datasets": {name: {"n": 1, "base": side, "tuned": side} for name in names}}
    return with_file("scores/a.json", json.dumps(score))


DEEP = "a: " + "[" * 60_000 + "]" * 60_000
ALIASES = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
STEP = {"event": "step_finished", "step": 1, "epoch": 0.0, "loss": 1.0, "learning_rate": 0.1, "grad_norm": 1.0, "tokens": 1,
        "tokens_per_second": 1.0, "seconds_left": 1.0}  # fmt: skip
REFUSED: dict[str, tuple[str, Change]] = {
    "a path out": ("bundle.foreign_file", with_file("../evil.txt", "x")),
    "an absolute path": ("bundle.foreign_file", with_file("/tmp/evil.txt", "x")),
    "a folder's way out": ("bundle.foreign_file", with_file("scores/../../evil.json", "{}")),
    "a backslash": ("bundle.foreign_file", with_file("scores\\evil.json", "{}")),
    "weights": ("bundle.foreign_file", with_file("final/adapter_model.safetensors", "x")),
    "a mark of the queue": ("bundle.foreign_file", with_file("queued", "{}")),
    "a worker's number": ("bundle.foreign_file", with_file("worker.pid", "1 1")),
    "pickles": ("bundle.foreign_file", with_file("scores/a.pkl", "x")),
    "too many files": (
        "bundle.too_large",
        lambda files: {**files, **{f"scores/{n}.json": b"{}" for n in range(unbundle.MOST_FILES)}},
    ),
    "a bomb": ("bundle.bomb", with_file("worker.log", b"0" * 50_000_000)),
    "no config": ("bundle.incomplete", without("config.yaml")),
    "no log": ("bundle.incomplete", without("events.jsonl")),
    "another format": ("bundle.format", with_file("bundle.json", '{"format": 99, "run": "one"}')),
    "no bundle.json that is one": ("bundle.broken", with_file("bundle.json", "[]")),
    "a config that is no mapping": ("bundle.broken", with_file("config.yaml", "- a")),
    "a config with references": ("bundle.broken", with_file("config.yaml", ALIASES)),
    "notes with references": ("bundle.broken", with_file("notes.yaml", ALIASES)),
    "a config that makes objects": ("bundle.broken", with_file("config.yaml", "a: !!python/object/apply:os.getcwd []")),
    "no training": ("bundle.broken", config_with(kind="merge")),
    "data that is no list": ("bundle.broken", config_with(data={"name": "x"})),
    "data without a name": ("bundle.broken", config_with(data=[{"sha1": "x"}])),
    "a model that is none": ("bundle.broken", config_with(model="x")),
    "a prompt with another hash": (
        "bundle.broken",
        config_with(prompt={"name": "ours", "version": 1, "text": "You are Eve.", "sha256": "0" * 64}),
    ),
    "settings that nobody has": ("bundle.settings", config_with(settings={"data": {"train": ["a"]}, "evil": {"x": 1}})),
    "a step without a loss": ("bundle.broken", with_event(event="step_finished", step=1)),
    "a loss that is a word": ("bundle.broken", with_event(**{**STEP, "loss": "<b>"})),
    "a list in place of an event": ("bundle.broken", lambda files: {**files, "events.jsonl": b"[]\n"}),
    "an end without words": ("bundle.broken", with_event(event="run_failed", problems=[{"code": "no.such_code"}])),
    "a warning without its values": ("bundle.broken", with_event(event="warned", code="plan.dropped")),
    "a reason that nobody knows": (
        "bundle.broken",
        with_event(event="training_ended", reason="evil", step=1, kept_step=1),
    ),
    "a score that is a word": (
        "bundle.broken",
        with_file("scores/pets_test.json", '{"job": "pets_test", "created": "x", "datasets": {"a": {"base": 1}}}'),
    ),
    "notes nested so deep that their reader crashes": ("bundle.broken", with_file("notes.yaml", DEEP)),
    "a loss beyond every number": ("bundle.broken", with_event(**{**STEP, "loss": 10**400})),
    "half a character in an event": ("bundle.broken", with_event(event="phase", name="\ud800")),
    "a version beyond 64 bits": ("bundle.broken", config_with(versions={"torch": 10**400})),
    "half a character in a score": ("bundle.broken", with_scores("\ud800")),
    "a data set with an endless name": ("bundle.broken", with_scores("n" * 101)),
    "scores of too many data sets": ("bundle.broken", with_scores(*map(str, range(301)))),
    "a prompt with an endless name": (
        "bundle.broken",
        config_with(prompt={"name": "n" * 101, "version": 1, "text": None, "sha256": ""}),
    ),
    "settings with too many data sets": ("bundle.broken", config_with(settings={"data": {"train": [*map(str, range(301))]}})),
    "a prompt that does not say whether it has words": (
        "bundle.broken",
        config_with(prompt={"name": "ours", "version": 1, "sha256": ""}),
    ),
    "answers that are no mappings": ("bundle.broken", with_file("evaluations/a/answers.jsonl", "[1]\n")),
    "events so deep that their reader crashes": (
        "bundle.broken", with_file("evaluations/a/events.jsonl", "[" * 60_000 + "\n")
    ),
    "limits of a batch that are none": ("bundle.broken", with_file("evaluations/a/batches.json", "[4096]")),
    "limits of a batch that are words": ("bundle.broken", with_file("evaluations/a/batches.json", '["4096", 16]')),
    "what nobody knows of an evaluation": ("bundle.foreign_file", with_file("evaluations/a/weights.jsonl", "{}\n")),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_bundle_that_is_not_as_it_should_be_is_refused_and_leaves_nothing(
    elsewhere: Workspace, packed: Path, tmp_path: Path, name: str
) -> None:
    code, change = REFUSED[name]
    with zipfile.ZipFile(packed) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    changed = tmp_path / "changed.run.zip"
    with zipfile.ZipFile(changed, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in change(files).items():
            archive.writestr(each, content)
    refused(elsewhere, changed, code)
    assert not (tmp_path / "evil.txt").exists()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> tuple[directory.Run, Path]:
    """Return a run with all that an evaluation can leave, and its bundle."""
    root = tmp_path_factory.mktemp("asked")
    workspace = Workspace.at(root / "workspace")
    run = finished_run(workspace, "one", settings={"model.path": str(workspace.models / "base")})
    job = write_evaluation(run.path, {"desk_test": desk([20])[:12], "mood_zh": mood([20])[:6]}, steps=[20])
    compared = pairs.pairs(items.read(job), answers.read(job)[0])
    judge.judge(job, compared, lambda questions: ["A", "?"] * (len(questions) // 2), "host/judge")
    score = scores.of(run, job)
    assert score is not None
    scores.write(run, {**score, "judge": judge.summary(judge.read(job), scores.grades(job))})
    for number, choice in enumerate(votes.CHOICES):
        votes.vote(job, compared[number].item, choice)
    votes.undo(job)
    (job / answering.LIMITS).write_text("[4096, 16]")
    return run, bundle.write(workspace, run, root / "one.run.zip")


def test_an_evaluation_is_the_same_elsewhere(elsewhere: Workspace, asked: tuple[directory.Run, Path]) -> None:
    here, there = asked[0], unbundle.open_bundle(elsewhere, asked[1])
    (job,), (opened,) = here.jobs("evaluations"), there.jobs("evaluations")
    assert len(rows(opened)) > 18
    assert len(votes.read(opened)) == 3
    assert judge.read(opened)
    for read in (rows, items.read, answers.read, scores.grades, votes.read, judge.read):
        assert read(opened) == read(job)
    assert (opened / answering.LIMITS).read_text() == "[4096, 16]"
    mine, theirs = scores.of(here, job), scores.of(there, opened)
    assert mine is not None
    assert mine == theirs
    for show in (verdicts.headline, verdicts.cards):
        assert show(mine, words("en")) == show(theirs, words("en")) != ""
    assert Shelf(elsewhere).look()[0][0].scores[0][0] == "desk_test"


def test_a_score_that_knows_little_travels_too(workspace: Workspace, elsewhere: Workspace, tmp_path: Path) -> None:
    run = finished_run(workspace, "one")
    letters = [Told(f"Write a letter to number {n}.", "", "Dear all,", "Dear Ada,") for n in range(3)]
    job = write_evaluation(run.path, {"letters": letters})
    asked = items.read(job)
    who_are_you = [item for item in asked if item.kind == "identity"]
    said = {who: {item.key: "I am Qwen." for item in who_are_you} for who in ("base", "tuned")}
    made = scores.of(run, job)
    assert made is not None
    assert made["datasets"]["letters"]["tuned"]["right"] is None
    unknown = identity_score.summary(who_are_you, said)
    nothing = kept_score.summary([], {"base": {}, "tuned": {}}, {"base": None, "tuned": None})
    scores.write(run, {**made, "probes": {**made["probes"], "identity": unknown, "kept": nothing}})
    opened = unbundle.open_bundle(elsewhere, bundle.write(workspace, run, tmp_path / "b.zip"))
    found = scores.of(opened, opened.jobs("evaluations")[0])
    assert found is not None
    assert found == scores.of(run, job)
    assert verdicts.cards(found, words("zh"))
    assert Shelf(elsewhere).look()[0][0].scores == ()


def test_answers_of_an_evaluation_that_was_killed_travel_up_to_the_last_whole_one(
    workspace: Workspace, elsewhere: Workspace, tmp_path: Path
) -> None:
    run = finished_run(workspace, "one")
    job = write_evaluation(run.path, {"desk_test": desk()[:4]}, probes=False, running=True)
    for name in (answers.FILE, votes.FILE):
        with (job / name).open("a") as file:
            file.write('{"item": "desk_te')
    opened = unbundle.open_bundle(elsewhere, bundle.write(workspace, run, tmp_path / "b.zip"))
    assert rows(opened.jobs("evaluations")[0]) == rows(job)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(items.Item, evaluated._Item), (answers.Answer, evaluated._Answer), (judge.Verdict, evaluated._Verdict),
     (Message, evaluated._Message), (ToolCall, evaluated._ToolCall), (Document, evaluated._Document)],
)  # fmt: skip
def test_a_line_is_checked_for_the_fields_that_it_is_read_into(kind: Any, shape: Any) -> None:
    needed = {each.name: each.default is MISSING and each.default_factory is MISSING for each in fields(kind)}
    assert {name: field.is_required() for name, field in shape.model_fields.items()} == needed


def test_every_file_of_an_evaluation_is_packed_and_checked() -> None:
    lines = {items.FILE, answers.FILE, scores.GRADES, votes.FILE, judge.FILE}
    assert lines == set(evaluated.LINES)
    assert {*lines, answering.LIMITS, "events.jsonl"} == set(bundle.EVALUATION)
    assert (evaluated.LIMITS, scored.FORMAT) == (answering.LIMITS, scores.FORMAT)


def line(file: str, **changes: object) -> Change:
    """Return what gives the first line of a file other values; None takes a key away."""
    place = f"evaluations/{JOB}/{file}"

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        first, *rest = files[place].decode().split("\n")
        values = {key: each for key, each in {**json.loads(first), **changes}.items() if each is not None}
        return {**files, place: "\n".join([json.dumps(values), *rest]).encode()}

    return change


def torn(file: str) -> Change:
    place = f"evaluations/{JOB}/{file}"
    return lambda files: {**files, place: b"\n".join([files[place].split(b"\n")[0][:-9], files[place]])}


def score(place: str, value: object = None) -> Change:
    """Return what gives the score another value at a dotted place; None takes it away."""
    name, *keys = f"scores/{JOB}.json", *place.split(".")

    def change(files: dict[str, bytes]) -> dict[str, bytes]:
        part = whole = json.loads(files[name])
        for key in keys[:-1]:
            part = part[int(key) if isinstance(part, list) else key]
        last: Any = int(keys[-1]) if isinstance(part, list) else keys[-1]
        if value is None:
            del part[last]
        else:
            part[last] = value
        return {**files, name: json.dumps(whole).encode()}

    return change


DESK = "datasets.desk_test"
DAMAGED: dict[str, Change] = {
    "a question without messages": line("items.jsonl", messages=None),
    "a question with a key that nobody reads": line("items.jsonl", evil=1),
    "a question by somebody unknown": line("items.jsonl", messages=[{"role": "evil", "content": ""}]),
    "a question of an unknown kind": line("items.jsonl", kind="evil"),
    "a question of an unknown probe": line("items.jsonl", kind="kept"),
    "a question under an unknown prompt": line("items.jsonl", under="evil"),
    "half a question": torn("items.jsonl"),
    "an answer that is no text": line("answers.jsonl", text=5),
    "an answer of nobody": line("answers.jsonl", who="step-²"),
    "half an answer before others": torn("answers.jsonl"),
    "a value that is a word": line("grades.jsonl", values={"right": "100"}),
    "a value that is no number": line("grades.jsonl", values={"right": float("nan")}),
    "half a line of values": torn("grades.jsonl"),
    "a vote for the middle": line("votes.jsonl", choice="middle"),
    "a vote on one answer": line("votes.jsonl", order=["base"]),
    "a vote without a time": line("votes.jsonl", time=None),
    "a vote so deep that its reader crashes": with_file(f"evaluations/{JOB}/votes.jsonl", "[" * 60_000 + "\n"),
    "a verdict for a third": line("judged.jsonl", picks=["third", "first"]),
    "a verdict without a judge": line("judged.jsonl", judge=None),
    "a score of another format": score("format", 3),
    "a score that does not say who": score("who"),
    "a score that begins with the tuned": score("who.0.id", "tuned"),
    "a score of nobody": score("who.2.id", "<b>"),
    "a score that says who twice": score("who.2.id", "base"),
    "a step that is a word": score("who.2.step", "20"),
    "no count of questions": score(f"{DESK}.n"),
    "a main metric that nobody knows": score(f"{DESK}.main", "evil"),
    "no values of a step": score(f"{DESK}.step-000020"),
    "a value without bounds": score(f"{DESK}.tuned.chrf", float("inf")),
    "an interval with one end": score(f"{DESK}.intervals.tuned.right", [1.0]),
    "a difference that is a word": score(f"{DESK}.against.tuned.base.right.difference", "+3"),
    "a winner that nobody knows": score(f"{DESK}.against.tuned.base.right.winner", "tuned"),
    "no comparisons": score(f"{DESK}.against"),
    "counts of labels that are none": score("datasets.mood_zh.confusion.base.counts", [["1"]]),
    "a tag without a count": score(f"{DESK}.by_tag.orders.n"),
    "a tag with words": score(f"{DESK}.by_tag.orders.base.right", "1"),
    "an identity that nobody has words for": score("probes.identity.who.tuned.verdict", "evil"),
    "an identity that is not counted": score("probes.identity.who.tuned.leaked"),
    "an identity under one prompt of one": score("probes.identity.who.tuned", {
        "n": 1, "right": 1, "leaked": 0, "name": 1, "maker": 1, "asked": {"name": 1, "maker": 1}, "claimed": [],
        "old": [], "by_under": {}, "verdict": "only_under_prompt"}),
    "abilities without the base": score("probes.kept.who.base"),
    "abilities of a step that are not compared": score("probes.kept.who.step-000020.kept"),
    "a share with one end": score("probes.kept.who.tuned.kept", {"value": 1.0, "low": 1.0, "high": None}),
    "an ability without a count": score("probes.kept.by_ability.sum.n"),
    "a prompt that was not compared": score("probes.parity.rows"),
    "a judge without a share": score("judge.win_rate"),
    "no decoding": score("decoding"),
    "a decoding that nobody has words for": score("decoding.strategy", "evil"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_an_evaluation_that_is_not_as_it_should_be_is_refused(
    elsewhere: Workspace, asked: tuple[directory.Run, Path], tmp_path: Path, name: str
) -> None:
    with zipfile.ZipFile(asked[1]) as archive:
        files = {each: archive.read(each) for each in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "changed.run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for each, content in DAMAGED[name](files).items():
            archive.writestr(each, content)
    refused(elsewhere, tmp_path / "changed.run.zip", "bundle.broken")


def test_a_link_a_password_and_a_name_that_stands_twice_are_refused(elsewhere: Workspace, packed: Path) -> None:
    link = zipfile.ZipInfo("worker.log")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    added: tuple[zipfile.ZipInfo | str, ...] = (link, "config.yaml")
    for number, add in enumerate(added):
        copy = packed.with_name(f"{number}.run.zip")
        with zipfile.ZipFile(packed) as source, zipfile.ZipFile(copy, "w") as target:
            for each in source.namelist():
                if each != "worker.log":
                    target.writestr(each, source.read(each))
            with pytest.warns() if add == "config.yaml" else pytest.MonkeyPatch.context():
                target.writestr(add, "/etc/passwd")
        refused(elsewhere, copy, "bundle.foreign_file")
    locked = packed.with_name("locked.run.zip")
    content = bytearray(packed.read_bytes())
    entry = content.find(b"PK\x01\x02")
    content[entry + 8 : entry + 10] = struct.pack("<H", 1)
    locked.write_bytes(content)
    refused(elsewhere, locked, "bundle.foreign_file")


@pytest.mark.parametrize("packing", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bundle_that_is_packed_in_an_unusual_way_is_refused(elsewhere: Workspace, packed: Path, packing: int) -> None:
    copy = packed.with_name("copy.run.zip")
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(copy, "w", packing) as target:
        for each in source.namelist():
            target.writestr(each, source.read(each))
    refused(elsewhere, copy, "bundle.foreign_file")


def test_an_endless_list_of_files_is_refused_before_it_is_read(elsewhere: Workspace, tmp_path: Path) -> None:
    entry = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 20, 20, 0, 0, 0, 33, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0)
    entries = b"".join(entry + b"%06d" % number for number in range(30_000))
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 30_000, 30_000, len(entries), 0, 0)
    (tmp_path / "many.run.zip").write_bytes(entries + end)
    refused(elsewhere, tmp_path / "many.run.zip", "bundle.too_large")


@pytest.mark.parametrize(("given", "name"), [("one", "one"), ("Zwei ", "zwei"), ("cafe\u0301", "café"), ("../x", "b")])
def test_a_bundle_names_a_run_that_can_be_found(
    elsewhere: Workspace, packed: Path, tmp_path: Path, given: str, name: str
) -> None:
    with zipfile.ZipFile(packed) as source, zipfile.ZipFile(tmp_path / "b.run.zip", "w") as target:
        for each in source.namelist():
            target.writestr(
                each, source.read(each) if each != "bundle.json" else json.dumps({"format": 1, "run": given})
            )
    assert unbundle.open_bundle(elsewhere, tmp_path / "b.run.zip").name == name
    assert directory.find(elsewhere, name)


def test_what_is_private_is_masked_and_nothing_else(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_PASSWD", "company1")
    monkeypatch.setenv("B_TOKEN", "company1-whole")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Lovelace")
    monkeypatch.setenv("HOME", "/home/me")
    clean = bundle._Cleaner(workspace)
    told = {
        "company1-whole and company1": "*** and ***",
        "by Ada Lovelace": "by Ada Lovelace",
        "/home/me, '/home/me/x' /home/me2/x /data/home/me": "~, '~/x' /home/me2/x /data/home/me",
        '{"trace": "one\\n/home/me/x.py"}': '{"trace": "one\\n~/x.py"}',
        "someone/home/me-1B": "someone/home/me-1B",
        "https://me:p@ss@h.example/x": "https://***@h.example/x",
        "看 https://h.example，问 a@b.example": "看 https://h.example，问 a@b.example",
        '"https://h.example", "a@b.example"': '"https://h.example", "a@b.example"',
    }
    assert {text: clean(text) for text in told} == told


def test_a_bundle_is_not_written_into_a_folder_and_leaves_nothing_behind(workspace: Workspace, tmp_path: Path) -> None:
    run = finished_run(workspace, "one")
    for place in (tmp_path, Path("."), tmp_path / "gone/b.zip"):
        with pytest.raises(RunError) as error:
            bundle.write(workspace, run, place)
        assert error.value.problems[0].code == "bundle.no_place"
    assert not list(tmp_path.glob("*.part"))


def test_an_evaluation_that_has_not_begun_stays_at_home(workspace: Workspace, tmp_path: Path) -> None:
    run = finished_run(workspace, "one")
    directory.create(run.path / "evaluations", "pets", {"kind": "evaluate"})
    with zipfile.ZipFile(bundle.write(workspace, run, tmp_path / "b.zip")) as archive:
        assert not [name for name in archive.namelist() if name.startswith("evaluations")]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", b"\x1f\x8b" + b"0" * 100])
def test_what_is_no_zip_is_refused(elsewhere: Workspace, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.run.zip").write_bytes(content)
    refused(elsewhere, tmp_path / "x.run.zip", "bundle.no_zip")


def test_a_bundle_that_was_cut_off_or_altered_is_refused(elsewhere: Workspace, packed: Path) -> None:
    content = packed.read_bytes()
    for number, changed in enumerate((content[: len(content) // 2], content[:200] + b"XXXX" + content[204:])):
        file = packed.with_name(f"{number}.zip")
        file.write_bytes(changed)
        refused(elsewhere, file, "bundle.no_zip")


def refused(workspace: Workspace, file: Path, code: str) -> None:
    with pytest.raises(RunError) as error:
        unbundle.open_bundle(workspace, file)
    assert error.value.problems[0].code == code
    assert error.value.say("zh") != error.value.say("en")
    assert list(workspace.runs.iterdir()) == []
    assert list((workspace.cache / "bundles").iterdir()) == []


def test_the_command_line_keeps_runs_in_order_and_passes_them_on(workspace: Workspace, elsewhere: Workspace) -> None:
    def studio(place: Workspace, *arguments: str) -> dict:
        command = [sys.executable, "-m", "core.cli", "runs", *arguments, "--workspace", str(place.root), "--json"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    whole_run(workspace)
    finished_run(workspace, "two", settings={"lora.rank": 64}, right=95.0)
    assert studio(workspace, "tag", "one", "best", "german")["tags"] == ["good", "best", "german"]
    compared = studio(workspace, "compare", "one", "two")
    assert {"path": "lora.rank", "values": [8, 64]} in compared["differences"]
    assert [each["scores"] for each in compared["runs"]] == [
        [["pets_test", 25.0, 80.0, 4]],
        [["pets_test", 25.0, 95.0, 4]],
    ]
    out = elsewhere.root / "one.zip"
    assert studio(workspace, "bundle", "one", str(out))["bytes"] == out.stat().st_size
    assert studio(elsewhere, "open", str(out))["run"] == "one"
    listed = studio(elsewhere, "list", "--search", "german")["runs"]
    assert [(each["run"], each["elsewhere"], each["tags"]) for each in listed] == [
        ("one", True, ["good", "best", "german"])
    ]
