"""Guided attention on the GPU, forward: flash attention that also sums the columns of its clean map.

A padded query's output is 0 and adds nothing to column sums; a padded key's weight is 0. A padded query's log-sum-exp
is infinity, so that later passes get its row of the map as 0 without the mask. Tokens after a sample's last real one
are skipped.

Grid: a block of queries or keys (axis 0), a head (1), a sample (2). `ROWS` queries or `KEYS` keys are loaded as rows
of `WIDTH`, the head's size padded to a power of two.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls

import triton
import triton.language as tl

from agcli.attention.triton.rows import add_keys, of_this_head, store_rows

INTERPRETED = tl.constexpr(bool(triton.knobs.runtime.interpret))
"""Whether Triton's interpreter runs the kernels; it multiplies bfloat16 matrices as if they were integers."""

PHILOX_ROUNDS = tl.constexpr(7)
"""The fewest with which Philox-4x32 passes all of BigCrush (Salmon et al. 2011)."""


@triton.jit
def of_head(tensor, strides):
    """Where this program's sample and head begin in a (batch, heads, ...) tensor."""
    return tensor + tl.program_id(2).to(tl.int64) * strides[0] + tl.program_id(1).to(tl.int64) * strides[1]


@triton.jit
def series():
    """Number of this program's sample and head, 64-bit since offsets are made of it."""
    return tl.program_id(2).to(tl.int64) * tl.num_programs(1) + tl.program_id(1)


@triton.jit
def of_output(tensor, length, HEAD_DIM: tl.constexpr):
    """Where this program's sample and head begin in a tensor laid out (batch, length, heads, head_dim)."""
    sample, head = tl.program_id(2).to(tl.int64), tl.program_id(1)
    return tensor + (sample * length * tl.num_programs(1) + head) * HEAD_DIM


@triton.jit
def load_tile(rows, at, stride, length, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr):
    """The rows numbered `at`; 0 from `length` on and right of the head."""
    columns = tl.arange(0, WIDTH)
    inside = (at < length)[:, None]
    if HEAD_DIM != WIDTH:
        inside = inside & (columns < HEAD_DIM)[None, :]
    return tl.load(rows + at[:, None] * stride + columns[None, :], mask=inside, other=0.0)


@triton.jit
def store_tile(rows, at, stride, length, tile, HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr):
    """Counterpart of `load_tile`."""
    columns = tl.arange(0, WIDTH)
    inside = (at < length)[:, None]
    if HEAD_DIM != WIDTH:
        inside = inside & (columns < HEAD_DIM)[None, :]
    tl.store(rows + at[:, None] * stride + columns[None, :], tile.to(rows.dtype.element_ty), mask=inside)


@triton.jit
def dot(left, right, total=None):
    """`left @ right`, added to `total`, in float32; float32 operands are not rounded to TF32."""
    if INTERPRETED:
        left = left.to(tl.float32)
        right = right.to(tl.float32)
    return tl.dot(left, right, total, input_precision="ieee")


@triton.jit
def are_real(mask, at, length):
    """Which of the tokens numbered `at` are real."""
    if mask is None:
        real = at < length
    else:
        real = tl.load(mask + at, mask=at < length, other=0) != 0
    return real


@triton.jit
def extent(mask, length, SPAN: tl.constexpr):
    """How many tokens from the first on are all real, and one past the last real token (0 if there is none).

    Every program reads the mask, `SPAN` tokens at a time: a byte a token costs less than another launch.
    """
    if mask is None:
        solid = length
        end = length
    else:
        pads = tl.zeros([SPAN], dtype=tl.int32) + length
        ends = tl.zeros([SPAN], dtype=tl.int32)
        for start in range(0, length, SPAN):
            at = start + tl.arange(0, SPAN)
            real = are_real(mask, at, length)
            pads = tl.minimum(pads, tl.where(real, length, at))
            ends = tl.maximum(ends, tl.where(real, at + 1, 0))
        solid = tl.min(pads, 0)
        end = tl.max(ends, 0)
    return solid, end


@triton.jit
def kept(seed, row, key, threshold, ROWS: tl.constexpr, KEYS: tl.constexpr, KEYS_FIRST: tl.constexpr):
    """Which cells of a tile survive dropout; a function of seed, sample, head, query and key alone.

    One Philox call gives 16 bits to each of 8 cells: those (2, 4) that lie 8 apart in a block of 16 queries by 32
    keys, which the tensor cores' layout puts into one thread, so that no bit has to change threads. That is 9
    instructions a cell where a call a cell (`tl.rand`) takes 70. The counter holds the coordinates themselves, 32 bits
    each, so it cannot wrap. The rate is met to 1/65536.

    Shape: (ROWS, KEYS), or (KEYS, ROWS) with KEYS_FIRST. ROWS and `row` are multiples of 16, KEYS and `key` of 32.
    """
    at_row = (row // 2 + tl.arange(0, ROWS // 2)).to(tl.uint32)
    at_key = (key // 4 + tl.arange(0, KEYS // 4)).to(tl.uint32)
    number = series().to(tl.uint32)
    if KEYS_FIRST:
        a, b, c, d = tl.philox(seed, at_row[None, :], at_key[:, None], number, number * 0, PHILOX_ROUNDS)
    else:
        a, b, c, d = tl.philox(seed, at_row[:, None], at_key[None, :], number, number * 0, PHILOX_ROUNDS)
    words = tl.join(tl.join(a, b), tl.join(c, d))
    limit = threshold.to(tl.uint32) << 16
    bits = tl.join(words >= limit, (words << 16) >= limit)
    if KEYS_FIRST:
        bits = tl.reshape(bits, (KEYS // 32, 8, ROWS // 16, 8, 2, 4))
        tile = tl.reshape(tl.permute(bits, (0, 5, 1, 2, 4, 3)), (KEYS, ROWS))
    else:
        bits = tl.reshape(bits, (ROWS // 16, 8, KEYS // 32, 8, 2, 4))
        tile = tl.reshape(tl.permute(bits, (0, 4, 1, 2, 5, 3)), (ROWS, KEYS))
    return tile


@triton.jit
def receive_whole(
    q, key, mask, logs, received, key_stride, length, scale, end,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, KEYS: tl.constexpr,
):  # fmt: skip
    """Column sums of the clean map (Eq. 8), where one block holds all queries."""
    for start in range(0, end, KEYS):
        at = start + tl.arange(0, KEYS)
        k = load_tile(key, at, key_stride, length, HEAD_DIM, WIDTH)
        sums = tl.sum(tl.exp2(dot(q, tl.trans(k)) * scale - logs[:, None]), 0)
        tl.store(received + at, tl.where(are_real(mask, at, length), sums, 0.0), mask=at < length)
    for start in range(tl.cdiv(end, KEYS) * KEYS, length, KEYS):
        at = start + tl.arange(0, KEYS)
        tl.store(received + at, tl.zeros([KEYS], dtype=tl.float32), mask=at < length)


@triton.jit(do_not_specialize=["mask_stride", "length", "threshold"])
def forward(
    query, key, value, mask, seed, output, normaliser, received, statistics, plan, columns, cells,
    query_strides, key_strides, value_strides, mask_stride,
    length, scale, threshold, keep_scale,
    MASS: tl.constexpr, SQUARES: tl.constexpr, ENTROPY: tl.constexpr,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """Output and log2-sum-exp2 (`normaliser`) of one block of queries, by online softmax over all keys.

    `scale` is the factor on the dot products times log2(e). `received` is given only where the block holds all
    queries: its column sums are then taken in a second walk over the keys. Without dropout `seed` is None, and `plan`
    where nothing of the rows is captured.
    """
    query, key, value = of_head(query, query_strides), of_head(key, key_strides), of_head(value, value_strides)
    if mask is not None:
        mask += tl.program_id(2).to(tl.int64) * mask_stride
    if seed is not None:
        seed = tl.load(seed)
    if plan is not None:
        plan = of_this_head(plan)
    first = tl.program_id(0) * ROWS
    rows = first + tl.arange(0, ROWS)
    solid, end = extent(mask, length, SPAN)
    end = tl.where(first < end, end, 0)
    q = load_tile(query, rows, query_strides[2], length, HEAD_DIM, WIDTH)

    highest = tl.full([ROWS], -1e30, dtype=tl.float32)  # finite, lest a block of nothing but padding make inf - inf
    total = tl.zeros([ROWS], dtype=tl.float32)
    mixed = tl.zeros([ROWS, WIDTH], dtype=tl.float32)
    mass = tl.zeros([ROWS], dtype=tl.float32)
    squares = mass
    weight_logs = mass
    for start in range(0, end, KEYS):
        at = start + tl.arange(0, KEYS)
        k = load_tile(key, at, key_strides[2], length, HEAD_DIM, WIDTH)
        scores = dot(q, tl.trans(k))
        if start + KEYS > solid:
            scores = tl.where(are_real(mask, at, length)[None, :], scores, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, 1) * scale)
        weights = tl.exp2(scores * scale - higher[:, None])
        shrink = tl.exp2(highest - higher)
        if plan is not None:
            mass, squares, weight_logs = add_keys(
                mass, squares, weight_logs, total, weights, scores * scale - higher[:, None], highest - higher, shrink,
                plan, columns, cells, rows, at, length, MASS, SQUARES, ENTROPY,
            )  # fmt: skip
        total = total * shrink + tl.sum(weights, 1)
        if seed is not None:
            weights = tl.where(kept(seed, first, start, threshold, ROWS, KEYS, False), weights, 0.0)
        v = load_tile(value, at, value_strides[2], length, HEAD_DIM, WIDTH)
        mixed = dot(weights.to(v.dtype), v, mixed * shrink[:, None])
        highest = higher

    real = are_real(mask, rows, length) & (total > 0)
    total = tl.where(real, total, 1.0)
    mixed *= tl.where(real, keep_scale / total, 0.0)[:, None]
    stride = tl.num_programs(1) * HEAD_DIM
    store_tile(of_output(output, length, HEAD_DIM), rows, stride, length, mixed, HEAD_DIM, WIDTH)
    logs = tl.where(real, highest + tl.log2(total), float("inf"))
    tl.store(normaliser + series() * length + rows, logs, mask=rows < length)
    if plan is not None:
        store_rows(statistics, mass, squares, weight_logs, total, real, plan, rows, length, MASS, SQUARES, ENTROPY)

    if received is not None:
        receive_whole(
            q, key, mask, logs, received + series() * length, key_strides[2], length, scale, end, HEAD_DIM, WIDTH, KEYS
        )


@triton.jit(do_not_specialize=["mask_stride", "length"])
def receive(
    query, key, mask, normaliser, received,
    query_strides, key_strides, mask_stride,
    length, scale,
    HEAD_DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr, SPAN: tl.constexpr,
):  # fmt: skip
    """Column sums of the clean map (Eq. 8) for one block of keys, over all queries.

    A padded key's sum may overflow; it mixes with no other and is not stored.
    """
    query, key = of_head(query, query_strides), of_head(key, key_strides)
    if mask is not None:
        mask += tl.program_id(2).to(tl.int64) * mask_stride
    normaliser += series() * length
    first = tl.program_id(0) * KEYS
    at = first + tl.arange(0, KEYS)
    _, end = extent(mask, length, SPAN)
    end = tl.where(first < end, end, 0)
    k = load_tile(key, at, key_strides[2], length, HEAD_DIM, WIDTH)
    sums = tl.zeros([KEYS], dtype=tl.float32)
    for start in range(0, end, ROWS):
        rows = start + tl.arange(0, ROWS)
        q = load_tile(query, rows, query_strides[2], length, HEAD_DIM, WIDTH)
        logs = tl.load(normaliser + rows, mask=rows < length, other=float("inf"))
        sums += tl.sum(tl.exp2(dot(k, tl.trans(q)) * scale - logs[None, :]), 1)
    tl.store(received + series() * length + at, tl.where(are_real(mask, at, length), sums, 0.0), mask=at < length)
