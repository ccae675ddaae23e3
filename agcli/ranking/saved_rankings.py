"""Saved rankings: chosen among those of a run, read, and aligned query by query."""

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
from agcli.measures.classification import without_apostrophe
from agcli.measures.ranking import PER_QUERY_COLUMNS, RELEVANT, STAGES, QueryMeasures
from agcli.measures.trec import read_qrels
from agcli.runs.folder import RunFolder, open_run
from agcli.tasks.training_overlap import Overlap

TASK = "ranking"
FOLDER = "rankings"
PREFERRED = ("test", "dev", "train")
"""Which split is evaluated by default."""
_TRUTH = {"True": True, "False": False, "1": True, "0": False}


@dataclass(frozen=True, eq=False)
class SavedRanking:
    """A ranking of one split by `ag rank`.

    Attributes:
        depth: candidates of a query at most.
        credentialed: whether no message may show an id.
        qrels: query -> document -> relevance.
        trained_on: how many of its queries the run was trained on; None where that is not known.
    """

    path: Path
    dataset: str
    digest: str
    split: str
    depth: int
    credentialed: bool
    trained_on: Overlap | None
    first_stage: QueryMeasures
    reranked: QueryMeasures
    qrels: dict[str, dict[str, int]]

    @property
    def name(self) -> str:
        """The run's name where the ranking lies in one, else the folder's own."""
        path = self.path.resolve()
        return path.parent.parent.name if path.parent.name == FOLDER else path.name


def is_ranking(path: Path) -> bool:
    """Whether a folder is a ranking, or a run whose task is ranking; False for everything else, and for no folder."""
    if _is_ranking_folder(path):
        return True
    with suppress(DataError):
        return RunFolder(path).task == TASK
    return False


def open_ranking(path: Path, split: str | None = None, dataset: str | None = None) -> SavedRanking:
    """Read the ranking in a folder, or the one in a run's folder that has this split and data set.

    Args:
        split: by default test where there is one, else dev.
        dataset: name of its data set; needed where a run has ranked several.

    Raises:
        DataError: there is no such ranking, or it is damaged.
        UsageError: there are several.
        RunError: the run is not finished.
    """
    if _is_ranking_folder(path):
        folders = [path]
    else:
        open_run(path)
        folders = sorted(file.parent for file in path.glob(f"{FOLDER}/[!.]*/metrics.json"))  # of finished rankings
    described = {folder: _description(folder) for folder in folders}
    wanted = {
        folder: entry
        for folder, entry in described.items()
        if split in (None, entry["split"]) and dataset in (None, entry["dataset"])
    }
    if not wanted:
        raise _no_ranking(
            path, split, dataset, [f"{entry['dataset']}, {entry['split']}" for entry in described.values()]
        )
    best = min(wanted.values(), key=_preference)
    chosen = [folder for folder, entry in wanted.items() if _preference(entry) == _preference(best)]
    if len(chosen) > 1:
        listed = "; ".join(f"{folder.name}: {wanted[folder]['dataset']}, {best['split']}" for folder in chosen)
        raise UsageError(
            f"{path} has several rankings ({listed})",
            hint="choose with --dataset and --split, or name the folder of the ranking itself",
        )
    return _read(chosen[0], **wanted[chosen[0]])


def aligned_ranking(reference: SavedRanking, other: SavedRanking) -> SavedRanking:
    """`other` with its queries in the order of `reference`.

    Raises:
        DataError: the two differ in queries, relevance judgments or data.
    """
    hint = "rank with both runs on one prepared data set"
    queries = reference.reranked.queries
    place = {query: row for row, query in enumerate(other.reranked.queries)}
    unmatched = len(place.keys() ^ set(queries))
    if unmatched:
        raise DataError(f"they have different judged queries ({unmatched} in only one of them)", hint=hint)
    differing = [query for query in queries if reference.qrels[query] != other.qrels[query]]
    if differing:
        first = "" if reference.credentialed else f", first of {shortened(differing[0])}"
        problem = f"the relevance judgments of {counted(len(differing), 'query', 'queries')} differ{first}"
        raise DataError(problem, hint=hint)
    if reference.digest != other.digest:
        problem = f"the data differ: {reference.dataset} and {other.dataset} have different digests"
        raise DataError(problem, hint=hint)
    rows = np.array([place[query] for query in queries])
    first_stage, reranked = (
        QueryMeasures(queries, measures.values[rows], measures.retrieved[rows])
        for measures in (other.first_stage, other.reranked)
    )
    return replace(other, first_stage=first_stage, reranked=reranked)


def _is_ranking_folder(path: Path) -> bool:
    metrics = _object(path / "metrics.json")
    return metrics.get("task") == TASK and "split" in metrics  # a run's has the splits themselves


def _object(file: Path) -> dict[str, Any]:
    """The object in a JSON file; empty where there is none, for which the file's reader has an error."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _preference(described: dict[str, Any]) -> int:
    split = described["split"]
    return PREFERRED.index(split) if split in PREFERRED else len(PREFERRED)


def _no_ranking(path: Path, split: str | None, dataset: str | None, existing: Sequence[str]) -> DataError:
    option = f" --dataset {shlex.quote(dataset)}" if dataset else ""
    hint = f"ag rank {shlex.quote(str(path))}{option} --split {split or 'test'}"
    if not existing:
        return DataError("the run has no ranking", file=path, hint=hint)
    wanted = ", ".join(value for value in (dataset, split) if value)
    if _is_ranking_folder(path):
        return DataError(f"this is no ranking of {wanted}", file=path, allowed=existing)
    return DataError(f"the run has no ranking of {wanted}", file=path, allowed=existing, hint=hint)


def _description(folder: Path) -> dict[str, Any]:
    """The fields of `metrics.json` that a `SavedRanking` has, and `escaped`, see `read_predictions`."""
    file = folder / "metrics.json"
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
        if metrics["task"] != TASK:
            raise ValueError("its task is not ranking")
        return {
            **{name: str(metrics[name]) for name in ("dataset", "digest", "split")},
            "depth": int(metrics["depth"]),
            "credentialed": bool(metrics.get("credentialed")),
            "trained_on": Overlap(**metrics["trained_on"]) if metrics.get("trained_on") else None,
            "escaped": "claims_cut" not in metrics,  # recorded since cells are those of the source
        }
    except OSError as error:
        raise unreadable(file, error, file) from None
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"not the metrics of a ranking ({type(error).__name__}: {error})", file=file) from None


def _read(folder: Path, *, escaped: bool, **description: Any) -> SavedRanking:
    file = folder / "per_query.csv"
    with cells_hidden(description["credentialed"]):
        first_stage, reranked = _read_measures(file, escaped)
        qrels = read_qrels(folder / "qrels.trec")
    judged = {query for query, grades in qrels.items() if max(grades.values()) >= RELEVANT}
    unmatched = len(judged ^ set(reranked.queries))
    if unmatched:
        raise DataError(f"{counted(unmatched, 'query', 'queries')} in only one of this file and qrels.trec", file=file)
    return SavedRanking(folder, **description, first_stage=first_stage, reranked=reranked, qrels=qrels)


def _read_measures(file: Path, escaped: bool) -> list[QueryMeasures]:
    """Measures of the first stage and of the model."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            header, *rows = list(csv.reader(stream))
    except FileNotFoundError:
        raise DataError("the ranking lacks this file", file=file, hint="rank again") from None
    except OSError as error:
        raise unreadable(file, error, file) from None
    except (ValueError, csv.Error) as error:  # ValueError: no header, or no UTF-8
        raise DataError(f"not the measures of a ranking ({error})", file=file) from None
    if header != list(PER_QUERY_COLUMNS):
        raise DataError("not the columns of this version", file=file, row=1, value=header, hint="rank again")
    if not rows:
        raise DataError("the ranking has no judged query, so that nothing can be measured", file=file)
    for row, cells in enumerate(rows, start=2):
        _check_row(cells, file, row)
    queries = tuple(without_apostrophe(cells[0]) if escaped else cells[0] for cells in rows)
    if len(set(queries)) < len(queries):
        raise DataError("a query has two rows", file=file, column="query")
    retrieved = np.array([_TRUTH[cells[1]] for cells in rows], dtype=np.bool_)
    values = np.array([cells[2:] for cells in rows], dtype=np.float64)
    return [QueryMeasures(queries, half, retrieved) for half in np.split(values, len(STAGES), axis=1)]


def _check_row(cells: Sequence[str], file: Path, row: int) -> None:
    if len(cells) != len(PER_QUERY_COLUMNS):
        raise DataError(f"{len(cells)} cells instead of {len(PER_QUERY_COLUMNS)}", file=file, row=row)
    if cells[1] not in _TRUTH:
        raise DataError("not a truth value", file=file, row=row, column="retrieved", value=cells[1], allowed=_TRUTH)
    for column, cell in zip(PER_QUERY_COLUMNS[2:], cells[2:], strict=True):
        try:
            fits = 0 <= float(cell) <= 1
        except ValueError:
            fits = False
        if not fits:
            raise DataError("a measure is a number from 0 to 1", file=file, row=row, column=column, value=cell)
