"""Which heads each guide takes."""

from __future__ import annotations

import pytest
from toy_guides import register_toys

from agcli.attention.encoder_attention import EncoderAttention
from agcli.errors import UsageError
from agcli.guides.spec import parse_guide
from agcli.training.guide_heads import allot_heads


@pytest.fixture(autouse=True)
def _toys(monkeypatch: pytest.MonkeyPatch) -> None:
    register_toys(monkeypatch)


def heads(*texts: str, pool: tuple[int, ...] | None = None, num_heads: int = 12) -> list[tuple[int, ...] | None]:
    encoder = EncoderAttention("interface", 2, num_heads, "TinyBert")
    allotted = allot_heads([parse_guide(text) for text in texts], pool, encoder)
    return [allotted[text.partition("=")[0]] for text in texts]


def test_the_next_free_heads_in_the_order_of_the_guides() -> None:
    assert heads("ahead=1", "behind=1") == [(0,), (1,)]
    assert heads("behind=1", "ahead=1") == [(0,), (1,)]
    assert heads("ahead=1,heads=2", "behind=1,heads=3") == [(0, 1), (2, 3, 4)]


def test_heads_that_are_named_are_not_free_for_others_before_or_after() -> None:
    assert heads("ahead=1", "behind=1,heads=0-1+3") == [(2,), (0, 1, 3)]
    assert heads("ahead=1,heads=0-0", "behind=1,heads=3") == [(0,), (1, 2, 3)]
    assert heads("ahead=1,heads=0-2", "behind=1,heads=2-3") == [(0, 1, 2), (2, 3)]  # both name head 2


@pytest.mark.parametrize(
    ("share", "num_heads", "number"), [(0.5, 12, 6), (0.5, 5, 3), (0.01, 12, 1), (1.0, 4, 4), (0.3, 4, 1), (0.4, 4, 2)]
)
def test_a_share_of_all_heads_rounded_and_at_least_one(share: float, num_heads: int, number: int) -> None:
    assert heads(f"ahead=1,share={share}", num_heads=num_heads) == [tuple(range(number))]


def test_the_pool_limits_what_is_free_and_not_what_is_named() -> None:
    assert heads("ahead=1", "behind=1,heads=2", pool=(2, 5, 7)) == [(2,), (5, 7)]
    assert heads("ahead=1,heads=0-0", "behind=1", pool=(2, 5)) == [(0,), (2,)]
    assert heads("ahead=1,share=0.5", num_heads=4, pool=(1, 3)) == [(1, 3)]


def test_a_guide_of_another_kind_has_all_heads_or_its_own_and_takes_none_away() -> None:
    assert heads("spread=1", "ahead=1") == [None, (0,)]
    assert heads("spread=1,heads=0-3", "ahead=1") == [(0, 1, 2, 3), (0,)]
    assert heads("ahead=1", "spread=1,heads=2", "mdg=1") == [(0,), (0, 1), None]
    assert heads("spread=1", "mdg=1,heads=5-5", pool=(1, 2)) == [(1, 2), (5,)]


def test_a_head_that_is_not_there() -> None:
    for name in ("ahead", "spread", "mdg"):
        with pytest.raises(UsageError, match=rf"--guide {name}=1,heads=3-4: head 4 is too high; TinyBert has 4 heads"):
            heads(f"{name}=1,heads=3-4", num_heads=4)


def test_too_few_free_heads() -> None:
    with pytest.raises(UsageError, match="--guide behind=1,heads=3: it takes 3 heads of each layer") as caught:
        heads("ahead=1,heads=2", "behind=1,heads=3", num_heads=4)
    assert "of the 4 heads of TinyBert these are free: 2, 3." in str(caught.value)
    assert "fewer heads" in str(caught.value.hint)
    with pytest.raises(UsageError, match=r"--guide behind=1: it takes 1 head of each layer.*are free: none"):
        heads("ahead=1,share=1.0", "behind=1", num_heads=4)
    with pytest.raises(UsageError, match=r"^--monitor behind: it takes 1 head"):
        heads("ahead=1,share=1.0", "behind=0", num_heads=4)
    with pytest.raises(UsageError, match="--guide spread=1,heads=5"):
        heads("spread=1,heads=5", num_heads=4)
