"""From a source of ranking data to the prepared form: the one pipeline behind every layout."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as compute

import agcli
from agcli.data.bm25 import Analysis
from agcli.data.catalogue import KNOWN, read_ranking
from agcli.data.checks import ordered
from agcli.data.lengths import percentiles
from agcli.data.prepared import check_target
from agcli.data.ranking import checks
from agcli.data.ranking.candidates import (
    Candidates,
    Progress,
    RunCandidates,
    build_index,
    has_run,
    read_runs,
    recall,
    run_warnings,
    split_candidates,
)
from agcli.data.ranking.collection import RankingCollection
from agcli.data.ranking.contents import RankingContents, write_ranking
from agcli.data.ranking.dev_cut import RankingCut, cut_dev
from agcli.data.ranking.negatives import Pool, Rows, Sampling, refuse_small, training_lists
from agcli.data.ranking.prepared import RankingDataset
from agcli.data.ranking.request import RankingRequest
from agcli.data.request import DEV_FRACTION
from agcli.errors import DataError, cells_hidden
from agcli.runs.atomic import folder_beside


@dataclass(frozen=True)
class _Checked:
    """Splits that passed every check, and what the manifest says of the way there."""

    splits: checks.Splits
    roles: dict[str, str]
    dropped: dict[str, Counter[str]]
    negative: dict[str, int]
    dev_cut: RankingCut | None
    documents_shared: dict[str, checks.Shared]
    texts_shared: dict[str, checks.Shared]
    warnings: list[str]


def prepare_ranking(request: RankingRequest, progress: Progress | None = None) -> RankingDataset:
    """Read a source, check it, find candidates and negatives, and write the prepared form, whole or not at all.

    Args:
        request: what to prepare, and how.
        progress: told what is being done, how much of it is done and how much there is; None: nobody is told.

    Raises:
        UsageError: options that cannot be.
        DataError: data that cannot be read or must not be used.
        RunError: the disk refuses.
    """
    with cells_hidden(request.credentialed):
        return _prepared(request, progress or (lambda what, done, total: None))


def _prepared(request: RankingRequest, progress: Progress) -> RankingDataset:
    check_target(request.output, request.overwrite, request.paths)
    analysis = Analysis(request.stemmer, request.stopwords)
    collection = read_ranking(request)
    checked = _checked(collection, request)
    runs = read_runs(collection.runs, collection.documents, request.depth, request.drop_missing)
    pool = Pool(collection.documents)
    sampling = Sampling(request.negatives, request.negatives_from, request.seed)
    train = checked.splits.get("train")
    if train:
        refuse_small(checks.relevant_documents(train), pool, sampling)
    with folder_beside(request.output) as folder:
        stage = build_index(collection.documents, folder, analysis, progress)
        candidates = split_candidates(checked.splits, runs, stage, request.depth, progress)
        lists, filled = None, 0
        if train:
            relevant = checks.relevant_documents(train)
            lists, filled = training_lists(train.claims, relevant, candidates["train"], pool, sampling)
        manifest = {
            **_origin(request, collection),
            **_contents(checked, collection, candidates),
            "depth": request.depth,
            "negatives": request.negatives if lists is not None else 0,
            "lists": _lists_facts(lists, filled, request),
            "first_stage": _first_stage(stage, checked, runs),
            "warnings": [*collection.warnings, *checked.warnings, *run_warnings(checked.splits, runs)],
            "agcli_version": agcli.__version__,
        }
        contents = RankingContents(
            collection.documents.table,
            _queries(checked.splits),
            _qrels(checked.splits),
            [each for found in candidates.values() for each in found],
            lists if lists is not None and len(lists) else None,
            lambda target: _move(folder, target),
        )
        return write_ranking(request.output, contents, manifest, overwrite=request.overwrite)


def _move(folder: Path, target: Path) -> None:
    for path in folder.iterdir():
        path.rename(target / path.name)


def _checked(collection: RankingCollection, request: RankingRequest) -> _Checked:
    checks.check_claims(collection.splits)
    documents = collection.documents
    graded = {name: checks.check_grades(split, request.negative_grades) for name, split in collection.splits.items()}
    kept = {
        name: checks.check_judgements(name, split, documents, request.drop_missing)
        for name, (split, _) in graded.items()
    }
    splits, roles = _with_roles({name: split for name, (split, _) in kept.items()})
    dropped = {roles.get(name, name): counts for name, (_, counts) in kept.items()}
    warnings = [f"{split}: {n} dropped ({why})" for split, counts in dropped.items() for why, n in counts.items()]
    negative = {roles.get(name, name): count for name, (_, count) in graded.items() if count}
    fate = {"as-zero": "taken for 0", "drop": "dropped"}.get(request.negative_grades)
    warnings += [f"{split}: {count} grade(s) below 0 {fate}" for split, count in negative.items()]
    dev_cut = None
    if "train" in splits and "dev" not in splits:
        train, dev, dev_cut = cut_dev(splits["train"], request.dev_fraction or DEV_FRACTION, request.seed)
        splits = {"train": train, "dev": dev, **splits} | {"train": train}
        warnings += dev_cut.warnings
    elif request.dev_fraction is not None:
        warnings.append("--dev-fraction was not used: dev is cut only from a train that has none beside it")
    shared = _shared(checks.shared_documents(splits), request), _shared(checks.shared_texts(splits), request)
    warnings += checks.shared_warnings(*shared, collection.disjoint, request.strict_splits)
    for name, split in splits.items():
        warnings += checks.claim_warnings(name, split)
    blank = len(documents.blank)
    warnings += [f"{documents.file}: {blank} of {len(documents.places)} documents have no text"] if blank else []
    return _Checked(splits, roles, dropped, negative, dev_cut, *shared, warnings)


def _shared(found: dict[str, checks.Shared], request: RankingRequest) -> dict[str, checks.Shared]:
    """Of credentialed data the counts alone."""
    return {names: replace(each, example="") for names, each in found.items()} if request.credentialed else found


def _with_roles(splits: checks.Splits) -> tuple[checks.Splits, dict[str, str]]:
    """Splits in their order; the one held-out split of a source is test, whatever it is called.

    Raises:
        DataError: no split has a relevant document.
    """
    if not any(checks.relevant_documents(split) for split in splits.values()):
        raise DataError("no judgement says that a document is relevant: nothing can be trained on or scored")
    if "dev" in splits and "test" not in splits:
        return {name: splits[old] for name, old in (("train", "train"), ("test", "dev")) if old in splits}, {
            "dev": "test"
        }
    return {name: splits[name] for name in ordered(splits)}, {}


def _queries(splits: checks.Splits) -> pd.DataFrame:
    rows = [(name, claim.id, claim.text) for name, split in splits.items() for claim in split.claims]
    return pd.DataFrame(rows, columns=["split", "id", "text"], dtype="str")


def _qrels(splits: checks.Splits) -> pd.DataFrame:
    rows = [(each.claim, each.document, each.relevance) for split in splits.values() for each in split.judgements]
    return pd.DataFrame(rows, columns=["query", "document", "relevance"]).astype(
        {"query": "str", "document": "str", "relevance": "int32"}
    )


def _origin(request: RankingRequest, collection: RankingCollection) -> dict[str, Any]:
    known = KNOWN.get(request.name)
    return {
        "name": request.name,
        "source_format": collection.format,
        "credentialed": request.credentialed,
        "license": request.license or (known.license if known else None),
        "sources": [asdict(source) for source in collection.sources],
        "not_used": dict(collection.not_used),
    }


def _contents(
    checked: _Checked, collection: RankingCollection, candidates: dict[str, list[Candidates]]
) -> dict[str, Any]:
    documents = collection.documents
    return {
        "splits": {
            name: {
                "queries": len(split.claims),
                "judged": len(checks.relevant_documents(split)),
                "relevant": sum(map(len, checks.relevant_documents(split).values())),
                **recall(split, candidates[name], documents),
                "candidates": sum(len(rows) for rows, _ in candidates[name]),
                "characters": percentiles([len(claim.text) for claim in split.claims]),
            }
            for name, split in checked.splits.items()
        },
        "documents": {
            "rows": len(documents.places),
            "empty": len(documents.blank),
            "characters": percentiles(compute.utf8_length(documents.table.column("text")).to_numpy()),
        },
        "roles": checked.roles,
        "dropped": {split: dict(counts) for split, counts in checked.dropped.items() if counts},
        "negative_grades": checked.negative,
        "dev_cut": checked.dev_cut.recorded() if checked.dev_cut else None,
        "documents_shared": {names: asdict(count) for names, count in checked.documents_shared.items()},
        "texts_shared": {names: asdict(count) for names, count in checked.texts_shared.items()},
    }


def _lists_facts(lists: Rows | None, filled: int, request: RankingRequest) -> dict[str, Any] | None:
    if lists is None:
        return None
    return {"count": len(lists), "from": request.negatives_from, "seed": request.seed, "filled": filled}


def _first_stage(stage: Any, checked: _Checked, runs: RunCandidates) -> dict[str, Any]:
    """How the index was made, and the splits whose candidates come from run files all the same."""
    from_runs = [name for name, split in checked.splits.items() if has_run(split, runs)]
    return {"name": "bm25", **asdict(stage.analysis), **asdict(stage.parameters), "from_runs": from_runs}
