"""The readers on real data, where it lies beside the checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from agcli.data.preparation import prepare
from agcli.data.prepared import PreparedPairs
from agcli.data.request import PrepareRequest
from agcli.errors import DataError

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no ../shared/data beside the checkout")
Make = Callable[..., PreparedPairs]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def run(name: str, **options: object) -> PreparedPairs:
        options.setdefault("output", tmp_path / f"{len(list(tmp_path.iterdir()))}")
        return prepare(PrepareRequest(name=name, **options))  # type: ignore[arg-type]

    return run


def rows(prepared: PreparedPairs) -> dict[str, int]:
    return {split: len(frame) for split, frame in prepared.splits.items()}


def test_every_form_of_multinli_gives_the_same_pairs(make: Make) -> None:
    folder = DATA / "new_protocols_nli"
    digests = set()
    for train, held_out in (("train.tsv", "val.tsv"), ("train.txt", "val.txt"), ("train.tsv", "val.jsonl")):
        prepared = make("multinli", train=folder / train, test=folder / held_out, drop_shared_pairs=True)
        digests.add(prepared.digest)
        assert prepared.manifest["dropped"] == {"train": {"pair shared with a later split": 1}}
        assert sum(rows(prepared).values()) == 8_499 + 1_268
        assert rows(prepared)["test"] == 1_268
        quoting = {source["file"]: source["quoting"] for source in prepared.manifest["sources"]}
        assert quoting == {train: "minimal", held_out: None if held_out.endswith("jsonl") else "minimal"}
        pairs = pd.concat(prepared.splits.values()).set_index("id")
        assert pairs.loc["base_12927052.001c", "text_a"] == 'The name "bergstrasen" was first recorded in 1165.'
    assert len(digests) == 1
    assert make("multinli", source=str(folder), drop_shared_pairs=True).digest in digests


def test_the_pair_that_new_protocols_shares_is_named(make: Make) -> None:
    with pytest.raises(DataError, match=r"1 pair is shared.*base_14319026\.000e, base_14319026\.000c"):
        make("multinli", source=str(DATA / "new_protocols_nli"))


def test_mnli_20k(make: Make) -> None:
    prepared = make("mnli_20k", source=str(DATA / "mnli_20k"))
    assert rows(prepared) == {"train": 18_000, "dev": 2_000, "test": 5_000}
    assert make("multinli", source=str(DATA / "mnli_20k")).digest == prepared.digest
    assert set(prepared.splits["train"]["text_a"]).isdisjoint(prepared.splits["dev"]["text_a"])
    assert list(prepared.manifest["not_used"]) == ["snli_val.tsv"]
    assert any("rows 13816" in warning for warning in prepared.manifest["warnings"])


def test_healthver(make: Make) -> None:
    source = str(DATA / "healthver")
    with pytest.raises(DataError, match="0 exact, 3 other case or spaces, 0 reversed"):
        make("healthver", source=source)
    prepared = make("healthver", source=source, drop_shared_pairs=True)
    assert rows(prepared) == {"train": 5_292 - 3, "dev": 940, "test": 903}
    assert prepared.manifest["documents_shared"]["train/test"] == {"shared": 217, "of": 219}
    with pytest.raises(DataError, match="217 of 219 documents of test"):
        make("healthver", source=source, drop_shared_pairs=True, strict_splits=True)


def test_scifact(make: Make) -> None:
    folder = str(DATA / "scifact")
    with pytest.raises(DataError, match="2 pairs are shared between splits"):
        make("scifact", source=folder)
    prepared = make("scifact", source=folder, drop_shared_pairs=True)
    assert prepared.manifest["not_used"] == {"claims_test.jsonl": "no labels"}
    assert rows(prepared)["test"] == 339
    assert sum(rows(prepared).values()) == 919 - 2 + 339
