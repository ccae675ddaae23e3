"""From the options of `ag ablate` to guides, and the weights of them that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agcli.declare import flag
from agcli.errors import UsageError, did_you_mean, shortened
from agcli.guides.registry import GUIDES
from agcli.guides.spec import SHARE, parse_guides
from agcli.guides.variants import Weight

PAPER_GRID = (0.1, 0.01, 0.001, 0.0001)
ALL = "all"
"""In place of a guide's name in `--guide-grid`: every guide of the variants that has no grid of its own."""
GRID_OF = {f"{name}_grid": name for name, entry in GUIDES.items() if entry.has_flag}
"""Option with the weights to try -> guide."""


def guides_and_weights(
    axes: Mapping[str, Any], options: dict[str, Any]
) -> tuple[tuple[str, ...], dict[str, tuple[Weight, ...]]]:
    """Texts of `--guide`, and guide (or `ALL`) -> weights to try; takes weights of guides out of the run options.

    Raises:
        UsageError: a text that is no guide, a weight of 0, or two options with weights of one guide.
    """
    specs, problems = parse_guides(axes.get("guide") or ())
    problems = (*problems, *(f"{spec}: a variant without the guide is `none`." for spec in specs if not spec.weight))
    if problems:
        raise UsageError("\n".join(f"--guide {problem}" for problem in problems))
    given: dict[str, dict[str, tuple[Weight, ...]]] = {}
    for grid, guide in GRID_OF.items():
        if grid in axes:
            given.setdefault(guide, {})[flag(grid)] = parse_weights(joined(axes[grid]), flag(grid))
        if guide in options:
            given.setdefault(guide, {})[flag(guide)] = (float(options.pop(guide)),)
    for guide, weights in guide_grids(axes.get("guide_grid") or ()).items():
        given.setdefault(guide, {})["--guide-grid"] = weights
    for spec in specs:
        if flag(spec.name) in given.get(spec.name, {}):
            given[spec.name]["--guide"] = (spec.weight,)
    for guide, ways in given.items():
        if len(ways) > 1:
            raise UsageError(f"{' and '.join(ways)} both give weights of {guide}: give one of them.")
    return tuple(map(str, specs)), {guide: weights for guide, ways in given.items() for weights in ways.values()}


def guide_grids(value: Any) -> dict[str, tuple[Weight, ...]]:
    """`next=0.1,0.01`, several such texts, or a table `{next = [0.1, 0.01]}` -> guide (or `ALL`) -> weights."""
    grids: dict[str, tuple[Weight, ...]] = {}
    for text in listed(value, "guide_grid"):
        guide, equals, weights = (word.strip() for word in text.partition("="))
        if guide not in (*GUIDES, ALL):
            allowed = f"allowed: {', '.join(GUIDES)}, or {ALL}.{did_you_mean(guide, (*GUIDES, ALL))}"
            raise UsageError(f"--guide-grid: there is no guide {shortened(guide)}; {allowed}")
        if not equals or not weights:
            raise UsageError(f"--guide-grid {text}: it has no weights; write {guide}=0.1,0.01 or {guide}=paper.")
        if guide in grids:
            raise UsageError(f"--guide-grid {guide} is given twice: name all its weights at once.")
        grids[guide] = parse_weights(weights, f"--guide-grid {guide}")
    return grids


def parse_weights(text: str, option: str) -> tuple[Weight, ...]:
    """`0.1,share:0.05` or `paper` (those among which section 3.3 chose) -> weights.

    Raises:
        UsageError: a word that is no number and no share of the task.
    """
    return PAPER_GRID if text.strip() == "paper" else tuple(_weight(word.strip(), option) for word in text.split(","))


def _weight(word: str, option: str) -> Weight:
    if not word.startswith(SHARE):
        return number(word, option)
    return f"{SHARE}{number(word.removeprefix(SHARE), option):.10g}"


def listed(value: Any, option: str) -> list[str]:
    """`--set` or `--guide-grid`; in a file one text, several, or a table such as `dropout = [0.0, 0.1]`."""
    if isinstance(value, dict):
        return [f"{name}={joined(values)}" for name, values in value.items()]
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise UsageError(f'{option}: {value!r} is none of "NAME=V1,V2", a list of such, and a table of lists.')
    return list(value)


def joined(value: Any) -> str:
    """A list of a config file as the command line writes it."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def number(word: str, option: str) -> float:
    """A number of an option's list.

    Raises:
        UsageError: it is none.
    """
    try:
        return float(word)
    except ValueError:
        raise UsageError(f"{option}: {word.strip()!r} is no number.") from None
