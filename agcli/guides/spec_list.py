"""Several guides as they are given: `--guide` repeated, or a list in a config file; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agcli.errors import shortened
from agcli.guides.spec import GuideSpec, parse_guide


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
