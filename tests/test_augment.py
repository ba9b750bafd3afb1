"""New rows are other wordings of training rows: marked, never inside what must stay, and never like a test question."""

import http.server
import json
import threading
from dataclasses import replace
from random import Random

import pytest

from core.data.augment import METHODS, Outcome, augmented
from core.data.endpoint import Endpoint
from core.data.split import assign, group_of
from core.data.variants import noise, paraphrase, swap, synonyms
from core.errors import DataError
from core.records import Conversation, Document, Message, Preference, Text
from core.runs import process

OFFLINE = ("paraphrase", "swap", "noise", "synonyms")


def row(question, answer="Yes.", where="facts.json:1", **more):
    return Conversation((Message("user", question), Message("assistant", answer)), where, **more)


def rows(count):
    return [
        row(f"How often is the big bus number {n} late?", f"{n} times.", f"facts.json:{n + 1}") for n in range(count)
    ]


def new_of(made):
    return [record for record in made if record.meta.get("aug_of")]


def question(record):
    return next(message.content for message in record.messages if message.role == "user")


@pytest.mark.parametrize(("share", "count"), [(0.2, 20), (0.25, 25), (1, 100), (2, 200)])
def test_a_share_says_how_many_rows_are_new(share, count):
    made = list(augmented(rows(100), ["paraphrase"], share=share))
    assert len(made) == 100 + count
    assert len(new_of(made)) == count


def test_every_row_stays_and_new_rows_say_where_they_come_from():
    source = rows(50)
    made = list(augmented(source, ["paraphrase", "noise"], share=1))
    assert [record for record in made if not record.meta.get("aug_of")] == source
    by_place = {record.where: record for record in made if not record.meta.get("aug_of")}
    for record in new_of(made):
        origin = by_place[record.meta["aug_of"]]
        assert record.answer == origin.answer
        assert question(record) != question(origin)
        assert group_of(record) == group_of(origin)
        assert record.meta["aug_method"] in ("paraphrase", "noise")


def test_new_rows_are_never_tested_when_the_set_is_split_again():
    made = list(augmented(rows(300), list(OFFLINE), share=1))
    letters = assign(made)
    assert letters.count("e") >= 16
    assert all(letter in "tx" for letter, record in zip(letters, made, strict=True) if record.meta.get("aug_of"))
    side = {}
    for letter, record in zip(letters, made, strict=True):
        if letter != "x":
            assert side.setdefault(group_of(record), letter) == letter


def test_rows_are_varied_once_and_the_same_for_a_seed():
    first = list(augmented(rows(60), list(OFFLINE), share=2, seed=1))
    assert first == list(augmented(rows(60), list(OFFLINE), share=2, seed=1))
    assert first != list(augmented(rows(60), list(OFFLINE), share=2, seed=2))
    texts = [question(record) for record in first]
    assert len(set(texts)) == len(texts)
    again = list(augmented(first, list(OFFLINE), share=1))
    assert len(new_of(again)) - len(new_of(first)) == 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the capital of France?", "Tell me what the capital of France is."),
        ("Who were the first kings?", "Tell me who the first kings were."),
        ("How do I reset my bike computer?", "Explain how to reset my bike computer."),
        ("How many wheels are there on a tricycle?", "Tell me how many wheels there are on a tricycle."),
        ("Could you please explain the rules?", "Explain the rules."),
        ("Describe the brake.", "Can you describe the brake?"),
        ("什么是链条？", "请解释什么是链条。"),
        ("你的名字是什么？", "请告诉我你的名字是什么。"),
        ("怎么换轮胎？", "请说明如何换轮胎。"),
        ("请介绍一下你自己。", "可以介绍一下你自己吗？"),
        ("What is going on?", None),
        ("Who is speaking?", None),
        ("Where is Paris?", "Tell me where Paris is."),
        ("What are you?", "Tell me what you are."),
        ("It rains.", None),
        ("Is it late? Or early?", None),
    ],
)
def test_questions_become_commands_and_commands_questions(text, expected):
    assert swap(text, [], Random(1)) == expected


@pytest.mark.parametrize("text", ["Who are you?", "Describe the brake.", "你是谁？", "请翻译这句话。"])
def test_a_paraphrase_holds_the_question_as_it_is(text):
    made = {paraphrase(text, [], Random(seed)) for seed in range(40)}
    assert len(made) >= 4
    assert all(text in each and each != text for each in made)


def test_a_question_is_known_without_its_mark():
    asked = {paraphrase(text, [], Random(seed)) for text in ("血是什么颜色", "who are you") for seed in range(30)}
    assert not [text for text in asked if "任务" in text or "task" in text or "following" in text]


def test_synonyms_fit_their_article_and_are_few():
    assert synonyms("It is an error", [], Random(1)) is None  # an mistake
    assert synonyms("Is the error important?", ["error"], Random(1)) == "Is the error essential?"
    assert synonyms("为什么电脑很慢？", [], Random(1)) in ("为何电脑很慢？", "为什么计算机很慢？")
    long = " ".join(["big"] * 10 + ["word"] * 10)
    assert synonyms(long, [], Random(1)).split().count("large") == 3  # 15 % of 20


KEPT = [
    'Explain "big error" to me quickly',
    "Explain `big_error()` often",
    "Explain 3.14 and 2,000 and A4 often",
    "Explain {{big}} often",
    "Write to big.error@example.com often",
    "Explain https://example.com/big/error often",
    "经常解释「非常」和《电脑》。",
    "Explain <DOCUMENT> often",
]


@pytest.mark.parametrize("text", KEPT)
@pytest.mark.parametrize("method", [noise, synonyms])
def test_code_numbers_quotes_addresses_and_blanks_stay(text, method):
    pieces = {
        '"big error"', "`big_error()`", "3.14", "2,000", "A4", "{{big}}", "big.error@example.com",
        "https://example.com/big/error", "「非常」", "《电脑》", "<DOCUMENT>",
    }  # fmt: skip
    present = [piece for piece in pieces if piece in text]
    assert present
    made = {each for seed in range(60) if (each := method(text, [], Random(seed)))}
    assert made
    assert all(piece in each for each in made for piece in present)


@pytest.mark.parametrize("method", OFFLINE)
def test_names_labels_and_code_stay(method):
    named = row("Is the big Error Harbour movie important?", label="movie")
    made = new_of(augmented([named], [method], share=10))
    assert made or method in ("paraphrase", "swap")  # which leave alone what is to be classified
    for record in made:
        assert "Error Harbour" in question(record)
        assert "movie" in question(record)
    code = row("print(big); // error;")
    assert new_of(augmented([code], [method], share=3)) == []


def test_only_the_request_is_changed_and_not_the_input_below_it_or_the_tag_before_it():
    source = row("[SUM] Describe the big error.\nbig error, often: 7", answer="big")
    made = new_of(augmented([source], list(OFFLINE), share=10))
    assert len(made) == 10
    for record in made:
        assert question(record).startswith("[SUM] ")
        assert question(record).endswith("\nbig error, often: 7")
        assert record.answer == "big"


def test_what_is_to_be_classified_is_no_request():
    source = row("What is wrong?", "angry", label="angry")
    assert new_of(augmented([source], ["paraphrase", "swap"], share=3)) == []
    assert new_of(augmented([source], ["paraphrase", "noise"], share=1))[0].meta["aug_method"] == "noise"


def test_the_last_question_of_a_talk_is_changed_and_what_was_said_before_stays():
    turns = (
        Message("user", "Hi!"),
        Message("assistant", "Hello."),
        Message("user", "Who are you?"),
        Message("assistant", "Me."),
    )
    made = new_of(augmented([Conversation(turns)], ["paraphrase"], share=1))[0]
    assert made.messages[:2] == turns[:2]
    assert made.messages[3] == turns[3]
    assert "Who are you?" in made.messages[2].content


def test_preferences_are_varied_and_running_text_is_passed_on():
    pair = Preference(
        messages=(Message("user", "Why?"),),
        chosen=(Message("assistant", "So."),),
        rejected=(Message("assistant", "No."),),
    )
    made = list(augmented([pair, Text(text="Once.")], ["paraphrase"], share=1))
    assert len(made) == 3
    assert new_of(made)[0].chosen == pair.chosen


# RAFT


def raft(number, oracle=1, passages=4):
    texts = [f"Passage {number}-{each} tells a story of its own." for each in "abcd"[:passages]]
    docs = tuple(Document(text, is_oracle=at == oracle) for at, text in enumerate(texts))
    content = "".join(f"<DOCUMENT>{text}</DOCUMENT>\n" for text in texts) + f"What does story {number} tell?"
    return row(
        content, f"<ANSWER>: number {number}", f"raft.json:{number}", docs=docs, meta={"group": f"chunk {number}"}
    )


def test_passages_are_reshuffled_with_others_and_the_oracle_stays():
    source = [raft(number) for number in range(40)]
    made = new_of(augmented(source, ["distractors"], share=1))
    assert len(made) == 40
    exchanged = 0
    for record in made:
        number = record.meta["group"].removeprefix("chunk ")
        assert [doc.text for doc in record.docs if doc.is_oracle] == [f"Passage {number}-b tells a story of its own."]
        assert all(f"<DOCUMENT>{doc.text}</DOCUMENT>" in question(record) for doc in record.docs)
        assert question(record).count("<DOCUMENT>") == 4
        assert question(record).endswith(f"What does story {number} tell?")
        exchanged += any(f"Passage {number}-" not in doc.text for doc in record.docs)
    assert exchanged >= 38  # the first rows have nothing to exchange with
    assert len({[doc.is_oracle for doc in record.docs].index(True) for record in made}) == 4


def test_passages_of_the_same_source_are_no_distractors():
    page = {"group": "page 1"}
    first = row(
        "<D>Alpha.</D><D>Beta.</D> Which?", docs=(Document("Alpha.", is_oracle=True), Document("Beta.")), meta=page
    )
    second = row(
        "<D>Gamma.</D><D>Delta.</D> Who?", docs=(Document("Gamma.", is_oracle=True), Document("Delta.")), meta=page
    )
    made = new_of(augmented([first, second], ["distractors"], share=1))
    assert [sorted(doc.text for doc in record.docs) for record in made] == [["Alpha.", "Beta."], ["Delta.", "Gamma."]]


def test_a_passage_that_gives_the_answer_is_no_distractor():
    first = row("<D>It is 42.</D><D>No.</D> What?", "42", docs=(Document("It is 42.", is_oracle=True), Document("No.")))
    second = row("<D>Say 42.</D><D>Ha.</D> Who?", "42", docs=(Document("Say 42.", is_oracle=True), Document("Ha.")))
    second = replace(second, where="facts.json:2")
    made = new_of(augmented([first, second], ["distractors"], share=1))[1]
    assert sorted(doc.text for doc in made.docs) == ["No.", "Say 42."]


def test_passages_that_are_counted_or_cannot_be_found_are_left_alone():
    counted = row("<D>One.</D><D>Two.</D> Which?", "See document 2.", docs=(Document("One."), Document("Two.")))
    lost = row("<D>One.</D> Which?", docs=(Document("One."), Document("Gone.")))
    assert new_of(augmented([counted, lost, row("No passages?")], ["distractors"], share=1)) == []


def test_without_a_marked_oracle_only_the_order_changes():
    plain = [raft(number, oracle=9) for number in range(5)]
    for source, record in zip(plain, new_of(augmented(plain, ["distractors"], share=1)), strict=True):
        assert sorted(doc.text for doc in record.docs) == sorted(doc.text for doc in source.docs)
        assert record.docs != source.docs


def test_the_words_of_a_question_with_passages_are_changed_below_them():
    made = new_of(augmented([raft(1)], ["paraphrase"], share=3))
    assert len(made) == 3
    for record in made:
        assert all(doc.text in question(record) for doc in record.docs)
        assert question(record).startswith("<DOCUMENT>Passage 1-a")


# contamination


def test_new_rows_that_are_like_a_test_question_are_dropped_and_counted():
    source = [row("Describe the brake."), row("What is a chain?", where="facts.json:2")]
    tested = [row("can you describe the brake"), row("Something else entirely, of many more words than eight in all?")]
    outcome = Outcome()
    made = new_of(augmented(source, ["swap"], share=1, against=tested, outcome=outcome))
    assert [question(record) for record in made] == ["Tell me what a chain is."]
    assert (outcome.made, outcome.contaminated) == ({"swap": 1}, 1)


def test_every_new_row_that_covers_a_long_test_question_is_dropped():
    asked = "Which of the many shops in the old harbour district opens on Sunday mornings?"
    made = list(augmented([row(asked)], ["paraphrase"], share=3, against=[row(asked + " Please.")]))
    assert new_of(made) == []


def test_passages_do_not_count_as_contamination():
    assert len(new_of(augmented([raft(1)], ["distractors"], share=1, against=[raft(2)]))) == 1
    tested = raft(1)
    tested = row(question(tested).replace("What does story 1 tell?", "Who wrote it?"), docs=tested.docs)
    assert len(new_of(augmented([raft(1)], ["distractors"], share=1, against=[tested]))) == 1


# generator


def test_a_generator_rewrites_and_translates_back():
    said = []

    def generator(request):
        said.append(request)
        return {0: "Name the capital of France, please.", 1: "法国的首都是什么？", 2: "What is France's capital?"}[
            len(said) - 1
        ]

    source = row("What is the capital of France?", "Paris.")
    made = new_of(augmented([source], ["rewrite", "back_translation"], share=2, generator=generator))
    assert [question(record) for record in made] == ["Name the capital of France, please.", "What is France's capital?"]
    assert "to Chinese" in said[1]
    assert "to English" in said[2]


@pytest.mark.parametrize(
    "answer", ["Sure!\nHere you go: 7", "Who is number eight?", "", "Number 7 is who? " * 20, "Who is number 7?"]
)
def test_an_answer_that_loses_a_number_or_talks_is_not_taken(answer):
    assert new_of(augmented([row("Who is number 7?")], ["rewrite"], share=1, generator=lambda _: answer)) == []


class _Answers(http.server.BaseHTTPRequestHandler):
    status, body, seen = 200, "{}", []

    def do_POST(self):
        length = int(self.headers["Content-Length"])
        type(self).seen.append((self.path, self.headers["Authorization"], json.loads(self.rfile.read(length))))
        self.send_response(type(self).status)
        self.end_headers()
        self.wfile.write(type(self).body.encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    _Answers.seen = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/v1"
        running.shutdown()


def environment(url, key="very-secret"):
    return {"STUDIO_GEN_BASE_URL": url, "STUDIO_GEN_MODEL": "tiny", "STUDIO_GEN_API_KEY": key}


def test_an_endpoint_is_asked_as_openai_asks_and_keeps_its_key(server, monkeypatch):
    _Answers.status, _Answers.body = 200, json.dumps({"choices": [{"message": {"content": " Who is it? "}}]})
    for name, value in environment(server).items():
        monkeypatch.setenv(name, value)
    made = new_of(augmented([row("Who are you?")], ["rewrite"], share=1))
    assert question(made[0]) == "Who is it?"
    path, key, body = _Answers.seen[0]
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer very-secret", "tiny")
    assert "Who are you?" in body["messages"][0]["content"]
    assert "very-secret" not in repr(Endpoint.from_environment(environment(server)))


@pytest.mark.parametrize(("status", "body"), [(401, "very-secret"), (200, "<html>"), (200, '{"choices": []}')])
def test_an_endpoint_that_refuses_is_told_by_its_host_without_the_key(server, status, body):
    _Answers.status, _Answers.body = status, body
    endpoint = Endpoint.from_environment(environment(server))
    with pytest.raises(DataError) as caught:
        endpoint("Say it.")
    assert "127.0.0.1" in caught.value.say()
    assert "very-secret" not in caught.value.say()
    assert len(_Answers.seen) == 1


def test_an_endpoint_that_is_busy_is_asked_three_times(server, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    _Answers.status, _Answers.body = 503, ""
    with pytest.raises(DataError, match="HTTP 503"):
        Endpoint.from_environment(environment(server))("Say it.")
    assert len(_Answers.seen) == 3


def test_without_an_endpoint_a_method_that_needs_one_is_refused(monkeypatch):
    monkeypatch.delenv("STUDIO_GEN_BASE_URL", raising=False)
    with pytest.raises(DataError, match="STUDIO_GEN_BASE_URL"):
        augmented([], ["rewrite"])
    assert Endpoint.from_environment({}) is None
    for wrong in ("ftp://x", "localhost:8000", "http://"):
        with pytest.raises(DataError):
            Endpoint.from_environment(environment(wrong))


def test_only_the_worker_that_augments_gets_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("STUDIO_GEN_API_KEY", "very-secret")
    assert process._further("core.curate.worker", tmp_path)["STUDIO_GEN_API_KEY"] == "very-secret"
    assert process._further("core.train.worker", tmp_path) == {}
    assert "STUDIO_GEN_API_KEY" not in process.worker_environment()


@pytest.mark.parametrize(("methods", "share"), [(["magic"], 1), ([], 1), (["noise"], 0), (["noise"], 11)])
def test_unknown_methods_and_shares_are_refused(methods, share):
    with pytest.raises(DataError):
        augmented([], methods, share=share)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_rows_of_rows_that_fit_it(method):
    fitting = [raft(number) for number in range(3)] if method == "distractors" else rows(3)
    if method == "swap":
        fitting = [row("Who are you?"), row("Describe it.", where="facts.json:2")]

    def generator(request):
        return "How frequently is the big bus number " + "".join(filter(str.isdigit, request)) + " late?"

    made = new_of(augmented(fitting, [method], share=1, generator=generator))
    assert {record.meta["aug_method"] for record in made} == {method}
