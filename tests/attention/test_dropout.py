"""Attention dropout: it hits the output, never Eq. 8's received attention; the released arithmetic takes it in."""

import pytest
import torch

from agcli.attention import dispatch as selection

LENGTH = 6


@pytest.fixture
def arguments():
    """The identity as values, so that the output is the (dropped) map itself."""
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn((2, 2, LENGTH, LENGTH), generator=generator, dtype=torch.float64) for _ in range(2))
    value = torch.eye(LENGTH, dtype=torch.float64).expand(2, 2, LENGTH, LENGTH)
    mask = torch.arange(LENGTH) < torch.tensor([LENGTH, 4])[:, None]
    return query, key, value, mask


def attend(arguments, implementation="reference", **settings):
    """Output, and the one quantity that is captured."""
    torch.manual_seed(3)
    settings = {"capture": {"received": "all"}} | settings
    output, captured = selection.attend(*arguments, scaling=1.0, implementation=implementation, **settings)
    return output, next(iter(captured.values()), None)


@pytest.mark.parametrize("implementation", ["reference", "cpu"])
def test_dropout_hits_the_output_and_leaves_received_clean(arguments, implementation):
    maps, received = attend(arguments, implementation)
    dropped, received_beside_dropout = attend(arguments, implementation, dropout=0.5)
    kept = dropped != 0
    assert torch.equal(received_beside_dropout, received)
    assert kept[0].any()
    assert not kept[0].all()
    torch.testing.assert_close(dropped[kept], 2 * maps[kept])


@pytest.mark.parametrize(
    ("implementation", "captures"),
    [("reference", [(), ("received",), ("released",), ("maps", "scores")]), ("cpu", [(), ("received",)])],
)
def test_dropout_is_the_same_whatever_is_captured(arguments, implementation, captures):
    first, *others = (
        attend(arguments, implementation, dropout=0.5, capture=dict.fromkeys(capture, "all"))[0] for capture in captures
    )
    assert all(torch.equal(first, other) for other in others)


def test_released_is_the_mean_over_keys_of_the_dropped_map(arguments):
    dropped, released = attend(arguments, dropout=0.5, capture={"released": "all"})
    torch.testing.assert_close(released, dropped.mean(-1))
    assert released[1, :, 4:].any()  # padded rows are kept


def test_released_without_dropout_is_constant(arguments):
    _, released = attend(arguments, capture={"released": "all"})
    torch.testing.assert_close(released, torch.full_like(released, 1 / LENGTH))
