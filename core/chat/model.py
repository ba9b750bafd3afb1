"""The model inside the chat worker: it writes an answer token by token and can be stopped after each."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList
from transformers.generation import BaseStreamer

from core.chat.protocol import Sampling, Which
from core.errors import RunError, problem
from core.models.folder import context_length, parameters
from core.models.load import BaseAndTuned, forget_defaults, load_base, load_both, pick_device
from core.records import Message
from core.render.tokenizer import ChatTokenizer

_BROKEN = "\ufffd"  # what the bytes of half a character are decoded to


class ChatModel:
    """A base model, with what a training made of it or without."""

    def __init__(self, folder: Path, tuned: Path | None, *, bits: int) -> None:
        self._tokenizer = ChatTokenizer.load(tuned or folder)
        self._parameters = parameters(folder)
        self._both: BaseAndTuned | None = load_both(folder, tuned, bits=bits) if tuned else None
        self._model = self._both.model if self._both else load_base(folder, bits=bits).eval()
        self._context = max(0, context_length(folder) - (self._both.virtual_tokens if self._both else 0))
        forget_defaults(self._model)

    def facts(self) -> dict[str, Any]:
        """Return what a person may want to know about the loaded model."""
        return {"device": pick_device(), "parameters": self._parameters, "context": self._context}

    @torch.inference_mode()
    def answer(
        self,
        messages: Sequence[Message],
        which: Which,
        sampling: Sampling,
        *,
        say: Callable[[str], None],
        stop: threading.Event,
    ) -> dict[str, Any]:
        """Answer, passing every piece of text to `say`, and return tokens, seconds and whether it was stopped.

        Raises:
            RunError: if the tuned model is asked where there is none, or the conversation fills the context.
        """
        if which == "tuned" and self._both is None:
            raise RunError(problem("chat.no_adapter"))
        prompt = self._tokenizer.prompt_ids(messages)
        room = min(sampling.max_new_tokens, self._context - len(prompt)) if self._context else sampling.max_new_tokens
        if room < 1:
            raise RunError(problem("chat.too_long", tokens=len(prompt), context=self._context))
        if sampling.seed is not None:
            torch.manual_seed(sampling.seed)
        stream, started = _Stream(self._tokenizer, say), time.monotonic()
        ids = torch.tensor([prompt], device=self._model.device)
        with self._as(which):
            self._model.generate(
                inputs=ids,
                attention_mask=torch.ones_like(ids),
                generation_config=_config(sampling, room, self._tokenizer),
                streamer=stream,
                stopping_criteria=StoppingCriteriaList([_Stop(stop)]),
            )
        seconds = round(time.monotonic() - started, 3)
        return {"tokens": len(stream.ids), "seconds": seconds, "stopped": stop.is_set()}

    def _as(self, which: Which) -> AbstractContextManager[Any]:
        if which == "base" and self._both is not None:
            return self._both.as_base()
        return nullcontext()


class _Stream(BaseStreamer):
    """Turns token ids into pieces of text; bytes that are only half a character wait for the rest."""

    def __init__(self, tokenizer: ChatTokenizer, say: Callable[[str], None]) -> None:
        self.ids: list[int] = []
        self._tokenizer = tokenizer
        self._say = say
        self._said = 0
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        """Take the next token; the first call brings the prompt."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        self.ids += value.reshape(-1).tolist()
        self._pass_on(self._text().rstrip(_BROKEN))

    def end(self) -> None:
        """Say what was held back: the answer ended in the middle of a character."""
        self._pass_on(self._text())

    def _text(self) -> str:
        return self._tokenizer.decode(self.ids)

    def _pass_on(self, text: str) -> None:
        if len(text) > self._said:
            self._say(text[self._said :])
            self._said = len(text)


class _Stop(StoppingCriteria):
    """Ends the answer after the token during which somebody pressed Stop."""

    def __init__(self, pressed: threading.Event) -> None:
        self._pressed = pressed

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        return torch.full((input_ids.shape[0],), self._pressed.is_set(), device=input_ids.device, dtype=torch.bool)


def _config(sampling: Sampling, room: int, tokenizer: ChatTokenizer) -> GenerationConfig:
    """Return the generation config; nothing is left to the model's own defaults."""
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0} if sampling.temperature else {}
    return GenerationConfig(
        do_sample=sampling.temperature > 0,
        repetition_penalty=sampling.repetition_penalty,
        max_new_tokens=room,
        eos_token_id=list(tokenizer.stop_ids),
        pad_token_id=tokenizer.pad_id,
        **drawn,
    )
