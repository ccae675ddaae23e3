"""What splits share and what occurs twice: counted in the manifest, warned of, refused, dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agcli.data.pairs import folded
from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError

Make = Callable[..., PreparedPairs]
Row = tuple[str, str, str]


def write(folder: Path, **splits: list[Row]) -> str:
    folder.mkdir(exist_ok=True)
    for split, rows in splits.items():
        own = [(f"{split} first {n}", f"{split} second {n}", "no" if n % 2 else "yes") for n in range(20)]
        frame = pd.DataFrame([*own, *rows], columns=["text_a", "text_b", "label"])
        frame.to_csv(folder / f"{split}.csv", index=False)
    return str(folder)


COPIES = [
    ("dev first 1", "dev second 1", "no"),
    ("test first 1", "test second 1", "yes"),  # labelled otherwise there
    ("Test  first 2", "test SECOND 2 ", "yes"),
    ("test second 4", "test first 4", "yes"),
]


def test_texts_are_compared_apart_from_their_unicode_form() -> None:
    spellings = ["Café au lait", "Cafe\u0301 au\u00a0lait", "CAF\u00c9\u200b AU LAIT"]
    assert len(set(map(folded, spellings))) == 1
    assert folded("café") != folded("cafe")


def test_each_kind_of_shared_pair_is_counted_refused_and_droppable(tmp_path: Path, make: Make) -> None:
    source = write(tmp_path / "in", train=COPIES, dev=[], test=[])
    with pytest.raises(DataError, match="4 pairs are shared between splits") as caught:
        make("own", source=source)
    counts = "[2 exact, 1 other case or spaces, 1 reversed, 1 with another label]"
    assert counts in str(caught.value)
    manifest = make("own", source=source, drop_shared_pairs=True).manifest
    assert manifest["pairs_shared"] == {
        "train/dev": {"exact": 1, "other case or spaces": 0, "reversed": 0, "other label": 0},
        "train/test": {"exact": 1, "other case or spaces": 1, "reversed": 1, "other label": 1},
    }
    assert manifest["dropped"] == {
        "train": {
            "pair shared with a later split": 2,
            "pair shared with a later split, in other case or spaces": 1,
            "pair shared with a later split, reversed": 1,
        }
    }
    assert "train: 1 dropped (pair shared with a later split, reversed)" in manifest["warnings"]
    assert "1 of the pairs that train and test share have contradictory labels" in manifest["warnings"]
    assert manifest["splits"]["train"]["rows"] == 20
    assert manifest["texts_shared"] == {}


def test_texts_shared_in_either_column_are_shown_and_can_be_an_error(tmp_path: Path, make: Make) -> None:
    shared = [("TEST first 0", "new", "yes"), ("new 2", "test  first 1", "no"), ("test second 5", "new 3", "no")]
    source = write(tmp_path / "in", train=shared, dev=[], test=[("other", "test second 5", "no")])
    manifest = make("own", source=source).manifest
    assert manifest["texts_shared"] == {
        "train/test": {
            "first texts": {"shared": 2, "of": 21},
            "second texts": {"shared": 1, "of": 20},
            "rows": {"shared": 4, "of": 21},
        }
    }
    warning = "2 of 21 first texts and 1 of 20 second texts of test occur in train too (4 of 21 rows)"
    assert warning in manifest["warnings"]
    with pytest.raises(DataError, match=r"second texts of test occur in train too.*--strict-splits forbids that"):
        make("own", source=source, strict_splits=True, output=tmp_path / "strict")


def test_contradictory_labels_are_counted_apart_from_repeats(tmp_path: Path, make: Make) -> None:
    again = [("train first 0", "train second 0", "yes"), ("Train first 2", "train  second 2", "yes")]
    contrary = [("train FIRST 1", "train second 1", "yes"), ("train first 1", "train second 1", "yes")]
    turned = [("train second 3", "train first 3", "yes")]  # another pair: entailment has a direction
    manifest = make("own", source=write(tmp_path / "in", train=[*again, *contrary, *turned], dev=[], test=[])).manifest
    facts = manifest["splits"]
    assert (facts["train"]["duplicates"], facts["train"]["contradictory"]) == (3, 1)
    assert (facts["test"]["duplicates"], facts["test"]["contradictory"]) == (0, 0)
    assert "train: 3 row(s) repeat a pair and its label" in manifest["warnings"]
    assert "train: 1 pair(s) occur with contradictory labels (the first: rows 3 and 24)" in manifest["warnings"]
