"""The settings as rows: what a control, a flag or a documentation table needs to know about each."""

import types
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from core.settings.groups import RunSettings


@dataclass(frozen=True)
class SettingField:
    path: str  # dotted, such as "lora.rank": control id, flag, YAML key and translation key
    kind: Literal["bool", "int", "float", "text", "choice", "list", "dict"]
    default: Any  # None: required or "found by the studio", see `required`
    required: bool
    optional: bool  # may be left empty
    choices: tuple[str, ...]
    minimum: float | None
    above_minimum: bool  # the minimum itself is not allowed
    maximum: float | None
    unit: str
    level: str
    source: str


@cache
def fields() -> tuple[SettingField, ...]:
    """Return every setting, in the order of declaration."""
    rows: list[SettingField] = []
    for name, info in RunSettings.model_fields.items():
        group = info.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            rows += [_row(f"{name}.{inner}", field) for inner, field in group.model_fields.items()]
        else:
            rows.append(_row(name, info))
    return tuple(rows)


def _row(path: str, info: FieldInfo) -> SettingField:
    kind, optional = _plain(info.annotation)
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    bounds = {type(each): each for each in info.metadata}
    low = next((getattr(bounds[k], a) for k, a in ((Ge, "ge"), (Gt, "gt")) if k in bounds), None)
    high = next((getattr(bounds[k], a) for k, a in ((Le, "le"), (Lt, "lt")) if k in bounds), None)
    default = info.default_factory() if info.default_factory else info.default  # type: ignore[call-arg]
    names = {bool: "bool", int: "int", float: "float", str: "text", list: "list", dict: "dict"}
    return SettingField(
        path=path,
        kind="choice" if get_origin(kind) is Literal else names[get_origin(kind) or kind],  # type: ignore[arg-type]
        default=None if default is PydanticUndefined else default,
        required=info.is_required(),
        optional=optional,
        choices=_choices(kind),
        minimum=low,
        above_minimum=Gt in bounds,
        maximum=high,
        unit=str(extra.get("unit", "")),
        level=str(extra.get("level", "advanced")),
        source=str(extra.get("source", "")),
    )


def _choices(kind: Any) -> tuple[str, ...]:
    """Return what a setting, or each member of a list, can be; nothing where that is free."""
    if get_origin(kind) is list:
        return _choices(get_args(kind)[0])
    return tuple(map(str, get_args(kind))) if get_origin(kind) is Literal else ()


def _plain(annotation: Any) -> tuple[Any, bool]:
    """Strip `| None` from an annotation and say whether it was there."""
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [each for each in get_args(annotation) if each is not type(None)]
        return inner[0], True
    return annotation, False
