"""What the Runs tab stands on: summaries from a cache, notes, trash, clean-up, comparison, lineage, and the filled form."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from app.controls import settings_from
from app.filling import shown
from app.pages import runs as runs_page, train
from app.runs import listing, rerun, shown as runs_shown
from app.runs.shown import View
from app.studio import Studio
from core.errors import RunError
from core.runs import directory, ending, events, intact, lineage, notes, process, space, trash
from core.runs.compare import differences
from core.runs.lineage import Node
from core.runs.summary import Shelf, Summary
from core.settings import fields, from_dict
from core.train.going_on import weights_hash
from core.wording import languages, words
from core.workspace import Workspace
from tests.finished_runs import finished_run, step_finished, write_score
from tests.tiny import build_tiny_model

T = words("en")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.at(tmp_path / "workspace")


def only(workspace: Workspace) -> Summary:
    (found,), left = Shelf(workspace).look()
    assert left == 0
    return found


def append(run: directory.Run, *values: dict[str, Any]) -> None:
    with run.log.open("a") as log:
        log.writelines(json.dumps(each) + "\n" for each in values)


def test_a_summary_tells_what_the_log_the_scores_and_the_notes_say(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", steps=30, prompt="You are Ada.", right=80.0)
    notes.write(run.path, notes.Notes("It works.\nReally.", ("good",)))
    found = only(workspace)
    assert (found.status, found.step, found.total_steps, found.loss) == ("finished", 30, 30, round(1 + 2 / 30, 4))
    assert (found.best, found.seconds, found.prompt) == (1.0, 90.0, "ours v1")
    assert found.scores == (("pets_test", 25.0, 80.0, 4),)
    assert (found.tags, found.note, found.archived) == (("good",), "It works.\nReally.", False)
    assert found.bytes == sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file())
    for word in ("ONE", "pets", "ours", "good", "really", "finished starter"):
        assert found.matches(word)
    assert not found.matches("one two")


@pytest.mark.parametrize("steps", [1, 59, 60, 61, 5000])
def test_a_curve_has_few_points_and_the_last_step(workspace: Workspace, steps: int) -> None:
    finished_run(workspace, "long", steps=steps)
    curve = only(workspace).curve
    assert len(curve) <= 61
    assert curve[0][0] == 1
    assert curve[-1][0] == steps
    assert [step for step, _ in curve] == sorted({step for step, _ in curve})


def test_what_a_run_writes_is_seen_and_what_it_takes_back_is_gone(workspace: Workspace) -> None:
    run = finished_run(workspace, "run", steps=20, end="")
    shelf = Shelf(workspace)
    assert shelf.look()[0][0].status == "lost"
    append(run, step_finished(21, 0.5), {"time": 1.0, "event": "run_stopped", "step": 21})
    (found,), _ = shelf.look()
    assert (found.step, found.loss, found.status) == (21, 0.5, "stopped")
    append(run, {"time": 1.0, "event": "resumed", "step": 10}, step_finished(11, 0.25))
    for each in (shelf, Shelf(workspace)):
        (found,), _ = each.look()
        assert (found.step, found.loss) == (11, 0.25)
        assert max(step for step, _ in found.curve) == 11
        assert found.best == pytest.approx(1 + abs(10 - 20 * 2 / 3) / 20, abs=1e-5)


def test_five_hundred_runs_are_kept_from_one_server_to_the_next_and_cost_no_tick(workspace: Workspace) -> None:
    for number in range(500):
        finished_run(workspace, f"run_{number:03d}", steps=20)
    began = time.process_time()
    assert len(Shelf(workspace).look()[0]) == 500
    assert time.process_time() - began < 2.5
    shelf = Shelf(workspace)
    began = time.process_time()
    assert len(shelf.look()[0]) == 500
    assert time.process_time() - began < 1.5
    time.sleep(2.1)  # what has just changed is looked at again
    shelf.look()
    took = []
    for _ in range(5):
        began = time.process_time()
        shelf.look()
        took.append(time.process_time() - began)
    assert min(took) < 0.02
    assert len(shelf.runs()) == 500


def test_a_look_that_may_take_no_time_leaves_runs_for_the_next(workspace: Workspace) -> None:
    for number in range(5):
        finished_run(workspace, f"run_{number}")
    shelf = Shelf(workspace)
    assert shelf.look(-1.0) == ([], 5)
    assert len(shelf.look(-1.0, 2)[0]) == 2  # the first rows of a list are there at once, however slow the disk is
    assert shelf.look()[1] == 0
    assert len(shelf.look(-1.0)[0]) == 5


@pytest.mark.parametrize("content", ["", "no json", "[]", '{"format": 0, "runs": {"one": {}}}'])
def test_a_kept_file_that_is_broken_or_of_another_version_is_made_anew(workspace: Workspace, content: str) -> None:
    finished_run(workspace, "one")
    workspace.cache.mkdir()
    (workspace.cache / "runs.json").write_text(content)
    assert only(workspace).name == "one"


def test_folders_that_are_no_runs_are_left_out(workspace: Workspace) -> None:
    finished_run(workspace, "one")
    (workspace.runs / "empty").mkdir()
    (workspace.runs / "odd").mkdir()
    (workspace.runs / "odd/config.yaml").write_text("- [")
    shelf = Shelf(workspace)
    assert [each.name for each in shelf.look()[0]] == ["one"]
    assert [each.name for each in shelf.runs()] == ["one"]
    finished_run(workspace, "two")
    assert [each.name for each in shelf.runs()] == ["two", "one"]


def test_an_evaluation_that_ends_changes_the_summary(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", right=50.0)
    shelf = Shelf(workspace)
    assert shelf.look()[0][0].scores[0][2] == 50.0
    write_score(run.path, 75.0, "z_second")
    assert shelf.look()[0][0].scores[0][2] == 75.0


def test_notes_are_tidied_bounded_and_survive_what_is_no_note(workspace: Workspace) -> None:
    run = finished_run(workspace, "one")
    assert notes.read(run.path) == notes.Notes()
    notes.write(run.path, notes.Notes("  text ", notes.tags_in("good, , for  Ada，好、good")))
    assert notes.read(run.path) == notes.Notes("text", ("good", "for Ada", "好"))
    for wrong in (
        notes.Notes("x" * 10_001),
        notes.Notes(tags=("y" * 41,)),
        notes.Notes(tags=tuple(map(str, range(21)))),
    ):
        with pytest.raises(RunError):
            notes.write(run.path, wrong)
    assert notes.read(run.path).note == "text"
    (run.path / notes.FILE).write_text("note: [1]\ntags: {a: b}\narchived: maybe")
    assert notes.read(run.path) == notes.Notes()


def test_a_deleted_run_comes_back_whole_and_the_trash_of_data_stays(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", checkpoints=[10])
    before = {file.relative_to(run.path): file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
    (run.path / process.QUEUED).write_text("{}")
    directory.delete(workspace, run)
    data = workspace.trash / "1763720000_3fa2_mine"
    data.mkdir()
    (data / "removed.entry").write_text("{}")
    assert [each.name for each in trash.listing(workspace)] == ["one"]
    back = trash.restore(workspace, "one")
    assert {file.relative_to(back.path): file.read_bytes() for file in back.path.rglob("*") if file.is_file()} == before
    with pytest.raises(RunError):
        trash.restore(workspace, "one")
    with pytest.raises(RunError):
        trash.restore(workspace, "../runs/one")
    directory.delete(workspace, back)
    finished_run(workspace, "one")
    assert trash.restore(workspace, "one").name == "one_2"
    directory.delete(workspace, directory.Run(workspace.runs / "one_2"))
    assert trash.empty(workspace)[0] == 1
    assert list(workspace.trash.iterdir()) == [data]


def test_old_checkpoints_go_and_the_last_and_the_best_stay(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", steps=60, checkpoints=[10, 20, 30, 40, 50, 60])  # 40 is the best
    for old in (run.path, run.log):
        os.utime(old, (1_000_000_000, 1_000_000_000))
    shelf = Shelf(workspace)
    before = shelf.look()[0][0].bytes
    assert space.clean(run) == 4 * 1000
    assert [each.name for each in run.checkpoints()] == ["step-000040", "step-000060"]
    assert shelf.look()[0][0].bytes == before - 4000
    assert space.clean(run) == 0


def test_a_clean_up_keeps_the_newest_checkpoint_that_a_broken_off_run_can_go_on_from(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", steps=30, end="stopped", checkpoints=[10, 20, 30])
    append(run, {"time": 1.0, "event": "validated", "step": 30, "loss": 0.1})
    for folder in run.checkpoints():
        (folder / directory.STATE).write_text("{}")
        intact.seal(folder)
    (run.path / "checkpoints/step-000030/adapter_model.safetensors").write_bytes(b"1" * 1000)
    space.clean(run)
    assert [each.name for each in run.checkpoints()] == ["step-000020", "step-000030"]


def test_of_two_validations_that_round_to_the_same_the_lower_one_is_the_best(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", steps=3, checkpoints=[1, 2, 3])
    append(
        run,
        *(
            {"time": 1.0, "event": "validated", "step": step, "loss": loss}
            for step, loss in ((1, 1.000004), (2, 1.000001))
        ),
    )
    assert [each.name for each in space.unneeded(run)] == ["step-000001"]


def test_a_run_that_goes_on_from_its_last_step_still_tells_that_step(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", steps=1000, end="")
    shelf = Shelf(workspace)
    shelf.look()
    append(run, {"time": 1.0, "event": "resumed", "step": 999})
    for each in (shelf, Shelf(workspace)):
        assert (each.look()[0][0].step, each.look()[0][0].loss) == (999, round(1 + 2 / 999, 4))


def test_a_run_that_cannot_be_read_takes_no_other_out_of_the_list(workspace: Workspace) -> None:
    finished_run(workspace, "good")
    append(finished_run(workspace, "bad"), step_finished(21, 10**400))
    assert [each.name for each in Shelf(workspace).look()[0]] == ["good"]


def test_every_data_set_has_its_newest_score(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", right=50.0)
    other = {"job": "b", "created": "2026-11-21T13:00:00",
             "datasets": {"other": {"n": 7, "base": {"right": 1.0}, "tuned": {"right": 2.0}}}}  # fmt: skip
    (run.path / "scores/b.json").write_text(json.dumps(other))
    assert only(workspace).scores == (("other", 1.0, 2.0, 7), ("pets_test", 25.0, 50.0, 4))


def test_a_set_of_open_questions_has_no_score_and_takes_no_other_away(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", right=50.0)
    nothing, some = {"right": None, "rougeL": 40.0}, {"right": 2.0}
    sets = {"letters": {"n": 9, "base": nothing, "tuned": nothing}, "half": {"n": 8, "base": nothing, "tuned": some},
            "other": {"n": 7, "base": some, "tuned": some}}  # fmt: skip
    score = {"job": "b", "created": "2026-11-21T13:00:00", "datasets": sets}
    (run.path / "scores/b.json").write_text(json.dumps(score))
    assert only(workspace).scores == (("other", 2.0, 2.0, 7), ("pets_test", 25.0, 50.0, 4))


def test_yes_to_a_question_ends_no_training_that_somebody_else_has_resumed(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", end="stopped")
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        process.note_process(run.path, worker.pid)
        append(run, {"time": 1.0, "event": "resumed", "step": 10})
        with pytest.raises(RunError):
            ending.settle(run)
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()


def test_a_run_with_a_waiting_evaluation_is_neither_deleted_nor_cleaned_up(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", checkpoints=[10, 20])
    job = directory.create(run.path / "evaluations", "pets", {"kind": "evaluate"})
    (job / process.QUEUED).write_text("{}")
    with pytest.raises(RunError) as error:
        directory.delete(workspace, run)
    assert error.value.problems[0].code == "run.job_waits"
    with pytest.raises(RunError) as error:
        space.clean(run)
    assert error.value.problems[0].code == "runs.in_use"


def test_a_run_comes_back_from_the_trash_under_its_own_name(workspace: Workspace) -> None:
    directory.delete(workspace, finished_run(workspace, "one_"))
    assert trash.restore(workspace, "one_").name == "one_"
    for _ in range(2):
        lies = directory.delete(workspace, finished_run(workspace, "two"))
    assert trash.restore(workspace, lies.name).name == "two"
    assert not (workspace.runs / "two" / directory.DELETED_AS).exists()


def test_checkpoints_of_a_run_that_works_are_left_alone(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", end="", checkpoints=[10, 20])
    process.note_process(run.path, os.getpid())
    with pytest.raises(RunError):
        space.clean(run)
    assert len(run.checkpoints()) == 2


def test_a_comparison_has_only_what_differs(workspace: Workspace) -> None:
    one = finished_run(workspace, "one", prompt="You are Ada.")
    two = finished_run(
        workspace,
        "two",
        prompt="You are Bo.",
        settings={"lora.rank": 32, "name": "x"},
        data=[("pets", "b" * 40)],
        versions={"torch": "2.8.0"},
    )
    same = finished_run(workspace, "same", prompt="You are Ada.")
    found = {each.path: each.values for each in differences([one, two])}
    assert found == {
        "lora.rank": (16, 32),
        "data.sha1.pets": ("a" * 8, "b" * 8),
        "prompt.text": ("You are Ada.", "You are Bo."),
        "versions.torch": ("2.9.0", "2.8.0"),
    }
    assert differences([one, same]) == []


def test_lineage_goes_from_the_base_through_continued_runs_to_merged_models(workspace: Workspace) -> None:
    first = finished_run(workspace, "first")
    finished_run(workspace, "second", continued={"run": "first"})
    finished_run(workspace, "third", continued={"run": "second"})
    finished_run(workspace, "orphan", continued={"run": "gone"})
    merge = directory.create(first.path / "merges", "bfloat16", {"kind": "merge"})
    events.append(merge / "events.jsonl", events.RunFinished(result={"folder": str(workspace.models / "mine")}))
    runs, _ = Shelf(workspace).look()
    by_name = {run.name: run for run in runs}
    third = Node("run", "third", "finished")
    grown = Node("run", "second", "finished", (third,))
    whole = Node("run", "first", "finished", (grown, Node("merged", "models/mine")))
    for name in ("first", "second", "third"):
        assert lineage.tree(workspace, by_name[name], runs) == Node("base", "data/starter", children=(whole,))
    found = lineage.tree(workspace, by_name["orphan"], runs)
    assert found.children[0] == Node("gone", "gone", children=(Node("run", "orphan", "finished"),))


def test_runs_that_claim_to_come_from_each_other_still_have_a_tree(workspace: Workspace) -> None:
    finished_run(workspace, "one", continued={"run": "two"})
    finished_run(workspace, "two", continued={"run": "one"})
    runs, _ = Shelf(workspace).look()
    assert lineage.tree(workspace, runs[0], runs).kind == "base"


def test_archived_runs_are_listed_only_when_asked_for_and_a_state_is_found_by_its_word(workspace: Workspace) -> None:
    finished_run(workspace, "one")
    finished_run(workspace, "two", end="stopped")
    finished_run(workspace, "zero", created="2026-11-01T00:00:00+0000")
    notes.write(finished_run(workspace, "old").path, notes.Notes(archived=True))
    runs, _ = Shelf(workspace).look()

    def found(search: str, which: str = "current", t: Any = T) -> list[str]:
        return [run.name for run in listing.matching(runs, search, which, t)]

    assert found("") == ["two", "one", "zero"]  # the newest first, whatever its name
    assert found("", "archived") == ["old"]
    assert found("", "elsewhere") == []
    assert found("stopped") == ["two"]
    assert found(words("zh")("status.stopped"), t=words("zh")) == ["two"]


@pytest.mark.parametrize("language", languages())
def test_a_list_escapes_what_people_and_files_say(workspace: Workspace, language: str) -> None:
    bad = "<img src=x onerror=alert(1)>"
    run = finished_run(workspace, "one", prompt="p", settings={"data.train": [bad]})
    notes.write(run.path, notes.Notes(bad, (bad,)))
    t = words(language)
    html = listing.rows(Shelf(workspace).look()[0], (), None, t)
    assert "<img" not in html
    assert html.count("&lt;img") >= 3


def test_a_tick_without_news_sends_nothing_and_news_sends_what_is_new(workspace: Workspace) -> None:
    run = finished_run(workspace, "one", end="stopped")
    studio = Studio(workspace)
    with gr.Blocks():
        page = runs_page.build(studio, T)
    view = View("one", "", "current", 50, ())
    first = runs_shown.updates(studio, page, view, None, T)
    assert page.run.notes.note in first
    again = runs_shown.updates(studio, page, view, first[page.seen], T)
    assert again == gr.skip()
    append(run, {"time": 1.0, "event": "resumed", "step": 20}, step_finished(21, 0.1))
    news = runs_shown.updates(studio, page, view, first[page.seen], T)
    assert "0.100" in news[page.listed.rows]
    assert page.run.notes.note not in news  # somebody may be typing there
    assert page.chosen not in news
    trashed = directory.delete(workspace, run)
    gone = runs_shown.updates(studio, page, view, news[page.seen], T)
    assert gone[page.chosen] is None
    assert trashed.name in gone[page.trash.listed]


def test_a_filled_form_has_the_settings_of_the_run_and_nothing_else(workspace: Workspace) -> None:
    studio = Studio(workspace)
    with gr.Blocks():
        page = train.build(studio, T)
    other = from_dict(
        {"data": {"train": ["a", "b"], "weights": {"a": 2.0}}, "lora": {"rank": 4, "alpha": 7, "targets": ["q_proj"]}},
        {"schedule.max_steps": 1_234_567, "optim.neftune_alpha": 5.5, "method.bits": 8, "name": "again", "seed": 3,
         "log.trackers": ["trackio"], "data.accept_warnings": True, "batch.micro_batch_size": 2},
    )  # fmt: skip
    for settings in (other, from_dict({"data": {"train": ["a"]}})):
        updates = page.fill(settings)
        values = {
            part: updates[part]["value"] for part in page.filling.controls.values() if isinstance(updates[part], dict)
        }
        values |= {part: updates[part] for part in page.filling.controls.values() if part not in values}
        assert settings_from(values, page.filling.controls) == settings
        assert set(updates) <= set(page.filling.outputs)
    assert {row.path for row in fields()} == set(page.filling.controls)
    assert shown(other, "schedule.max_steps") == "1234567"


def test_a_run_is_repeated_with_data_of_the_same_content_and_the_prompt_word_for_word(workspace: Workspace) -> None:
    studio = Studio(workspace)
    build_tiny_model(workspace.models / "tiny")
    file = workspace.root / "cats.json"
    file.write_text(json.dumps([{"instruction": "Who?", "input": "", "output": f"Cat {n}."} for n in range(4)]))
    sha1 = studio.registry.add(file, "cats").sha1
    studio.prompts.save("ours", "You are {{NAME}}.")
    studio.prompts.save("ours", "Something newer.")
    settings = {"model.path": "models/tiny", "prompt.name": "ours", "data.weights": {"pets": 3.0}}
    run = finished_run(
        workspace, "one", data=[("pets", sha1), ("lost", "c" * 40)], prompt="You are Ada.",
        settings={**settings, "prompt.blanks": {"NAME": "Ada"}},
    )  # fmt: skip
    found, minded = rerun.settings_of(studio, run)
    assert found.data.train == ["cats", "lost"]
    assert found.data.weights == {"cats": 3.0}
    assert studio.prompts.get(found.prompt.name, found.prompt.version, found.prompt.blanks).text == "You are Ada."
    assert found.prompt.version == 1
    assert [each.code for each in minded] == ["rerun.other_name", "rerun.no_data", "rerun.other_model"]
    elsewhere = finished_run(workspace, "two", data=[("cats", "d" * 40)], prompt="Never seen.", settings=settings)
    found, minded = rerun.settings_of(studio, elsewhere)
    assert studio.prompts.get("ours", found.prompt.version).text == "Never seen."
    assert [each.code for each in minded] == ["rerun.other_data", "rerun.prompt_saved", "rerun.other_model"]


def test_a_comparison_and_a_repeated_run_mind_another_split_revision_and_adapter(workspace: Workspace) -> None:
    studio = Studio(workspace)
    file = workspace.root / "cats.json"
    file.write_text(json.dumps([{"instruction": "Who?", "input": "", "output": f"Cat {n}."} for n in range(4)]))
    sha1 = studio.registry.add(file, "cats").sha1
    earlier = finished_run(workspace, "earlier", checkpoints=[10])
    made: dict[str, Any] = {"data": [("x", sha1), ("y", sha1)], "settings": {"model.adapter": "earlier"}}
    started = {"run": "earlier", "adapter_sha256": weights_hash(earlier.require_adapter())}
    model = {"path": "data/starter", "folder": None, "fingerprint": None, "revision": "1" * 40}
    one = finished_run(workspace, "one", **made, continued=started, model=model)
    two = finished_run(
        workspace,
        "two",
        **made,
        continued={**started, "adapter_sha256": "e" * 64},
        model={**model, "revision": "2" * 40},
    )
    config = two.config
    config["data"][0]["split_sha1"] = "5" * 40
    (two.path / "config.yaml").write_text(json.dumps(config))
    assert {each.path for each in differences([one, two])} == {
        "data.split.x",
        "model.revision",
        "continued.adapter_sha256",
    }

    def minded(run: directory.Run) -> set[str]:
        return {each.code for each in rerun.settings_of(studio, directory.Run(run.path))[1]} - {"model.not_cached"}

    assert minded(one) == {"rerun.other_name", "rerun.one_set"}
    assert minded(two) == {"rerun.other_name", "rerun.one_set", "rerun.other_split", "rerun.other_start"}
    directory.delete(workspace, earlier)
    assert "run.missing" in minded(one)


def test_a_new_run_goes_on_from_the_adapter_of_another_only_where_there_is_one(workspace: Workspace) -> None:
    studio = Studio(workspace)
    run = finished_run(workspace, "one")
    with pytest.raises(RunError):
        rerun.continued(studio, run)
    saved = finished_run(workspace, "two", checkpoints=[10], settings={"name": "mine"})
    settings, minded = rerun.continued(studio, saved)
    assert settings.model.adapter == "two"
    assert settings.name == ""
    assert minded[0].code == "rerun.continued"
    assert replace(minded[0], code="rerun.continued").say()
