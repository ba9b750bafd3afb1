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
ModuleName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", max_length=100)]


def names(value: Any) -> Any:
    """Return the names in `a, b` as a list; what is no text is left for the check that follows."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class ModelSettings(Group):
    path: str = setting("data/starter", level="simple", min_length=1)
    add_chatml: bool = setting(False)
    adapter: str = setting("", max_length=100)


class DataSettings(Group):
    train: list[str] = setting(level="simple", min_length=1)
    test: list[str] = setting(list, level="simple")
    weights: dict[str, Weight] = setting(dict)
    balance: float = setting(
        1.0, ge=0, le=1, source="0.5 is the usual temperature; no row is shown over 3 times a pass"
    )
    accept_warnings: bool = setting(False)
    template: Literal["chat", "completion"] = setting("chat")
    validation_share: float = setting(0.05, ge=0, le=0.5, source="chosen by us: 1 row in 20 shows overfitting")

    @field_validator("train", "test", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: Any) -> Any:
        return names(value)

    @field_validator("train", "test")
    @classmethod
    def _no_name_twice(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


class PromptSettings(Group):
    name: str = setting("none", level="simple", min_length=1)
    version: int | None = setting(None, ge=1)
    blanks: dict[str, str] = setting(dict)


class MethodSettings(Group):
    name: Literal["qlora", "lora", "rslora", "dora", "pissa", "loraplus", "prefix", "prompt", "freeze", "full"] = (
        setting("qlora", level="simple")
    )
    bits: Literal[4, 8, 16] | None = setting(None)
    layers: int = setting(2, ge=1, le=1000, unit="layers")
    virtual_tokens: int = setting(
        20, ge=1, le=1000, unit="tokens", source="Lester et al. 2021: beyond 20 little is gained"
    )

    @field_validator("bits", mode="before")
    @classmethod
    def _digits_are_a_number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdecimal() else value


class LoraSettings(Group):
    rank: int = setting(16, level="simple", ge=1, le=512)
    alpha: int | None = setting(None, ge=1, le=2048, source="twice the rank where empty, the usual choice since LoRA+")
    dropout: float = setting(0.0, ge=0, lt=1)
    targets: list[ModuleName] = setting(
        lambda: ["all-linear"], min_length=1, source="QLoRA, Dettmers et al. 2023: all linear layers beat a higher rank"
    )
    plus_ratio: float = setting(16.0, ge=1, le=100, source="LoRA+, Hayou et al. 2024: 16")

    @field_validator("targets", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: Any) -> Any:
        return names(value)

    @field_validator("targets")
    @classmethod
    def _all_are_all(cls, value: list[str]) -> list[str]:
        return ["all-linear"] if "all-linear" in value else list(dict.fromkeys(value))


class OptimSettings(Group):
    name: Literal["adamw", "paged_adamw_32bit", "paged_adamw_8bit", "adafactor"] = setting("adamw")
    learning_rate: float = setting(2e-4, level="simple", gt=0, le=1, source="QLoRA, Dettmers et al. 2023, table 9")
    weight_decay: float = setting(0.0, ge=0, le=1)
    max_grad_norm: float = setting(1.0, gt=0, le=100)
    neftune_alpha: float | None = setting(None, gt=0, le=100, source="NEFTune, Jain et al. 2023: 5 to 15")


class ScheduleSettings(Group):
    epochs: float = setting(3.0, level="simple", gt=0, le=1000, unit="passes")
    max_steps: int | None = setting(None, ge=1, unit="steps")
    kind: Literal["cosine", "linear", "constant"] = setting("cosine")
    warmup_share: float = setting(0.05, ge=0, le=0.9, source="3 to 10 % is usual; QLoRA used 3 %")
    patience: int | None = setting(None, ge=1, le=1000, unit="validations")


class BatchSettings(Group):
    global_batch_size: int = setting(8, level="simple", ge=1, le=4096, unit="examples")
    micro_batch_size: int | None = setting(None, ge=1, le=4096, unit="examples")
    cutoff_len: int = setting(1024, level="simple", ge=16, le=1_048_576, unit="tokens")
    packing: bool = setting(True)

    @model_validator(mode="after")
    def _micro_divides_global(self) -> "BatchSettings":
        if self.micro_batch_size and self.global_batch_size % self.micro_batch_size:
            raise ValueError(f"{self.global_batch_size} is not a multiple of {self.micro_batch_size}")
        return self


class ComputeSettings(Group):
    dtype: Literal["auto", "bfloat16", "float32"] = setting("auto")
    checkpointing: Literal["auto", "on", "off"] = setting("auto")
    compile: bool = setting(False)


class CheckpointSettings(Group):
    every_steps: int = setting(50, ge=1, unit="steps")
    keep: int = setting(2, ge=1, le=100)


class LogSettings(Group):
    every_steps: int = setting(1, ge=1, unit="steps")
    validate_every_steps: int | None = setting(None, ge=1, unit="steps")
    validate_each_epoch: bool = setting(False)
    trackers: list[Literal["wandb", "mlflow", "trackio"]] = setting(list)

    @field_validator("trackers", mode="before")
    @classmethod
    def _one_name_is_a_list(cls, value: Any) -> Any:
        return names(value)

    @field_validator("trackers")
    @classmethod
    def _no_name_twice(cls, value: list[str]) -> list[str]:
        return list(dict.fromkeys(value))


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
    compute: ComputeSettings = ComputeSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    log: LogSettings = LogSettings()
    seed: int = setting(7, ge=0, le=2**32 - 1)
    name: str = setting("", max_length=60)

    @property
    def lora_alpha(self) -> int:
        return self.lora.alpha or 2 * self.lora.rank
