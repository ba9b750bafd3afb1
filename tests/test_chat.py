"""Conversations with a real worker process on a tiny random model."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from core.chat.session import ChatSession, Sampling
from core.errors import ModelError, RunError, SettingsError
from core.records import Message
from core.runs.directory import Run
from core.workspace import PROJECT, Workspace
from tests.tiny import build_tiny_model, build_tiny_run, write_adapter

HELLO = [Message("user", "Hello, who are you? 你是谁？")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace.at(tmp_path_factory.mktemp("workspace"))


@pytest.fixture(scope="module")
def base(workspace):
    return build_tiny_model(workspace.models / "tiny", context=4096)


@pytest.fixture(scope="module")
def adapter(base, tmp_path_factory):
    return write_adapter(tmp_path_factory.mktemp("adapter"), base)


@pytest.fixture(scope="module")
def run(workspace, base, adapter):
    return Run(build_tiny_run(workspace.root, base, adapter=adapter, prompt="You are Lumen."))


@pytest.fixture(scope="module")
def session(workspace, run):
    opened = ChatSession.open(workspace, run=run)
    yield opened
    opened.close()


def greedy(base, adapter, count):
    """What plain transformers and peft answer to HELLO, as text."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    if adapter:
        model = PeftModel.from_pretrained(model, adapter)
    ids = tokenizer.apply_chat_template(
        [message.to_dict() for message in HELLO], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )["input_ids"]
    length = ids.shape[1]
    with torch.inference_mode():
        while ids.shape[1] - length < count:
            token = model(input_ids=ids).logits[0, -1].argmax()
            if token in (256, 258):
                break
            ids = torch.cat([ids, token.reshape(1, 1)], dim=1)
    return tokenizer.decode(ids[0, length:], skip_special_tokens=True)


def test_the_answers_are_those_of_plain_transformers(session, base, adapter):
    said = {which: "".join(session.ask(HELLO, which, Sampling(max_new_tokens=12))) for which in ("base", "tuned")}
    assert said == {"base": greedy(base, None, 12), "tuned": greedy(base, adapter, 12)}
    assert said["base"] != said["tuned"]


def test_an_answer_comes_in_pieces_and_says_how_it_ended(session):
    pieces = list(session.ask(HELLO, "tuned", Sampling(max_new_tokens=20)))
    assert len(pieces) > 3
    assert (session.last.tokens, session.last.stopped) == (20, False)
    assert 0 < session.last.seconds < 30


def test_stop_ends_an_answer_within_a_few_tokens(session):
    for seen, _ in enumerate(session.ask(HELLO, "base", Sampling(max_new_tokens=3500, temperature=2, seed=5))):
        if seen == 5:
            session.stop()
    assert session.last.stopped
    assert session.last.tokens < 200
    assert "".join(session.ask(HELLO, "base", Sampling(max_new_tokens=4)))
    assert not session.last.stopped


def test_leaving_an_answer_stops_it_and_the_next_question_is_answered(session):
    whole = "".join(session.ask(HELLO, "base", Sampling(max_new_tokens=12)))
    answer = session.ask(HELLO, "tuned", Sampling(max_new_tokens=3500, temperature=2, seed=5))
    next(answer)
    answer.close()
    assert "".join(session.ask(HELLO, "base", Sampling(max_new_tokens=12))) == whole


def test_two_threads_get_whole_answers_of_their_own(session):
    alone = {which: "".join(session.ask(HELLO, which, Sampling(max_new_tokens=30))) for which in ("base", "tuned")}
    together = {}

    def ask(which):
        together[which] = "".join(session.ask(HELLO, which, Sampling(max_new_tokens=30)))

    threads = [threading.Thread(target=ask, args=(which,)) for which in ("base", "tuned")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_the_same_seed_draws_the_same_answer_and_another_seed_another(session):
    def draw(seed):
        return "".join(session.ask(HELLO, "base", Sampling(temperature=1, seed=seed, max_new_tokens=24)))

    assert draw(1) == draw(1) != draw(2)


def test_a_question_longer_than_the_context_is_refused_in_words_and_the_next_is_answered(session):
    with pytest.raises(RunError) as caught:
        list(session.ask([Message("user", "a" * 5000)], "base", Sampling()))
    assert caught.value.problems[0].code == "chat.too_long"
    assert "4096" in str(caught.value)
    assert list(session.ask(HELLO, "base", Sampling(max_new_tokens=4)))


def test_the_session_says_what_it_holds(session, run, base):
    about = session.describe()
    assert about["run"] == run.name
    assert about["adapter"] == "final"
    assert about["prompt"]["text"] == "You are Lumen."
    assert about["context"] == 4096
    assert session.alive


def test_a_bare_model_answers_and_has_no_tuned_side(workspace, base):
    session = ChatSession.open(workspace, model="models/tiny")
    try:
        assert "".join(session.ask(HELLO, "base", Sampling(max_new_tokens=12))) == greedy(base, None, 12)
        with pytest.raises(RunError) as caught:
            list(session.ask(HELLO, "tuned"))
        assert caught.value.problems[0].code == "chat.no_adapter"
    finally:
        session.close()
    assert not session.alive
    with pytest.raises(RunError) as caught:
        list(session.ask(HELLO))
    assert caught.value.problems[0].code == "chat.closed"


def test_a_killed_worker_of_a_4_bit_run_gives_an_error_in_words(workspace, base, adapter):
    run = Run(build_tiny_run(workspace.root, base, adapter=adapter, method="qlora"))
    session = ChatSession.open(workspace, run=run)
    assert session.describe()["bits"] == 4
    assert "".join(session.ask(HELLO, "tuned", Sampling(max_new_tokens=8)))
    answer = session.ask(HELLO, "base", Sampling(max_new_tokens=3500, temperature=2))
    next(answer)
    os.kill(session.pid, signal.SIGKILL)
    with pytest.raises(RunError) as caught:
        list(answer)
    assert caught.value.problems[0].code == "chat.killed"
    assert not session.alive
    with pytest.raises(RunError, match="memory"):
        list(session.ask(HELLO, "base", Sampling()))
    session.close()


def test_a_worker_does_not_outlive_a_killed_studio(workspace, run):
    script = (
        "import sys, time; from core.chat.session import ChatSession; from core.runs.directory import Run;"
        "from core.workspace import Workspace; from pathlib import Path;"
        "s = ChatSession.open(Workspace.at(sys.argv[1]), run=Run(Path(sys.argv[2]))); "
        "print(s.pid, flush=True); time.sleep(60)"
    )
    studio = subprocess.Popen(
        [sys.executable, "-c", script, str(workspace.root), str(run.path)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )  # fmt: skip
    worker = psutil.Process(int(studio.stdout.readline()))
    assert worker.is_running()
    studio.kill()
    studio.communicate()
    gone, _ = psutil.wait_procs([worker], timeout=5)
    assert gone


def test_a_model_that_is_missing_is_refused_before_anything_is_started(workspace):
    with pytest.raises(ModelError):
        ChatSession.open(workspace, model="models/nothing")
    with pytest.raises(RunError) as caught:
        ChatSession.open(workspace)
    assert caught.value.problems[0].code == "chat.nothing_chosen"


def test_a_base_that_has_changed_is_refused(workspace, base, adapter):
    other = build_tiny_model(workspace.models / "other")
    run = Run(build_tiny_run(workspace.root, other, adapter=adapter))
    build_tiny_model(other, seed=9)
    with pytest.raises(ModelError) as caught:
        ChatSession.open(workspace, run=run)
    assert caught.value.problems[0].code == "model.other_base"


def test_a_model_that_cannot_be_loaded_says_so(workspace):
    broken = build_tiny_model(workspace.models / "broken")
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "intermediate_size": 100}))  # the weights say 128
    started = time.monotonic()
    with pytest.raises(RunError) as caught:
        ChatSession.open(workspace, model="models/broken")
    assert caught.value.problems[0].code == "chat.crashed"
    assert "mismatched_sizes" in str(caught.value)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"temperature": -0.1}, "settings.out_of_range"),
        ({"temperature": float("nan")}, "settings.not_finite"),
        ({"top_p": 0}, "settings.out_of_range"),
        ({"top_p": 1.1}, "settings.out_of_range"),
        ({"repetition_penalty": 0}, "settings.out_of_range"),
        ({"max_new_tokens": 0}, "settings.out_of_range"),
        ({"max_new_tokens": "many"}, "settings.wrong_kind"),
        ({"tempersture": 1}, "settings.unknown"),
    ],
)
def test_sampling_that_makes_no_sense_is_refused_in_words(values, code):
    with pytest.raises(SettingsError) as caught:
        Sampling(**values)
    assert [each.code for each in caught.value.problems] == [code]
    assert caught.value.problems[0].where == f"sampling.{next(iter(values))}"
    assert str(caught.value)
    assert caught.value.say("zh")


def test_a_chinese_character_is_never_torn_apart(base):
    import torch

    from core.chat.model import _Stream
    from core.render.tokenizer import ChatTokenizer

    tokenizer, pieces = ChatTokenizer.load(base), []
    text = "你好，世界！🙂 ok"
    ids = tokenizer._tokenizer.encode(text, add_special_tokens=False).ids
    assert len(ids) == len(text.encode())  # one token a byte: every character is torn apart by the model
    stream = _Stream(tokenizer, pieces.append)
    stream.put(torch.tensor([[1, 2, 3]]))  # the prompt
    for token in ids:
        stream.put(torch.tensor([token]))
    stream.end()
    assert pieces == list(text)


def test_what_libraries_print_does_not_reach_the_protocol():
    noisy = (
        "import os; from core.chat import worker\n"
        "def serve(inbox, out):\n"
        "    print('noise'); os.write(1, b'noise'); worker.send(out, {'event': 'ready'})\n"
        "worker.serve = serve; worker.main()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", noisy],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
    )
    assert worker.stdout.read() == b'{"event": "ready"}\n'
    _, log = worker.communicate()
    assert log.count(b"noise") == 2
