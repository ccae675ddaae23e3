"""The preparation of ranking data: checks, first stage, training lists, manifest."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import pyarrow.compute as compute

from agcli.data.bm25 import PARAMETERS, Analysis
from agcli.data.catalogue import read_ranking
from agcli.data.checks import dropped_warnings, ordered, percentiles, with_roles
from agcli.data.cut_splits import cut_queries
from agcli.data.prepared import origin
from agcli.data.ranking import checks
from agcli.data.ranking.candidates import (
    NO_CANDIDATES,
    Candidates,
    Progress,
    build_index,
    read_runs,
    recall,
    search,
    splits_in_runs,
)
from agcli.data.ranking.checks import Splits
from agcli.data.ranking.collection import Documents, RankingCollection, RankingSplit
from agcli.data.ranking.negatives import Pool, refuse_small, training_lists
from agcli.data.ranking.prepared import PreparedRanking, ranking_contents, write_ranking
from agcli.data.request import DEV_FRACTION, PrepareRequest
from agcli.errors import DataError, cells_hidden


def prepare_ranking(request: PrepareRequest, progress: Progress | None) -> PreparedRanking:
    """Read ranking data, check them, find candidates and negatives, and write them; see `preparation.prepare`."""
    with cells_hidden(request.credentialed):
        return _prepared(request, progress or (lambda what, done, total: None))


def _prepared(request: PrepareRequest, progress: Progress) -> PreparedRanking:
    analysis = Analysis.from_options(request.stemmer, request.stopwords)
    collection = read_ranking(request)
    splits, checked, warnings = _checked(collection, request)
    documents = collection.documents
    runs, run_warnings = read_runs(collection.runs, documents, request.depth, request.drop_missing)
    from_runs, more_warnings = splits_in_runs(splits, runs)
    pool = Pool(documents)
    train = splits.get("train")
    if train:
        refuse_small(train.relevant, pool, request.negatives)
    stage = build_index(documents, analysis, progress)
    queries = [query for name, split in splits.items() if name not in from_runs for query in split.queries]
    results = search(stage, queries, request.depth, progress)
    candidates = {
        name: [runs.get(query.id, NO_CANDIDATES) if name in from_runs else next(results) for query in split.queries]
        for name, split in splits.items()
    }
    lists, listed = None, None
    if train:
        source, seed = request.negatives_from, request.seed
        lists, filled = training_lists(
            train, candidates["train"], pool, count=request.negatives, source=source, seed=seed
        )
        listed = {"count": len(lists), "from": source, "seed": seed, "filled": filled}
        lists = lists if len(lists) else None
    manifest = {
        **origin(request, collection.format, collection.sources, collection.not_used, request.credentialed),
        "splits": {name: _split_facts(split, candidates[name], documents) for name, split in splits.items()},
        "documents": {
            "rows": len(documents.places),
            "empty": len(documents.blank),
            "characters": percentiles(compute.utf8_length(documents.table.column("text")).to_numpy()),
        },
        **checked,
        "depth": request.depth,
        "negatives": request.negatives if train else 0,
        "lists": listed,
        "first_stage": {"name": "bm25", **asdict(analysis), **PARAMETERS, "from_runs": from_runs},
        "warnings": [*collection.warnings, *warnings, *run_warnings, *more_warnings],
    }
    contents = ranking_contents(documents, splits, candidates, lists, stage.save)
    return write_ranking(request.folder, contents, manifest, overwrite=request.overwrite)


def _checked(collection: RankingCollection, request: PrepareRequest) -> tuple[Splits, dict[str, Any], list[str]]:
    """The checked splits, the manifest's entries on the checks, and warnings."""
    documents = collection.documents
    checks.check_queries(collection.splits)
    kept: Splits = {}
    dropped: dict[str, Counter[str]] = {}
    below: dict[str, int] = {}
    for name, split in collection.splits.items():
        split, below[name] = checks.check_grades(split, request.negative_grades)
        kept[name], dropped[name] = checks.check_qrels(name, split, documents, request.drop_missing)
    if not any(split.relevant for split in kept.values()):
        raise DataError("no relevance judgment says that a document is relevant: nothing can be trained on or scored")
    splits, roles = with_roles(kept, one_is_test=True)
    dropped = {roles.get(name, name): counts for name, counts in dropped.items()}
    below = {roles.get(name, name): count for name, count in below.items() if count}
    warnings = dropped_warnings(dropped)
    outcome = {"as-zero": "taken for 0", "drop": "dropped"}.get(request.negative_grades)
    warnings += [f"{split}: {count} grade(s) below 0 {outcome}" for split, count in below.items()]
    dev_cut = None
    if "train" in splits and "dev" not in splits:
        train, dev, cut = cut_queries(splits["train"], request.dev_fraction or DEV_FRACTION, request.seed)
        splits = ordered({**splits, "train": train, "dev": dev})
        warnings += [cut.why] if cut.why else []
        facts = {"fraction": cut.fraction, "seed": cut.seed, "claims": cut.rows}
        dev_cut = {**facts, "groups": cut.groups, "by": cut.by}
    elif request.dev_fraction is not None:
        warnings.append("--dev-fraction was not used: dev is cut only from a train that has none beside it")
    shared_documents, shared_texts = checks.shared_items(splits, request.credentialed)
    warnings += checks.shared_warnings(shared_documents, shared_texts, collection.disjoint, request.strict_splits)
    for name, split in splits.items():
        warnings += checks.query_warnings(name, split)
    blank = len(documents.blank)
    warnings += [f"{documents.file}: {blank} of {len(documents.places)} documents have no text"] if blank else []
    entries = {
        "roles": roles,
        "dropped": {split: dict(reasons) for split, reasons in dropped.items() if reasons},
        "negative_grades": below,
        "dev_cut": dev_cut,
        "documents_shared": shared_documents,
        "texts_shared": shared_texts,
    }
    return splits, entries, warnings


def _split_facts(split: RankingSplit, candidates: list[Candidates], documents: Documents) -> dict[str, Any]:
    return {
        "queries": len(split.queries),
        "judged": len(split.relevant),
        "relevant": sum(map(len, split.relevant.values())),
        **recall(split, candidates, documents),
        "candidates": sum(len(rows) for rows, _ in candidates),
        "characters": percentiles([len(query.text) for query in split.queries]),
    }
