"""One cell of a sweep: what it is known by, how it runs, and the line that it adds to the results.

A cell is an ordinary run folder, trained by `training.run.finetune` and, where documents are ranked, followed by a
ranking of the test queries. `cell.json` is written last: a cell that has it is never run again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from time import perf_counter
from typing import Any

import pandas as pd

from agcli.config import RunConfig, make_config
from agcli.data.catalogue import find_dataset
from agcli.data.knowledge.stored import knowledge_digests
from agcli.data.prepared import load_prepared, read_manifest
from agcli.errors import AgError, DataError, DivergedError, InterruptedRunError
from agcli.guides.registry import GUIDES
from agcli.guides.variants import stated_guides
from agcli.models.model_files import resolve
from agcli.models.weights import find_weights
from agcli.options import OPTIONS
from agcli.runs.atomic import sha256
from agcli.runs.folder import RESULT_VERSION, RunFolder
from agcli.runs.signals import StopRequest
from agcli.sweep.grid import Cell
from agcli.tasks.base import load_dataset
from agcli.tasks.registry import TASKS, TaskEntry

RECORD = "cell.json"
POLL_SECONDS = 0.2
"""Interval at which a parent process looks for cells that have ended."""


@dataclass(frozen=True)
class CellJob:
    """The input of a worker, in plain values that can be sent to another process.

    Attributes:
        tokenised: the folder of tokenised data that cells share.
        reported: whether test metrics are reported; where not, the test queries are not ranked.
        name: the cell in words, for logs.
    """

    fingerprint: str
    options: Mapping[str, Any]
    folder: str
    keep_model: bool
    threads: int
    tokenised: str
    reported: bool = True
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """The end of a cell: `finished`, or `failed` with a reason.

    Attributes:
        diverged: whether it failed because numbers ceased to be finite in training.
    """

    fingerprint: str
    state: str
    reason: str = ""
    seconds: float = 0.0
    diverged: bool = False


OnStart = Callable[[CellJob], None]
"""Called with each cell as it starts, or is submitted to a cluster."""


def check_stop(stop: StopRequest) -> None:
    """Stop waiting for cells after a signal.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM arrived.
    """
    if stop.signal is not None:
        raise InterruptedRunError(f"interrupted by {stop.signal.name}.", hint="the same command goes on")


def config_of(cell: Cell | CellJob) -> RunConfig:
    """The cell's checked settings."""
    return make_config(dict(cell.options), origin="the sweep")


def fingerprint(config: RunConfig) -> str:
    """SHA-256 over what decides a cell's numbers, 16 digits: settings, data, encoder and the version of results.

    Where data and model lie does not count, so that a sweep can move; nor does how an unguided cell would have been
    guided, so that one baseline serves every way of guiding; nor what a guide that is absent would have been like,
    unless a run has it by default, so that a new guide leaves the cells of earlier sweeps as they are.

    Raises:
        DataError: no such data.
        ModelError: no such model.
    """
    settings = config.fingerprinted()
    present = {name for name, weight in config.guides.weights.items() if weight} | {*config.guides.monitored}
    ignored = {name for name in settings if OPTIONS[name].section == "guides"} if not present else set()
    flags = {name for name, entry in GUIDES.items() if entry.has_flag}  # other guides are in the option `guide`
    for name in flags - set(stated_guides(present)):
        ignored |= {name, *(option.name for option in GUIDES[name].options)}
    settings = {name: value for name, value in settings.items() if name not in ignored}
    settings["dataset"] = data_digest(config.data.dataset)
    settings["model"] = model_digest(config.model.model, config.model.offline)
    if names := config.guides.knowledge:
        settings["knowledge"] = knowledge_digests_of(config.data.dataset, names)
    seeds = {"seed": config.training.seed, "data_seed": config.data_seed, "subset_seed": config.subset_seed}
    settings |= seeds  # where one is not given, what it follows
    settings["result_version"] = RESULT_VERSION
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


@lru_cache
def data_digest(dataset: str) -> str:
    """The digest in the manifest, which is compared with the files when the data are loaded."""
    return str(read_manifest(find_dataset(dataset, Path.cwd()))["digest"])


@lru_cache
def knowledge_digests_of(dataset: str, names: tuple[str, ...]) -> dict[str, str]:
    """The digest of each of these kinds of knowledge of prepared data.

    Raises:
        DataError: no such data, or such knowledge was not made of them; with the command that makes it.
    """
    return knowledge_digests(load_dataset(find_dataset(dataset, Path.cwd())), names)


def training_examples(dataset: str) -> int:
    """Training examples of prepared data; of ranking data, lists.

    Raises:
        DataError: no such data, or nothing in them to train on.
    """
    folder = find_dataset(dataset, Path.cwd())
    lists = read_manifest(folder).get("lists")
    if lists:
        return int(lists["count"])
    splits = load_prepared(folder).splits
    if "train" not in splits:
        raise DataError("the data set has no train split", file=folder, allowed=splits)
    return len(splits["train"])


@lru_cache
def model_digest(model: str, offline: bool) -> str:
    """Hash of an encoder: its weights, its configuration (such as its dropout) and its tokenizer."""
    folder = resolve(model, offline=offline).folder
    described = sorted(path for path in folder.glob("*") if path.suffix in (".json", ".txt", ".model"))
    hashes = {path.name: sha256(path) for path in described if "index" not in path.name}
    return hashlib.sha256(json.dumps([find_weights(folder).sha256, hashes]).encode()).hexdigest()


def run_cell(job: CellJob) -> Outcome:
    """Train, evaluate and record a cell; one that was interrupted is resumed from its last checkpoint.

    Raises:
        InterruptedRunError: SIGINT or SIGTERM; the cell goes on next time.
    """
    import torch

    from agcli.training.run import finetune

    torch.set_num_threads(job.threads)
    started = perf_counter()
    folder = RunFolder(Path(job.folder))
    try:
        config = config_of(job)
        if folder.state != "finished":
            begun = any(folder.checkpoints.glob("step-*"))
            finetune(config, folder.path, resume=begun, overwrite=not begun, tokenised=Path(job.tokenised))
        if job.reported and folder.task == "ranking":
            _rank_test(folder)
        if not job.keep_model:
            shutil.rmtree(folder.model, ignore_errors=True)
    except InterruptedRunError:
        raise
    except Exception as error:  # whatever ends one cell, the others run
        reason = str(error) if isinstance(error, AgError) else f"{type(error).__name__}: {error}"
        took, diverged = perf_counter() - started, isinstance(error, DivergedError)
        return Outcome(job.fingerprint, "failed", " ".join(reason.split()), took, diverged)
    seconds = perf_counter() - started
    record = {"fingerprint": job.fingerprint, "threads": job.threads, "seconds": round(seconds, 3)}
    folder.write_json(RECORD, record | {"degenerate": _predicts_one_class(folder)})
    return Outcome(job.fingerprint, "finished", "", seconds)


def read_record(folder: RunFolder) -> dict[str, Any] | None:
    """`cell.json` of a finished cell: its fingerprint, threads, seconds, and whether it predicts one class only.

    None where it is missing or damaged: the cell then runs again, which takes no time where all else is complete.
    """
    with suppress(DataError):
        record = folder.read_json(RECORD)
        if {"fingerprint", "threads", "seconds", "degenerate"} <= record.keys():
            return record
    return None


def _rank_test(folder: RunFolder) -> None:
    from agcli.data.ranking.prepared import load_ranking
    from agcli.measures.bootstrap import RESAMPLES
    from agcli.ranking.rank_split import RankJob, rank, usual_depth
    from agcli.ranking.ranker import open_ranker

    dataset = load_ranking(Path(folder.environment["data"]["folder"]))
    place = folder.path / "rankings" / "test"
    if "test" in dataset.splits and not (place / "metrics.json").is_file():
        ranker = open_ranker(folder.path, precision="fp32", offline=True)
        rank(RankJob(ranker, dataset, "test", usual_depth(dataset), place), resamples=RESAMPLES, seed=0)


def columns(axes: Sequence[str], guides: Sequence[str]) -> list[str]:
    """The columns of `results.csv`, with one for the weights of each of these guides."""
    metrics = [name for task in TASKS.values() for name in (*task.metrics, *task.further_metrics)]
    return [
        *("cell", "model", "dataset", "variant", *guides, "guide_mode", "layers", "size", "learning_rate"),
        *("seed", "role", *(f"set:{name}" for name in axes), "precision", "device"),
        *("state", "diverged", "collapsed", "reason", "metric", "baseline"),
        *(f"{split}:{name}" for split in ("dev", "test") for name in (*metrics, "baseline")),
    ]


def row(cell: Cell, cell_fingerprint: str, folder: RunFolder, failed: Outcome | None) -> dict[str, object]:
    """A cell's row of the results: its settings, state and metrics. Its run folder may be missing."""
    config, record = config_of(cell), read_record(folder)
    flat = config.flat()
    line: dict[str, object] = {
        "cell": cell_fingerprint,
        "model": config.model.model,
        "dataset": Path(config.data.dataset).name,
        "variant": cell.variant,
        **cell.weights,
        **{name: flat[name] for name in ("guide_mode", "learning_rate", "seed")},
        "layers": flat["guide_layers"],
        "size": flat["train_limit"] or flat["train_fraction"],
        "role": cell.role,
        **{f"set:{name}": flat[name] for name in cell.axes},
        "state": "failed" if failed else "finished" if record else "pending",
        "diverged": int(failed is not None and failed.diverged),
        "collapsed": int(failed is None and record is not None and record["degenerate"]),
        "reason": failed.reason if failed else "",
    }
    return line | (_measured(cell, folder) if record is not None and failed is None else {})


def _measured(cell: Cell, folder: RunFolder) -> dict[str, object]:
    """Arithmetic and metrics of a finished cell; a cell that selects shows nothing of the test split."""
    metrics, plan, task = folder.metrics, folder.environment.get("plan", {}), TASKS[folder.task]
    line = {"precision": plan.get("precision"), "device": plan.get("device")}
    line |= {"metric": task.metrics[0], "baseline": task.baseline}
    by_split = {"dev": metrics["dev"]}
    if cell.role != "select":
        by_split["test"] = _test_metrics(folder, task, metrics, "reranked")
    for split, values in by_split.items():
        baseline = metrics.get("baseline", {}).get(split) or _test_metrics(folder, task, {}, "first_stage")
        line |= {f"{split}:{name}": value for name, value in values.items()}
        line[f"{split}:baseline"] = baseline.get(task.metrics[0])
    return line


def _test_metrics(folder: RunFolder, task: TaskEntry, metrics: Mapping[str, Any], stage: str) -> dict[str, float]:
    """Metrics of the test split; of a ranking's stage those over all queries, none without relevance judgments."""
    ranking = RunFolder(folder.path / "rankings" / "test")
    if (ranking.path / "metrics.json").is_file():
        measured = ranking.read_json("metrics.json").get(stage, {}).get("all", {})
        return {name: measured[name]["value"] for name in task.metrics if name in measured}
    return dict(metrics.get("test", {}))


def _predicts_one_class(folder: RunFolder) -> bool:
    """Whether a classifier gives every dev example the same class: a degenerate run."""
    rows = pd.read_csv(folder.path / "predictions.csv", dtype=str, keep_default_na=False)
    return "prediction" in rows and rows["prediction"][rows["split"] == "dev"].nunique() == 1
