"""Declare configuration keys: everything about a key is in one place, its declaration.

>>> @schema("dataset/example")
... @dataclass
... class ExampleConfig:
...     size: int = field(256, "side of the test images, pixels", least=16)
...     cache: str | None = field(None, "folder for decoded images; null: none", identity=False)

types configs/dataset/example.yaml, which says `defaults: [example_schema, _self_]`.
"""

import dataclasses
import math
import os
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf

from a2u.errors import ConfigError

SCHEMAS: dict[str, type] = {}  # dataclasses by the file of configs/ that they type: "table", "dataset/adobe"

LARGEST = 2**32 - 1  # the largest whole number that any key takes
MOST_PROCESSES = max(64, 4 * (os.cpu_count() or 1))  # or threads, of one kind, on this machine

Value = TypeVar("Value")
Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class Key:
    """Help text and range of a key, and whether it is part of a run's identity."""

    help: str = ""
    least: float = -math.inf  # the smallest value allowed
    most: float = math.inf
    above: float = -math.inf  # every value must be larger
    # Whether the value is part of a run's identity, or a function that returns the part of it that is.
    identity: bool | Callable[[Any], Any] = True
    added_later: bool = False  # newer than published results: part of the identity unless it has its default

    def problem(self, value: Any) -> str | None:
        """Return the requirement that a value violates, such as "at least 1"; None if it is allowed."""
        if isinstance(value, list):
            return next(filter(None, map(self.problem, value)), None)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return "a finite number"
        if value <= self.above:
            return "positive" if self.above == 0 else f"above {self.above}"
        if value < self.least:
            return f"at least {self.least}"
        most = min(self.most, LARGEST) if isinstance(value, int) else self.most
        return f"at most {most}" if value > most else None


def field(default: Value, help: str = "", **about: Any) -> Value:
    """Declare a key with its default; `help` and `about` are the fields of `Key`. A list or a dict is copied."""
    metadata = {"key": Key(help, **about)}
    if isinstance(default, list | dict):
        return dataclasses.field(default_factory=lambda: copy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def schema(*names: str) -> Callable[[Kind], Kind]:
    """Let a dataclass type the files configs/<name>.yaml, which load it as <name>_schema."""

    def register(kind: Kind) -> Kind:
        SCHEMAS.update(dict.fromkeys(names, kind))
        return kind

    return register


def keys_of(kind: type) -> dict[str, Key]:
    """Return the keys of a settings dataclass by name; one that only gets another default stays as declared above."""
    found: dict[str, Key] = {}
    for base in filter(is_dataclass, reversed(kind.__mro__)):
        for entry in fields(base):
            key = entry.metadata.get("key", Key())
            if entry.name not in found or key != Key():
                found[entry.name] = key
    return found


def default_of(kind: type, name: str) -> Any:
    """Return the default of a key as a plain value, None where it has none."""
    default = next(entry.default for entry in fields(kind) if entry.name == name)
    if isinstance(default, Enum):
        return default.name
    return None if default is dataclasses.MISSING else default


def validate(settings: Any, path: str = "") -> None:
    """Check every number of a settings object or typed configuration, and call its `check()` of several keys.

    path: of the object in the configuration, such as "trainer.", for messages.

    Raises:
        ConfigError: an impossible value.
    """
    if isinstance(settings, DictConfig):
        settings = OmegaConf.to_object(settings)
    for name, key in keys_of(type(settings)).items():
        value = getattr(settings, name)
        if is_dataclass(value):
            validate(value, f"{path}{name}.")
        elif problem := key.problem(value):
            raise ConfigError(f"{path}{name} must be {problem}; got {value}.")
    if hasattr(settings, "check"):
        settings.check()


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return a resolved configuration as plain values (JSON)."""
    return OmegaConf.to_container(cfg, resolve=True, enum_to_str=True)  # type: ignore[return-value]
