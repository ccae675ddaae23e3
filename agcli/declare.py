"""How options are declared: a dataclass field with help and range, for the command line, config files and messages."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from agcli.errors import did_you_mean, shortened

T = TypeVar("T")
OFFLINE_HELP = "Never open a connection."


@dataclass(frozen=True)
class Option:
    """Help, range and use of an option, beside its field's type.

    Attributes:
        above: exclusive, as is `below`; `minimum` and `maximum` are allowed themselves.
        default_text: the default in words, where it depends on other options or the data.
        shapes_result: whether the option can change a run's numbers; such options make the fingerprint.
        since_fingerprints: whether the option came after runs were fingerprinted without it. Where its value is None,
            its default, it is left out, so that older runs keep their fingerprints.
        repeated: a tuple is given one text at a time, since its texts hold commas themselves.
    """

    help: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] | None = None  # filled in from a `Literal`
    default_text: str | None = None
    shapes_result: bool = True
    since_fingerprints: bool = False
    repeated: bool = False
    flag: str | None = None  # where it is not the field's name
    task: str | None = None  # the only one that uses the option

    def makes_fingerprint(self, value: Any) -> bool:
        """Whether an option of this value is part of a fingerprint."""
        return self.shapes_result and not (self.since_fingerprints and value is None)

    def allowed(self) -> str:
        """The range in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        limits = {"above": self.above, "at least": self.minimum, "at most": self.maximum, "below": self.below}
        return " and ".join(f"{word} {limit:.10g}" for word, limit in limits.items() if limit is not None) or "any"

    def admits(self, value: Any) -> bool:
        """Whether a value of the right type lies in the range; None always does where the type allows it."""
        if value is None:
            return True
        if self.choices is not None:
            return value in self.choices
        return bool(
            (self.above is None or value > self.above)
            and (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
        )

    def refusal(self, value: Any) -> str:
        """That a value is not allowed, and what is."""
        near = did_you_mean(str(value), self.choices or ())
        return f"{shortened(value)} is not allowed; allowed: {self.allowed()}.{near}"


def option(default: T, help: str, **limits: Any) -> T:
    """A dataclass field with a default and its `Option`."""
    declared: T = field(default=default, metadata={"option": Option(help, **limits)})
    return declared


@dataclass(frozen=True)
class Declared:
    """An option for the command line; `type` is that of its values, None aside."""

    section: str
    type: type[Any]
    optional: bool
    default: Any
    spec: Option


def declared_options(sections: Mapping[str, type[Any]]) -> dict[str, Declared]:
    """The options that dataclasses declare, section by section, by name."""
    options: dict[str, Declared] = {}
    for section, kind in sections.items():
        hints = typing.get_type_hints(kind)
        for item in dataclasses.fields(kind):
            hint, spec = hints[item.name], item.metadata["option"]
            optional = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
            if optional:
                [hint] = [member for member in typing.get_args(hint) if member is not types.NoneType]
            if typing.get_origin(hint) is Literal:
                hint, spec = str, dataclasses.replace(spec, choices=typing.get_args(hint))
            options[item.name] = Declared(section, hint, optional, item.default, spec)
    return options


def flag(name: str) -> str:
    """`train_limit` -> `--train-limit`."""
    return "--" + name.replace("_", "-")


def out_of_range(values: Mapping[str, Any], options: Mapping[str, Declared]) -> list[str]:
    """A sentence on each value that an option does not allow, alone or in a tuple."""
    problems = []
    for name, value in values.items():
        spec = options[name].spec
        for item in value if isinstance(value, tuple) else (value,):
            if not spec.admits(item):
                problems.append(f"{flag(name)}: {spec.refusal(item)}")
    return problems
