"""How an evaluation asks and judges: lengths, decoding, checks, probes. Greedy unless somebody chooses otherwise."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from core.errors import Problem, SettingsError, problem

LONGEST_ANSWER = 8192  # tokens; chosen by us: longer answers are not compared word by word
ENDPOINT = "endpoint"  # the judge behind the OpenAI-compatible address that the environment names


class Options(BaseModel):
    """What can be chosen about an evaluation, beside what is asked and who answers.

    max_new_tokens: longest answer.       limit: ask only so many questions of each set, spread evenly over it.
    temperature, top_p, repetition_penalty, seed: of the decoding; a temperature of 0 is greedy.
    checks: how an answer of a data set is right: "auto", a kind of `metrics.check`, or "kind:pattern".
    name, maker: who the model should be; "" finds out from the data that a run was trained with.
    probes: ask the questions for identity and kept abilities too.
    judge: who compares answers: "" nobody, "endpoint", or the path of a model.       rubric: what it is told; "" = ours.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    max_new_tokens: int = Field(default=64, ge=1, le=LONGEST_ANSWER)
    limit: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    repetition_penalty: float = Field(default=1.0, ge=0.5, le=2)
    seed: int = Field(default=0, ge=0, lt=2**32)
    checks: dict[str, str] = {}
    name: str = Field(default="", max_length=100)
    maker: str = Field(default="", max_length=100)
    probes: bool = True
    judge: str = ""
    rubric: str = Field(default="", max_length=8000)


def options(**values: object) -> Options:
    """Return the options with these values.

    Raises:
        SettingsError: with all of them that cannot be used, at once.
    """
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise SettingsError(*(_problem(each) for each in error.errors(include_url=False))) from error


def _problem(error: ErrorDetails) -> Problem:
    where, context = ".".join(map(str, error["loc"])), error.get("ctx") or {}
    if not {"ge", "gt", "le", "lt"} & context.keys():
        return problem("settings.wrong_kind", where, value=error["input"], reason=error["msg"])
    bounds = Options.model_json_schema()["properties"][where]
    bounds = next((each for each in bounds.get("anyOf", ()) if each["type"] != "null"), bounds)
    low, high = bounds.get("minimum", bounds.get("exclusiveMinimum")), bounds.get("maximum", "")
    return problem("settings.out_of_range", where, value=error["input"], range=f"{low} … {high}".strip())
