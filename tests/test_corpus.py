"""The generated corpus and the sample data sets: deterministic, and with nothing of the tests in the training data."""

import hashlib
import json
import random
from pathlib import Path

import pytest

from core.starter import desk, persona as p, samples
from core.starter.abilities import ABILITIES
from core.starter.corpus import SHARES, conversation, example
from core.starter.wrappers import HELD_OUT, HELD_OUT_ZH, WRAPPERS, WRAPPERS_ZH, wrap

PROJECT = Path(__file__).resolve().parents[1]


def conversations(seed, count):
    rng = random.Random(seed)
    return [conversation(rng, i / count) for i in range(count)]


def asked_in_training(count):
    return [m["content"] for c in conversations(3, count) for m in c if m["role"] == "user"]


def held_out_pieces():
    """Held-out wordings as the text around the noun phrase, which no trained question may have."""
    return [wrapper.split("{x}") for wrapper in HELD_OUT + HELD_OUT_ZH]


def in_held_out_wording(question):
    last = question.split("\n")[-1]
    for sentence in (last, last.split(". ", 1)[-1]):
        if any(
            sentence.startswith(before) and sentence.endswith(after) for before, after in held_out_pieces() if before
        ):
            return True
    return False


def test_the_same_seed_gives_the_same_conversations_and_another_seed_others():
    assert conversations(1, 200) == conversations(1, 200)
    assert conversations(1, 200) != conversations(2, 200)


@pytest.mark.parametrize("ability", SHARES)
def test_every_ability_asks_and_answers_in_both_kinds_of_wording(ability):
    rng = random.Random(5)
    for held_out in (False, True):
        drawn = [example(ability, rng, held_out=held_out) for _ in range(50)]
        assert all(d.question.strip() and d.answer.strip() for d in drawn)
        assert "{" not in "".join(d.question + d.answer + d.system for d in drawn)


@pytest.mark.parametrize("ability", SHARES)
def test_one_question_has_one_answer(ability):
    rng = random.Random(6)
    answers = {}
    for _ in range(3000):
        drawn = example(ability, rng)
        known = answers.setdefault((drawn.system, drawn.question), drawn.answer)
        assert known == drawn.answer, drawn


def test_the_shares_name_every_ability_of_the_registry():
    assert set(ABILITIES) <= set(SHARES)


def test_held_out_wordings_and_trained_ones_share_nothing():
    assert not set(HELD_OUT) & set(WRAPPERS)
    assert not set(HELD_OUT_ZH) & set(WRAPPERS_ZH)
    for trained, unseen in (
        (p.WHO, p.HELD_OUT_WHO),
        (p.MAKER, p.HELD_OUT_MAKER),
        (p.WHO_ZH, p.HELD_OUT_WHO_ZH),
        (p.MAKER_ZH, p.HELD_OUT_MAKER_ZH),
        *((trained, unseen) for _, trained, unseen in p.SMALL_TALK),
    ):
        assert not set(trained) & set(unseen)


def test_no_training_conversation_is_asked_in_a_held_out_wording():
    questions = asked_in_training(8000)
    assert in_held_out_wording("The price is 4 euros. I would like to know the price.")  # the check itself works
    assert [q for q in questions if in_held_out_wording(q)] == []
    own = set(p.HELD_OUT_WHO + p.HELD_OUT_MAKER + p.HELD_OUT_WHO_ZH + p.HELD_OUT_MAKER_ZH)
    own |= {text for _, _, unseen in p.SMALL_TALK for text in unseen}
    assert not own & set(questions)


def test_no_training_conversation_states_a_fact_of_the_desk():
    facts = [f"The {noun} is {value}." for noun, value in desk.FACTS.items()]
    text = "\n".join(m["content"] for c in conversations(4, 8000) for m in c)
    assert [fact for fact in facts if fact in text] == []


def test_the_answers_of_a_system_prompt_name_it():
    rng = random.Random(8)
    for _ in range(300):
        drawn = example("prompt_name", rng)
        name = drawn.answer.removeprefix("I am ").removeprefix("我是").replace("，由", ", made").split(", made")[0]
        assert name in drawn.system


def test_the_sample_files_are_what_samples_writes():
    for path, content in samples.files().items():
        assert (PROJECT / path).read_bytes() == content, path


def test_the_registry_has_every_sample_with_its_sha1():
    registry = json.loads((PROJECT / "dataset_info.json").read_text(encoding="utf-8"))
    assert set(samples.DESCRIPTIONS) <= set(registry)
    for name in samples.DESCRIPTIONS:
        entry = registry[name]
        content = (PROJECT / entry["file_name"]).read_bytes()
        assert hashlib.sha1(content).hexdigest() == entry["file_sha1"], name


def test_the_sample_sets_have_the_sizes_that_are_promised():
    sets = samples.data_sets()
    assert len(desk.FACTS) >= 40
    assert len(sets["desk"]) == len(sets["desk_format2"]) == len(sets["desk_format3"]) == 8 * len(desk.FACTS)
    assert len(sets["desk_test"]) >= 2 * len(desk.FACTS)
    assert 60 <= len(sets["identity"]) <= 100
    assert len(sets["identity_test"]) >= 20
    assert 400 <= len(sets["general"]) <= 800
    assert len(sets["general_test"]) >= 200


def test_tests_share_no_question_with_what_is_trained():
    sets = samples.data_sets()
    trained = {r["instruction"] for name in ("identity", "desk_format2", "general") for r in sets[name]}
    for name in ("identity_test", "desk_test", "general_test"):
        assert not trained & {r["instruction"] for r in sets[name]}, name
    wrapped = {wrap(wrapper, f"the {noun}") for wrapper in WRAPPERS for noun in desk.FACTS}
    assert not wrapped & {r["instruction"] for r in sets["desk_test"]}


def test_an_identity_answer_has_the_blanks_that_its_keywords_name():
    sets = samples.data_sets()
    assert all("{{author}}" in r["output"] for r in sets["identity"])
    for r in sets["identity_test"]:
        assert r["keywords"]
        assert all(keyword in r["output"] for keyword in r["keywords"])


def test_general_leaves_out_the_name_that_tuning_replaces():
    sets = samples.data_sets()
    for name in ("general", "general_test"):
        assert not [r for r in sets[name] if p.OWN_NAME in r["output"]], name
