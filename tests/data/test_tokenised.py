"""Tokenised data that cells share are those that each would make, whoever was killed or cut short on the way."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_rankings import write_ranking_dataset
from tiny_runs import pairs, short_options, write_dataset

from agcli.config import RunConfig, make_config
from agcli.data import token_cache as tokenised
from agcli.data.batching import Examples, collate
from agcli.data.prepared import load_prepared
from agcli.data.token_cache import kept, open_store
from agcli.models import load_model
from agcli.runs.folder import RunFolder
from agcli.sweep.cell import CellJob, Outcome, run_cell
from agcli.sweep.grid import Grid
from agcli.sweep.results import read_results
from agcli.sweep.sweep import Sweep, run_sweep
from agcli.training.assemble import Assembly
from agcli.training.run import finetune

Make = Callable[..., RunConfig]
Forbid = Callable[[], None]
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ranking_dataset(tmp_path_factory.mktemp("ranking") / "claims").folder


@pytest.fixture
def ranking(claims: Path, encoder: Path) -> Make:
    return lambda **changes: make_config({**short_options(claims, encoder), "max_length": 16, **changes})


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return tmp_path / "tokenised"


@pytest.fixture
def forbid(monkeypatch: pytest.MonkeyPatch) -> Forbid:
    """From its call on whoever tokenises fails."""

    def fail(*_: object, **__: object) -> None:
        pytest.fail("tokenised anew")

    def now() -> None:
        monkeypatch.setattr("agcli.tasks.classification.tokenise", fail)
        monkeypatch.setattr("agcli.tasks.ranking.text_tokens", fail)

    return now


def examples(config: RunConfig, shared: Path | None) -> dict[str, Examples]:
    return Assembly(config, RunFolder(Path("unused")), shared).examples


def entries(shared: Path) -> list[Path]:
    return sorted(path for path in shared.iterdir() if not path.name.startswith("."))


def seen(found: Examples) -> list[Any]:
    """All that a run sees of its examples, exactly."""
    batch = collate(found, np.arange(len(found)))
    arrays = {"lengths": found.lengths, "labels": found.labels, "truncated": found.truncated}
    arrays |= {name: tensor.numpy() for name, tensor in {**batch.inputs, "gold": batch.labels}.items()}
    exact = {name: (str(values.dtype), values.shape, values.tobytes()) for name, values in arrays.items()}
    return [list(found.ids), found.pad, found.list_size, [list(each) for each in found.encoded], exact]


def same(one: dict[str, Examples], other: dict[str, Examples]) -> bool:
    return list(one) == list(other) and all(seen(one[split]) == seen(other[split]) for split in one)


@pytest.mark.parametrize("changes", [{}, {"max_length": 12}, {"train_limit": 24}, {"train_limit": 3}])
def test_pairs_are_the_same(config: Make, shared: Path, forbid: Forbid, changes: dict[str, Any]) -> None:
    expected = examples(config(**changes), None)
    assert expected["train"].truncated.any() == ("max_length" in changes)
    assert same(examples(config(**changes), shared), expected)
    forbid()
    again = examples(config(**changes), shared)
    assert same(again, expected)
    rows = np.array([2, 0])
    assert seen(again["train"].take(rows)) == seen(expected["train"].take(rows))


@pytest.mark.parametrize("changes", [{}, {"train_limit": 2, "dev_queries": 1}, {"ranking_loss": "listwise"}])
def test_rankings_are_the_same(ranking: Make, shared: Path, forbid: Forbid, changes: dict[str, Any]) -> None:
    expected = examples(ranking(**changes), None)
    assert expected["dev"].truncated.any()
    assert same(examples(ranking(**changes), shared), expected)
    forbid()
    assert same(examples(ranking(**changes), shared), expected)
    assert len(entries(shared)) == 2  # claims and documents


def test_subsets_of_other_seeds_are_rows_of_the_same(config: Make, shared: Path, forbid: Forbid) -> None:
    settings = [config(train_limit=24, seed=seed) for seed in (1, 2)]
    expected = [examples(each, None) for each in settings]
    assert expected[0]["train"].ids != expected[1]["train"].ids
    examples(settings[0], shared)
    forbid()
    assert same(examples(settings[1], shared), expected[1])


def test_a_small_subset_is_kept_by_itself(config: Make, shared: Path) -> None:
    for limit, rows in ((4, 4), (5, 44)):  # a tenth of 44 lies between them
        examples(config(train_limit=limit), shared / str(limit))
        kept_rows = {
            entry["what"].split(":")[0]: len(np.load(path / "bounds.npy")) - 1
            for path in entries(shared / str(limit))
            for entry in [json.loads((path / "entry.json").read_text())]
        }
        assert kept_rows == {"train": rows, "dev": 18, "test": 12}
    examples(config(train_limit=4, seed=2), shared / "4")
    assert len(entries(shared / "4")) == 4  # another subset of that size


def test_nothing_is_copied(config: Make, shared: Path) -> None:
    found = examples(config(train_limit=24), shared)["train"]
    for row in (0, 23):
        for values in found.encoded[row].values():
            base = values
            while isinstance(base.base, np.ndarray):
                base = base.base
            assert isinstance(base, np.memmap)
            assert not values.flags.writeable


def test_what_decides_the_tokens_is_in_the_key(config: Make, dataset: Path, encoder: Path, shared: Path) -> None:
    data = load_prepared(dataset)
    rows = np.arange(len(data.splits["dev"]))

    def keys(change: Callable[[Any], object] = lambda _: None, max_length: int = 48) -> set[str]:
        tokenizer = load_model(str(encoder), labels=data.labels, offline=True).tokenizer
        change(tokenizer)
        store = open_store(shared, data, tokenizer, max_length)
        assert store is not None
        store.texts("dev", rows, len(rows), lambda _: [np.array([1, 2], np.int32)] * len(rows))
        return {path.name for path in entries(shared)}

    assert len(keys()) == 1
    assert len(keys(lambda each: each("pain", "fever", truncation=True, max_length=8, padding=True))) == 1  # as before
    assert len(keys(max_length=12)) == 2
    assert len(keys(lambda each: each.add_tokens(["spleen"]))) == 3
    assert len(keys(lambda each: setattr(each, "truncation_side", "left"))) == 4
    data = load_prepared(write_dataset(shared.parent / "other", {"dev": pairs("other", len(rows))}))
    assert len(keys()) == 5


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flip(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-4] + bytes([content[-4] ^ 1]) + content[-3:])


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
@pytest.mark.parametrize("name", ["input_ids.npy", "bounds.npy", "truncated.npy", "entry.json"])
def test_what_is_damaged_is_made_anew(config: Make, shared: Path, forbid: Forbid, name: str, damage: Damage) -> None:
    expected = examples(config(), None)
    examples(config(), shared)
    for place in entries(shared):
        damage(place / name)
    assert same(examples(config(), shared), expected)
    forbid()
    assert same(examples(config(), shared), expected)


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    return {"input_ids": np.arange(5000, dtype=np.int32), "bounds": np.array([0, 5000])}


def in_processes(count: int, body: Callable[[], object]) -> list[int | None]:
    """Exit codes of that many processes at once; they compute nothing with torch, so a fork will do."""
    fork = multiprocessing.get_context("fork")
    started = [fork.Process(target=body) for _ in range(count)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    return [process.exitcode for process in started]


def is_whole(place: Path) -> bool:
    """Whether it can be read, and nothing half-written lies beside it."""
    found = kept(place, {}, lambda: pytest.fail("not there"))
    beside = {path.name for path in place.parent.iterdir()}
    return beside <= {place.name, f".{place.name}.lock"} and all(
        np.array_equal(found[name], values) for name, values in arrays().items()
    )


@pytest.mark.parametrize("moment", ["making", "writing", "renaming"])
def test_killed_while_writing(shared: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    place = shared / "key"

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patch:
        if moment == "writing":
            patch.setattr(tokenised, "sha256", die)
        if moment == "renaming":
            patch.setattr("agcli.runs.atomic._put_in_place", die)
        assert in_processes(1, lambda: kept(place, {}, die if moment == "making" else arrays)) == [-signal.SIGKILL]
    assert not place.exists()
    assert bool(list(shared.glob(".key.*.tmp"))) == (moment != "making")
    kept(place, {}, arrays)
    assert is_whole(place)


@pytest.mark.parametrize("locks", [True, False])
def test_two_processes_make_the_same_at_the_same_time(
    shared: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    """With locks one makes it and the other waits; without, each makes its own, and one of them stays."""
    log, place = shared.parent / "made", shared / "key"
    together = multiprocessing.get_context("fork").Barrier(2, timeout=60)

    def refuse(*_: object) -> None:
        raise OSError("no locks available")

    def make() -> dict[str, np.ndarray[Any, Any]]:
        if not locks:
            together.wait()
        with log.open("a") as file:
            file.write("made\n")
        return arrays()

    def body() -> None:
        if locks:
            together.wait()
        found = kept(place, {}, make)
        assert all(np.array_equal(found[name], values) for name, values in arrays().items())

    if not locks:
        monkeypatch.setattr("fcntl.flock", refuse)
    assert in_processes(2, body) == [0, 0]
    assert log.read_text().split() == ["made"] * (1 if locks else 2)
    assert is_whole(place)


def test_a_folder_that_takes_nothing_costs_no_cell(config: Make, shared: Path) -> None:
    shared.write_text("no folder")
    assert same(examples(config(), shared), examples(config(), None))


def test_credentialed_text_is_not_spelt_in_tokens(config: Make, shared: Path, tmp_path: Path) -> None:
    secret = config(dataset=str(write_dataset(tmp_path / "secret", credentialed=True)))
    assert same(examples(secret, shared), examples(secret, None))
    assert not shared.exists()


def test_a_run_ends_in_the_same_bytes_with_it(config: Make, ranking: Make, shared: Path, tmp_path: Path) -> None:
    for settings in (config(epochs=1, train_limit=24), ranking(epochs=1)):
        plain = finetune(settings, tmp_path / settings.data.dataset.split("/")[-1] / "plain").path
        fresh, warm = (finetune(settings, plain.parent / name, tokenised=shared).path for name in ("fresh", "warm"))
        for name in ("history.csv", "predictions.csv", "metrics.json", "config.json", "model/model.safetensors"):
            assert (plain / name).read_bytes() == (fresh / name).read_bytes() == (warm / name).read_bytes()
        assert not list(plain.parent.rglob("tokenised"))


@pytest.mark.parametrize("tells", [True, False])
def test_cells_on_ray_share_a_folder_of_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tells: bool
) -> None:
    """Workers of a machine share it; where Ray cannot tell of one, a cell has its own, which goes with it."""
    from agcli.sweep import on_ray

    names = {"get_temp_dir": lambda: str(tmp_path), "get_session_name": lambda: "session"} if tells else {}
    ray = SimpleNamespace(get_runtime_context=lambda: SimpleNamespace(**names))
    monkeypatch.setitem(sys.modules, "ray", ray)
    jobs: list[CellJob] = []

    def run(job: CellJob) -> Outcome:
        jobs.append(job)
        return Outcome(job.fingerprint, "finished", "", 0.0)

    monkeypatch.setattr(on_ray, "run_cell", run)
    for _ in range(2):
        on_ray.run_shipped(CellJob("mark", {}, "elsewhere/cell", False, 1, "elsewhere/tokenised"), names=())
    folders = [Path(job.tokenised) for job in jobs]
    if tells:
        assert folders == [tmp_path / "session" / "ag-tokenised"] * 2
    else:
        assert [path.parent for path in folders] == [Path(job.folder).parent for job in jobs]
        assert folders[0] != folders[1]


def test_the_cells_of_a_sweep_tokenise_each_split_once(
    dataset: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agcli.tasks import classification

    made: list[int] = []
    tokenise = classification.tokenise

    def counted(tokenizer: Any, ids: list[str], *rest: Any, **named: Any) -> Examples:
        made.append(len(ids))
        return tokenise(tokenizer, ids, *rest, **named)

    def here(jobs: list[CellJob], stop: object) -> Iterator[Outcome]:
        yield from map(run_cell, jobs)

    monkeypatch.setattr(classification, "tokenise", counted)
    options = {name: value for name, value in short_options(dataset, encoder).items() if name != "model"}
    del options["dataset"]
    grid = Grid(
        models=(str(encoder),), datasets=(str(dataset),), variants=("none", "both"), seeds=(1, 2), sizes=(24,),
        options=options | {"epochs": 1},
    )  # fmt: skip
    run_sweep(Sweep((grid,), tmp_path / "sweep", 1), here)
    assert list(read_results(tmp_path / "sweep" / "results.csv")["state"]) == ["finished"] * 4
    assert sorted(made) == [12, 18, 44]
    assert len(entries(tmp_path / "sweep" / "tokenised")) == 3
