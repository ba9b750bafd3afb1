"""What a report says and holds: sentences, pictures, answers; whatever is in them, it is one file that runs nothing."""

import json
import re
from html.parser import HTMLParser

import pytest

from core.evaluate import scores, votes
from core.evaluate.in_words import (
    called,
    comparison,
    figure,
    headline,
    identity_words,
    judge_words,
    kept_words,
    outcome,
    parity_words,
    signed,
    votes_words,
)
from core.evaluate.report import FIGURES, write_report
from core.evaluate.report.pictures import axis, interval
from core.evaluate.rows import rows
from core.runs.directory import Run
from core.wording import words
from core.workspace import PROJECT, Workspace
from tests.finished_runs import finished_run
from tests.scored import Told, write_evaluation

EN, ZH = words("en"), words("zh")
STEPS = (50, 100)
NASTY = ["<script>alert(1)</script>", "</style></main>", '" onload="x', "\u202etfel ot thgir", "שלום",
         "\U0001f469\u200d\U0001f4bb", "nul\x00l \x1b[31m", "&amp;", "长" * 10_000]  # fmt: skip


class Parsed(HTMLParser):
    """The elements of a page, checked for being closed in the order in which they were opened."""

    VOID = {"meta", "path", "rect", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.links = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [value for name, value in attrs if name in ("href", "src", "action", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self):
        return "".join(self.texts)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    workspace = Workspace.at(tmp_path_factory.mktemp("workspace"))
    return write_evaluation(finished_run(workspace, "lumen").path, steps=STEPS)


@pytest.fixture(scope="module")
def score(job):
    return scores.of(Run(job.parent.parent), job)


@pytest.fixture(scope="module")
def pages(job, score, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    return {t("language.code"): write_report(job, score, t, folder / f"{t('language.code')}.html") for t in (EN, ZH)}


def compared(difference, low, high, **more):
    winner = None if low is None or low <= 0 <= high else "who" if low > 0 else "other"
    return {"difference": difference, "low": low, "high": high, "p": 0.1, "wins": 102, "ties": 24, "losses": 0, "n": 126,
            "needed": None, "winner": winner} | more  # fmt: skip


def scored_as(told, base=0.0, tuned=81.0, metric="right"):
    against = {"tuned": {"base": {metric: told}}} if told else {}
    values = {"n": 126, "main": metric, "base": {metric: base}, "tuned": {metric: tuned}, "against": against}
    return {"datasets": {"desk_test": values}}


def test_the_headline_tells_both_the_difference_and_how_sure_it_is():
    told = scored_as(compared(80.95, 73.6, 86.9))
    assert headline(told, "desk_test", "tuned", "base", EN) == (
        "Tuned is right on 81 % of desk_test, base on 0 %: +81 points (95 %: 74 to 87). 102 better, 0 worse, 24 the same."
    )
    assert "微调模型答对 81 %，基座模型答对 0 %，相差 +81 个百分点（95 % 区间 74 至 87）" in headline(
        told, "desk_test", "tuned", "base", ZH
    )


def test_the_headline_names_no_winner_when_the_interval_contains_0():
    told = scored_as(compared(2.4, -3.2, 8.0, needed=1234), 79.0, 81.4)
    said = headline(told, "desk_test", "tuned", "base", EN)
    assert said.startswith(
        "Tuned is right on 81 % of desk_test, base on 79 %. No difference that can be told apart from chance"
    )
    assert "(95 %: \u22123.2 to +8.0 points)" in said
    assert said.endswith("About 1,234 questions would be needed to tell one of this size.")
    assert "better" not in said


def test_the_headline_of_a_loss_has_negative_figures_and_one_without_comparison_only_values():
    assert "\u221212 points (95 %: \u221220 to \u22124.0)" in headline(
        scored_as(compared(-12, -20, -4)), "desk_test", "tuned", "base", EN
    )
    assert (
        headline(scored_as(None), "desk_test", "tuned", "base", EN)
        == "Tuned is right on 81 % of desk_test, base on 0 %."
    )
    assert (
        headline(scored_as(None, tuned=None), "desk_test", "tuned", "base", EN)
        == "Nothing could be compared on desk_test."
    )
    one = compared(100.0, None, None, winner=None, n=1)
    assert "too few questions for an interval" in headline(scored_as(one), "desk_test", "tuned", "base", EN)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (100, "100"),
        (81.0, "81"),
        (99.6, "99.6"),
        (99.97, "99.97"),
        (9.96, "10.0"),
        (3.21, "3.2"),
        (0.04, "0.04"),
    ],
)
def test_a_percentage_is_never_rounded_to_0_or_100(value, shown):
    assert figure(value) == shown


def test_signs_and_outcomes_are_told():
    assert [signed(x) for x in (0, 12.3, -12.3, 1.25, -0.04)] == ["0", "+12", "\u221212", "+1.2", "\u22120.04"]
    assert outcome(compared(5, 1, 9)) == "better"
    assert outcome(compared(5, 1, 9), higher_is_better=False) == "worse"
    assert outcome(compared(-5, -9, -1)) == "worse"
    assert outcome(compared(5, -1, 9)) == "same"
    assert outcome(compared(5, None, None)) == outcome(None) == "unknown"


def test_contestants_are_called_by_what_they_are():
    ids = ("base", "tuned", "step-000200", "final", "run:old_one", "run:old_one:step-001200")
    assert [called(each, EN) for each in ids] == [
        "base", "tuned", "step 200", "final", "old_one", "old_one, step 1,200",
    ]  # fmt: skip


def test_the_probes_are_told_in_sentences(score):
    probes = score["probes"]
    tuned, base = probes["identity"]["who"]["tuned"], probes["identity"]["who"]["base"]
    said = identity_words(probes["identity"], "tuned", EN)
    assert f"Says its name, Lumen, in {tuned['name']} of {tuned['asked']['name']} answers." in said
    assert f"In {tuned['leaked']} of {tuned['n']} it claims to be somebody else: Qwen" in said
    assert "in 0 of" in identity_words(probes["identity"], "base", EN)
    assert base["name"] == 0
    said = kept_words(probes["kept"], "tuned", EN)
    assert re.search(r"\d+ % kept \(95 %: \d+ to \d+\)", said)
    assert "Lost: Sums, Arithmetic." in said or "Lost: Arithmetic." in said
    assert "1.10 times the base's" in said
    assert "丢失：" in kept_words(probes["kept"], "tuned", ZH)
    assert parity_words(probes["parity"], EN) == "Compared token for token on 10 training rows."


def test_an_identity_that_holds_under_one_prompt_only_says_which():
    counts = {"n": 10, "right": 6, "leaked": 0, "name": 6, "maker": 5, "both": 3, "asked": {"name": 8, "maker": 7, "both": 4},
              "claimed": [], "old": [], "verdict": "only_under_prompt",
              "by_under": {"trained": {"n": 4, "right": 4, "leaked": 0}, "none": {"n": 3, "right": 2, "leaked": 0},
                           "default": {"n": 3, "right": 0, "leaked": 0}}}  # fmt: skip
    summary = {"expected": {"name": "Lumen", "maker": None}, "who": {"tuned": counts}}
    assert identity_words(summary, "tuned", EN) == (
        "Says its name, Lumen, in 6 of 8 answers. "
        "Right in 4 of 4 under the trained system prompt, in 0 of 3 under a plain system prompt."
    )


def test_an_identity_that_nobody_knows_is_told_as_what_it_says():
    told = {"n": 3, "says": {"name": "Qwen", "maker": None}, "verdict": "unchanged"}
    said = identity_words({"expected": {"name": None, "maker": None}, "who": {"tuned": told}}, "tuned", EN)
    assert said.startswith("Says the same of itself as the base: name Qwen, maker none.")


def test_what_was_asked_otherwise_than_trained_says_why():
    parity = {"same": False, "rows": 5, "template_same": True, "system_same": False,
              "differs_at": {"where": "desk.json:1", "token": 3, "trained": "", "asked": ""}}  # fmt: skip
    assert parity_words(parity, EN) == (
        "Asked otherwise than it was trained. The system prompt is another one. "
        "The first token that differs is number 4, row desk.json:1."
    )
    assert parity_words({**parity, "rows": 0, "differs_at": None}, EN) == "No training row could be compared."


def test_votes_and_a_judge_are_told_with_what_they_are_worth():
    agreed = {"n": 20, "same": 18, "share": 90.0, "enough": True}
    tally = {"who": "tuned", "other": "base", "wins": 15, "losses": 5, "win_rate": 75.0, "interval": [53.1, 88.8], "p": 0.04,
             "enough": True, "n": 24, "ties": 3}  # fmt: skip
    said = votes_words({**tally, "both_bad": 1, "metrics": {"right": agreed, "f1": {**agreed, "enough": False}}}, EN)
    assert "15 times for tuned, 5 times for base" in said
    assert "Tuned won 75 % of the decided ones (95 %: 53 to 89)." in said
    assert said.endswith("Of 20 decided pairs in which “Right” differs, it prefers the same answer in 90 %.")
    judged = {**tally, "judge": "host/model", "unsure": 1, "unread": 0, "unread_as": "", "agreement": 95.8,
              "first_bias": 50.0, "metric": {"name": "right", **agreed}}  # fmt: skip
    assert "Both orders agreed on 96 %; the first place was picked 50 % of the time" in judge_words(judged, EN)
    assert "Too few to tell." in judge_words({**judged, "enough": False}, EN)
    assert "could not be read" not in judge_words(judged, EN)
    assert "for example: Hm" in judge_words({**judged, "unread": 2, "unread_as": "Hm"}, EN)


def test_the_report_says_what_the_page_says(score, pages):
    for language, t in (("en", EN), ("zh", ZH)):
        text = Parsed(pages[language].read_text(encoding="utf-8")).text
        for dataset in score["datasets"]:
            assert headline(score, dataset, "tuned", "base", t) in text
        assert identity_words(score["probes"]["identity"], "tuned", t) in text
        assert kept_words(score["probes"]["kept"], "tuned", t) in text
        for view in ("high_score_wrong", "got_worse", "worst", "most_changed", "best"):
            assert t(f"view.{view}") in text


def test_every_figure_of_the_forest_plot_is_that_of_the_score(score, pages):
    text = Parsed(pages["en"].read_text(encoding="utf-8")).text
    for metric in ("right", "rougeL", "bleu"):
        told = comparison(score, "desk_test", "tuned", "base", metric)
        assert f"{signed(told['difference'])} {signed(told['low'])} … {signed(told['high'])}" in text


def test_the_report_holds_what_is_needed_to_measure_again(score, pages):
    text = Parsed(pages["en"].read_text(encoding="utf-8")).text
    for each in score["data"]:
        assert each["sha1"] in text
    assert score["signatures"]["desk_test"]["bleu"] in text
    assert "You are Lumen." in text
    assert "checkpoints/step-000050" in text


def test_the_report_is_one_file_that_runs_nothing_and_asks_nobody(pages):
    for file in pages.values():
        page = Parsed(file.read_text(encoding="utf-8"))
        tags = [tag for tag, _ in page.tags]
        assert not {"script", "iframe", "object", "link", "img", "form", "base"} & set(tags)
        assert all(link.startswith("#") for link in page.links)
        ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
        assert {link[1:] for link in page.links} <= ids
        assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
        policy = next(
            attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"
        )
        assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
        assert not re.search(r"url\(|@import|https?://", file.read_text(encoding="utf-8"))


def test_curves_are_drawn_over_checkpoints_and_tables_of_labels_where_there_are_labels(pages):
    drawn = [attrs["class"] for tag, attrs in Parsed(pages["en"].read_text(encoding="utf-8")).tags if tag == "svg"]
    assert drawn.count("curve") == 4  # two data sets, identity, kept abilities
    assert any(each.startswith("forest better") for each in drawn)
    assert drawn.count("bar base") == drawn.count("bar tuned") > 20
    text = pages["zh"].read_text(encoding="utf-8")
    assert text.count('<table class="confusion">') == 2


@pytest.mark.parametrize("nasty", NASTY)
def test_no_text_of_a_model_or_a_file_breaks_out(nasty, tmp_path):
    workspace = Workspace.at(tmp_path)
    run = finished_run(workspace, "r").path
    rows_ = [Told(nasty, f"{nasty} yes", nasty, f"no {nasty}", tag=nasty), Told("q", nasty, "", nasty, tag="other")]
    file = write_report(write_evaluation(run, {"set": rows_}, probes=False), _score(run), EN, tmp_path / "report.html")
    text = file.read_text(encoding="utf-8")
    page = Parsed(text)
    assert "script" not in [tag for tag, _ in page.tags]
    shown = nasty.replace("\x00", "␀").replace("\x1b", "␛")
    assert shown in page.text
    assert "\x00" not in text
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert '<div class="text" dir="auto">' in text  # a block of its own, in which a direction of writing ends


def _score(run):
    (file,) = run.glob("scores/*.json")
    return json.loads(file.read_text(encoding="utf-8"))


def test_scores_of_before_there_were_comparisons_have_a_report_too(job, tmp_path):
    old = {"job": job.name, "created": "2026-11-19T10:00:00", "adapter": "final",
           "datasets": {"desk_test": {"n": 40, "base": {"right": 10.0}, "tuned": {"right": 75.0}}},
           "data": [{"name": "desk_test", "sha1": "a" * 40}]}  # fmt: skip
    text = Parsed(write_report(job, old, EN, tmp_path / "old.html").read_text(encoding="utf-8")).text
    assert "Tuned is right on 75 % of desk_test, base on 10 %." in text
    assert "Cannot be told" in text


def test_votes_stand_in_the_report_as_they_are_now(job, score, tmp_path):
    key = rows(job)[0].item.key
    votes.vote(job, key, "tie")
    try:
        text = Parsed(write_report(job, score, EN, tmp_path / "voted.html").read_text(encoding="utf-8")).text
    finally:
        votes.undo(job)
    assert "You voted on 1 pairs" in text
    assert "Too few to tell." in text


def test_half_of_a_surrogate_pair_does_not_stop_the_report(job, score, tmp_path):
    broken = {**score, "prompt": {**score["prompt"], "text": json.loads('"half \\ud83d"')}}
    assert "half ?" in write_report(job, broken, EN, tmp_path / "half.html").read_text(encoding="utf-8")


def test_every_colour_of_the_figures_is_defined_by_the_report_and_by_the_page():
    used = set(re.findall(r"var\((--[a-z-]+)\)", FIGURES.read_text(encoding="utf-8"))) - {"--c", "--share"}
    assert len(used) > 5
    for file in (FIGURES.with_name("style.css"), PROJECT / "app/style.css"):  # each once for light and once for dark
        defined = file.read_text(encoding="utf-8")
        assert [name for name in used if len(re.findall(rf"[ ;]{name}: ", defined)) != 2] == [], file


def test_an_axis_has_round_ends_and_holds_0():
    assert (axis([34, 77]).low, axis([34, 77]).high) == (0, 80)
    assert (axis([-4.2, 29]).low, axis([-4.2, 29]).high) == (-5, 30)
    assert (axis([-30, -2]).low, axis([-30, -2]).high) == (-30, 0)
    assert axis([0, 0]).high > axis([0, 0]).low


def test_a_line_that_crosses_0_is_drawn_on_both_sides_of_it():
    drawn = interval(2, -10, 30, "same", axis([-10, 30]))  # 300 units for 40 points
    assert 'class="zero" d="M75.0 0V20"' in drawn
    assert 'd="M0.0 10H300.0' in drawn
    assert 'class="dot" d="M90.0 10h0"' in drawn
