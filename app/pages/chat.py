"""Chat: base and tuned side by side over one input, under the prompt that was trained unless another is chosen."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from app import watching
from app.notices import done
from app.parts import choice, html, when
from app.preview import tokenizer
from app.studio import Studio
from core.chat.session import ChatSession, Sampling, Which
from core.errors import RunError, problem
from core.models.folder import find_model
from core.records import Message
from core.wording import Translator

_SAMPLING = {"temperature": 0.0, "top_p": 1.0, "repetition_penalty": 1.0, "max_new_tokens": 128}
_STEPS = {"temperature": 0.1, "top_p": 0.05, "repetition_penalty": 0.05, "max_new_tokens": 16}
_AT_ONCE = 8  # answers that are streamed at the same time; one model answers one after the other
Turn = dict[str, str]  # user, base, tuned


@dataclass(frozen=True)
class ChatPage:
    run: Any  # "run:NAME" or "model:PATH"
    load: Any
    release: Any
    loaded: Any
    system: Any
    system_note: Any
    sampling: dict[str, Any]
    which: Any
    panes: dict[str, Any]
    message: Any
    send: Any
    stop: Any
    clear: Any
    exact: Any
    exact_button: Any
    notice: Any
    turns: Any

    @property
    def state(self) -> list[Any]:
        return [self.loaded, self.load, self.release, self.send]


def build(studio: Studio, t: Translator) -> ChatPage:
    """Lay out and wire the page."""
    page = _lay_out(t)
    _wire_model(studio, page, t)
    stopping: set[str] = set()  # sessions whose visitor pressed Stop: each stops their own answer only

    def send(values: Mapping[Any, Any], request: gr.Request) -> Iterator[dict[Any, Any]]:
        text = (values[page.message] or "").strip()
        if not text:
            return
        session = _session(studio, values[page.run])
        stopping.discard(request.session_hash or "")
        turns: list[Turn] = [*(values[page.turns] or []), {"user": text}]
        yield {page.message: "", page.turns: turns, page.stop: gr.update(visible=True), **_panes(page, turns)}
        sampling = Sampling(**{name: values[each] for name, each in page.sampling.items()})
        for which in _asked(session, values[page.which]):
            turns[-1][which] = ""
            pieces = session.ask(_messages(values[page.system], turns, which), which, sampling)
            try:
                for piece in pieces:
                    turns[-1][which] += piece
                    yield {page.panes[which]: _pane(turns, which)}
                    if (request.session_hash or "") in stopping:
                        break
            finally:
                pieces.close()  # type: ignore[attr-defined]
            if (request.session_hash or "") in stopping:
                break
        yield {page.turns: turns, page.stop: gr.update(visible=False), **_panes(page, turns)}

    def stop(values: Mapping[Any, Any], request: gr.Request) -> dict[Any, Any]:
        stopping.add(request.session_hash or "")
        return {page.stop: gr.update(visible=False)}

    def clear(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {page.turns: [], **_panes(page, [])}

    def exact(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {page.exact: _exact(studio, page, values, t)}

    inputs = {page.run, page.message, page.system, page.which, page.turns, *page.sampling.values()}
    streamed = [page.message, page.turns, page.stop, *page.panes.values()]
    asked = [page.send.click, page.message.submit]
    when(asked, send, inputs, streamed, page.notice, t, concurrency_limit=_AT_ONCE, reads=True)
    when(page.stop.click, stop, {page.run}, [page.stop], page.notice, t, reads=True)
    when(page.clear.click, clear, {page.run}, [page.turns, *page.panes.values()], page.notice, t, reads=True)
    when(
        page.exact_button.click,
        exact,
        {page.run, page.message, page.system, page.turns, page.which},
        [page.exact],
        page.notice,
        t,
        reads=True,
    )
    return page


def refresh(studio: Studio, page: ChatPage, values: Mapping[Any, Any], t: Translator) -> dict[Any, Any]:
    """Return the updates of a tab that is shown: what there is to talk to, and what is loaded."""
    runs = [(name, f"run:{name}") for name in watching.usable(studio)]
    models = [(t("chat.base_of", name=path), f"model:{path}") for path in studio.models()]
    chosen = values[page.run] if values[page.run] in [each for _, each in (*runs, *models)] else (runs or models)[0][1]
    return {page.run: gr.update(choices=[*runs, *models], value=chosen), **_state(studio, page, chosen, t)}


def _lay_out(t: Translator) -> ChatPage:
    with gr.Row(elem_classes="work"):
        with gr.Column(scale=3, min_width=280, elem_classes="card"):
            run = choice([], label=t("chat.model"), info=t("chat.model_help"), elem_id="chat-run")
            loaded = html("chat-loaded")
            with gr.Row(elem_classes="actions"):
                load = gr.Button(t("chat.choose"), variant="primary", interactive=False, elem_id="chat-load")
                release = gr.Button(t("chat.release"), visible=False, elem_id="chat-release")
            system = gr.Textbox(label=t("chat.system"), placeholder=t("prompt.empty"), lines=2, elem_id="chat-system")
            system_note = html("chat-system-note")
            with gr.Accordion(t("chat.sampling"), open=False, elem_id="chat-sampling"):
                sampling = {
                    name: gr.Number(value, step=_STEPS[name], label=t(f"setting.sampling.{name}.label"),
                                    info=t(f"setting.sampling.{name}.help"), elem_id=f"sampling.{name}")
                    for name, value in _SAMPLING.items()
                }  # fmt: skip
            notice = html("chat-notice")
        with gr.Column(scale=8, min_width=340, elem_classes="card"):
            with gr.Row(elem_classes="pair"):
                panes = {which: _chatbot(which, t) for which in ("base", "tuned")}
            with gr.Row(elem_classes="ask"):
                message = gr.Textbox(label=t("chat.message"), placeholder=t("chat.placeholder"), elem_id="chat-message",
                                     lines=1, max_lines=6, scale=6, autofocus=False)  # fmt: skip
                send = gr.Button(t("chat.send"), interactive=False, elem_id="chat-send", scale=1, min_width=90)
            with gr.Row(elem_classes="actions"):
                choices = [(t(f"chat.{each}"), each) for each in ("both", "base", "tuned")]
                which = gr.Radio(choices, value="both", label=t("chat.ask"), elem_id="chat-which", scale=3)
                stop = gr.Button(t("chat.stop"), visible=False, variant="stop", elem_id="chat-stop", min_width=90)
                clear = gr.Button(t("chat.clear"), elem_id="chat-clear", min_width=90)
            with gr.Accordion(t("chat.exact"), open=False, elem_id="chat-exact-box"):
                exact_button = gr.Button(t("chat.exact_show"), size="sm", elem_id="chat-exact-show")
                exact = html("chat-exact")
    return ChatPage(run, load, release, loaded, system, system_note, sampling, which, panes, message, send, stop, clear, 
                    exact, exact_button, notice, gr.State([]))  # fmt: skip


def _chatbot(which: str, t: Translator) -> gr.Chatbot:
    return gr.Chatbot(
        label=t(f"chat.{which}"),
        elem_id=f"chat-{which}",
        sanitize_html=True,
        allow_tags=False,
        render_markdown=False,
        latex_delimiters=[],
        feedback_options=None,
        buttons=[],
        height=430,
        min_width=150,
        placeholder=t("chat.nothing_said"),
        allow_file_downloads=False,
        layout="bubble",
    )


def _wire_model(studio: Studio, page: ChatPage, t: Translator) -> None:
    def choose(values: Mapping[Any, Any]) -> dict[Any, Any]:
        text = _trained_prompt(studio, values[page.run])
        return {
            page.system: text or "",
            page.system_note: _note(text, text, t),
            **_state(studio, page, values[page.run], t),
        }

    def note(values: Mapping[Any, Any]) -> dict[Any, Any]:
        return {page.system_note: _note(_trained_prompt(studio, values[page.run]), values[page.system], t)}

    def load(values: Mapping[Any, Any]) -> Iterator[dict[Any, Any]]:
        key = values[page.run] or ""
        waiting = f'<p class="note">{escape(t("chat.loading"))}</p>'
        yield {page.loaded: waiting, page.load: gr.update(interactive=False, value=t("chat.loading"))}
        try:
            studio.open_chat(key)
        finally:
            yield _state(studio, page, key, t)
        done(t("chat.loaded"), t("language.code"))

    def release(values: Mapping[Any, Any]) -> dict[Any, Any]:
        studio.release_chat(values[page.run] or "")
        done(t("chat.released"), t("language.code"))
        return _state(studio, page, values[page.run], t)

    when(page.run.change, choose, {page.run}, [page.system, page.system_note, *page.state], page.notice, t)
    when(
        page.system.change,
        note,
        {page.run, page.system},
        [page.system_note],
        page.notice,
        t,
        trigger_mode="always_last",
    )
    when(page.load.click, load, {page.run}, page.state, page.notice, t)
    when(page.release.click, release, {page.run}, page.state, page.notice, t, reads=True)


def _state(studio: Studio, page: ChatPage, key: str | None, t: Translator) -> dict[Any, Any]:
    """Return what the buttons say: choose, load, or release."""
    session = studio.chat(key) if key else None
    ready = gr.update(interactive=session is not None, variant="primary" if session else "secondary")
    if session is None:
        button = gr.update(value=t("chat.load" if key else "chat.choose"), interactive=bool(key), visible=True)
        return {page.loaded: "", page.load: button, page.release: gr.update(visible=False), page.send: ready}
    about = session.describe()
    text = t("chat.ready", device=about.get("device", "?"), parameters=f"{about.get('parameters', 0) / 1e6:.1f}")
    return {
        page.loaded: f'<p class="good">{escape(text)}</p>',
        page.load: gr.update(visible=False),
        page.release: gr.update(visible=True),
        page.send: ready,
    }


def _session(studio: Studio, key: str | None) -> ChatSession:
    session = studio.chat(key) if key else None
    if session is None:
        raise RunError(problem("page.chat_not_loaded"))
    return session


def _asked(session: ChatSession, which: str) -> list[Which]:
    tuned = session.describe().get("run") is not None
    if not tuned:
        return ["base"]
    return ["base", "tuned"] if which == "both" else ["base"] if which == "base" else ["tuned"]


def _messages(system: str | None, turns: list[Turn], which: str) -> list[Message]:
    """Return the conversation as one of the two models knows it: its own answers, and no turn that it was not asked."""
    messages = [Message("system", system)] if system and system.strip() else []
    for turn in turns[:-1]:
        if turn.get(which):
            messages += [Message("user", turn["user"]), Message("assistant", turn[which])]
    return [*messages, Message("user", turns[-1]["user"])]


def _panes(page: ChatPage, turns: list[Turn]) -> dict[Any, Any]:
    return {pane: _pane(turns, which) for which, pane in page.panes.items()}


def _pane(turns: list[Turn], which: str) -> list[dict[str, str]]:
    """Return a pane's messages, escaped: without markdown the chat shows what it gets as HTML, cleaned but still HTML."""
    shown = []
    for turn in turns:
        shown.append({"role": "user", "content": escape(turn["user"], quote=False)})
        if which in turn:
            shown.append({"role": "assistant", "content": escape(turn[which], quote=False) or "…"})
    return shown


def _trained_prompt(studio: Studio, key: str | None) -> str | None:
    kind, _, name = (key or "").partition(":")
    return studio.run(name).config["prompt"]["text"] if kind == "run" else None


def _note(trained: str | None, text: str | None, t: Translator) -> str:
    if (text or "").strip() == (trained or "").strip():
        return f'<p class="note">{escape(t("chat.same_prompt"))}</p>'
    return f'<p class="note different">{escape(t("chat.other_prompt", trained=trained or "–"))}</p>'


def _exact(studio: Studio, page: ChatPage, values: Mapping[Any, Any], t: Translator) -> str:
    """Return, character for character, what the model reads when the message is sent."""
    kind, _, name = (values[page.run] or "").partition(":")
    if not name:
        raise RunError(problem("chat.nothing_chosen"))
    folder = studio.run(name).require_adapter() if kind == "run" else find_model(studio.workspace, name)
    which = "base" if values[page.which] == "base" or kind != "run" else "tuned"
    turns = [*(values[page.turns] or []), {"user": values[page.message] or t("chat.your_message")}]
    text = tokenizer(folder).render(_messages(values[page.system], turns, which), add_generation_prompt=True).text
    return f'<pre class="code">{escape(text)}</pre>'
