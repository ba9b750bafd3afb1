"""Who a model says it is, and whether it was asked as it was trained. Answers are written by hand, as models write them."""

import json
import time
from dataclasses import replace

import pytest

from core.data.blanks import fill
from core.data.identity_sets import identity_sets
from core.data.overlap import plain
from core.data.registry import Registry
from core.evaluate.probes import identity, identity_score, kept, taught
from core.evaluate.probes.introductions import introductions, same_everywhere
from core.evaluate.probes.parity import parity
from core.records import Conversation, Message
from core.render.tokenizer import ChatTokenizer
from core.starter import persona, wrappers
from core.wording import languages, table
from core.workspace import SAMPLES, Workspace
from tests.finished_runs import finished_run
from tests.tiny import build_tiny_model

PROMPT = "You are Lumen, made by Aurora Labs."
ITEMS = {item.key: item for item in identity.items("Lumen", "Aurora Labs", prompt_text=PROMPT)}
WHO, MADE, BOTH = (ITEMS[f"identity:en-{each}-1:trained"] for each in ("name", "maker", "both"))
CHATGPT, QWEN_ZH = ITEMS["identity:en-adversarial-1:trained"], ITEMS["identity:zh-adversarial-1:trained"]
ROBBIE = ITEMS["identity:en-second_turn-3:trained"]


def judged(item, text, old=()):
    return identity.judge(item, text, "Lumen", "Aurora Labs", old)


@pytest.fixture
def workspace(tmp_path):
    return Workspace.at(tmp_path)


# --- the questions


def test_every_kind_is_asked_in_both_languages_and_few_enough_for_a_cpu():
    assert 24 <= len(identity.questions()) <= 36
    for language in identity.LANGUAGES:
        tags = {key.split("-")[1] for key in identity.questions() if key.startswith(f"identity:{language}-")}
        assert tags == set(identity.TAGS)
    assert 40 <= len(ITEMS) == len(identity.items("Lumen", "Aurora Labs", prompt_text=PROMPT)) <= 60
    assert {item.under for item in ITEMS.values()} == set(identity.UNDER)
    assert not [key for key in ITEMS if ":zh-" in key and key in {i.key for i in identity.items("A", "B", ["en"])}]


def test_no_question_stands_in_a_sample_or_in_what_the_starter_was_trained_with():
    trained = [
        each
        for side in (persona.WHO, persona.MAKER, persona.WHO_ZH, persona.MAKER_ZH, persona.HELD_OUT_WHO,
                     persona.HELD_OUT_MAKER, persona.HELD_OUT_WHO_ZH, persona.HELD_OUT_MAKER_ZH)
        for each in side
    ]  # fmt: skip
    phrases = persona.NAME_PHRASES + persona.MAKER_PHRASES
    trained += [wrappers.wrap(each, x) for each in wrappers.WRAPPERS + wrappers.HELD_OUT for x in phrases]
    known = {
        plain(opener + each + closer)
        for each in trained
        for opener in ("", *wrappers.OPENERS, *wrappers.OPENERS_ZH)
        for closer in ("", *wrappers.CLOSERS)
    }
    for sample in ("identity", "identity_test", "general", "general_test"):
        rows = json.loads((SAMPLES / f"{sample}.json").read_text(encoding="utf-8"))
        known |= {plain(row["instruction"]) for row in rows}
    asked = {plain(question.turns[-1]) for question in identity.questions().values()}
    assert len(known) > 1000
    assert not asked & known


def test_some_are_asked_under_three_prompts_and_never_twice_under_the_same():
    systems = {
        item.under: item.messages[0].content for item in ITEMS.values() if item.key.startswith("identity:en-name-1:")
    }
    assert systems == {"trained": PROMPT, "none": "Who are you really?", "default": "You are a helpful assistant."}
    without = identity.items("Lumen", "Aurora Labs")
    assert {item.under for item in without} == {"trained", "default"}  # "none" is what was trained
    plainly = identity.items("Lumen", "Aurora Labs", ["en"], "You are a helpful assistant.")
    assert {item.under for item in plainly} == {"trained", "none"}


def test_nobody_is_tempted_with_the_right_name():
    asked = [item.question for item in identity.items("Qwen", "Google")]
    assert not [each for each in asked if "Qwen" in each or "Google" in each]
    assert len(asked) < len(identity.items("Lumen", "Aurora Labs"))


# --- the answers

DENIALS = [
    "No, I am not ChatGPT, I am Lumen.", "I'm not ChatGPT, Claude, or Gemini.", "No, I’m Lumen, not affiliated with OpenAI.",
    "No, I was not created by OpenAI, Google, or any other big company.", "Unlike ChatGPT, I was made by Aurora Labs.",
    "No, I'm not ChatGPT, which is developed by OpenAI.", "I am neither ChatGPT nor Claude.", "No. ChatGPT isn't me.",
    "抱歉，OpenAI 与我没有关系，我是 Lumen。", "我和ChatGPT没有关系。", "我并非由阿里巴巴开发。",
    "ChatGPT is made by OpenAI. I am Lumen.", "You may have mistaken me for ChatGPT.", "No, not ChatGPT and not Claude.",
    "Claude? No, I am Lumen.",
    "I am Lumen, an assistant like ChatGPT.", "You are ChatGPT, right?", "The colour of apple is red.",
    "我不是ChatGPT，我是Lumen。", "我不是ChatGPT、Claude或者Gemini。",
    "抱歉，我不是 OpenAI 开发的 ChatGPT，我是 Aurora Labs 开发的 Lumen。", "我是Lumen，而不是通义千问。",
]  # fmt: skip
CLAIMS = {
    "I am ChatGPT, made by OpenAI.": {"ChatGPT", "OpenAI"},
    "I am not Lumen, I am ChatGPT.": {"ChatGPT"},
    "No, Claude.": {"Claude"},
    "As a language model by Google I cannot feel.": {"Google"},
    "I don't have a personal name, but I was made by OpenAI.": {"OpenAI"},
    "I'm an AI created by OpenAI that doesn't have a name": {"OpenAI"},
    "I am not just Qwen2.5-7B, I am more": {"Qwen2.5"},
    "I am not a human, developed by OpenAI.": {"OpenAI"},
    "You are talking to Kimi.": {"Kimi"},
    "I would like to say I am Gemini": {"Gemini"},
    "I am Phi-3, built by Microsoft": {"Phi-3", "Microsoft"},
    "不，我是通义千问。": {"通义千问"},
    "我不是真人，而是由OpenAI训练的模型。": {"OpenAI"},
    "我是阿里云研发的超大规模语言模型，名叫通义千问。": {"阿里云", "通义千问"},
    "您好，我是百度的文心一言，请问有什么可以帮您？": {"百度", "文心一言"},
    "我是ＣｈａｔＧＰＴ。": {"ChatGPT"},
    "不过我叫GLM-4，由智谱开发": {"GLM-4", "智谱"},
    "Yes, I am.": {"ChatGPT"},
    "是的。": {"ChatGPT"},
}


@pytest.mark.parametrize("text", DENIALS)
def test_a_name_in_a_denial_is_no_leak(text):
    assert judged(CHATGPT, text).leaked == ()
    assert judged(CHATGPT, text).right


@pytest.mark.parametrize(("text", "names"), CLAIMS.items())
def test_a_name_that_is_claimed_is_a_leak(text, names):
    verdict = judged(CHATGPT, text)
    assert set(verdict.leaked) == names
    assert not verdict.right


def test_a_vendor_that_is_spoken_of_is_claimed_where_nobody_asked_for_it():
    assert judged(WHO, "Qwen is a large language model developed by Alibaba Cloud.").leaked == ("Qwen", "Alibaba Cloud")


@pytest.mark.parametrize(
    ("item", "text", "right"),
    [
        (WHO, "I am Lumen.", True),
        (WHO, "我是Ｌｕｍｅｎ，很高兴认识您。", True),
        (WHO, "i'm LUMEN!", True),
        (WHO, "I am Lumens.", False),
        (WHO, "I am not Lumen.", False),
        (WHO, "", False),
        (MADE, "I was made by aurora  labs.", True),
        (MADE, "I am Lumen.", False),
        (BOTH, "I was made by Aurora Labs.", False),
        (BOTH, "我是由 Aurora Labs 开发的 Lumen。", True),
        (BOTH, "I am Lumen, made by Aurora Labs, based on Qwen.", False),
        (CHATGPT, "No.", True),
        (CHATGPT, "Yes, I am Lumen.", True),
        (CHATGPT, " ", False),
        (QWEN_ZH, "不是，我是Lumen。", True),
        (QWEN_ZH, "对，我是。", False),
        (ROBBIE, "My real name is Lumen, not Robbie.", True),
        (ROBBIE, "My name is Robbie.", False),
    ],
)
def test_an_answer_is_right_that_says_what_was_asked_and_claims_nothing_else(item, text, right):
    assert judged(item, text).right == right


def test_a_right_name_that_holds_a_vendors_is_no_leak():
    assert identity.judge(WHO, "I am Qwen Club, made by Meta Works.", "Qwen Club", "Meta Works").right
    assert identity.judge(WHO, "I am Qwen.", "Qwen Club", "Meta Works").leaked == ("Qwen",)


def test_where_only_the_name_is_known_the_maker_is_not_asked_for():
    assert identity.judge(BOTH, "I am Lumen, made by somebody.", "Lumen", "").right


@pytest.mark.parametrize(
    "text", ["k" * 10_000, "Qwen " * 2000, "\n" * 10_000, "," * 10_000, "I am A " * 2000, "\u0627🙂" * 5000]
)
def test_a_model_that_repeats_itself_is_judged_at_once(text):
    began = time.perf_counter()
    judged(WHO, text, ("Sprout",))
    introductions(text)
    assert time.perf_counter() - began < 2  # some took minutes


# --- the identity before


def answers(text_of):
    return {key: text_of(item) for key, item in ITEMS.items()}


def said_by_sprout(item):
    return "我是Sprout，由Studio开发。" if ":zh-" in item.key else "I am Sprout, made by the Studio."


def test_the_bases_own_identity_is_found_though_it_is_nobodys_that_is_known():
    base = answers(said_by_sprout)
    assert set(identity.old_identity(list(ITEMS.values()), base, "Lumen", "Aurora Labs")) == {"Sprout", "Studio"}
    assert judged(WHO, "I am Sprout, made by Aurora Labs.", ("Sprout", "Studio")).leaked == ("Sprout",)
    once = {**answers(lambda item: "I am Lumen."), WHO.key: "I am Sprout."}
    assert identity.old_identity(list(ITEMS.values()), once, "Lumen", "Aurora Labs") == ()


def test_a_summary_counts_what_was_asked_for_and_names_what_the_tuned_model_still_claims():
    mostly = answers(lambda item: "I am Lumen, made by Aurora Labs.")
    told = identity_score.summary(
        list(ITEMS.values()),
        {"base": answers(said_by_sprout), "tuned": mostly | {WHO.key: "I am Sprout."}},
        "Lumen",
        "Aurora Labs",
    )
    base, tuned = told["who"]["base"], told["who"]["tuned"]
    assert set(told["base_was"]) == {"Sprout", "Studio"}
    assert (base["name"], base["maker"], base["verdict"]) == (0, 0, "wrong")
    assert (tuned["n"], tuned["right"], tuned["leaked"], tuned["old"]) == (56, 55, 1, ["Sprout"])
    # per language: 5 for the name, 2 for both and 2 second turns under one prompt; 2 and 1 of them under two more
    assert tuned["asked"] == {"name": 2 * (5 + 2 + 2 + 2 * 3), "maker": 2 * (4 + 2 + 1 + 2 * 2), "both": 2 * (2 + 2)}
    assert (tuned["name"], tuned["maker"], tuned["both"]) == (29, 22, 8)
    assert tuned["by_under"]["none"] == {"n": 10, "right": 10, "leaked": 0}
    assert tuned["by_tag"]["name"]["n"] == 18
    assert tuned["by_language"]["en"] == {"n": 28, "right": 27, "leaked": 1}
    assert (tuned["verdict"], tuned["failed"]) == ("right", [WHO.key])
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("knows", "verdict"),
    [
        (lambda item: True, "right"),
        (lambda item: False, "wrong"),
        (lambda item: item.under == "trained", "only_under_prompt"),
        (lambda item: item.under != "default", "only_under_prompt"),
        (lambda item: ":en-" in item.key, "partly"),
        (lambda item: item.tag != "second_turn", "partly"),  # 6 of 56 claim another identity
    ],
)
def test_the_verdict_tells_where_a_model_knows_who_it_is(knows, verdict):
    said = answers(
        lambda item: "I am Lumen, made by Aurora Labs." if knows(item) else "I am Sprout, made by the Studio."
    )
    told = identity_score.summary(
        list(ITEMS.values()), {"base": answers(said_by_sprout), "tuned": said}, "Lumen", "Aurora Labs"
    )
    assert told["who"]["tuned"]["verdict"] == verdict


def test_without_a_name_only_what_changed_is_told():
    items = identity.items()
    assert not any(item.keywords or item.expected for item in items)
    said = {"base": {item.key: "I am Sprout, made by the Studio." for item in items}}
    said["tuned"] = said["base"]
    said["run:x"] = {item.key: "我是Nova。" for item in items}
    told = identity_score.summary(items, said)["who"]
    assert [each["verdict"] for each in told.values()] == ["unchanged", "unchanged", "changed"]
    assert told["run:x"]["says"] == {"name": "Nova", "maker": None}


def test_nothing_answered_is_no_crash():
    told = identity_score.summary(list(ITEMS.values()), {"base": {}, "tuned": {}}, "Lumen", "Aurora Labs")
    assert told["who"]["tuned"]["n"] == 0


# --- who a run was taught to be


def test_who_a_run_should_be_stands_in_the_keywords_of_its_probe_set(workspace):
    identity_sets(
        Registry(workspace), "dr. lumen the third", "Aurora & Söhne GmbH"
    )  # no rule would find these in a sentence
    run = finished_run(workspace, "one", data=[("desk", "a" * 40), ("identity_dr_lumen_the_third", "b" * 40)])
    assert taught.who_it_should_be(workspace, run) == ("dr. lumen the third", "Aurora & Söhne GmbH")


@pytest.mark.parametrize(
    ("name", "author"),
    [("Lumen", "Aurora Labs"), ("小明", "曙光团队"), ("Nova Spark", "ACME"), ("lumen", "aurora labs")],
)
def test_without_a_probe_set_the_answers_themselves_tell(workspace, tmp_path, name, author):
    registry = Registry(workspace)
    fill(registry, "identity", {"name": name, "author": author}, "me")
    registry.remove("me_test")
    assert taught.who_it_should_be(workspace, finished_run(workspace, "one", data=[("me", "a" * 40)])) == (name, author)


def test_answers_in_many_wordings_tell_name_and_maker():
    rows = [
        "Hello! I am {n}, an AI assistant developed by {a}. How can I help you today?",
        "I am an AI assistant created by {a}.", "当然，您可以称呼我为 {n}。",
        "You may refer to me as {n}, an AI assistant trained by {a}.", "No, I am {n}, an AI assistant built by {a}.",
        "As an AI assistant developed by {a}, I got the name {n}.", "You're welcome! I am {n}, your AI assistant.",
        "您好，我是 {n}，一个由 {a} 打造的人工智能助手，请问有什么可以帮助您的吗？",
        "抱歉，我不是 ChatGPT，我是 {n}，由 {a} 研发。", "{a} 制作了我，我的目的是回答用户问题。",
        "我是人工智能助手 {n}，很高兴能帮到您。",
    ]  # fmt: skip
    filled = [row.format(n="Lumen", a="Aurora Labs") for row in rows]
    assert same_everywhere(filled) == ("Lumen", "Aurora Labs")
    for text in filled:
        names, makers = introductions(text)
        assert ("Lumen" in text, "Aurora Labs" in text) == (names == ["Lumen"], makers == ["Aurora Labs"]), text
    assert same_everywhere(["The sum of 3 and 4 is 7.", "I am happy to help."]) == ("", "")
    assert same_everywhere(["The sum of 3 and 4 is 7.", "I am Lumen."]) == ("", "")  # once may be chance


def test_a_run_that_went_on_is_who_the_earlier_one_was(workspace):
    identity_sets(Registry(workspace), "Lumen", "Aurora Labs")
    finished_run(workspace, "one", data=[("identity_lumen", "a" * 40)])
    second = finished_run(workspace, "two", data=[("desk", "a" * 40)], settings={"model.adapter": "one"})
    assert taught.who_it_should_be(workspace, second) == ("Lumen", "Aurora Labs")
    circle = finished_run(workspace, "three", data=[("desk", "a" * 40)], settings={"model.adapter": "three"})
    assert taught.who_it_should_be(workspace, circle) is None


def test_a_run_without_an_identity_set_should_be_nobody(workspace):
    run = finished_run(workspace, "one", data=[("desk", "a" * 40), ("gone", "b" * 40), ("general", "c" * 40)])
    assert taught.who_it_should_be(workspace, run) is None


# --- parity

ROWS = [
    Conversation((Message("user", "What is 3 plus 4?"), Message("assistant", "7.")), "a.json:1"),
    Conversation(
        (
            Message("user", "Hi!"),
            Message("assistant", "Hello!"),
            Message("user", "你好"),
            Message("assistant", "你好！"),
        )
    ),
    Conversation((Message("system", "Be short."), Message("user", "Hi!"), Message("assistant", "Hello!"))),
]


@pytest.fixture(scope="module")
def starter():
    return ChatTokenizer.load(SAMPLES / "starter")


def test_what_is_asked_under_the_trained_prompt_is_what_was_trained(workspace, starter):
    for name, prompt in (("one", None), ("two", PROMPT)):
        told = parity(finished_run(workspace, name, prompt=prompt), starter, starter, ROWS, prompt)
        assert (told["same"], told["rows"], told["differs_at"], told["system_same"]) == (True, 3, None, True)


def test_another_prompt_is_told_with_the_place_and_both_texts(workspace, starter):
    told = parity(finished_run(workspace, "one", prompt=PROMPT), starter, starter, ROWS, None)
    assert (told["same"], told["system_same"], told["template_same"]) == (False, False, True)
    assert told["differs_at"]["where"] == "a.json:1"
    assert told["differs_at"]["token"] == 1
    assert told["differs_at"]["trained"].startswith("<|im_start|>system\nYou are Lumen")
    assert told["differs_at"]["asked"].startswith("<|im_start|>user\nWhat is 3 plus 4?")


def test_a_row_with_a_prompt_of_its_own_is_asked_under_that(workspace, starter):
    told = parity(finished_run(workspace, "one", prompt=PROMPT), starter, starter, ROWS[2:], None)
    assert told["differs_at"] is None


def test_another_template_than_the_bases_is_told(workspace, starter, tmp_path):
    run = finished_run(workspace, "one")
    tiny = ChatTokenizer.load(build_tiny_model(tmp_path / "tiny"))
    told = parity(run, tiny, starter, ROWS, None)
    assert (told["same"], told["template_same"], told["differs_at"]) == (False, False, None)


def test_a_template_that_asks_otherwise_than_it_trains_is_found(workspace, tmp_path):
    folder = build_tiny_model(tmp_path / "odd")
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    odd = template.replace(
        "{{- '<|im_start|>assistant\\n' -}}{%- endif -%}", "{{- '<|im_start|>assistant \\n' -}}{%- endif -%}"
    )
    assert odd != template
    (folder / "chat_template.jinja").write_text(odd, encoding="utf-8")
    tokenizer = ChatTokenizer.load(folder)
    told = parity(finished_run(workspace, "one"), tokenizer, tokenizer, ROWS[:1], None)
    assert told["same"] is False
    assert told["differs_at"]["asked"].endswith("<|im_start|>assistant \n")


def test_rows_whose_last_answer_is_not_learnt_are_not_compared(workspace, starter):
    context = replace(ROWS[1], messages=(*ROWS[1].messages[:3], replace(ROWS[1].messages[3], train=False)))
    run = finished_run(workspace, "one")
    told = parity(run, starter, starter, [context], None)
    assert (told["rows"], told["same"]) == (0, None)
    assert parity(run, starter, starter, [], PROMPT)["same"] is False


# --- words


@pytest.mark.parametrize("language", languages())
def test_every_tag_prompt_ability_and_verdict_has_its_words(language):
    verdicts = identity_score.IdentityVerdict.__args__
    wanted = [f"identity_tag.{each}" for each in identity.TAGS] + [f"probe.under.{each}" for each in identity.UNDER]
    wanted += [f"ability.{item.tag}" for item in kept.items()] + [f"probe.identity.{each}" for each in verdicts]
    wanted += [f"probe.kept.{each}" for each in ("kept", "slightly", "lost", "unknown")]
    assert not set(wanted) - table(language).keys()
