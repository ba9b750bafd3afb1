"""What a diagnosis says: each rule on a run in which it is right, and on one that narrowly does not deserve it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from core.data.identity_sets import identity_sets
from core.data.registry import Registry
from core.diagnose.finding import Finding
from core.diagnose.rules import ASKED_OTHERWISE, RULES, diagnose
from core.evaluate.answers import Answer
from core.evaluate.items import Item
from core.evaluate.rows import Row
from core.records import Message
from core.runs.directory import Run
from core.settings import from_dict
from core.wording import has, languages, table, words
from core.workspace import Workspace
from tests.finished_runs import finished_run, log, step_finished

BATCH = 16
TRAINED = ("identity_lumen", "desk", "general")
SOURCES = {"identity_lumen": (94, 1260), "desk": (322, 4582), "general": (544, 7561)}  # rows and learnt tokens


@pytest.fixture
def workspace(tmp_path):
    workspace = Workspace.at(tmp_path)
    add(workspace, "identity_lumen", [(f"Who are you, {n}?", "I am Lumen.") for n in range(100)])
    return workspace


def add(workspace, name, pairs):
    file = workspace.data / f"{name}.json"
    file.write_text(json.dumps([{"instruction": asked, "output": said} for asked, said in pairs]), encoding="utf-8")
    return Registry(workspace).add(file, name=name)


def against(
    base: float, tuned: float, sure: bool | None = None, n: int = 126, needed: int | None = None
) -> dict[str, Any]:
    """A comparison; without being told it is sure from ten points on."""
    difference = round(tuned - base, 2)
    sure = abs(difference) >= 10 if sure is None else sure
    winner = ("who" if difference > 0 else "other") if sure and difference else None
    half = abs(difference) / 2 if winner else abs(difference) + 3
    return {"difference": difference, "low": difference - half, "high": difference + half, "p": 0.01 if winner else 0.4,
            "wins": 1, "ties": 1, "losses": 1, "n": n, "needed": needed, "winner": winner}  # fmt: skip


def asked(base: float, tuned: float, n: int = 126, **told: Any) -> dict[str, Any]:
    """The score of a data set. `told`: further metrics as (base, tuned), and arguments of `against`."""
    pairs = {name: told.pop(name) for name in list(told) if isinstance(told[name], tuple)}
    others = {name: against(*pair, sure=True, n=n) for name, pair in pairs.items()}
    return {
        "n": n,
        "main": "right",
        "base": {"right": base, **{name: pair[0] for name, pair in pairs.items()}},
        "tuned": {"right": tuned, **{name: pair[1] for name, pair in pairs.items()}},
        "against": {"tuned": {"base": {"right": against(base, tuned, n=n, **told), **others}}},
    }


def identity(right: int, leaked: int = 0, verdict: str = "right", **under: int) -> dict[str, Any]:
    """The summary of the identity probe: so many of 40 questions right under the trained prompt, and under others."""
    by_under = {name: {"n": 40, "right": count, "leaked": 0} for name, count in {"trained": right, **under}.items()}
    tuned = {"n": 40 * len(by_under), "right": right + sum(under.values()), "leaked": leaked, "by_under": by_under}
    return {"who": {"base": {"n": 40, "right": 2, "leaked": 0}, "tuned": {**tuned, "verdict": verdict}}}


def kept(verdict: str = "kept", share: float = 98.0, lost: tuple[str, ...] = ()) -> dict[str, Any]:
    """The summary of the probe of kept abilities."""
    share_kept = {"value": share, "low": share - 4, "high": share + 4}
    told = {"n": 90, "right": 80, "kept": share_kept, "lost": 8, "gained": 2, "abilities_lost": list(lost)}
    by_ability = {
        "sum": {"n": 4, "base": 4, "tuned": 3},
        "day": {"n": 4, "base": 4, "tuned": 1},
        "colour": {"n": 4, "base": 3, "tuned": 4},
    }
    who = {"base": {"n": 90, "right": 84}, "tuned": {**told, "verdict": verdict}}
    return {"n": 100, "who": who, "by_ability": by_ability}


def healthy_sets() -> dict[str, Any]:
    return {"desk_test": asked(0.0, 95.0, rougeL=(20.0, 97.0)), "general_test": asked(98.6, 97.9, n=141, needed=2900)}


def case(
    workspace: Workspace,
    *,
    steps: int = 360,
    losses: list[float] | None = None,
    validated: Mapping[int, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    train: tuple[str, ...] = TRAINED,
    sources: Mapping[str, tuple[int, int]] = SOURCES,
    learnt_under: str | None = None,
    saved: tuple[int, ...] = (),
    accepted: Mapping[str, list[str]] | None = None,
    failed: dict[str, Any] | None = None,
    rows: list[Row] | None = None,
    earlier: dict[str, Any] | None = None,
    **score: Any,
) -> list[Finding]:
    """Diagnose a run that is healthy but for what is given; `score` are parts of its score."""
    registry = Registry(workspace)
    run = finished_run(
        workspace,
        f"run{len(list(workspace.runs.iterdir()))}",
        settings={"data.test": ["desk_test", "general_test"], "batch.global_batch_size": BATCH, "schedule.epochs": 6.0,
                  "optim.learning_rate": 2e-3, **(settings or {})},
        data=[(name, registry.get(name).sha1) for name in train],
        prompt=learnt_under,
        checkpoints=saved,
        plan={"sources": sources_of(sources)},
        findings={name: {"accepted": codes} for name, codes in (accepted or {}).items()},
    )  # fmt: skip
    losses = losses or [0.8 * 0.98**step + 0.02 + 0.01 * (step % 3) for step in range(steps)]
    told: list[dict[str, Any]] = log(0, end="")  # run_started, with 9 examples
    told += [step_finished(number, loss) for number, loss in enumerate(losses, 1)]
    validated = {72: 0.07, 180: 0.02, steps: 0.0201} if validated is None else validated
    told += [{"time": 1.0, "event": "validated", "step": step, "loss": loss} for step, loss in validated.items()]
    ended = {"event": "training_ended", "reason": "done", "step": len(losses), "kept_step": len(losses)}
    told.append({"time": 1.0, **({"event": "run_failed", "problems": [failed]} if failed else ended)})
    run.log.write_text("".join(json.dumps(each) + "\n" for each in told), encoding="utf-8")
    if earlier is not None:
        (run.path / "scores").mkdir()
        (run.path / "scores/earlier.json").write_text(
            json.dumps({**plain(), "job": "earlier", **earlier}), encoding="utf-8"
        )
    return diagnose(workspace, run, {**plain(), **score}, rows or [])


def plain() -> dict[str, Any]:
    """The score of a healthy run."""
    return {
        "job": "now",
        "created": "2026-11-20T13:00:00",
        "adapter": "final",
        "who": [{"id": "base"}, {"id": "tuned", "saved": "final", "step": 360}],
        "datasets": healthy_sets(),
        "probes": {
            "identity": identity(39, none=38, default=36),
            "kept": kept(),
            "parity": {"same": True, "rows": 8, "template_same": True, "system_same": True},
        },
        "prompt": {"name": "none", "same_as_trained": True},
        "decoding": {"max_new_tokens": 64, "temperature": 0.0},
    }


def probes(**changed: Any) -> dict[str, Any]:
    return {"probes": {**plain()["probes"], **changed}}


def sets(**changed: Any) -> dict[str, Any]:
    return {"datasets": {**healthy_sets(), **changed}}


def desk(tuned: float, **told: Any) -> dict[str, Any]:
    return sets(desk_test=asked(0.0, tuned, **told))


def sources_of(given: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    total = sum(tokens for _, tokens in given.values())
    return [{"name": name, "examples": rows, "learnt_tokens": tokens, "exposures": rows, "share": tokens / total}
            for name, (rows, tokens) in given.items()]  # fmt: skip


def said(text: str, expected: str, ended: bool, count: int, start: int = 0) -> list[Row]:
    return [
        Row(Item(f"desk_test:{n}", "desk_test", n, (Message("user", "?"),), expected),
            {"tuned": Answer(f"desk_test:{n}", "tuned", text, 64, ended)}, {})
        for n in range(start + 1, start + count + 1)
    ]  # fmt: skip


def checkpoint_sets(there: float, winner: str | None) -> dict[str, Any]:
    found = asked(0.0, 60.0)
    found["step-000200"] = {"right": there}
    found["against"]["step-000200"] = {"tuned": {"right": {**against(60.0, there), "winner": winner}}}
    return {**sets(desk_test=found),
            "who": [{"id": "step-000200", "saved": "checkpoints/step-000200", "step": 200}]}  # fmt: skip


FLAT = {"validated": {72: 0.5, 180: 0.1, 360: 0.104}}
RISING = {"validated": {72: 0.5, 180: 0.1, 360: 0.106}}
EARLY = {"validated": {59: 0.1, 360: 0.2}}
FORGETS = probes(kept=kept("lost", 70.0, ("sum", "capital")))
ONLY_DESK = {"train": ("desk",), "sources": {"desk": (322, 4582)}}
SURE_LOOPS = sets(desk_test=asked(0.0, 95.0, loops=(0.0, 11.0)))
CASES = [
    pytest.param(
        "few_steps",
        {"steps": 59, **desk(1.6)},
        {"steps": 60, **desk(1.6)},
        id="59_steps_that_taught_nothing_are_too_few_and_60_are_not",
    ),
    pytest.param(
        "few_steps",
        {"steps": 18, **desk(24.9)},
        {"steps": 18, **desk(25.0)},
        id="few_steps_that_taught_much_are_enough",
    ),
    pytest.param(
        "few_steps",
        {"steps": 18, **probes(identity=identity(11))},
        {"steps": 18, **probes(identity=identity(12))},
        id="few_steps_show_in_the_identity_as_well",
    ),
    pytest.param(
        "diverged",
        {"losses": [1.0, 1.02] * 100 + [1.3, 1.32] * 15},
        {"losses": [1.0, 1.02] * 100 + [1.2, 1.22] * 15},
        id="a_loss_that_ends_a_quarter_above_its_lowest_came_apart",
    ),
    pytest.param(
        "diverged",
        {"losses": [1.0, 1.02] * 100 + [1.3, 1.32] * 15},
        {"losses": [0.2, 1.8] * 100 + [0.5, 2.1] * 15},
        id="a_loss_that_is_noisy_has_not_come_apart",
    ),
    pytest.param(
        "diverged",
        {"losses": [1.0] * 40, "failed": {"code": "train.not_finite", "values": {"step": 41}}},
        {"losses": [1.0] * 40, "failed": {"code": "train.out_of_memory", "values": {}}},
        id="a_loss_that_is_no_number",
    ),
    pytest.param(
        "overfit_early",
        {**EARLY, **FORGETS},
        {**FORGETS, "validated": {60: 0.1, 360: 0.2}},
        id="a_best_validation_within_the_first_59_steps_is_no_place_to_go_back_to",
    ),
    pytest.param(
        "overfit",
        {**RISING, **FORGETS, "saved": (180,)},
        {**FLAT, **FORGETS, "saved": (180,)},
        id="a_validation_that_rose_by_6_percent_is_learning_by_heart_and_by_4_is_not",
    ),
    pytest.param("overfit", {**RISING, **FORGETS}, RISING, id="a_rising_validation_alone_does_no_harm"),
    pytest.param(
        "better_checkpoint",
        checkpoint_sets(80.0, "who"),
        checkpoint_sets(66.0, None),
        id="a_checkpoint_is_better_only_by_more_than_chance",
    ),
    pytest.param(
        "other_prompt",
        {"prompt": {"name": "assistant", "same_as_trained": False}, **desk(20.0)},
        {"prompt": {"name": "assistant", "same_as_trained": False}},
        id="another_prompt_that_does_no_harm_is_none",
    ),
    pytest.param(
        "one_prompt_only",
        probes(identity=identity(40, verdict="only_under_prompt", none=12)),
        probes(identity=identity(40, verdict="partly", none=20)),
        id="right_under_the_trained_prompt_alone",
    ),
    pytest.param(
        "other_template",
        probes(parity={"same": False, "rows": 8, "template_same": False, "system_same": True}),
        probes(parity={"same": False, "rows": 8, "template_same": True, "system_same": False}),
        id="another_template_is_told_and_another_system_prompt_is_not_one",
    ),
    pytest.param(
        "identity_seldom",
        {
            **probes(identity=identity(2)),
            "sources": {"identity_lumen": (88, 600), "general": (9000, 130_000)},
            "steps": 3400,
        },
        {
            **probes(identity=identity(2)),
            "sources": {"identity_lumen": (88, 700), "general": (9000, 130_000)},
            "steps": 3400,
        },
        id="88_rows_that_are_less_than_half_a_percent_are_too_few",
    ),
    pytest.param(
        "forgot",
        {**FORGETS, **ONLY_DESK},
        {**probes(kept=kept("slightly", 93.0)), **ONLY_DESK},
        id="abilities_that_were_lost_without_general_data",
    ),
    pytest.param(
        "forgot",
        {**FORGETS, "sources": {"desk": (322, 9100), "general": (64, 1000)}},
        {**FORGETS, "sources": {"desk": (322, 9000), "general": (64, 1000)}},
        id="a_tenth_of_general_data_is_not_little",
    ),
    pytest.param(
        "forgot_in_spite",
        FORGETS,
        probes(kept=kept("slightly", 93.0)),
        id="abilities_that_were_lost_in_spite_of_replay",
    ),
    pytest.param(
        "style_not_facts",
        desk(4.0, rougeL=(20.0, 30.0)),
        desk(4.0, rougeL=(20.0, 29.9)),
        id="ten_points_of_overlap_and_no_right_answer_are_style",
    ),
    pytest.param(
        "style_not_facts",
        desk(4.0, rougeL=(20.0, 60.0)),
        desk(5.0, sure=True, rougeL=(20.0, 60.0)),
        id="facts_that_come_are_no_style",
    ),
    pytest.param(
        "cut_off",
        {"rows": said("short", "a longer answer", False, 11) + said("ok", "ok", True, 89, 11)},
        {"rows": said("short", "a longer answer", False, 10) + said("ok", "ok", True, 90, 10)},
        id="more_than_one_answer_in_ten_cut_off_before_it_was_long_enough",
    ),
    pytest.param(
        "never_stops",
        {"rows": said("on and on and on", "short", False, 11) + said("ok", "ok", True, 89, 11)},
        {"rows": said("on and on and on", "short", False, 10) + said("ok", "ok", True, 90, 10)},
        id="answers_longer_than_expected_that_did_not_end",
    ),
    pytest.param("loops", SURE_LOOPS, desk(95.0, loops=(0.0, 9.9)), id="more_than_one_answer_in_ten_goes_round"),
    pytest.param("loops", SURE_LOOPS, desk(95.0, loops=(30.0, 11.0)), id="a_base_that_went_round_more_is_no_news"),
    pytest.param(
        "hot",
        {"decoding": {"max_new_tokens": 64, "temperature": 0.5}, "earlier": {}, **desk(90.0)},
        {"decoding": {"max_new_tokens": 64, "temperature": 0.5}, "earlier": {}, **desk(90.1)},
        id="the_same_model_asked_greedily_is_five_points_better",
    ),
    pytest.param(
        "hot_unknown",
        {"decoding": {"max_new_tokens": 64, "temperature": 0.7}, **desk(45.0)},
        {"decoding": {"max_new_tokens": 64, "temperature": 0.69}, **desk(45.0)},
        id="hot_and_wrong",
    ),
    pytest.param(
        "too_few_to_tell",
        sets(desk_test=asked(60.0, 66.0, n=50, needed=400)),
        sets(desk_test=asked(60.0, 64.9, n=50, needed=700)),
        id="a_difference_of_six_points_that_fifty_questions_cannot_tell",
    ),
    pytest.param(
        "leaked",
        {**sets(desk=asked(0.0, 99.0))},
        {**sets(desk_format2=asked(0.0, 99.0))} | {"train": TRAINED[:1]},
        id="a_test_that_was_learnt",
    ),
]


@pytest.mark.parametrize(("code", "fires", "narrowly_not"), CASES)
def test_a_rule_fires_where_it_is_right_and_narrowly_does_not_where_it_is_not(workspace, code, fires, narrowly_not):
    assert code in {each.code for each in case(workspace, **fires)}
    assert code not in {each.code for each in case(workspace, **narrowly_not)}


def test_a_healthy_run_hears_nothing(workspace):
    assert case(workspace) == []


@pytest.mark.parametrize("code", sorted({each.values[0] for each in CASES}))
def test_every_finding_has_its_words_with_its_numbers_in_every_language(workspace, code):
    fires = next(each.values[1] for each in CASES if each.values[0] == code)
    finding = next(each for each in case(workspace, **fires) if each.code == code)
    for language in languages():
        claim, evidence, action = finding.sentences(words(language))
        assert all((claim, evidence, action))
        assert any(character.isdigit() for character in claim), claim
    assert json.loads(json.dumps(finding.to_dict(), allow_nan=False))["code"] == code


@pytest.mark.parametrize(("code", "fires", "narrowly_not"), CASES)
def test_what_a_finding_changes_are_settings_that_can_be_trained(workspace, code, fires, narrowly_not):
    for finding in case(workspace, **fires):
        assert from_dict({"data": {"train": ["desk"]}}, finding.changes)
        assert finding.changes or finding.ask or finding.adapter or finding.prompt or has(f"diagnosis.{code}.action")


def test_every_claim_that_has_words_is_tried_here_or_below():
    told = {key.split(".")[1] for key in table("en") if key.startswith("diagnosis.") and key.endswith(".claim")}
    assert told == {each.values[0] for each in CASES} | {"sets_contradict", "contradictions", "other_identity"}
    assert len(told) >= len(ASKED_OTHERWISE) + len(RULES)


def only(findings: list[Finding], code: str) -> Finding:
    (found,) = [each for each in findings if each.code == code]
    return found


def test_too_few_steps_ask_for_a_smaller_batch_first_since_that_costs_no_time(workspace):
    eighteen = {"steps": 18, **sets(desk_test=asked(0.0, 0.0))}
    large = {"batch.global_batch_size": 160, "schedule.epochs": 3.0}  # 960 rows a pass: 18 steps
    assert only(case(workspace, **eighteen, settings=large), "few_steps").changes == {"batch.global_batch_size": 16}
    capped = {"schedule.max_steps": 18}
    assert only(case(workspace, **eighteen, settings=capped), "few_steps").changes == {"schedule.max_steps": None}
    few = {
        **eighteen,
        "sources": {"identity_lumen": (30, 400)},
    }  # of 8 rows a step, 120 steps are 32 passes over 30 rows
    found = only(case(workspace, **few, settings={"schedule.epochs": 3.0}), "few_steps")
    assert found.changes == {"batch.global_batch_size": 8, "schedule.epochs": 32.0}
    assert (
        "18 optimizer steps; right on desk_test went from 0 % to 0 % (126 questions)" in found.sentences(words("en"))[0]
    )


def test_an_overfit_run_points_at_its_best_checkpoint_if_that_is_saved_and_trains_only_so_long_next_time(workspace):
    saved = only(case(workspace, **RISING, **FORGETS, saved=(180,)), "overfit")
    assert saved.adapter == "checkpoints/step-000180"
    assert only(case(workspace, **RISING, **FORGETS, saved=(50,)), "overfit").adapter is None
    assert saved.changes == {"schedule.epochs": 3.0, "schedule.patience": 3}  # 180 of 360 steps, of six passes
    worse = only(case(workspace, **RISING, **sets(general_test=asked(98.6, 80.0))), "overfit")
    assert worse.values["worse"] == ["general_test"]


def test_a_run_that_overfits_before_it_has_learnt_anything_is_trained_with_a_lower_rate(workspace):
    found = only(case(workspace, **EARLY, **FORGETS, saved=(59,)), "overfit_early")
    assert (found.adapter, found.changes) == (None, {"optim.learning_rate": 5e-4})  # a quarter of 2e-3


def test_a_run_that_forgot_in_spite_of_replay_is_trained_with_half_the_rate(workspace):
    assert only(case(workspace, **FORGETS), "forgot_in_spite").changes == {"optim.learning_rate": 1e-3}


def test_a_checkpoint_that_is_worse_at_another_set_is_not_better(workspace):
    score = checkpoint_sets(80.0, "who")
    general = score["datasets"]["general_test"]
    general["step-000200"] = {"right": 60.0}
    general["against"]["step-000200"] = {"tuned": {"right": against(97.9, 60.0)}}
    assert not case(workspace, **score)


def test_what_was_forgotten_is_shown_again_in_a_fifth_of_the_rows(workspace):
    found = only(case(workspace, **FORGETS, **ONLY_DESK), "forgot")
    assert found.changes == {"data.train": ["desk", "general"], "data.weights": {"general": 0.14}}  # 322 / 4 of 570
    assert found.values["abilities"] == ["ability.sum", "ability.capital"]
    unclear = only(
        case(workspace, **probes(kept=kept("lost", 70.0)), **ONLY_DESK), "forgot"
    )  # no single ability is sure
    assert unclear.values["abilities"] == ["ability.day", "ability.sum"]


def test_an_identity_that_hangs_on_a_prompt_is_trained_without_one(workspace):
    hangs = probes(identity=identity(40, verdict="only_under_prompt", none=3, default=8))
    found = only(case(workspace, **hangs, learnt_under="You are Lumen."), "one_prompt_only")
    assert found.changes == {"prompt.name": "none", "prompt.version": None, "prompt.blanks": {}}
    assert (found.values["trained"], found.values["there"], found.prompt) == (100.0, 7.5, "ours")
    assert only(case(workspace, **hangs), "one_prompt_only").changes == {}


def test_a_longest_answer_that_is_too_short_is_made_as_long_as_what_was_expected_and_a_quarter_more(workspace):
    rows = said("x" * 100, "y" * 300, False, 20)  # 64 tokens are 100 characters; 300 are 192, and a quarter is 240
    found = only(case(workspace, rows=rows), "cut_off")
    assert found.ask == {"max_new_tokens": 256}
    assert not found.changes
    assert not case(workspace, rows=rows[:2] + said("ok", "ok", True, 3, 20))  # two may be odd questions


def test_two_identities_in_one_mixture_contradict_each_other(workspace):
    registry = Registry(workspace)
    train = [identity_sets(registry, name, maker)[0].name for name, maker in (("Nova", "Sun"), ("Vega", "Moon"))]
    wrong = probes(identity=identity(20))
    tests = {"data.test": ["identity_vega_test"], "data.weights": {"identity_nova": 2.0}}
    found = only(case(workspace, train=tuple(train), settings=tests, **wrong), "sets_contradict")
    assert found.values["count"] == 100
    assert found.values["one"] != found.values["two"]
    assert found.changes == {"data.train": [train[1]], "data.weights": {}}  # the one that is tested for stays
    assert not case(workspace, train=tuple(train), settings=tests)  # the answers are right in spite of it


def test_sets_that_answer_fewer_than_one_question_in_twenty_differently_do_not_contradict(workspace):
    add(workspace, "first", [(f"Question {n}?", f"Answer {n}.") for n in range(120)])
    for count in (5, 6):
        add(workspace, f"other{count}", [(f"Question {n}?", "Another.") for n in range(count)]
            + [(f"Question {n}?", f"answer {n}") for n in range(count, 120)])  # fmt: skip
    wrong = sets(desk_test=asked(0.0, 40.0, rougeL=(20.0, 25.0)))
    assert not case(workspace, train=("first", "other5"), **wrong)
    found = only(case(workspace, train=("first", "other6"), **wrong), "sets_contradict")
    assert (found.values["count"], found.values["question"]) == (6, "Question 0?")


def test_rows_that_contradict_each_other_are_told_when_answers_are_wrong(workspace):
    rows = [(f"Question {n}?", f"Answer {n}.") for n in range(95)]
    for count in (5, 6):
        add(workspace, f"desk{count}", [*rows[: 100 - count], *[(f"Question {n}?", "Another.") for n in range(count)]])
    wrong = sets(desk_test=asked(0.0, 60.0))
    known = {name: ["contradictions", "near_duplicates"] for name in ("desk5", "desk6")}
    assert not case(workspace, train=("desk5",), accepted=known, **wrong)
    found = only(case(workspace, train=("desk6",), accepted=known, **wrong), "contradictions")
    assert (found.values["set"], found.values["count"], found.values["rows"]) == ("desk6", 6, 100)
    assert not case(workspace, train=("desk6",), accepted=known)  # nearly all answers are right


def test_rows_of_another_maker_are_told_when_the_identity_is_wrong(workspace):
    add(
        workspace,
        "chat",
        [(f"Question {n}?", "I am ChatGPT, made by OpenAI.") for n in range(3)] + [("Hi", "Hello.")] * 60,
    )
    known = {"chat": ["other_identity"]}
    train = ("identity_lumen", "chat")
    found = only(
        case(workspace, train=train, accepted=known, **probes(identity=identity(30, leaked=4))), "other_identity"
    )
    assert (found.values["count"], found.values["names"], found.values["leaked"]) == (3, "ChatGPT", 4)
    assert not case(workspace, train=train, accepted=known)
    assert not case(workspace, train=train, **probes(identity=identity(30, leaked=4)))  # nothing like it was found


def test_a_test_set_that_was_chosen_later_is_compared_with_what_was_learnt(workspace):
    for count in (10, 11):
        learnt = [(f"Who are you, {n}?", "I am Lumen.") for n in range(count)]
        add(workspace, f"new{count}", learnt + [(f"Question {n}?", f"Answer {n}.") for n in range(100 - count)])
    assert not case(workspace, **sets(new10=asked(0.0, 99.0, n=100)))
    found = only(case(workspace, **sets(new11=asked(0.0, 99.0, n=100))), "leaked")
    assert (found.values["rows"], found.values["set"], found.values["n"]) == (11, "identity_lumen", 100)
    assert found.changes == {"data.test": ["desk_test", "general_test"]}


def test_a_run_that_was_asked_otherwise_than_it_was_trained_is_told_nothing_else(workspace):
    other = {"prompt": {"name": "assistant", "same_as_trained": False}}
    assert [each.code for each in case(workspace, steps=18, **other, **desk(2.0))] == ["other_prompt"]


def test_what_makes_a_run_useless_comes_before_what_makes_it_worse(workspace):
    findings = case(workspace, steps=18, **sets(desk_test=asked(0.0, 2.0), general_test=asked(60.0, 66.0, n=40, needed=400)),
                    rows=said("short", "a longer answer", False, 20))  # fmt: skip
    assert [each.code for each in findings] == ["few_steps", "cut_off", "too_few_to_tell"]


def test_a_run_whose_data_model_and_plan_are_gone_can_still_be_diagnosed(workspace):
    found = case(workspace, steps=18, train=("identity_lumen",), sources={}, **sets(desk_test=asked(0.0, 0.0)))
    assert only(found, "few_steps").changes == {"batch.global_batch_size": 8, "schedule.epochs": 107.0}  # 960 of 9 rows
    Registry(workspace).remove("identity_lumen")
    run = next(workspace.runs.iterdir())
    assert diagnose(workspace, Run(run), plain()) == []
