"""Where the examples of a timing come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from agcli.errors import DataError, UsageError
from agcli.models import locate
from agcli.timing import examples as examples_module
from agcli.timing.examples import Encoder, FullLength, Shaped, find_encoder, find_source, synthetic
from agcli.timing.request import TimingRequest
from agcli.timing.shapes import shape

Make = Callable[..., TimingRequest]


ROBERTA = Encoder("roberta", None, vocab_size=12, pad_token_id=1, max_length=512)


def test_synthetic_ids_are_all_but_padding_and_follow_the_seed() -> None:
    lengths = np.array([200, 3, 70])
    found, same, other = (synthetic(lengths, ROBERTA, 3, seed) for seed in (5, 5, 6))
    assert found.lengths.tolist() == [200, 3, 70]
    assert {token for each in found.encoded for token in each["input_ids"]} == set(range(12)) - {1}
    assert found.encoded == same.encoded
    assert found.encoded != other.encoded
    assert set(synthetic(np.full(50, 1), ROBERTA, 3, 1).labels.tolist()) == {0, 1, 2}


def test_without_data_or_shape_every_row_is_full() -> None:
    supply = find_source(None, None).take(ROBERTA, 33, 10, 1)
    assert set(supply.examples.lengths.tolist()) == {33}
    assert (find_source(None, None).population, supply.notes) == (None, ("synthetic ids",))
    with pytest.raises(UsageError, match="--epochs"):
        FullLength().take(ROBERTA, 33, None, 1)


def test_a_shape_gives_its_lengths_truncated_and_its_epoch() -> None:
    source = Shaped("mednli")
    supply = source.take(ROBERTA, 40, 300, seed=1)
    drawn = shape("mednli").lengths(300, 1)
    assert drawn.max() > 40
    assert supply.examples.lengths.tolist() == np.minimum(drawn, 40).tolist()
    assert source.population == shape("mednli").examples
    assert any(shape("mednli").source in note for note in supply.notes)
    with pytest.raises(UsageError, match="shape"):
        find_source(None, "mednly")


def test_lengths_are_borrowed_where_the_tokenizer_is_not_here(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if locate("minilm") is None:
        pytest.skip("the extra `minilm` is not installed")
    own = find_source(str(dataset), None).take(find_encoder("minilm", random_weights=False, offline=True), 24, 9, 1)
    borrowed = find_source(str(dataset), None).take(ROBERTA, 24, 9, 1)
    assert borrowed.examples.lengths.tolist() == own.examples.lengths.tolist()
    assert (own.notes, borrowed.notes[0]) == ((), "synthetic ids")
    assert "minilm" in borrowed.notes[1]
    monkeypatch.setattr(examples_module, "locate", lambda _: None)
    with pytest.raises(UsageError, match="to count lengths with") as raised:
        find_source(str(dataset), None).take(ROBERTA, 24, 9, 1)
    assert "--shape" in str(raised.value.hint)


def test_data_without_a_training_example_are_refused(tmp_path: Path) -> None:
    from tiny_runs import pairs, write_dataset

    empty = write_dataset(tmp_path / "empty", {"train": pairs("train", 0), "dev": pairs("dev", 3)})
    with pytest.raises(DataError, match="no training example"):
        find_source(str(empty), None)
