"""One run on several processes: shares of a batch, and two real processes against one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_runs import as_flags, short_options

from agcli.config import make_config
from agcli.errors import UsageError
from agcli.training.distributed import Distributed
from agcli.training.run import finetune

LAUNCH = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
          "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "agcli")  # fmt: skip
"""README's launcher; where there is no GPU, the processes share the CPU."""
EXACT = ("history.csv", "predictions.csv", "metrics.json", "model/model.safetensors")


def process(size: int, rank: int, **accelerator: Any) -> Distributed:
    return Distributed(cast(Any, SimpleNamespace(num_processes=size, process_index=rank, **accelerator)))


@given(lists=st.integers(1, 40), list_size=st.integers(1, 4), size=st.integers(1, 5))
def test_shares_are_the_batch_cut_between_whole_lists(lists: int, list_size: int, size: int) -> None:
    rows = np.random.default_rng(lists).permutation(lists * list_size)
    shares = [process(size, rank).share(rows, list_size) for rank in range(size)]
    counted = [own[:count].tolist() for own, count in shares]
    assert sorted(chain.from_iterable(counted)) == sorted(rows.tolist())
    assert max(map(len, counted)) - min(map(len, counted)) <= list_size
    whole = {tuple(each) for each in rows.reshape(-1, list_size).tolist()}
    assert all(tuple(each) in whole for own, _ in shares for each in own.reshape(-1, list_size).tolist())
    assert all(len(own) > 0 for own, _ in shares)


@pytest.mark.parametrize("count", [2, 5, 6])
def test_predictions_come_back_in_the_order_of_the_examples(count: int) -> None:
    logits = torch.arange(2.0 * count).reshape(count, 2)
    parts: list[torch.Tensor] = []

    def gather(padded: torch.Tensor) -> torch.Tensor:
        parts.append(padded)
        return torch.cat(parts) if len(parts) == 2 else torch.cat([padded, padded])

    both = [process(2, rank, gather=gather, device=torch.device("cpu")) for rank in (0, 1)]
    for one in both:
        joined = one.gather_rows(logits[torch.from_numpy(one.shard(count))], count)
    assert torch.equal(joined, logits)


@pytest.fixture(scope="module")
def settings(dataset: Path, encoder: Path) -> dict[str, Any]:
    """Steps of two batches of three; the last step is one example, of which the second process gets nothing."""
    special = {"mdg": 0.5, "pdg": 0.25, "batch_size": 3, "accumulate": 2, "epochs": 2, "train_limit": 43}
    return short_options(dataset, encoder) | special | {"dropout": 0.0, "precision": "fp32"}


def launched(*words: str) -> subprocess.CompletedProcess[str]:
    """`ag` in two processes."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-m", *LAUNCH, *words], env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def pair(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in two processes, with all its checkpoints."""
    folder = tmp_path_factory.mktemp("pair") / "run"
    kept = {"checkpoint_every": 5, "keep_checkpoints": True}
    ended = launched("finetune", "--output", str(folder), *as_flags(settings | kept))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("run folder") == 1  # the first process speaks, the other is silent
    return folder


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(pair: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    alone = finetune(make_config(settings), tmp_path / "alone").path
    one, two = (pd.read_csv(folder / "history.csv") for folder in (alone, pair))
    assert len(one) == 16
    np.testing.assert_allclose(two.to_numpy(), one.to_numpy(), rtol=2e-5)
    one, two = (pd.read_csv(folder / "predictions.csv") for folder in (alone, pair))
    assert one["id"].tolist() == two["id"].tolist()
    np.testing.assert_allclose(two.filter(like="p_").to_numpy(), one.filter(like="p_").to_numpy(), atol=1e-5)
    before, after = (load_file(folder / "model" / "model.safetensors") for folder in (alone, pair))
    # A key's bias moves all of a query's scores alike, so its gradient is rounding alone, which Adam makes into steps.
    moved = [name for name in before if not name.endswith("key.bias")]
    assert all(torch.allclose(before[name], after[name], atol=2e-5) for name in moved)
    metrics = [json.loads((folder / "metrics.json").read_text()) for folder in (alone, pair)]
    assert metrics[1]["gradient_norms"] == pytest.approx(metrics[0]["gradient_norms"], rel=1e-4)
    assert json.loads((pair / "environment.json").read_text())["plan"]["processes"] == 2


@pytest.mark.slow
def test_two_processes_set_the_weight_of_a_share_that_one_sets(settings: dict[str, Any], tmp_path: Path) -> None:
    shared = {name: value for name, value in settings.items() if name != "mdg"} | {"epochs": 1}
    guide = ["--guide", "mdg=share:0.5,schedule=off:0.5"]
    ended = launched("finetune", "--output", str(tmp_path / "pair"), *as_flags(shared), *guide)
    assert ended.returncode == 0, ended.stderr
    alone = finetune(make_config(shared | {"guide": guide[1]}), tmp_path / "alone").path
    one, two = (json.loads((folder / "guide_shares.json").read_text())["mdg"] for folder in (alone, tmp_path / "pair"))
    assert two == pytest.approx(one, rel=1e-4)
    norms = json.loads((tmp_path / "pair" / "metrics.json").read_text())["gradient_norms"]
    assert norms["mdg"] == pytest.approx(0.5 * norms["task"], rel=1e-5)
    one, two = (pd.read_csv(folder / "history.csv") for folder in (alone, tmp_path / "pair"))
    assert one["mdg"].isna().sum() == 4
    np.testing.assert_allclose(two.to_numpy(), one.to_numpy(), rtol=1e-4)


@pytest.mark.slow
def test_a_run_of_two_processes_goes_on_exactly_but_not_alone(
    pair: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    shutil.copytree(pair, killed)
    steps = sorted((killed / "checkpoints").iterdir())
    shutil.rmtree(steps[-1])
    status = json.loads((killed / "status.json").read_text())
    (killed / "status.json").write_text(json.dumps(status | {"state": "running"}))
    for name in ("metrics.json", "predictions.csv"):
        (killed / name).unlink()
    with pytest.raises(UsageError, match="began with processes 2; here it would go on with 1"):
        finetune(make_config(settings), killed, resume=True)
    ended = launched("finetune", "--output", str(killed), "--resume")
    assert ended.returncode == 0, ended.stderr
    assert "resuming after step" in ended.stderr
    assert all((killed / name).read_bytes() == (pair / name).read_bytes() for name in EXACT)
