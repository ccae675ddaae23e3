"""Ranking folders read back: which one is meant, what each query scored, and whether two can be compared."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from agcli.errors import DataError, UsageError, cells_hidden, counted, shortened, unreadable
from agcli.measures.classification import without_mark
from agcli.measures.ranking import MEASURES, STAGES, QueryMeasures
from agcli.measures.trec import read_qrels
from agcli.runs.folder import RunFolder, open_run
from agcli.training.trained_on import Overlap

TASK = "ranking"
FOLDER = "rankings"
HEADER = ["query", "retrieved", *(f"{stage}:{measure}" for stage in STAGES for measure in MEASURES)]
PREFERRED = ("test", "dev", "train")
"""Which split is judged where none is asked for."""
_TRUTH = {"True": True, "False": False, "1": True, "0": False}


@dataclass(frozen=True, eq=False)
class SavedRanking:
    """What `ag rank` left of one split.

    Attributes:
        given: the path that was asked for, of a run or of the ranking itself.
        path: the ranking's folder.
        dataset: name of the data set.
        digest: what tells its data from others.
        split: the split that was ranked.
        depth: candidates of a query at most.
        credentialed: whether no message may show an id.
        first_stage: measures of the candidates' first order.
        reranked: measures of the model's order.
        qrels: query -> document -> relevance.
        trained_on: how many of its claims the run was trained on; None where that is not known.
    """

    given: Path
    path: Path
    dataset: str
    digest: str
    split: str
    depth: int
    credentialed: bool
    first_stage: QueryMeasures
    reranked: QueryMeasures
    qrels: dict[str, dict[str, int]]
    trained_on: Overlap | None = None

    @property
    def name(self) -> str:
        """The run's name where the ranking lies in one, else the folder's own."""
        path = self.path.resolve()
        return path.parent.parent.name if path.parent.name == FOLDER else path.name


def is_ranking(path: Path) -> bool:
    """Whether a folder is a ranking, or a run that was judged by ranking; False for all else, also where nothing is."""
    if _is_ranking_folder(path):
        return True
    with suppress(DataError):
        return RunFolder(path).task == TASK
    return False


def open_ranking(path: Path, split: str | None = None, dataset: str | None = None) -> SavedRanking:
    """The ranking that is meant: the folder itself, or the one in a run that fits.

    Args:
        path: a ranking's folder, or a run's.
        split: its split; by default test where there is one, else dev.
        dataset: name of its data set; needed where a run has ranked several.

    Raises:
        DataError: there is none that fits, or it is damaged.
        UsageError: several fit.
        RunError: the run is not finished.
    """
    if _is_ranking_folder(path):
        folders = [path]
    else:
        open_run(path)
        folders = _finished(path)
    described = [(folder, _described(folder)) for folder in folders]
    fitting = [
        (folder, told)
        for folder, told in described
        if split in (None, told["split"]) and dataset in (None, told["dataset"])
    ]
    if not fitting:
        raise _none(path, split, dataset, [told for _, told in described])
    best = min(_rank(told["split"]) for _, told in fitting)
    chosen = [(folder, told) for folder, told in fitting if _rank(told["split"]) == best]
    if len(chosen) > 1:
        listed = "; ".join(f"{folder.name}: {told['dataset']}, {told['split']}" for folder, told in chosen)
        raise UsageError(
            f"{path} has several rankings ({listed})",
            hint="choose with --dataset and --split, or name the folder of the ranking itself",
        )
    return _read(path, *chosen[0])


def in_order_of(queries: Sequence[str], ranking: SavedRanking) -> SavedRanking:
    """The same ranking with the same queries in this order."""
    place = {query: row for row, query in enumerate(ranking.reranked.queries)}
    rows = np.array([place[query] for query in queries], dtype=np.int64)
    first_stage, reranked = (
        QueryMeasures(tuple(queries), measures.values[rows], measures.retrieved[rows])
        for measures in (ranking.first_stage, ranking.reranked)
    )
    return replace(ranking, first_stage=first_stage, reranked=reranked)


def mismatch(reference: SavedRanking, other: SavedRanking) -> tuple[str, str]:
    """What keeps two rankings from being compared, and what to do; empty where nothing does."""
    again = "rank with both runs on one prepared data set"
    unmatched = len(set(reference.reranked.queries) ^ set(other.reranked.queries))
    if unmatched:
        return f"they judge different queries ({unmatched} in only one of them)", again
    judged = [query for query in reference.reranked.queries if reference.qrels[query] != other.qrels[query]]
    if judged:
        first = "" if reference.credentialed else f", first of {shortened(judged[0])}"
        return f"the relevance judgements of {counted(len(judged), 'query', 'queries')} differ{first}", again
    if reference.digest != other.digest:
        return f"the data differ: {reference.dataset} and {other.dataset} have different digests", again
    return "", ""


def _is_ranking_folder(path: Path) -> bool:
    metrics = _object(path / "metrics.json")
    return metrics.get("task") == TASK and "split" in metrics  # a run's has the splits themselves


def _finished(run: Path) -> list[Path]:
    """The rankings in a run; what an interrupted ranking left has no metrics.json yet."""
    return sorted(folder.parent for folder in run.glob(f"{FOLDER}/[!.]*/metrics.json"))


def _object(file: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where it cannot be read or holds no object: its reader has an error for that."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _rank(split: str) -> int:
    return PREFERRED.index(split) if split in PREFERRED else len(PREFERRED)


def _none(path: Path, split: str | None, dataset: str | None, described: Sequence[dict[str, Any]]) -> DataError:
    """The error for a run without a ranking that fits."""
    wanted = "".join(f" {option} {shlex.quote(value)}" for option, value in (("--dataset", dataset),) if value)
    hint = f"ag rank {shlex.quote(str(path))}{wanted} --split {split or 'test'}"
    if not described:
        return DataError("the run has no ranking", file=path, hint=hint)
    allowed = [f"{ranking['dataset']}, {ranking['split']}" for ranking in described]
    asked = ", ".join(value for value in (dataset, split) if value)
    if _is_ranking_folder(path):
        return DataError(f"this is no ranking of {asked}", file=path, allowed=allowed)
    return DataError(f"the run has no ranking of {asked}", file=path, allowed=allowed, hint=hint)


def _described(folder: Path) -> dict[str, Any]:
    """`metrics.json` of a ranking, with what is read of it."""
    file = folder / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        if metrics["task"] != TASK:
            raise ValueError("its task is not ranking")
        texts = {name: str(metrics[name]) for name in ("dataset", "digest", "split")}
        overlap = Overlap(**metrics["trained_on"]) if metrics.get("trained_on") else None
        depth, credentialed = int(metrics["depth"]), bool(metrics.get("credentialed"))
        marked = "claims_cut" not in metrics  # recorded since cells are those of the source
        return {**texts, "depth": depth, "credentialed": credentialed, "trained_on": overlap, "marked": marked}
    except OSError as error:
        raise unreadable(file, error, file) from None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"not the metrics of a ranking ({type(error).__name__}: {error})", file=file) from None


def _read(given: Path, folder: Path, described: dict[str, Any]) -> SavedRanking:
    file = folder / "per_query.csv"
    attributes = {name: value for name, value in described.items() if name != "marked"}
    with cells_hidden(described["credentialed"]):
        first_stage, reranked = _read_measures(file, described["marked"])
        qrels = read_qrels(folder / "qrels.trec")
    judged = {query for query, grades in qrels.items() if any(grade >= 1 for grade in grades.values())}
    unmatched = len(judged ^ set(reranked.queries))
    if unmatched:
        raise DataError(f"{counted(unmatched, 'query', 'queries')} in only one of this file and qrels.trec", file=file)
    return SavedRanking(given, folder, **attributes, first_stage=first_stage, reranked=reranked, qrels=qrels)


def _read_measures(file: Path, marked: bool) -> tuple[QueryMeasures, QueryMeasures]:
    """Measures of the first stage and of the model, from `per_query.csv`; see `read_predictions` for `marked`."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = list(csv.reader(stream))
    except FileNotFoundError:
        raise DataError("the ranking lacks this file", file=file, hint="rank again") from None
    except OSError as error:
        raise unreadable(file, error, file) from None
    except (ValueError, csv.Error) as error:  # ValueError: no header, or no UTF-8
        raise DataError(f"not the measures of a ranking ({error})", file=file) from None
    if header != HEADER:
        raise DataError("not the columns of this version", file=file, row=1, value=header, hint="rank again")
    if not rows:
        raise DataError("the ranking has no judged query, so that there is nothing to judge it by", file=file)
    parsed = [_parsed(cells, file, row) for row, cells in enumerate(rows, start=2)]
    queries = tuple(without_mark(query) if marked else query for query, _, _ in parsed)
    if len(set(queries)) < len(queries):
        raise DataError("a query has two rows", file=file, column="query")
    retrieved = np.array([found for _, found, _ in parsed], dtype=np.bool_)
    values = np.array([numbers for _, _, numbers in parsed], dtype=np.float64)
    first_stage, reranked = np.split(values, len(STAGES), axis=1)
    return QueryMeasures(queries, first_stage, retrieved), QueryMeasures(queries, reranked, retrieved)


def _parsed(cells: Sequence[str], file: Path, row: int) -> tuple[str, bool, list[float]]:
    """Query, whether a relevant document was among its candidates, and its measures."""
    if len(cells) != len(HEADER):
        raise DataError(f"{len(cells)} cells instead of {len(HEADER)}", file=file, row=row)
    if cells[1] not in _TRUTH:
        raise DataError("not a truth value", file=file, row=row, column="retrieved", value=cells[1], allowed=_TRUTH)
    numbers = []
    for column, cell in zip(HEADER[2:], cells[2:], strict=True):
        try:
            numbers.append(float(cell))
        except ValueError:
            numbers.append(np.nan)
        if not 0 <= numbers[-1] <= 1:
            raise DataError("a measure is a number from 0 to 1", file=file, row=row, column=column, value=cell)
    return cells[0], _TRUTH[cells[1]], numbers
