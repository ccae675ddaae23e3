"""Hub data sets, with `load_dataset` replaced by local data, and without a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from source_files import LABELS

from agcli.data.prepared import PreparedPairs
from agcli.errors import DataError

Make = Callable[..., PreparedPairs]


def split(tag: str, count: int, label: int | None = None) -> datasets.Dataset:
    features = datasets.Features(
        {
            "pairID": datasets.Value("string"),
            "premise": datasets.Value("string"),
            "hypothesis": datasets.Value("string"),
            "label": datasets.ClassLabel(names=list(LABELS)),
        }
    )
    columns = {
        "pairID": [f"{tag}{n}" for n in range(count)],
        "premise": [f"{tag} premise {n}" for n in range(count)],
        "hypothesis": ["NA"] * count,
        "label": [n % 3 if label is None else label for n in range(count)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, bool]]:
    """A MultiNLI-like hub; lists what was asked of it, and whether it was told to stay offline."""
    calls: list[tuple[str, str | None, bool]] = []
    splits = {
        "train": datasets.concatenate_datasets([split("t", 30), split("u", 2, -1)]),
        "validation_matched": split("m", 9),
        "validation_mismatched": split("mm", 9),
        "test_matched": split("q", 5, -1),
    }

    def load(path: str, name: str | None = None, **_: Any) -> datasets.DatasetDict:
        calls.append((path, name, bool(datasets.config.HF_HUB_OFFLINE)))
        return datasets.DatasetDict(splits)

    monkeypatch.setattr(datasets, "load_dataset", load)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    return calls


@pytest.mark.parametrize("options", [{"name": "multinli"}, {"name": "own", "source": "hub:nyu-mll/multi_nli"}])
def test_multinli_from_the_hub(make: Make, asked: list[Any], options: dict[str, str]) -> None:
    prepared = make(**options)
    assert asked == [("nyu-mll/multi_nli", None, False)]
    assert prepared.labels == LABELS
    assert prepared.manifest["source_format"] == "hub"
    assert prepared.manifest["dropped"] == {"train": {"no gold label": 2}}
    assert prepared.manifest["not_used"] == {
        "nyu-mll/multi_nli/validation_mismatched": "not a split of the task",
        "nyu-mll/multi_nli/test_matched": "no labels",
    }
    assert tuple(prepared.splits["test"].iloc[1]) == ("m1", "m premise 1", "NA", "neutral", "")


def test_offline_reaches_the_library_and_is_taken_back(make: Make, asked: list[Any]) -> None:
    make("some/thing", offline=True, hub_config="de")
    assert asked == [("some/thing", "de", True)]
    assert datasets.config.HF_HUB_OFFLINE is False


def test_unknown_columns_are_listed(make: Make, asked: list[Any]) -> None:
    with pytest.raises(DataError, match=r"column 'verdict'.*Allowed: pairID, premise, hypothesis, label"):
        make("some/thing", label="verdict")


def test_no_network_and_no_cached_copy(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="could not be loaded") as caught:
        make("nobody/no-such-data-set", offline=True)
    assert "--from PATH" in str(caught.value.hint)


def test_files_through_the_real_loader(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name, count in (("train", 200), ("test", 6)):
        rows = "".join(f"{name} {n},b {n},{'yes' if n % 2 else 'no'}\n" for n in range(count))
        (folder / f"{name}.csv").write_text("question,sentence,label\n" + rows)
    real, files = datasets.load_dataset, {name: str(folder / f"{name}.csv") for name in ("train", "test")}
    cache = str(tmp_path / "cache")
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: real("csv", data_files=files, cache_dir=cache))
    prepared = make("local/pairs", offline=True)
    assert prepared.labels == ("no", "yes")
    assert len(prepared.splits["test"]) == 6
    assert len(prepared.manifest["sources"][0]["sha256"]) == 64


def test_two_splits_of_the_hub_for_one_of_ours_are_named(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"train_r1": split("a", 9), "train_r2": split("b", 9), "test_r1": split("c", 9)}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: datasets.DatasetDict(splits))
    with pytest.raises(DataError, match="give train: x/y/train_r1 and x/y/train_r2"):
        make("own", source="hub:x/y")
