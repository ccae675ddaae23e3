"""From a source to the prepared form, whatever its format: read, checked, and written whole or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pandas as pd

from agcli.data import leaks, pair_checks
from agcli.data.catalogue import read_corpus, task_of
from agcli.data.checks import dropped_warnings, ordered, percentiles, with_roles
from agcli.data.cut_splits import Cut, cut_pairs
from agcli.data.formats.registry import DATASETS
from agcli.data.knowledge.inputs import Dataset
from agcli.data.knowledge.preparation import knowledge_maker
from agcli.data.labels import infer_labels, with_gold_labels
from agcli.data.pair_checks import Splits
from agcli.data.pairs import UNLABELLED, Corpus, Pair
from agcli.data.prepared import COLUMNS, PreparedPairs, check_target, load_prepared, origin, read_manifest, write_pairs
from agcli.data.ranking.candidates import Progress
from agcli.data.ranking.preparation import prepare_ranking
from agcli.data.ranking.prepared import load_ranking
from agcli.data.request import DEV_FRACTION, RANKING, KnowledgeOptions, PrepareRequest
from agcli.errors import DataError, ModelError, cells_hidden

TokenCounter = Callable[[list[str], list[str]], list[int]]
"""(first texts, second texts) -> tokens of each pair."""
_NAMED = 6
_CHUNK = 1024  # pairs that are tokenised at a time


def prepare(
    request: PrepareRequest, count_tokens: TokenCounter | None = None, progress: Progress | None = None
) -> Dataset:
    """Read a source, check it, and write the prepared form; on any error nothing is written.

    Knowledge follows when the data are in place: an error while it is made leaves the data without it.

    Args:
        count_tokens: without it, or where it raises a `ModelError`, lengths in tokens are left out and the manifest
            says why.
        progress: called with what is being done, how much of it is done and how much there is.

    Raises:
        UsageError: options that cannot be, or what the knowledge needs is not there.
        DataError: data that cannot be read or must not be used.
        RunError: the disk refuses.
    """
    check_target(request.folder, request.overwrite, request.paths)
    known = DATASETS.get(request.name)
    licence = request.license or (known.license if known else None)
    request = replace(request, task=task_of(request), license=licence)
    # What is missing for the knowledge shows before anything is read.
    with knowledge_maker(request.knowledge, request.wordnet, request.spacy) as maker:
        ranking = request.task == RANKING
        prepared = prepare_ranking(request, progress) if ranking else _prepare_pairs(request, count_tokens)
        maker.add_to(prepared, progress)
    return prepared


def add_knowledge(folder: Path, request: KnowledgeOptions, progress: Progress | None = None) -> Dataset:
    """Make knowledge of data that are prepared already, and return the data.

    Raises:
        UsageError: a package, a pipeline or WordNet is not there.
        DataError: the data cannot be read, or have no training split.
        RunError: the disk refuses.
    """
    with knowledge_maker(request.knowledge, request.wordnet, request.spacy) as maker:
        ranking = read_manifest(folder)["task"] == RANKING
        prepared = load_ranking(folder) if ranking else load_prepared(folder)
        maker.add_to(prepared, progress)
    return prepared


def _prepare_pairs(request: PrepareRequest, count_tokens: TokenCounter | None) -> PreparedPairs:
    corpus = read_corpus(request)
    with cells_hidden(corpus.credentialed):
        corpus = with_gold_labels(corpus, request.label_map or {}, request.labels or ())
        corpus = _without_bare_splits(corpus)
        splits, checked = _checked(corpus, request)
    tokens, missing = _token_lengths(splits, count_tokens)
    for split, facts in checked["splits"].items():
        facts["tokens"] = tokens.get(split)
    manifest = {
        **origin(request, corpus.format, corpus.sources, corpus.not_used, corpus.credentialed),
        **checked,
        "tokenizer": {"name": request.tokenizer, "missing": missing},
    }
    frames = {
        split: pd.DataFrame({column: [getattr(pair, column) for pair in pairs] for column in COLUMNS}, dtype="str")
        for split, pairs in splits.items()
    }
    return write_pairs(request.folder, frames, manifest, overwrite=request.overwrite)


def _without_bare_splits(corpus: Corpus) -> Corpus:
    """The corpus without splits that were published without gold labels; one that the user named stays."""
    bare = {
        split: source.file
        for split, source in corpus.splits.items()
        if split not in corpus.named and all(pair.label is None for pair in source.pairs)
    }
    return replace(
        corpus,
        splits={split: source for split, source in corpus.splits.items() if split not in bare},
        sources=tuple(source for source in corpus.sources if source.split not in bare),
        not_used={**corpus.not_used, **dict.fromkeys(bare.values(), "no labels")},
    )


def _checked(corpus: Corpus, request: PrepareRequest) -> tuple[Splits, dict[str, Any]]:
    """The checked splits, and the manifest's entries on them and on the checks."""
    _check_splits(corpus, request)
    one_is_test = "train" in corpus.splits and "dev" not in corpus.named and request.test_fraction is None
    sources, roles = with_roles(corpus.splits, one_is_test)
    labels = request.labels or corpus.labels or infer_labels(sources, corpus.credentialed)
    kept = {split: pair_checks.accepted(split, source, labels) for split, source in sources.items()}
    splits = {split: pairs for split, (pairs, _) in kept.items()}
    dropped = {split: counts for split, (_, counts) in kept.items()}
    files = {split: source.file for split, source in sources.items()}
    pair_checks.check_pair_ids(splits, files)
    shared = leaks.shared_pairs(splits)
    if not request.drop_shared_pairs:
        leaks.refuse_shared_pairs(shared, files, corpus.credentialed)
    splits, lost = leaks.without_shared_pairs(splits, shared)
    for split in lost:
        dropped[split] += lost[split]
    warnings = dropped_warnings(dropped)
    pairs_shared = leaks.counted_pairs(shared)
    for names, counts in pairs_shared.items():
        if counts[leaks.OTHER_LABEL]:
            both = names.replace("/", " and ")
            warnings.append(f"{counts[leaks.OTHER_LABEL]} of the pairs that {both} share have contradictory labels")
    if "train" not in splits:
        warnings.append(f"no training data: a model can be evaluated on this set, but not trained{_not_used(corpus)}")
    splits, cuts = _cut(splits, request, warnings)
    files |= dict.fromkeys(cuts, f"{files.get('train')} (cut)")
    warnings += pair_checks.check_classes(splits, labels, files, dropped)
    facts = {}
    for split, pairs in splits.items():
        repeats, repeat_warnings = leaks.repeats(split, pairs)
        facts[split] = {**_facts(pairs, labels), **repeats}
        warnings += repeat_warnings
    documents, texts = leaks.shared_documents(splits), leaks.shared_texts(splits)
    warnings += leaks.shared_warnings(documents, texts, request.strict_splits)
    warnings += pair_checks.outsized_texts(splits, files)
    return splits, {
        "labels": list(labels),
        "label_map": dict(request.label_map or {}),
        "roles": roles,
        "dropped": {split: dict(reasons) for split, reasons in dropped.items() if reasons},
        **{f"{split}_cut": asdict(cuts[split]) if split in cuts else None for split in ("dev", "test")},
        "pairs_shared": pairs_shared,
        "documents_shared": documents,
        "texts_shared": texts,
        "warnings": warnings,
        "splits": facts,
    }


def _check_splits(corpus: Corpus, request: PrepareRequest) -> None:
    """Check that there is something to train on and something held out, or something to cut it from.

    Raises:
        DataError: no labels at all, or nothing held out and nothing to be cut.
    """
    sources = corpus.splits
    if all(pair.label is None for source in sources.values() for pair in source.pairs):
        raise DataError(f"no pair has a gold label; {UNLABELLED}", file=request.source, hint="--train FILE --test FILE")
    fractions = {"dev": request.dev_fraction, "test": request.test_fraction}
    to_cut = [split for split, fraction in fractions.items() if fraction is not None]
    if "train" not in sources and to_cut:
        problem = f"no training data that {' or '.join(to_cut)} could be cut from"
        raise DataError(problem, file=request.source, hint="name it: --train FILE")
    if set(sources) == {"train"} and not to_cut:
        raise DataError(
            f"only training data: at least train and a held-out file are needed{_not_used(corpus)}",
            file=sources["train"].file,
            hint=(
                "--train FILE --test FILE, or --split-column COLUMN, or --test FILE alone for a set to evaluate on, "
                "or --dev-fraction 0.1 --test-fraction 0.1 to cut dev and test from train "
                "(without test a run has no test metrics)"
            ),
        )


def _not_used(corpus: Corpus) -> str:
    """The files that were not used, and why, for messages on a missing split."""
    files = [f"{file} ({why})" for file, why in corpus.not_used.items()]
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return f"; not used: {', '.join(files[:_NAMED])}{more}" if files else ""


def _cut(splits: Splits, request: PrepareRequest, warnings: list[str]) -> tuple[Splits, dict[str, Cut]]:
    """Test, where its fraction was given, and dev, where the source has none, cut from train; adds to the warnings."""
    options = {"test": request.test_fraction, "dev": request.dev_fraction}
    for split, fraction in options.items():
        if fraction is not None and split in splits:
            warnings.append(f"--{split}-fraction was not used: the source has a {split} split")
    wanted = {**options, "dev": request.dev_fraction or DEV_FRACTION}
    splits, cuts, whole = dict(splits), {}, len(splits.get("train", ()))
    for split, fraction in wanted.items():
        if whole and fraction is not None and split not in splits:
            splits["train"], splits[split], cuts[split] = cut_pairs(
                splits["train"], split, fraction, request.seed, request.group_by, whole
            )
    if request.group_by and not cuts:
        warnings.append("--group-by was not used: nothing is cut from train")
    for split, cut in cuts.items():
        if cut.why:
            warnings.append(f"{split} was cut as by --group-by {cut.by}: {cut.why}")
    return ordered(splits), cuts


def _facts(pairs: list[Pair], labels: tuple[str, ...]) -> dict[str, Any]:
    counts = Counter(pair.label for pair in pairs)
    return {
        "rows": len(pairs),
        "labels": {label: counts[label] for label in labels},
        "characters": {
            "text_a": percentiles([len(pair.text_a) for pair in pairs]),
            "text_b": percentiles([len(pair.text_b) for pair in pairs]),
        },
    }


def _token_lengths(splits: Splits, count: TokenCounter | None) -> tuple[dict[str, dict[str, float]], str | None]:
    """Percentiles of whole pairs by split, special tokens included, before any truncation; or none, and the reason."""
    if count is None:
        return {}, "no tokenizer was given"
    lengths_by_split = {}
    try:
        for split, pairs in splits.items():
            lengths: list[int] = []
            for start in range(0, len(pairs), _CHUNK):
                chunk = pairs[start : start + _CHUNK]
                lengths += count([pair.text_a for pair in chunk], [pair.text_b for pair in chunk])
            lengths_by_split[split] = percentiles(lengths)
    except ModelError as error:
        return {}, str(error)
    return lengths_by_split, None
