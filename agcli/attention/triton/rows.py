"""Numbers of a map's rows in the kernels: mass on targets, squared norm and entropy, forward and backward.

Each program works on one head, whose line of the plan (see `plan`) says which of the three that head gives and what
its target is; a number that no head gives is absent from the compiled kernel. `statistics` holds them, and
`row_gradients` their gradients g, both (batch, captured, length), a slot for each pair of quantity and head.

Into the gradient of the clean map A goes, beside what `backward` says,

    g^a_i T_ij + 2 g^q_i A_ij - g^e_i (ln A_ij + 1)

and into `delta_i`, its mean over A_i, `g^a_i a_i + 2 g^q_i q_i + g^e_i (e_i - 1)`. The two ones cancel: they are left
out of both.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import triton
import triton.language as tl

from agcli.attention.triton.plan import CELLS as _CELLS
from agcli.attention.triton.plan import COLUMNS as _COLUMNS
from agcli.attention.triton.plan import FIELDS as _FIELDS

COLUMNS, CELLS, FIELDS = tl.constexpr(_COLUMNS), tl.constexpr(_CELLS), tl.constexpr(_FIELDS)
LN2 = tl.constexpr(0.6931471805599453)
LEAST = tl.constexpr(-1000.0)
"""Stands for the logarithm of 0: below that of any float32, and 0 times it is 0."""
SMALLEST = tl.constexpr(2.0**-126)
"""The smallest normal float32; stands for 0 where a logarithm is taken that 0 is multiplied with."""


@triton.jit
def of_this_head(plan):
    """The head's line: kind and place of its target, slots of its mass, squared norm and entropy (-1: none), and how
    many slots there are.
    """
    line = plan + tl.program_id(1) * FIELDS
    return tl.load(line), tl.load(line + 1), tl.load(line + 2), tl.load(line + 3), tl.load(line + 4), tl.load(line + 5)


@triton.jit
def load_slot(numbers, slots, slot, rows, length):
    """A slot's numbers of some rows of this program's sample; 0 without a slot."""
    numbers += (tl.program_id(2).to(tl.int64) * slots + slot) * length
    return tl.load(numbers + rows, mask=rows < tl.where(slot >= 0, length, 0), other=0.0)


@triton.jit
def store_slot(numbers, slots, slot, rows, length, stored):
    """Counterpart of `load_slot`."""
    numbers += (tl.program_id(2).to(tl.int64) * slots + slot) * length
    tl.store(numbers + rows, stored, mask=rows < tl.where(slot >= 0, length, 0))


@triton.jit
def chosen(tensors, place):
    """One of a tuple of tensors of one type, by a number known when the kernel runs."""
    tensor = tensors[0]
    for number in tl.static_range(1, len(tensors)):
        tensor = tl.where(place == number, tensors[number], tensor)
    return tensor


@triton.jit
def target_tile(plan, columns, cells, rows, at, length, KEYS_FIRST: tl.constexpr):
    """T of a tile, (queries, keys), or (keys, queries) with KEYS_FIRST; `columns` and `cells` are contiguous."""
    kind, place = plan[0], plan[1]
    if KEYS_FIRST:
        i = rows[None, :]
        j = at[:, None]
    else:
        i = rows[:, None]
        j = at[None, :]
    tile = (i + place == j).to(tl.float32)
    if columns is not None:
        if kind == COLUMNS:
            weights = chosen(columns, place) + tl.program_id(2).to(tl.int64) * length
            tile = tl.broadcast_to(tl.load(weights + j, mask=j < length, other=0.0), tile.shape)
    if cells is not None:
        if kind == CELLS:
            weights = chosen(cells, place) + tl.program_id(2).to(tl.int64) * length * length
            inside = (i < length) & (j < length)
            tile = tl.load(weights + (i * length + j), mask=inside, other=0.0).to(tl.float32)
    return tile


@triton.jit
def add_keys(
    mass, squares, logs, total, weights, exponents, fallen, shrink, plan, columns, cells, rows, at, length,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
):  # fmt: skip
    """The sums of online softmax over one more block of keys: `w T`, `w²` and `w log2 w`.

    `weights` w are 2 to the power of `exponents`, relative to a maximum that rose: `fallen` is by how much the earlier
    exponents fell (<= 0), `shrink` 2 to that power, `total` the earlier weights' sum.
    """
    if MASS:
        mass *= shrink
        if plan[2] >= 0:
            mass += tl.sum(weights * target_tile(plan, columns, cells, rows, at, length, False), 1)
    if SQUARES:
        squares = squares * (shrink * shrink) + tl.sum(weights * weights, 1)
    if ENTROPY:
        logs = (logs + fallen * total) * shrink + tl.sum(weights * tl.maximum(exponents, LEAST), 1)
    return mass, squares, logs


@triton.jit
def store_rows(
    statistics, mass, squares, logs, total, real, plan, rows, length,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
):  # fmt: skip
    """What the sums of `add_keys` come to with the last `total`; 0 in padded rows."""
    share = tl.where(real, 1.0 / total, 0.0)
    if MASS:
        store_slot(statistics, plan[5], plan[2], rows, length, mass * share)
    if SQUARES:
        store_slot(statistics, plan[5], plan[3], rows, length, squares * share * share)
    if ENTROPY:
        entropy = tl.where(real, tl.maximum((tl.log2(total) - logs * share) * LN2, 0.0), 0.0)
        store_slot(statistics, plan[5], plan[4], rows, length, entropy)


@triton.jit
def row_numbers(numbers, plan, rows, length, MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr):
    """The head's three numbers of some rows; 0 where it does not give one."""
    mass = tl.zeros(rows.shape, dtype=tl.float32)
    squares = mass
    entropy = mass
    if MASS:
        mass = load_slot(numbers, plan[5], plan[2], rows, length)
    if SQUARES:
        squares = load_slot(numbers, plan[5], plan[3], rows, length)
    if ENTROPY:
        entropy = load_slot(numbers, plan[5], plan[4], rows, length)
    return mass, squares, entropy


@triton.jit
def guided_by_rows(
    difference, weights, for_mass, for_squares, for_entropy, plan, columns, cells, rows, at, length,
    KEYS_FIRST: tl.constexpr, MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
):  # fmt: skip
    """The rows' part of a tile of the clean map's gradient added to `difference`."""
    axis: tl.constexpr = 0 if KEYS_FIRST else 1
    if SQUARES:
        difference += 2 * tl.expand_dims(for_squares, axis) * weights
    if ENTROPY:
        if plan[4] >= 0:
            difference -= LN2 * tl.expand_dims(for_entropy, axis) * tl.log2(tl.maximum(weights, SMALLEST))
    if MASS:
        if plan[2] >= 0:
            target = target_tile(plan, columns, cells, rows, at, length, KEYS_FIRST)
            difference += tl.expand_dims(for_mass, axis) * target
    return difference
