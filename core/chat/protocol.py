"""What the session and the chat worker say to each other: one JSON object a line. No torch here.

to the worker      {"open": {"folder", "tuned", "bits"}} once, then
                   {"id", "messages", "which", "sampling"}  |  {"stop": id}  |  {"close": true}
from the worker    {"event": "loading"}, then {"event": "ready", "device", "parameters", "context"}; for each question
                   {"event": "piece", "id", "text"} … and {"event": "done", "id", "tokens", "seconds", "stopped"};
                   instead of ready or done: {"event": "error", "problems"}, with the question's id
"""

import json
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from core.errors import SettingsError, problem

Which = Literal["base", "tuned"]


class Sampling(BaseModel):
    """How the next token is chosen. Making one with a value that cannot be used raises `SettingsError`.

    Temperature 0 is greedy: always the likeliest token, the same answer every time. `seed` None draws anew each time.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    temperature: float = Field(default=0.0, ge=0, le=5)
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=0.5, le=3)
    max_new_tokens: int = Field(default=128, ge=1, le=8192)
    seed: int | None = Field(default=None, ge=0, le=2**32 - 1)

    @model_validator(mode="wrap")
    @classmethod
    def _say_in_words(cls, values: Any, handler: ModelWrapValidatorHandler["Sampling"]) -> "Sampling":
        try:
            return handler(values)
        except ValidationError as error:
            raise SettingsError(*(_problem(each) for each in error.errors(include_url=False))) from error


def send(stream: IO[str], message: dict[str, Any]) -> None:
    """Write one message and hand it over at once."""
    stream.write(json.dumps(message) + "\n")
    stream.flush()


def _problem(error: Any) -> Any:
    name = str(error["loc"][0]) if error["loc"] else ""
    where, value = f"sampling.{name}", repr(error.get("input"))[:80]
    match error["type"]:
        case "extra_forbidden":
            return problem("settings.unknown", where, known=", ".join(Sampling.model_fields))
        case "finite_number":
            return problem("settings.not_finite", where, value=value)
        case "greater_than" | "greater_than_equal" | "less_than" | "less_than_equal":
            return problem("settings.out_of_range", where, value=value, range=_range(name))
        case _:
            return problem("settings.wrong_kind", where, value=value, reason=error["msg"])


def _range(name: str) -> str:
    bounds = [getattr(each, side) for each in Sampling.model_fields[name].metadata for side in ("ge", "gt", "le", "lt")
              if hasattr(each, side)]  # fmt: skip
    return " … ".join(f"{bound:g}" for bound in sorted(bounds))
