"""Which heads give which numbers of their rows, and what their targets are, as the kernels read it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from agcli.guides.capture import MASS, ROW_QUANTITIES, Indices, LayerCapture, Quantity
from agcli.guides.targets import Columns, Diagonal, Target

DIAGONAL, COLUMNS, CELLS = range(3)
"""Kinds of targets."""

FIELDS = 6
"""Numbers in a head's line: kind and place of its target, its slots of mass, squared norm and entropy, all slots."""

_MASS_SLOT = 2
_SLOTS = {quantity: 3 + number for number, quantity in enumerate(ROW_QUANTITIES)}


@dataclass(frozen=True, eq=False)
class RowPlan:
    """What one layer captures of the rows of its maps.

    Attributes:
        heads: quantity -> how many heads of it are captured; the slots lie in this order.
        lines: `FIELDS` numbers a head, one head after the other; empty if nothing is captured. A target's place is a
            diagonal's offset or a number in `columns` or `cells`; a slot of -1 says that the head does not give this.
        columns: weights of the targets of that kind, in float32 and contiguous.
        cells: weights of the targets of that kind, all of one type and contiguous.
    """

    heads: dict[Quantity, int]
    lines: list[int]
    columns: list[Tensor]
    cells: list[Tensor]


def why_no_plan(capture: LayerCapture) -> str | None:
    """Why the kernels cannot give these rows' numbers, as a clause for a message; None if they can."""
    masses = [quantity for quantity in capture if quantity.startswith(MASS)]
    for one, other in combinations(masses, 2):
        shared = _shared(capture[one], capture[other])
        if shared is not None:
            return f"the kernels take one target a head, and {shared} has two: {one} and {other}"
    return None


def plan_rows(capture: LayerCapture, targets: Mapping[str, Target], query: Tensor) -> RowPlan:
    """The plan of a layer whose capture `why_no_plan` lets pass.

    Raises:
        ValueError: a target's weights require a gradient.
    """
    num_heads, length = query.shape[1:3]
    plan = RowPlan({}, [], [], [])
    lines = [[DIAGONAL, 0, -1, -1, -1, 0] for _ in range(num_heads)]
    slots = 0
    for quantity, heads in capture.items():
        if quantity not in _SLOTS and not quantity.startswith(MASS):
            continue
        heads = tuple(range(num_heads)) if heads == "all" else heads
        target = _placed(plan, quantity, targets, length) if quantity.startswith(MASS) else None
        for slot, head in enumerate(heads, slots):
            lines[head][_SLOTS.get(quantity, _MASS_SLOT)] = slot
            if target is not None:
                lines[head][:2] = target
        slots += len(heads)
        plan.heads[quantity] = len(heads)
    if len({weights.dtype for weights in plan.cells}) > 1 or any(x.dtype == torch.float64 for x in plan.cells):
        plan.cells[:] = [weights.float() for weights in plan.cells]
    for line in lines if slots else []:
        plan.lines.extend((*line[:-1], slots))
    return plan


def captured(lines: Sequence[int] | None) -> int:
    """How many slots a plan has."""
    return lines[FIELDS - 1] if lines else 0


def plan_arguments(
    lines: Sequence[int] | None, columns: Sequence[Tensor], cells: Sequence[Tensor], device: torch.device
) -> dict[str, object]:
    """Kernel arguments: the plan, and which numbers any head gives."""
    given = [any(slot >= 0 for slot in (lines or ())[field::FIELDS]) for field in (_MASS_SLOT, *_SLOTS.values())]
    arguments: dict[str, object] = dict(zip(("MASS", "SQUARES", "ENTROPY"), given, strict=True))
    arguments |= {"columns": tuple(columns) or None, "cells": tuple(cells) or None}
    return {**arguments, "plan": _on_device(tuple(lines), device) if lines else None}


@functools.cache
def _on_device(lines: tuple[int, ...], device: torch.device) -> Tensor:
    """Copied once a plan, as a copy waits for the device."""
    return torch.tensor(lines, dtype=torch.int32, device=device)


def _placed(plan: RowPlan, quantity: Quantity, targets: Mapping[str, Target], length: int) -> list[int]:
    """Kind and place of a mass's target, whose weights are added to the plan."""
    target = targets[quantity.removeprefix(MASS)]
    if isinstance(target, Diagonal):
        return [DIAGONAL, max(-length, min(length, target.offset))]  # in 32 bits, even one far outside the map
    if isinstance(target, Columns):
        plan.columns.append(target.weights.float().contiguous())
        return [COLUMNS, len(plan.columns) - 1]
    plan.cells.append(target.weights.contiguous())
    return [CELLS, len(plan.cells) - 1]


def _shared(heads: Indices, others: Indices) -> str | None:
    """Which head is in both."""
    if heads == "all" or others == "all":
        return "each head" if heads == others else f"head {(heads if others == 'all' else others)[0]}"
    both = sorted({*heads} & {*others})
    return f"head {both[0]}" if both else None
