"""What a run was trained on, and what is said where it is judged on that."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from closed_files import close
from tiny_rankings import write_ranking_dataset
from tiny_runs import MARKER, pairs, short_options, write_dataset
from typer.testing import Result

from agcli.config import make_config
from agcli.data.ranking.prepared import PreparedRanking
from agcli.errors import DataError
from agcli.runs.folder import RunFolder
from agcli.tasks.base import make_task
from agcli.tasks.training_overlap import FILE, Overlap, overlap_warning, training_overlaps, write_trained_on
from agcli.training.run import finetune

Ag = Callable[..., Result]
TRAIN = 20


@pytest.fixture(scope="module")
def made(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data (the text of a row tells its number) and a run on 8 of 20 training rows; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    splits = {split: pairs(split, count) for split, count in {"train": TRAIN, "dev": 6, "test": 5}.items()}
    for split, frame in splits.items():
        frame["text_a"] = [f"{text} {split} {row}" for row, text in enumerate(frame["text_a"])]
    data = write_dataset(folder / "data", splits)
    options = short_options(data, encoder) | {"epochs": 1, "train_limit": 8}
    finetune(make_config(options), folder / "run")
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(made / "run", tmp_path / "run"))


def train_frame(made: Path) -> pd.DataFrame:
    return pd.read_parquet(made / "data" / "train.parquet")


@pytest.fixture
def other(made: Path, tmp_path: Path) -> Path:
    """Another data set: its test split is the whole training split of the run, in other spelling and swapped."""
    frame = train_frame(made)
    frame["text_a"], frame["text_b"] = frame["text_b"].str.upper(), "  " + frame["text_a"].str.replace(" ", "\t ")
    return write_dataset(tmp_path / "other", {"dev": pairs("dev", 6), "test": frame})


def test_rows_of_the_run_s_own_training_split_are_counted(ag: Ag, run: Path, other: Path) -> None:
    result = ag("evaluate", run, "--dataset", other, "--offline", "--json")
    warning = f"8 of {TRAIN} rows of other, test, are in what run was trained on"
    assert f"warning: {warning}" in result.stderr
    found = json.loads(result.stdout)
    assert found["warnings"] == [warning]
    assert found["runs"][0]["trained_on"] == {"shared": 8, "of": TRAIN}
    assert MARKER not in result.stderr


def test_strict_splits_make_it_an_error_before_anything_is_predicted(
    ag: Ag, run: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agcli.training.predict.predict", None)
    result = ag("evaluate", run, "--dataset", other, "--offline", "--strict-splits", code=3)
    assert f"8 of {TRAIN} rows of other, test, are in what run was trained on: --strict-splits" in result.stderr


def test_rows_that_it_has_not_seen_are_judged_without_a_word(ag: Ag, run: Path, made: Path) -> None:
    result = ag("evaluate", run, "--dataset", made / "data", "--offline", "--strict-splits", "--json")
    assert "trained on" not in result.stderr
    found = json.loads(result.stdout)
    assert (found["warnings"], found["runs"][0]["trained_on"]) == ([], {"shared": 0, "of": 5})


def test_strict_splits_belong_to_another_data_set(ag: Ag, run: Path) -> None:
    assert "--strict-splits belongs to --dataset" in ag("evaluate", run, "--strict-splits", code=2).stderr
    assert json.loads(ag("evaluate", run, "--json").stdout)["runs"][0]["trained_on"] is None


def test_a_run_without_the_record_is_judged_by_its_data(ag: Ag, run: Path, other: Path) -> None:
    (run / FILE).unlink()
    result = ag("evaluate", run, "--dataset", other, "--offline")
    assert f"8 of {TRAIN} rows of other, test, are in what run was trained on" in result.stderr


@pytest.mark.parametrize("data", [{"folder": "gone", "digest": "x"}, {}])
def test_a_run_of_which_nothing_is_known_may_have_seen_them(
    ag: Ag, run: Path, other: Path, data: dict[str, str]
) -> None:
    (run / FILE).unlink()
    folder = RunFolder(run)
    folder.write_json("environment.json", folder.environment | {"data": data})
    assert "it may have been trained on rows of other" in ag("evaluate", run, "--dataset", other, "--offline").stderr
    assert "--strict-splits" in ag("evaluate", run, "--dataset", other, "--strict-splits", code=3).stderr


def test_data_that_were_prepared_anew_are_not_what_it_was_trained_on(run: Path, made: Path) -> None:
    (run / FILE).unlink()
    folder = RunFolder(run)
    changed = folder.environment["data"] | {"digest": "another"}
    folder.write_json("environment.json", folder.environment | {"data": changed})
    assert training_overlaps([folder], [("a", "b")])[0] is None


@pytest.mark.parametrize("content", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_a_damaged_record_is_named(run: Path, content: bytes) -> None:
    (run / FILE).write_bytes(content)
    with pytest.raises(DataError, match="damaged") as caught:
        training_overlaps([RunFolder(run)], [("a", "b")])
    assert str(run / FILE) in str(caught.value)


def test_a_record_is_sorted_numbers_without_text_and_the_same_each_time(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [("A claim", "a text"), ("b", "c"), ("a  text", "a Claim\n")]
    write_trained_on(folder, rows)
    first = (tmp_path / FILE).read_bytes()
    numbers = np.load(tmp_path / FILE, allow_pickle=False)
    assert (numbers.dtype, len(numbers)) == (np.uint64, 2)
    assert numbers[0] < numbers[1]
    write_trained_on(folder, reversed(rows))
    assert (tmp_path / FILE).read_bytes() == first
    assert training_overlaps([folder], [("c", "B"), ("c", "d"), ("b c", "")])[0] == Overlap(1, 3)
    assert training_overlaps([folder], [])[0] == Overlap(0, 0)


def test_large_counts_are_readable() -> None:
    warning = overlap_warning(Overlap(1666, 2000), "mine", "rows of x, dev,")
    assert warning == "1,666 of 2,000 rows of x, dev, are in what mine was trained on"


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> PreparedRanking:
    """8 train, 5 dev and 6 test claims."""
    return write_ranking_dataset(tmp_path_factory.mktemp("claims") / "claims")


@pytest.fixture(scope="module")
def ranker(claims: PreparedRanking, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the lists of 3 of its training claims; not to be changed."""
    options: dict[str, Any] = short_options(claims.folder, encoder) | {"max_length": 24, "epochs": 1, "train_limit": 3}
    return finetune(make_config(options), tmp_path_factory.mktemp("runs") / "ranker").path


def test_claims_that_a_ranker_was_trained_on_are_counted(ag: Ag, ranker: Path, tmp_path: Path) -> None:
    words = ["rank", ranker, "--split", "train", "--depth", 4, "--output", tmp_path / "ranking", "--offline"]
    warning = "3 of 8 queries of claims, train, are in what ranker was trained on"
    assert f"{warning}: --strict-splits" in ag(*words, "--strict-splits", code=3).stderr
    assert not (tmp_path / "ranking").exists()
    first = ag(*words, "--json")
    assert f"warning: {warning}" in first.stderr
    assert json.loads(first.stdout)["trained_on"] == {"shared": 3, "of": 8}
    assert f"warning: {warning}" in ag(*words).stderr  # ranked already
    judged = json.loads(ag("evaluate", tmp_path / "ranking", "--json").stdout)
    assert "3 of 8 queries are in what ranking was trained on." in judged["notes"]


def test_claims_in_files_are_compared_too(ag: Ag, ranker: Path, claims: PreparedRanking, tmp_path: Path) -> None:
    texts = claims.queries["text"].tolist()
    (tmp_path / "mine.tsv").write_text("".join(f"q{n}\t{text.upper()}\n" for n, text in enumerate(texts[:10])))
    (tmp_path / "c.tsv").write_text("".join(f"d{n}\t{text}\n" for n, text in enumerate(texts)))
    words = ["--queries", tmp_path / "mine.tsv", "--corpus", tmp_path / "c.tsv", "--output", tmp_path / "out"]
    shown = ag("rank", ranker, *words, "--depth", 2, "--offline", "--strict-splits", code=3).stderr
    assert "3 of 10 queries of mine, test, are in what ranker was trained on" in shown


def test_other_claims_are_ranked_without_a_word(ag: Ag, ranker: Path, tmp_path: Path) -> None:
    place = ["--output", tmp_path / "ranking"]
    shown = ag("rank", ranker, "--depth", 4, *place, "--offline", "--strict-splits", "--json")
    assert "trained on" not in shown.stderr
    assert json.loads(shown.stdout)["trained_on"] == {"shared": 0, "of": 6}


def test_strict_splits_are_of_no_use_to_one_claim_or_to_saved_rankings(ag: Ag, ranker: Path) -> None:
    assert "--strict-splits: of no use here" in ag("rank", ranker, "--text", "x", "--strict-splits", code=2).stderr
    assert "--strict-splits is not for rankings" in ag("evaluate", ranker, "--strict-splits", code=2).stderr


def test_a_ranker_without_the_record_is_judged_by_its_data(
    ranker: Path, claims: PreparedRanking, tmp_path: Path
) -> None:
    run = RunFolder(Path(shutil.copytree(ranker, tmp_path / "run")))
    recorded = (run.path / FILE).read_bytes()
    (run.path / FILE).unlink()
    texts = [(text,) for text in claims.queries["text"]]
    assert training_overlaps([run], texts)[0] == Overlap(3, len(texts))
    options = make_config(run.config | {"output": None})
    task = make_task(claims, options.data, options.ranking, options.subset_seed)
    write_trained_on(run, task.training_texts())
    assert (run.path / FILE).read_bytes() == recorded


def test_a_record_that_may_not_be_read_is_not_called_damaged(
    run: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close(run / FILE, monkeypatch)
    with pytest.raises(DataError, match=r"trained_on\.npy: cannot be read \(Permission denied\)") as caught:
        training_overlaps([RunFolder(run)], [("a", "b")])
    assert "chmod u+rX" in str(caught.value.hint)
