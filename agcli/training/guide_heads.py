"""Which heads each guide takes: the next free ones, the same in every layer, unless its options name them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agcli.attention.encoder_attention import EncoderAttention
from agcli.errors import UsageError, counted
from agcli.guides.base import Subset
from agcli.guides.spec import GuideSpec, parse_heads


def allot_heads(specs: Sequence[GuideSpec], pool: Subset, encoder: EncoderAttention) -> dict[str, Subset]:
    """Guide -> its heads, None for all.

    A guide that takes heads gets the next free ones of the pool, from the lowest on, in the order of the guides: one,
    or as many as its `heads` or `share` (of all heads, rounded, at least one) say. Heads that such a guide names are
    free for no other. A guide of another kind has the whole pool, or what its `heads` say.

    Args:
        pool: `--guide-heads`, of which heads are taken where a guide does not name them.

    Raises:
        UsageError: a head that the encoder does not have, or too few free ones.
    """
    all_heads = tuple(range(encoder.num_heads))
    stated = {spec.name: parse_heads(spec.options["heads"]) for spec in specs if "heads" in spec.options}
    named = {name: heads for name, heads in stated.items() if isinstance(heads, tuple)}
    for spec in specs:
        encoder.check_indices(f"--guide {spec}", heads=named.get(spec.name))
    taken = {head for spec in specs if spec.entry.takes_heads for head in named.get(spec.name, ())}
    free = [head for head in pool or all_heads if head not in taken]
    heads: dict[str, Subset] = {}
    for spec in specs:
        if spec.name in named:
            heads[spec.name] = named[spec.name]
        elif spec.entry.takes_heads:
            heads[spec.name] = _next_free(spec, _number(spec, stated, encoder.num_heads), free, encoder)
            del free[: len(heads[spec.name] or ())]
        elif spec.name in stated:
            heads[spec.name] = _next_free(spec, _number(spec, stated, encoder.num_heads), pool or all_heads, encoder)
        else:
            heads[spec.name] = pool
    return heads


def _number(spec: GuideSpec, stated: Mapping[str, int | tuple[int, ...]], num_heads: int) -> int:
    """How many heads a guide takes that does not name them."""
    if "share" in spec.options:
        return max(1, int(spec.options["share"] * num_heads + 0.5))
    number = stated.get(spec.name, 1)
    return number if isinstance(number, int) else len(number)


def _next_free(spec: GuideSpec, number: int, free: Sequence[int], encoder: EncoderAttention) -> tuple[int, ...]:
    if number > len(free):
        left = ", ".join(map(str, free)) or "none"
        option = f"--guide {spec}" if spec.weight else f"--monitor {spec.name}"
        raise UsageError(
            f"{option}: it takes {counted(number, 'head')} of each layer, and of the "
            f"{counted(encoder.num_heads, 'head')} of {encoder.encoder} these are free: {left}.",
            hint="fewer heads (heads=1), heads that guides share (heads=0-3 of both), fewer guides, or more "
            "--guide-heads",
        )
    return tuple(free[:number])
