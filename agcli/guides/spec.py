"""The text form of a guide, `next=0.05,heads=2,form=squared`, the same everywhere it is written; no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from agcli.errors import did_you_mean, shortened
from agcli.guides.entry import GuideEntry, GuideOption
from agcli.guides.registry import GUIDES, SHARED_OPTIONS
from agcli.guides.schedule import Schedule, parse_schedule

SHARE = "share:"
MOST_INDICES = 1000
"""More layers or heads than any encoder has: a slip such as `0-99999999` must not fill the memory."""
LONGEST_TEXT = 1000
"""More characters than any guide needs: messages and names of files repeat the text."""


@dataclass(frozen=True)
class GuideSpec:
    """One guide with its weight and options.

    Attributes:
        weight: its factor in the loss, or, if `of_task`, the wanted share of the task's gradient norm at the first
            batch, from which the factor is set.
        options: those that differ from their defaults, in the registry's order.
    """

    name: str
    weight: float
    of_task: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> GuideEntry:
        """Its registry entry."""
        return GUIDES[self.name]

    @property
    def schedule(self) -> Schedule:
        """Its weight over training."""
        return parse_schedule(self.options.get("schedule", "constant"))

    def __str__(self) -> str:
        weight = f"{SHARE}{self.weight:.10g}" if self.of_task else f"{self.weight:.10g}"
        options = "".join(f",{name}={_text(value)}" for name, value in self.options.items())
        return f"{self.name}={weight}{options}"


def parse_guide(text: str) -> GuideSpec:
    """`next=0.05`, `next=share:0.05,heads=0-3`, `match=0.1,match=similar,schedule=linear:0.5`.

    Raises:
        ValueError: not of that form, or no such guide, option or value; the message says what is allowed.
    """
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{shortened(text)} has {len(text):,} characters; allowed: at most {LONGEST_TEXT}.")
    first, *rest = text.split(",")
    name, equals, weight = first.partition("=")
    name, weight = name.strip(), weight.strip()
    if name not in GUIDES:
        raise ValueError(f"there is no guide {name!r}; allowed: {', '.join(GUIDES)}.{did_you_mean(name, GUIDES)}")
    if not equals:
        raise ValueError(f"{text!r} has no weight; write {name}={GUIDES[name].weight:g}.")
    known = {option.name: option for option in guide_options(name)}
    values: dict[str, Any] = {}
    for part in rest:
        option, equals, value = (word.strip() for word in part.partition("="))
        if not equals or option not in known:
            allowed = ", ".join(known)
            listed = " Indices are listed with +, as in 0+3." if option.isdecimal() else did_you_mean(option, known)
            raise ValueError(f"{name} has no option {option!r}; allowed: {allowed}.{listed}")
        if option in values:
            raise ValueError(f"{name}: option {option} is given twice.")
        values[option] = _value(name, known[option], value)
    if "heads" in values and "share" in values:
        raise ValueError(f"{name}: heads and share both say how many heads: give one of them.")
    of_task = weight.startswith(SHARE)
    number = _number(name, weight.removeprefix(SHARE))
    changed = {key: values[key] for key, own in known.items() if key in values and values[key] != own.default}
    return GuideSpec(name, number, of_task and number > 0, changed)


def parse_guides(value: Any) -> tuple[tuple[GuideSpec, ...], tuple[str, ...]]:
    """`"next=0.05"`, `["next=0.05,heads=2", "first=0.05"]` -> the guides in this order, and all problems with them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        return (), (f'{shortened(value)} is neither a guide such as "next=0.05" nor a list of such texts.',)
    specs: dict[str, GuideSpec] = {}
    problems = []
    for text in texts:
        try:
            spec = parse_guide(text)
        except ValueError as error:
            problems.append(str(error))
            continue
        if spec.name in specs:
            problems.append(f"{spec.name} is given twice, as {specs[spec.name]} and {spec}: give it once.")
        specs[spec.name] = spec
    return tuple(specs.values()), tuple(problems)


def guide_values(specs: Iterable[GuideSpec]) -> dict[str, Any]:
    """The run options that say the same: weights of guides with a flag, and `guide`, all other texts.

    A guide with a flag stays in `guide` too where its text says more than a weight. A weight of 0 leaves no text.
    """
    weights: dict[str, Any] = {}
    texts = []
    for spec in specs:
        says_more = bool(spec.weight) and bool(spec.options or spec.of_task)
        weight = parse_guide(str(spec)).weight if says_more else spec.weight  # as a run reads its saved settings
        if spec.entry.has_flag:
            weights[spec.name] = weight
        if spec.weight and (says_more or not spec.entry.has_flag):
            texts.append(str(spec))
    return weights | {"guide": tuple(texts) or None}


def guide_options(name: str) -> tuple[GuideOption, ...]:
    """Options that may follow a weight: the guide's own, unless they are run options, and the shared ones."""
    entry = GUIDES[name]
    shared = tuple(option for option in SHARED_OPTIONS if entry.takes_heads or option.name != "share")
    return (*(() if entry.has_flag else entry.options), *shared)


def parse_heads(text: str) -> int | tuple[int, ...]:
    """`4` -> 4 heads; `0-3`, `0+2+5`, `3-3` -> which.

    Raises:
        ValueError: not of that form.
    """
    if text.isdecimal() and 0 < int(text) < MOST_INDICES:
        return int(text)
    return parse_indices(text, allowed="4 (how many), or which: 0-3, 6+7, 3-3 (0-based)")


def parse_indices(text: str, separator: str = "+", allowed: str = "0-3, 6+7, 0-2+5 (0-based)") -> tuple[int, ...]:
    """`3`, `0-2`, `0-2+5` -> (0, 1, 2, 5).

    Args:
        allowed: examples of the form, for the message.

    Raises:
        ValueError: not of that form.
    """
    indices: set[int] = set()
    for part in text.split(separator):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last) < MOST_INDICES):
            raise ValueError(f"{text!r} is no list of indices; allowed: {allowed}.")
        indices.update(range(int(first), int(last) + 1))
    return tuple(sorted(indices))


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise ValueError(f"{name}: weight {text!r} is not allowed; allowed: a number of at least 0, or {SHARE}NUMBER.")
    return number


def _value(name: str, option: GuideOption, text: str) -> Any:
    """An option's value in its own type; texts of indices and schedules in one spelling."""
    try:
        return _parsed(option, text)
    except ValueError as error:
        raise ValueError(f"{name}: {option.name} {error}") from None


def _parsed(option: GuideOption, text: str) -> Any:
    match option.name:
        case "heads":
            heads = parse_heads(text)
            return str(heads) if isinstance(heads, int) else indices_text(heads, alone="{0}-{0}")
        case "layers":
            return indices_text(parse_indices(text), alone="{0}")
        case "schedule":
            return str(parse_schedule(text))
    limits = dict(option.limits or {})
    if option.name not in limits and "choices" in limits:
        if text not in limits["choices"]:
            allowed = ", ".join(limits["choices"])
            raise ValueError(f"{text!r} is not allowed; allowed: {allowed}.{did_you_mean(text, limits['choices'])}")
        return text
    kind = type(option.default)
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not _admits(limits, value):
        words = {"above": "above", "minimum": "at least", "maximum": "at most"}
        bounds = " and ".join(f"{words[limit]} {bound:g}" for limit, bound in limits.items())
        allowed = f"a {'whole number' if kind is int else 'number'}, {bounds}"
        raise ValueError(f"{text!r} is not allowed; allowed: {allowed}.")
    return value


def _admits(limits: Mapping[str, float], value: float) -> bool:
    return value > limits.get("above", float("-inf")) and (
        limits.get("minimum", float("-inf")) <= value <= limits.get("maximum", float("inf"))
    )


def indices_text(indices: tuple[int, ...], *, alone: str = "{0}") -> str:
    """`(0, 1, 2, 5)` -> `0-2+5`; `alone` is the form of a single index."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    if len(indices) == 1:
        return alone.format(indices[0])
    return "+".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _text(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
