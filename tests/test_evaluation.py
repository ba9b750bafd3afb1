"""An evaluation as a whole: who takes part, what is asked twice and what is not, and what a kill leaves."""

import json
import math
import os
import shutil
import signal
import time
from dataclasses import replace

import pytest

from core.data.registry import Registry
from core.errors import RunError, SettingsError, StudioError
from core.evaluate import answers, items, scores
from core.evaluate.answers import Answer
from core.evaluate.contestants import Other, checkpoints_of
from core.evaluate.items import Item
from core.evaluate.metrics.check import Check
from core.evaluate.options import Options, options
from core.evaluate.prepare import check_of, prepare
from core.evaluate.rows import rows
from core.evaluate.scoring import graded, scored, signed
from core.evaluate.worker import work
from core.records import Message
from core.runs import events, process, supervisor
from core.runs.directory import Run
from core.workspace import Workspace
from tests.tiny import build_tiny_model, build_tiny_run, write_adapter

BARE = Options(probes=False, max_new_tokens=6)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A workspace with a base, two adapters and a set of questions."""
    root = tmp_path_factory.mktemp("workspace")
    workspace = Workspace.at(root)
    base = build_tiny_model(workspace.models / "tiny", context=1400)
    for seed in (1, 2):
        write_adapter(root / f"adapter-{seed}", base, seed=seed)
    add(workspace, "many", [{"instruction": f"Say {n}.", "input": "", "output": f"{n}"} for n in range(200)])
    add(workspace, "few", [{"instruction": f"Say {n}.", "input": "", "output": f"{n}"} for n in range(8)])
    return workspace


def add(workspace, name, told):
    file = workspace.data / f"{name}.json"
    file.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    return Registry(workspace).add(file, name=name)


def run_of(place, adapter=1, **about):
    about = {"test": ["few"], **about}
    return Run(build_tiny_run(place.root, place.models / "tiny", adapter=place.root / f"adapter-{adapter}", **about))


def evaluated(place, run, *arguments, **options):
    job = prepare(place, run, *arguments, **{"options": BARE, **options})
    work(job)
    return job


def said(job):
    return {(each.item, each.who): each.text for each in answers.read(job)[0]}


def figures(score):
    """Return what two evaluations of the same have in common."""
    return {name: score[name] for name in ("datasets", "probes", "signatures", "decoding")}


def test_an_evaluation_that_was_killed_goes_on_where_it_was_and_scores_the_same(place):
    run = run_of(place, test=["many", "few"])
    shutil.rmtree(place.cache / "answers", ignore_errors=True)
    undisturbed = prepare(place, run, options=replace_options(max_new_tokens=24))
    work(undisturbed)
    shutil.rmtree(place.cache / "answers")
    job = prepare(place, run, options=replace_options(max_new_tokens=24))
    watching = supervisor.launch(job, "core.evaluate.worker")
    while not answers.read(job)[0]:
        assert watching.is_alive(), (job / "worker.log").read_text()[-2000:]
        time.sleep(0.01)
    os.kill(process.worker_pid(job), signal.SIGKILL)
    watching.join()
    before = answers.read(job)[0]
    total = 2 * len(items.read(job))
    assert 0 < len(before) < total
    assert process.status(job) == "lost"
    shutil.rmtree(place.cache / "answers")  # what is in the job must do
    work(job)
    assert process.last_event(job).event == "run_finished"
    after = answers.read(job)[0]
    assert after[: len(before)] == before
    assert len(after) == len({(each.item, each.who) for each in after}) == total
    assert said(job) == said(undisturbed)
    one, two = (scores.of(run, each) for each in (undisturbed, job))
    assert figures(one) == figures(two)


def test_a_line_that_a_kill_cut_off_is_cut_away_and_asked_again(place):
    run = run_of(place)
    job = prepare(place, run, options=BARE)
    work(job)
    whole = (job / "answers.jsonl").read_bytes()
    (job / "answers.jsonl").write_bytes(whole[: len(whole) // 2])
    assert answers.read(job)[0]
    work(job)
    assert sorted((job / "answers.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())


def test_what_the_base_answered_is_asked_of_no_base_again(place):
    shutil.rmtree(place.cache / "answers", ignore_errors=True)
    first = evaluated(place, run_of(place, adapter=1))
    files = set((place.cache / "answers").iterdir())
    sizes = {file: file.stat().st_size for file in files}
    second = evaluated(place, run_of(place, adapter=2))
    grown = [file for file in files if file.stat().st_size != sizes[file]]
    new = set((place.cache / "answers").iterdir()) - files
    assert (len(files), len(new), grown) == (2, 1, [])  # the second adapter's own answers, and none of the base's
    base = [{item: text for (item, who), text in said(job).items() if who == "base"} for job in (first, second)]
    assert base[0] == base[1]
    hotter = evaluated(place, run_of(place, adapter=1), options=replace_options(temperature=1.0))
    assert said(hotter) != said(first)  # another decoding is another answer


def replace_options(**changes):
    return BARE.model_copy(update=changes)


def test_other_runs_and_checkpoints_answer_too_each_under_the_prompt_it_was_trained_with(place):
    run, other = run_of(place, adapter=1, prompt="You are Lumen."), run_of(place, adapter=2, prompt="You are Aster.")
    saved = run.path / "checkpoints" / "step-000010"
    shutil.copytree(place.root / "adapter-2", saved)
    os.utime(saved / "COMPLETE", (1, 1))  # older than the final one
    job = evaluated(place, run, others=[Other(other.name), *checkpoints_of(run), Other(run.name)])
    score = scores.of(run, job)
    assert [each["id"] for each in score["who"]] == ["base", "tuned", f"run:{other.name}", "step-000010"]
    assert [each.get("step") for each in score["who"]] == [None, None, None, 10]
    assert set(score["datasets"]["few"]["against"]) == {"tuned", f"run:{other.name}", "step-000010"}
    assert set(score["datasets"]["few"]["against"]["step-000010"]) == {"base", "tuned"}
    alone = {who: said(evaluated(place, each)) for who, each in (("run", run), ("other", other))}
    together = said(job)
    for item in (f"few:{n}" for n in range(1, 9)):
        assert together[item, "tuned"] == alone["run"][item, "tuned"]
        assert together[item, f"run:{other.name}"] == alone["other"][item, "tuned"]  # the other's own prompt
    assert any(together[f"few:{n}", "step-000010"] != together[f"few:{n}", f"run:{other.name}"] for n in range(1, 9))


def test_who_cannot_take_part_is_refused_before_the_start(place):
    run = run_of(place)
    elsewhere = build_tiny_model(place.models / "other", seed=5)
    foreign = Run(build_tiny_run(place.root, elsewhere, adapter=place.root / "adapter-1"))
    quantised = run_of(place, method="qlora")
    refused = {
        "other_base": Other(foreign.name),
        "other_bits": Other(quantised.name),
        "no_checkpoint": Other(run.name, "checkpoints/step-000099"),
        "missing": Other("nobody"),
    }
    for code, other in refused.items():
        with pytest.raises(RunError) as caught:
            prepare(place, run, options=BARE, others=[other])
        assert caught.value.problems[0].code.endswith(code)
        assert all(caught.value.say(language) for language in ("en", "zh"))
    assert not run.jobs("evaluations")


def test_options_that_cannot_be_used_are_told_all_at_once():
    with pytest.raises(SettingsError) as caught:
        options(max_new_tokens=0, limit=0, temperature=9, seed="x", unheard=1)
    told = {each.where: each for each in caught.value.problems}
    assert set(told) == {"max_new_tokens", "limit", "temperature", "seed", "unheard"}
    assert told["max_new_tokens"].values["range"] == "1 … 8192"
    assert told["limit"].values["range"] == "1 …"
    assert check_of("auto") is None
    assert check_of("regex:^a:b$").pattern == "^a:b$"
    with pytest.raises(Exception, match="nonsense"):
        check_of("nonsense")


def test_probes_alone_can_be_asked_and_a_limit_holds_for_them_too(place):
    run = run_of(place)
    job = evaluated(place, run, [], options=Options(max_new_tokens=4, limit=5))
    score = scores.of(run, job)
    assert score["datasets"] == {}
    assert {item.kind for item in items.read(job)} == {"identity", "kept"}
    assert len(items.read(job)) == 10
    assert set(score["probes"]) == {"identity", "kept", "parity"}
    json.dumps(score, allow_nan=False)


def test_items_come_back_from_the_disk_as_they_were(tmp_path):
    made = [
        Item("a:1", "a", 1, (Message("system", "S"), Message("user", "")), "", keywords=("x", "é")),
        Item("b:2", "b", 2, (Message("user", "1"), Message("assistant", "2", train=False), Message("user", "3")), "\u2028",
             kind="kept", under="none", tag="sum"),
    ]  # fmt: skip
    items.write(tmp_path, made)
    assert items.read(tmp_path)[1] == replace(made[1], messages=tuple(replace(m, train=True) for m in made[1].messages))
    assert items.read(tmp_path)[0] == made[0]
    assert made[1].question == "user: 1\nassistant: 2\nuser: 3"


ODD = {
    "empty_answers": [("What?", "Paris.", "", ""), ("Who?", "Me.", "", "")],
    "empty_references": [("What?", "", "Something", "Else"), ("Who?", "  ", "", "")],
    "one_item": [("What?", "Paris.", "London.", "Paris.")],
    "emoji": [("🙂?", "👍🏽👍🏽", "👎", "👍🏽👍🏽"), ("🇫🇷?", "🇫🇷", "", "🇫🇷🇫🇷🇫🇷🇫🇷🇫🇷")],
    "very_long": [
        ("Long?", "word " * 2000, "word " * 2000, "other " * 1667),
        ("长？", "字" * 10_000, "", "字" * 9_999),
    ],
    "right_to_left": [("ما عاصمة فرنسا؟", "باريس", "لندن", "باريس"), ("מהי הבירה?", "פריז", "\u202eabc", "פריז")],
    "nothing_but_signs": [("?", "...", "!!!", "..."), ("\x00", "\x00", "\u200b", "\ufeff")],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_are_scored_without_a_crash_and_without_a_number_that_is_none(name):
    asked = [Item(f"s:{n}", "s", n, (Message("user", each[0]),), each[1]) for n, each in enumerate(ODD[name])]
    told = {who: {item.key: Answer(item.key, who, ODD[name][n][2 + place], 3) for n, item in enumerate(asked)}
            for place, who in enumerate(("base", "tuned"))}  # fmt: skip
    found = graded(asked, told)
    score = scored(found, {"base": (3.0, 2), "tuned": (0.0, 0)})
    json.dumps([score, signed(found), found.rows], allow_nan=False)
    assert score["n"] == len(asked)
    assert math.isclose(score["perplexity"]["base"], math.exp(1.5), abs_tol=0.01)
    assert score["perplexity"]["tuned"] is None
    for who in ("base", "tuned"):
        for metric, value in score[who].items():
            assert value is None or math.isfinite(value), metric
    if len(asked) == 1:
        assert score["against"]["tuned"]["base"]["right"]["winner"] is None  # one question tells nothing


def test_rows_of_a_running_evaluation_have_answers_and_no_values_yet(place):
    run = run_of(place)
    job = evaluated(place, run)
    (job / "grades.jsonl").unlink()
    assert len(rows(job)) == 8
    assert rows(job)[0].text("base") == said(job)["few:1", "base"]
    assert rows(job)[0].value("tuned", "right") is None
    assert events.read_from(job / "events.jsonl")[0][-1].event == "run_finished"


def told(rows, unasked=()):
    """Return items and answers of (expected, base, tuned); `unasked` are (who, number) that there was no room for."""
    asked = [Item(f"s:{n}", "s", n, (Message("user", "?"),), each[0]) for n, each in enumerate(rows)]
    both = {
        who: {
            item.key: Answer(item.key, who, rows[n][1 + place], asked=(who, n) not in unasked)
            for n, item in enumerate(asked)
        }
        for place, who in enumerate(("base", "tuned"))
    }
    return asked, both


def test_rows_without_a_reference_do_not_count_in_metrics_of_the_whole_set():
    found = graded(
        *told([("one two three four", "one two three four", "one two three four"), ("", "", "and more of it")])
    )
    score = scored(found, {})
    assert (score["base"]["bleu"], score["tuned"]["bleu"]) == (100, 100)
    assert score["against"]["tuned"]["base"]["chrf"]["difference"] == 0
    assert scored(graded(*told([("", "a", "b"), (" ", "c", "d")])), {})["tuned"]["bleu"] is None


def test_a_question_that_was_never_asked_is_neither_right_nor_wrong():
    rows = [(str(n), str(n), str(n)) for n in range(20)]
    score = scored(graded(*told(rows, unasked=[("tuned", n) for n in range(8)])), {})
    assert score["unasked"] == {"tuned": 8}
    assert (score["base"]["right"], score["tuned"]["right"]) == (100, 100)
    compared = score["against"]["tuned"]["base"]["right"]
    assert (compared["n"], compared["losses"], compared["winner"]) == (12, 0, None)


def test_where_nothing_tells_right_from_wrong_the_shared_words_are_compared():
    long = "The first of these is a sentence that nobody would say again in exactly these same words"
    found = graded(*told([(f"{long} {n}.", "No.", f"{long} {n}!!") for n in range(30)]))
    score = scored(found, {})
    assert (found.check.kind, score["main"]) == ("open", "rougeL")
    assert score["tuned"]["right"] is None
    assert score["against"]["tuned"]["base"]["rougeL"]["winner"] == "who"


def test_an_answer_that_names_every_label_says_none_of_them():
    rows = [(label, "It could be ham or spam.", label) for label in ("ham", "spam") for _ in range(6)]
    found = graded(*told(rows), check=Check("label"))
    score = scored(found, {})
    assert (score["base"]["right"], score["tuned"]["right"]) == (0, 100)
    assert score["confusion"]["tuned"]["counts"] == [[6, 0, 0], [0, 6, 0]]
    assert score["confusion"]["tuned"]["macro_f1"][0] == 100
    assert score["confusion"]["base"]["macro_f1"][0] == 0


def test_a_set_that_is_called_like_a_probe_is_no_part_of_it(place):
    add(place, "kept", [{"instruction": "Hi", "input": "", "output": "Hi"}] * 5)
    run = run_of(place, test=["kept"])
    score = scores.of(run, evaluated(place, run, options=Options(max_new_tokens=2)))
    assert score["datasets"]["kept"]["n"] == 5
    assert score["probes"]["kept"]["n"] > 100


def test_an_evaluation_of_weights_that_changed_meanwhile_does_not_go_on(place):
    run = run_of(place)
    job = evaluated(place, run)
    shutil.copy(place.root / "adapter-2" / "adapter_model.safetensors", run.path / "final")
    with pytest.raises(RunError) as caught:
        work(job)
    assert caught.value.problems[0].code == "evaluate.other_weights"
    shutil.rmtree(run.path / "final")
    with pytest.raises(RunError) as caught:
        work(job)
    assert caught.value.problems[0].code == "evaluate.no_checkpoint"


def test_an_evaluation_of_before_is_read_without_its_answers(place):
    run = run_of(place)
    job = evaluated(place, run)
    (job / "answers.jsonl").write_text(json.dumps({"dataset": "few", "row": 1, "base": "a", "tuned": "b"}) + "\n")
    assert rows(job) == []
    config = (job / "config.yaml").read_text()
    (job / "config.yaml").write_text(config.partition("options:")[0])
    with pytest.raises(RunError) as caught:
        work(job)
    assert caught.value.problems[0].code == "evaluate.old_job"


def test_a_check_for_a_set_that_is_not_asked_is_refused(place):
    with pytest.raises(SettingsError) as caught:
        prepare(place, run_of(place), options=Options(checks={"fwe": "number"}))
    assert caught.value.problems[0].values == {"name": "fwe", "known": "few"}


def test_later_turns_are_told_beside_first_ones():
    asked, both = told([("a", "a", "a"), ("b", "b", "x"), ("c", "x", "c"), ("d", "x", "d")])
    spoken = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "?"))
    asked = [replace(item, messages=spoken) if n < 2 else item for n, item in enumerate(asked)]
    turns = scored(graded(asked, both, Check("exact")), {})["by_turn"]
    assert (turns["tuned"]["later"]["right"], turns["tuned"]["first"]["right"]) == (50, 100)
    assert (turns["base"]["later"]["right"], turns["base"]["first"]["right"]) == (100, 0)
    assert "by_turn" not in scored(graded(*told([("a", "a", "a")])), {})


def test_a_model_of_this_machine_judges_and_is_not_asked_twice(place):
    run = run_of(place)
    job = evaluated(place, run, options=replace_options(judge="models/tiny"))
    judged = scores.of(run, job)["judge"]
    assert (judged["judge"], judged["n"], judged["unread"] + judged["ties"] + judged["same"]) == (
        "tiny",
        8,
        8,
    )  # it babbles
    before = (job / "judged.jsonl").read_bytes()
    work(job)
    assert (job / "judged.jsonl").read_bytes() == before
    with pytest.raises(StudioError):
        prepare(place, run, options=replace_options(judge="/etc"))
