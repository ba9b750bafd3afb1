"""The groups of settings. A field's default, bounds, unit, level and source stand here and nowhere else.

Its label and its help, in every language, stand in the locale files under `setting.<path>.label` and `.help`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


def setting(default: Any = ..., *, level: Literal["simple", "advanced"] = "advanced", unit: str = "", source: str = "",
            **bounds: Any) -> Any:  # fmt: skip
    """Return a pydantic field that carries what a control and a documentation table need."""
    if callable(default):
        bounds["default_factory"] = default
    elif default is not ...:
        bounds["default"] = default
    return Field(**bounds, json_schema_extra={"level": level, "unit": unit, "source": source})


class Group(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, validate_default=True)


Weight = Annotated[float, Field(gt=0, le=100)]


class ModelSettings(Group):
    path: str = setting("data/starter", level="simple", min_length=1)


class DataSettings(Group):
    train: list[str] = setting(level="simple", min_length=1)
    test: list[str] = setting(list, level="simple")
    weights: dict[str, Weight] = setting(dict)
    balance: float = setting(
        1.0, ge=0, le=1, source="0.5 is the usual temperature; no row is shown over 3 times a pass"
    )
    accept_warnings: bool = setting(False)
    validation_share: float = setting(0.05, ge=0, le=0.5, source="chosen by us: 1 row in 20 shows overfitting")

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: Any) -> Any:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("train", "test")
    @classmethod
    def _no_name_twice(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class PromptSettings(Group):
    name: str = setting("none", level="simple", min_length=1)
    version: int | None = setting(None, ge=1)
    blanks: dict[str, str] = setting(dict)


class MethodSettings(Group):
    name: Literal["qlora", "lora"] = setting("qlora", level="simple")


class LoraSettings(Group):
    rank: int = setting(16, level="simple", ge=1, le=512)
    alpha: int | None = setting(None, ge=1, le=2048, source="twice the rank where empty, the usual choice since LoRA+")
    dropout: float = setting(0.0, ge=0, lt=1)


class OptimSettings(Group):
    learning_rate: float = setting(2e-4, level="simple", gt=0, le=1, source="QLoRA, Dettmers et al. 2023, table 9")
    weight_decay: float = setting(0.0, ge=0, le=1)
    max_grad_norm: float = setting(1.0, gt=0, le=100)


class ScheduleSettings(Group):
    epochs: float = setting(3.0, level="simple", gt=0, le=1000, unit="passes")
    max_steps: int | None = setting(None, ge=1, unit="steps")
    kind: Literal["cosine", "linear", "constant"] = setting("cosine")
    warmup_share: float = setting(0.05, ge=0, le=0.9, source="3 to 10 % is usual; QLoRA used 3 %")


class BatchSettings(Group):
    global_batch_size: int = setting(8, level="simple", ge=1, le=4096, unit="examples")
    micro_batch_size: int | None = setting(None, ge=1, le=4096, unit="examples")
    cutoff_len: int = setting(1024, level="simple", ge=16, le=1_048_576, unit="tokens")

    @model_validator(mode="after")
    def _micro_divides_global(self) -> "BatchSettings":
        if self.micro_batch_size and self.global_batch_size % self.micro_batch_size:
            raise ValueError(f"{self.global_batch_size} is not a multiple of {self.micro_batch_size}")
        return self


class CheckpointSettings(Group):
    every_steps: int = setting(50, ge=1, unit="steps")
    keep: int = setting(2, ge=1, le=100)


class LogSettings(Group):
    every_steps: int = setting(1, ge=1, unit="steps")
    validate_every_steps: int | None = setting(None, ge=1, unit="steps")


class RunSettings(Group):
    """All settings of a training run. Every key is optional but `data.train`."""

    model: ModelSettings = ModelSettings()
    data: DataSettings
    prompt: PromptSettings = PromptSettings()
    method: MethodSettings = MethodSettings()
    lora: LoraSettings = LoraSettings()
    optim: OptimSettings = OptimSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    batch: BatchSettings = BatchSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    log: LogSettings = LogSettings()
    seed: int = setting(7, ge=0, le=2**32 - 1)
    name: str = setting("", max_length=60)

    @property
    def lora_alpha(self) -> int:
        return self.lora.alpha or 2 * self.lora.rank
