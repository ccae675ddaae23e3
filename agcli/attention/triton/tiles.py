"""How the Triton kernels cut attention into tiles: a table, so that nothing is tuned while a model trains.

Chosen by compiling ahead of time showed (Triton 3.9, sm_90 first): few registers spilled, shared memory for more
than one program a multiprocessor where maps are not whole, the fewest instructions a cell. No GPU has timed them yet.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

INTERPRETER = (0, 0)
"""Stands for Triton's interpreter in the place of a compute capability."""


@dataclass(frozen=True)
class Tile:
    """One kernel's cut.

    Attributes:
        queries: rows of the map to a tile; a multiple of 16.
        keys: columns of the map to a tile; a multiple of 32.
        stages: tiles in flight from memory.
    """

    queries: int
    keys: int
    warps: int
    stages: int


@dataclass(frozen=True)
class Tiles:
    """The cuts of one call's kernels.

    Attributes:
        forward: output; also received attention, where its one block of queries holds them all.
        whole: all gradients at once, or None where they take two kernels: `by_query` and `by_key`.
        receive: received attention as a kernel of its own.
        by_query: gradients of the queries; `by_key`: of keys and values.
    """

    forward: Tile
    whole: Tile | None
    receive: Tile
    by_query: Tile
    by_key: Tile


@functools.cache
def tiles_for(length: int, width: int, itemsize: int, capability: tuple[int, int], *, cells: bool = False) -> Tiles:
    """The cut for a call.

    Lengths fall into classes (up to 32, 64, 128, 256, longer), so that a new length seldom means a compilation.

    Args:
        width: the head's size padded to a power of two, at least 16.
        itemsize: bytes of an element: 2 for bfloat16 and float16, 4 for float32.
        capability: the device's, such as (9, 0); INTERPRETER for the interpreter.
        cells: whether some head has a target of any cells, whose weights take a tile of shared memory.
    """
    if capability == INTERPRETER:
        small, rows = Tile(32, 32, 4, 1), _class_of(length, 64)
        whole = Tile(rows, 32, 4, 1) if rows else None
        return Tiles(whole or small, whole, small, small, small)
    if itemsize == 4:
        return _float32(width)
    roomy = capability[0] in (9, 10)
    return _wide(length, roomy=roomy) if width == 128 else _narrow(length, roomy=roomy, cells=cells)


def _float32(width: int) -> Tiles:
    """IEEE products run outside the tensor cores and hold far more in registers: small tiles, no whole maps."""
    tile = Tile(16 if width == 128 else 32, 32, 4, 2)
    return Tiles(tile, None, Tile(32, 32, 4, 2), tile, tile)


def _narrow(length: int, *, roomy: bool, cells: bool) -> Tiles:
    """Heads up to 64 wide, in 16 bits: whole maps up to 256 x 256, or 128 x 128 with targets where it is not roomy.

    Where it is roomy (H100 and its like: 227 KB of shared memory and products that leave the registers free) a
    forward tile has 64 keys; elsewhere 32, and no kernel takes more than the 99 KB of a consumer's GPU.
    """
    keys = 64 if roomy else 32
    receive, by_query, by_key = Tile(64, 128, 4, 3), Tile(128, 32, 4, 2), Tile(32, 64, 4, 3)
    rows = _class_of(length, 256 if roomy or not cells else 128)
    if not rows:
        return Tiles(Tile(128, keys, 8 if roomy else 4, 3), None, receive, by_query, by_key)
    if rows == 32:
        return Tiles(Tile(32, 32, 2, 2), Tile(32, 32, 2, 2), receive, by_query, by_key)
    warps = 8 if rows == 256 else 4
    forward = Tile(rows, keys, 8 if rows == 128 and roomy else warps, 2)
    whole = Tile(rows, keys if rows == 64 else 32, warps, 2 if roomy or rows == 64 else 3)
    return Tiles(forward, whole, receive, by_query, by_key)


def _wide(length: int, *, roomy: bool) -> Tiles:
    """Heads up to 128 wide, in 16 bits: whole maps up to 128 x 128, or 32 x 32 where it is not roomy."""
    receive, by_query, by_key = Tile(64, 64, 4, 2), Tile(64, 32, 4, 2), Tile(32, 64, 4, 2)
    rows = _class_of(length, 128 if roomy else 32)
    if not rows:
        return Tiles(Tile(128, 64, 8, 2), None, receive, by_query, by_key)
    warps = 8 if rows == 128 else 4
    return Tiles(Tile(rows, 64 if rows == 128 else 32, warps, 2), Tile(rows, 32, warps, 2), receive, by_query, by_key)


def _class_of(length: int, largest: int) -> int:
    """The smallest power of two from 32 that holds `length`, or 0 beyond `largest`."""
    rows = max(32, 1 << (length - 1).bit_length())
    return rows if rows <= largest else 0
