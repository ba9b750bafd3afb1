"""A score as it comes in a bundle: whether pages, reports and rules find in it what they read, of the kind they need.

Scores are written by core/evaluate, which this package does not know; docs/evaluation.md tells their shape.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from core.runs.evaluated import Count, Sound, Values, Who, fits, is_short, told

MOST_SETS = 300  # data sets, and contestants, that a file names; chosen by us
FORMAT = 2  # scores without one are of before there were contestants

_Ends = Annotated[list[float | None], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    """What else is in it is not looked at."""

    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Contestant(_Part):
    id: Who
    run: str = ""
    saved: str = ""
    step: Count | None = None
    trained: Count | None = None


class _Check(_Part):
    kind: str = ""
    pattern: str = ""


class _Compared(_Part):
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    wins: Count
    ties: Count
    losses: Count
    n: Count
    needed: Count | None
    winner: Literal["who", "other"] | None

    @model_validator(mode="after")
    def _won_by_a_difference(self) -> "_Compared":
        if self.winner and self.difference is None:
            raise ValueError(self.winner)
        return self


class _Confusion(_Part):
    labels: list[str]
    counts: list[list[Count]]


class _Tagged(_Part):
    """The rows of one tag: their number, and beside it the values of each contestant."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)
    __pydantic_extra__: dict[str, Values] = Field(init=False)
    n: Count


class _Dataset(_Part):
    n: Count
    check: _Check
    main: Annotated[str, told("metric")]
    unasked: dict[Who, Count] = {}
    intervals: dict[Who, dict[str, _Ends]]
    against: dict[Who, dict[Who, dict[str, _Compared]]]
    by_tag: dict[str, _Tagged]
    confusion: dict[Who, _Confusion] = {}
    perplexity: dict[Who, float | None]


class _Of(_Part):
    n: Count
    right: Count


class _Identity(_Part):
    """What one contestant says of itself. Who knows who it should be counts what is right, else it is told what it says."""

    n: Count
    verdict: Annotated[str, told("probe.identity")]
    says: dict[Literal["name", "maker"], str | None] = {}
    right: Count = 0
    leaked: Count = 0
    name: Count = 0
    maker: Count = 0
    asked: dict[str, Count] = {}
    claimed: list[str] = []
    old: list[str] = []
    by_under: dict[Annotated[str, told("probe.under")], _Of] = {}

    @model_validator(mode="after")
    def _can_be_told(self) -> "_Identity":
        names = {"right", "leaked", "name", "maker", "asked", "claimed", "old", "by_under"}
        known = "right" in self.model_fields_set
        complete = names <= self.model_fields_set and {"name", "maker"} <= self.asked.keys()
        only = self.verdict == "only_under_prompt"
        counted = all(each.n for each in self.by_under.values())
        if not (
            complete if known else {"name", "maker"} <= self.says.keys() and self.verdict in ("changed", "unchanged")
        ):
            raise ValueError(self.verdict)
        if only and not (known and counted and "trained" in self.by_under and len(self.by_under) > 1):
            raise ValueError(self.verdict)
        return self


class _Identities(_Part):
    expected: dict[Literal["name", "maker"], str | None] = Field(min_length=2)
    who: dict[Who, _Identity]


class _Share(_Part):
    value: float | None
    low: float | None
    high: float | None

    @model_validator(mode="after")
    def _has_two_ends(self) -> "_Share":
        if (self.low is None) != (self.high is None):
            raise ValueError
        return self


class _Kept(_Of):
    """What one contestant kept; of the base only what it can."""

    perplexity: float | None = None


class _KeptOfOther(_Kept):
    kept: _Share
    lost: Count
    gained: Count
    abilities_lost: list[str]
    perplexity_ratio: float | None
    verdict: Annotated[str, told("probe.kept")]


class _Abilities(_Part):
    who: dict[Who, _KeptOfOther | _Kept]
    by_ability: dict[str, dict[str, Count]]

    @model_validator(mode="after")
    def _of_base_and_others(self) -> "_Abilities":
        others = [each for who, each in self.who.items() if who != "base"]
        if not all(isinstance(each, _KeptOfOther) for each in others):
            raise ValueError("who")
        if not all({"n", "base", "tuned"} <= counts.keys() for counts in self.by_ability.values()):
            raise ValueError("by_ability")
        return self


class _Place(_Part):
    where: str
    token: Count


class _Parity(_Part):
    same: bool | None
    rows: Count
    differs_at: _Place | None
    template_same: bool
    system_same: bool


class _Probes(_Part):
    identity: _Identities | None = None
    kept: _Abilities | None = None
    parity: _Parity | None = None


class _Agreement(_Part):
    name: Annotated[str, told("metric")]
    n: Count
    share: float | None
    enough: bool


class _Judged(_Part):
    who: Who
    other: Who
    judge: str
    n: Count
    wins: Count
    losses: Count
    ties: Count
    unsure: Count
    win_rate: float | None
    interval: _Ends | None
    enough: bool
    agreement: float | None
    first_bias: float | None
    metric: _Agreement


class _Prompt(_Part):
    name: str
    version: int
    text: str | None


class _Decoding(_Part):
    strategy: Annotated[str, told("decoding")]
    max_new_tokens: Count
    temperature: float = 0.0


class _Pinned(_Part):
    name: str
    sha1: str


class _Score(_Part):
    who: Annotated[list[_Contestant], Field(min_length=2, max_length=MOST_SETS)]
    datasets: dict[str, _Dataset]
    probes: _Probes
    signatures: dict[str, dict[str, str]] = {}
    judge: _Judged | None = None
    adapter: str
    prompt: _Prompt
    data: list[_Pinned]
    decoding: _Decoding

    @model_validator(mode="after")
    def _tells_of_base_and_tuned(self) -> "_Score":
        who = [each.id for each in self.who]
        if who[:2] != ["base", "tuned"] or len(set(who)) < len(who):
            raise ValueError(who[0])
        identity, kept = self.probes.identity, self.probes.kept
        if identity and not {"base", "tuned"} <= identity.who.keys():
            raise ValueError("identity")
        if kept and not {"base", "tuned"} <= kept.who.keys():
            raise ValueError("kept")
        return self


_is_of_now: Sound = fits(_Score)
_are_values: Sound = fits(Values)


def is_score(values: dict[str, Any], job: str) -> bool:
    """Tell whether a file holds the score of a job; one of before there were contestants tells of base and tuned alone."""
    found = values.get("datasets")
    if values.get("job") != job or not isinstance(values.get("created"), str) or not isinstance(found, dict):
        return False
    if len(found) > MOST_SETS or not all(map(is_short, found)):
        return False
    who = ["base", "tuned"]
    if values.get("format") is not None:
        if values["format"] != FORMAT or not _is_of_now(values):
            return False
        who = [each["id"] for each in values["who"]]
    return all(isinstance(each, dict) and _tells_of(each.get(one)) for each in found.values() for one in who)


def _tells_of(values: Any) -> bool:
    return isinstance(values, dict) and "right" in values and _are_values(values)
