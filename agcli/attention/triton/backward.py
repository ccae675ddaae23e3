"""Guided attention on the GPU, backward, without atomics: a run repeats itself bit for bit.

The guides send `g_j`, the gradient of received attention, into every cell of column j of the clean map:

    dA_ij = dropped(dO_i·V_j) + g_j        dS_ij = A_ij (dA_ij - delta_i)        delta_i = dO_i·O_i + Σ_j A_ij g_j

for real rows i; in padded rows A is 0 (see `forward`). The last sum takes one more walk over the keys. What the rows'
numbers add is in `rows`.
Gradients are laid out like the output.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import triton
import triton.language as tl

from agcli.attention.triton.forward import (
    are_real,
    dot,
    extent,
    kept,
    load_tile,
    of_head,
    of_output,
    series,
    store_tile,
)
from agcli.attention.triton.rows import guided_by_rows, of_this_head, row_numbers

UNSPECIALISED = ["guide", "row_gradients", "guide_sample", "guide_head", "mask_stride", "length", "threshold"]
"""Arguments whose values, or places in memory, make no kernel of their own."""


@triton.jit
def clean_weights(q, k, mask, at, logs, scale, length, start, solid, KEYS: tl.constexpr):
    """A tile of the clean map, (queries, keys); 0 in padded rows and columns."""
    weights = tl.exp2(dot(q, tl.trans(k)) * scale - logs[:, None])
    if start + KEYS > solid:
        weights = tl.where(are_real(mask, at, length)[None, :], weights, 0.0)
    return weights


@triton.jit
def row_sums(
    q, do, key, output, guide, mask, logs, rows,
    key_stride, length, scale, solid, end,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """`delta` of a block of queries; `guide` is `g`, or None where no guide sends a gradient."""
    stride = tl.num_programs(1) * HEAD_DIM
    o = load_tile(of_output(output, length, HEAD_DIM), rows, stride, length, HEAD_DIM, WIDTH)
    sums = tl.sum(do.to(tl.float32) * o.to(tl.float32), 1)
    if guide is not None:
        for start in range(0, end, KEYS):
            at = start + tl.arange(0, KEYS)
            k = load_tile(key, at, key_stride, length, HEAD_DIM, WIDTH)
            weights = clean_weights(q, k, mask, at, logs, scale, length, start, solid, KEYS)
            sums += tl.sum(weights * tl.load(guide + at, mask=at < length, other=0.0)[None, :], 1)
    return sums


@triton.jit
def guided(dweights, guide, at, length, keep_scale, sums):
    """`dA_ij - delta_i` of a tile (queries, keys) from `dO_i·V_j` after dropout."""
    if guide is not None:
        g = tl.load(guide + at, mask=at < length, other=0.0)
        difference = dweights * keep_scale + (g[None, :] - sums[:, None])
    else:
        difference = dweights * keep_scale - sums[:, None]
    return difference


@triton.jit(
    do_not_specialize=["guide", "row_gradients", "guide_sample", "guide_head", "mask_stride", "length", "threshold"]
)
def backward_whole(
    query, key, value, mask, seed, output, normaliser, statistics, gradient, guide, row_gradients, plan, columns, cells,
    query_gradient, key_gradient, value_gradient,
    query_strides, key_strides, value_strides, gradient_strides, guide_sample, guide_head, mask_stride,
    length, scaling, scale, threshold, keep_scale,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """All three gradients at once, where one block holds all queries: 5 products a block of keys instead of 7."""
    query, key, value = of_head(query, query_strides), of_head(key, key_strides), of_head(value, value_strides)
    if mask is not None:
        mask += tl.program_id(2).to(tl.int64) * mask_stride
    if seed is not None:
        seed = tl.load(seed)
    if guide is not None:
        guide += tl.program_id(2).to(tl.int64) * guide_sample + tl.program_id(1).to(tl.int64) * guide_head
    query_gradient = of_output(query_gradient, length, HEAD_DIM)
    key_gradient = of_output(key_gradient, length, HEAD_DIM)
    value_gradient = of_output(value_gradient, length, HEAD_DIM)
    stride = tl.num_programs(1) * HEAD_DIM
    rows = tl.arange(0, ROWS)
    solid, end = extent(mask, length, SPAN)
    q = load_tile(query, rows, query_strides[2], length, HEAD_DIM, WIDTH)
    do = load_tile(of_head(gradient, gradient_strides), rows, gradient_strides[2], length, HEAD_DIM, WIDTH)
    logs = tl.load(normaliser + series() * length + rows, mask=rows < length, other=float("inf"))
    sums = row_sums(
        q, do, key, output, guide, mask, logs, rows, key_strides[2], length, scale, solid, end, HEAD_DIM, WIDTH, KEYS
    )
    if row_gradients is not None:
        plan = of_this_head(plan)
        for_mass, for_squares, for_entropy = row_numbers(row_gradients, plan, rows, length, MASS, SQUARES, ENTROPY)
        mass, squares, entropy = row_numbers(statistics, plan, rows, length, MASS, SQUARES, ENTROPY)
        sums += for_mass * mass + 2 * for_squares * squares + for_entropy * entropy

    dq = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    for start in range(0, end, KEYS):
        at = start + tl.arange(0, KEYS)
        k = load_tile(key, at, key_strides[2], length, HEAD_DIM, WIDTH)
        v = load_tile(value, at, value_strides[2], length, HEAD_DIM, WIDTH)
        weights = clean_weights(q, k, mask, at, logs, scale, length, start, solid, KEYS)
        dweights = dot(do, tl.trans(v))
        dropped = weights
        if seed is not None:
            keep = kept(seed, 0, start, threshold, ROWS, KEYS, False)
            dropped = tl.where(keep, weights, 0.0)
            dweights = tl.where(keep, dweights, 0.0)
        dv = dot(tl.trans(dropped.to(q.dtype)), do) * keep_scale
        store_tile(value_gradient, at, stride, length, dv, HEAD_DIM, WIDTH)
        difference = guided(dweights, guide, at, length, keep_scale, sums)
        if row_gradients is not None:
            difference = guided_by_rows(
                difference, weights, for_mass, for_squares, for_entropy, plan, columns, cells, rows, at, length,
                False, MASS, SQUARES, ENTROPY,
            )  # fmt: skip
        dscores = (weights * difference).to(q.dtype)
        dk = dot(tl.trans(dscores), q) * scaling
        store_tile(key_gradient, at, stride, length, dk, HEAD_DIM, WIDTH)
        dq = dot(dscores, k, dq)
    store_tile(query_gradient, rows, stride, length, dq * scaling, HEAD_DIM, WIDTH)
    nothing = tl.zeros([KEYS, WIDTH], dtype=tl.float32)
    for start in range(tl.cdiv(end, KEYS) * KEYS, length, KEYS):
        at = start + tl.arange(0, KEYS)
        store_tile(key_gradient, at, stride, length, nothing, HEAD_DIM, WIDTH)
        store_tile(value_gradient, at, stride, length, nothing, HEAD_DIM, WIDTH)


@triton.jit(
    do_not_specialize=["guide", "row_gradients", "guide_sample", "guide_head", "mask_stride", "length", "threshold"]
)
def backward_queries(
    query, key, value, mask, seed, output, normaliser, statistics, gradient, guide, row_gradients, plan, columns, cells,
    query_gradient, delta,
    query_strides, key_strides, value_strides, gradient_strides, guide_sample, guide_head, mask_stride,
    length, scaling, scale, threshold, keep_scale,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """The gradient of one block of queries, over all keys; leaves `delta` for `backward_keys`."""
    query, key, value = of_head(query, query_strides), of_head(key, key_strides), of_head(value, value_strides)
    if mask is not None:
        mask += tl.program_id(2).to(tl.int64) * mask_stride
    if seed is not None:
        seed = tl.load(seed)
    if guide is not None:
        guide += tl.program_id(2).to(tl.int64) * guide_sample + tl.program_id(1).to(tl.int64) * guide_head
    first = tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    solid, end = extent(mask, length, SPAN)
    end = tl.where(first < end, end, 0)
    q = load_tile(query, rows, query_strides[2], length, HEAD_DIM, WIDTH)
    do = load_tile(of_head(gradient, gradient_strides), rows, gradient_strides[2], length, HEAD_DIM, WIDTH)
    logs = tl.load(normaliser + series() * length + rows, mask=rows < length, other=float("inf"))
    sums = row_sums(
        q, do, key, output, guide, mask, logs, rows, key_strides[2], length, scale, solid, end, HEAD_DIM, WIDTH, KEYS
    )
    if row_gradients is not None:
        plan = of_this_head(plan)
        for_mass, for_squares, for_entropy = row_numbers(row_gradients, plan, rows, length, MASS, SQUARES, ENTROPY)
        mass, squares, entropy = row_numbers(statistics, plan, rows, length, MASS, SQUARES, ENTROPY)
        sums += for_mass * mass + 2 * for_squares * squares + for_entropy * entropy
    tl.store(delta + series() * length + rows, sums, mask=rows < length)

    dq = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    for start in range(0, end, KEYS):
        at = start + tl.arange(0, KEYS)
        k = load_tile(key, at, key_strides[2], length, HEAD_DIM, WIDTH)
        v = load_tile(value, at, value_strides[2], length, HEAD_DIM, WIDTH)
        weights = clean_weights(q, k, mask, at, logs, scale, length, start, solid, KEYS)
        dweights = dot(do, tl.trans(v))
        if seed is not None:
            dweights = tl.where(kept(seed, first, start, threshold, ROWS, KEYS, False), dweights, 0.0)
        difference = guided(dweights, guide, at, length, keep_scale, sums)
        if row_gradients is not None:
            difference = guided_by_rows(
                difference, weights, for_mass, for_squares, for_entropy, plan, columns, cells, rows, at, length,
                False, MASS, SQUARES, ENTROPY,
            )  # fmt: skip
        dscores = weights * difference
        dq = dot(dscores.to(k.dtype), k, dq)
    stride = tl.num_programs(1) * HEAD_DIM
    store_tile(of_output(query_gradient, length, HEAD_DIM), rows, stride, length, dq * scaling, HEAD_DIM, WIDTH)


@triton.jit(
    do_not_specialize=["guide", "row_gradients", "guide_sample", "guide_head", "mask_stride", "length", "threshold"]
)
def backward_keys(
    query, key, value, mask, seed, normaliser, delta, gradient, guide, row_gradients, plan, columns, cells,
    key_gradient, value_gradient,
    query_strides, key_strides, value_strides, gradient_strides, guide_sample, guide_head, mask_stride,
    length, scaling, scale, threshold, keep_scale,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """The gradients of one block of keys and values, over all queries.

    Tiles stand keys first, so that the map goes from one product into the next without leaving the registers. A padded
    key's row may overflow; it mixes with no other and is not stored.
    """
    query, key, value = of_head(query, query_strides), of_head(key, key_strides), of_head(value, value_strides)
    gradient = of_head(gradient, gradient_strides)
    if mask is not None:
        mask += tl.program_id(2).to(tl.int64) * mask_stride
    normaliser += series() * length
    delta += series() * length
    if guide is not None:
        guide += tl.program_id(2).to(tl.int64) * guide_sample + tl.program_id(1).to(tl.int64) * guide_head
    if seed is not None:
        seed = tl.load(seed)
    if row_gradients is not None:
        plan = of_this_head(plan)
    first = tl.program_id(0) * KEYS
    at = first + tl.arange(0, KEYS)
    _, end = extent(mask, length, SPAN)
    end = tl.where(first < end, end, 0)
    k = load_tile(key, at, key_strides[2], length, HEAD_DIM, WIDTH)
    v = load_tile(value, at, value_strides[2], length, HEAD_DIM, WIDTH)
    g = tl.zeros([KEYS], dtype=tl.float32)
    if guide is not None:
        g = tl.load(guide + at, mask=at < length, other=0.0)

    dk = tl.zeros([KEYS, WIDTH], dtype=tl.float32)
    dv = tl.zeros([KEYS, WIDTH], dtype=tl.float32)
    for start in range(0, end, ROWS):
        rows = start + tl.arange(0, ROWS)
        q = load_tile(query, rows, query_strides[2], length, HEAD_DIM, WIDTH)
        do = load_tile(gradient, rows, gradient_strides[2], length, HEAD_DIM, WIDTH)
        logs = tl.load(normaliser + rows, mask=rows < length, other=float("inf"))
        sums = tl.load(delta + rows, mask=rows < length, other=0.0)
        weights = tl.exp2(dot(k, tl.trans(q)) * scale - logs[None, :])
        dweights = dot(v, tl.trans(do))
        dropped = weights
        if seed is not None:
            keep = kept(seed, start, first, threshold, ROWS, KEYS, True)
            dropped = tl.where(keep, weights, 0.0)
            dweights = tl.where(keep, dweights, 0.0)
        dv = dot(dropped.to(do.dtype), do, dv)
        difference = dweights * keep_scale + (g[:, None] - sums[None, :])
        if row_gradients is not None:
            for_mass, for_squares, for_entropy = row_numbers(row_gradients, plan, rows, length, MASS, SQUARES, ENTROPY)
            difference = guided_by_rows(
                difference, weights, for_mass, for_squares, for_entropy, plan, columns, cells, rows, at, length,
                True, MASS, SQUARES, ENTROPY,
            )  # fmt: skip
        dscores = weights * difference
        dk = dot(dscores.to(q.dtype), q, dk)
    real = are_real(mask, at, length)[:, None]
    stride = tl.num_programs(1) * HEAD_DIM
    dk = tl.where(real, dk * scaling, 0.0)
    store_tile(of_output(key_gradient, length, HEAD_DIM), at, stride, length, dk, HEAD_DIM, WIDTH)
    dv = tl.where(real, dv * keep_scale, 0.0)
    store_tile(of_output(value_gradient, length, HEAD_DIM), at, stride, length, dv, HEAD_DIM, WIDTH)
