"""From a source to the prepared form: the one pipeline behind every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

import agcli
from agcli.corpora import checks, lengths
from agcli.corpora.catalogue import KNOWN, read_corpus
from agcli.corpora.labels import infer_labels, with_gold_labels
from agcli.corpora.lengths import TokenCounter
from agcli.corpora.pairs import UNLABELLED, Corpus, Pair, SourceSplit
from agcli.corpora.prepared import COLUMNS, FORMAT, PreparedDataset, check_target, data_digest, write_prepared
from agcli.corpora.request import DEV_FRACTION, PrepareRequest
from agcli.corpora.splits import DevCut, cut_dev
from agcli.errors import DataError, ModelError


@dataclass(frozen=True)
class _Checked:
    """Splits that passed every check, and what the manifest says of the way there."""

    labels: tuple[str, ...]
    splits: checks.Splits
    dropped: dict[str, Counter[str]]
    roles: dict[str, str]
    dev_cut: DevCut | None
    documents_shared: dict[str, dict[str, int]]
    warnings: list[str]


def prepare(request: PrepareRequest, count_tokens: TokenCounter | None = None) -> PreparedDataset:
    """Read a source, check it, and write the prepared form; on any error nothing is written.

    Args:
        request: what to prepare, and how.
        count_tokens: (first texts, second texts) -> tokens of each pair. Without it, or where it raises a
            `ModelError`, lengths in tokens are left out and the manifest says why.

    Raises:
        UsageError: options that cannot be.
        DataError: data that cannot be read or must not be used.
    """
    check_target(request.output, request.overwrite)
    corpus = with_gold_labels(read_corpus(request), request.label_map, request.labels or ())
    corpus = _labelled(corpus)
    checked = _checked(corpus, request)
    frames = {split: _frame(checked.splits[split]) for split in checks.ordered(checked.splits)}
    tokens, tokens_missing = _token_lengths(checked.splits, count_tokens)
    manifest = {
        **_origin(request, corpus),
        **_contents(checked, request.label_map),
        "splits": {
            split: {**_facts(checked.splits[split], checked.labels), "tokens": tokens.get(split)} for split in frames
        },
        "texts_shared": checks.shared_values(checked.splits, "text_a"),
        "tokenizer": {"name": request.tokenizer, "missing": tokens_missing},
        "digest": data_digest(checked.labels, frames),
        "agcli_version": agcli.__version__,
    }
    return write_prepared(request.output, frames, manifest, overwrite=request.overwrite)


def _checked(corpus: Corpus, request: PrepareRequest) -> _Checked:
    secret = corpus.credentialed
    sources, roles = _with_roles(corpus, request)
    labels = request.labels or corpus.labels or infer_labels(sources, secret)
    kept = {split: checks.accepted(split, source, labels, secret) for split, source in sources.items()}
    splits = {split: pairs for split, (pairs, _) in kept.items()}
    dropped = {split: counts for split, (_, counts) in kept.items()}
    files = {split: source.file for split, source in sources.items()}
    checks.check_ids(splits, files, secret)
    shared = list(checks.shared_pairs(splits))
    if not request.drop_shared_pairs:
        checks.refuse_shared_pairs(shared, files, secret)
    splits, lost = checks.without_shared_pairs(splits, shared)
    for split, count in lost.items():
        dropped[split][checks.SHARED_PAIR] += count
    warnings = [f"{split}: {n} dropped ({why})" for split, counts in dropped.items() for why, n in counts.items()]
    dev_cut = None
    if "train" not in splits:
        warnings.append("no training data: a model can be judged on this set, but not trained")
    elif "dev" not in splits:
        splits["train"], splits["dev"], dev_cut = cut_dev(
            splits["train"], request.dev_fraction or DEV_FRACTION, request.seed
        )
        files["dev"] = f"{files['train']} (cut)"
    elif request.dev_fraction is not None:
        warnings.append("--dev-fraction was not used: the source has a dev split")
    warnings += checks.check_classes(splits, labels, files)
    documents = checks.shared_values(splits, "document")
    warnings += checks.document_warnings(documents, request.strict_splits)
    warnings += checks.outsized_texts(splits, files)
    return _Checked(labels, splits, dropped, roles, dev_cut, documents, warnings)


def _labelled(corpus: Corpus) -> Corpus:
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


def _with_roles(corpus: Corpus, request: PrepareRequest) -> tuple[dict[str, SourceSplit], dict[str, str]]:
    """With train and one held-out file, that file is the test set, unless the user named it dev.

    Raises:
        DataError: no labels at all, or nothing held out and no `--dev-fraction`.
    """
    sources = corpus.splits
    if all(pair.label is None for source in sources.values() for pair in source.pairs):
        raise DataError(f"no pair has a gold label; {UNLABELLED}", file=request.source, hint="--train FILE --test FILE")
    if "train" not in sources and request.dev_fraction is not None:
        raise DataError(
            "no training data that dev could be cut from", file=request.source, hint="name it: --train FILE"
        )
    if set(sources) == {"train"} and request.dev_fraction is None:
        raise DataError(
            "only training data: at least train and a held-out file are needed",
            file=sources["train"].file,
            hint=(
                "--train FILE --test FILE, or --split-column COLUMN, or --test FILE alone for a set to judge with, "
                "or --dev-fraction 0.1 to cut dev from train "
                "(a run then has no test metrics)"
            ),
        )
    if set(sources) == {"train", "dev"} and "dev" not in corpus.named:
        return {"train": sources["train"], "test": sources["dev"]}, {"dev": "test"}
    return {split: sources[split] for split in checks.ordered(sources)}, {}


def _frame(pairs: list[Pair]) -> pd.DataFrame:
    return pd.DataFrame({column: [getattr(pair, column) for pair in pairs] for column in COLUMNS}, dtype="str")


def _origin(request: PrepareRequest, corpus: Corpus) -> dict[str, Any]:
    known = KNOWN.get(request.name)
    return {
        "format": FORMAT,
        "name": request.name,
        "source_format": corpus.format,
        "credentialed": corpus.credentialed,
        "license": request.license or (known.license if known else None),
        "sources": [asdict(source) for source in corpus.sources],
        "not_used": dict(corpus.not_used),
    }


def _contents(checked: _Checked, label_map: Mapping[str, str]) -> dict[str, Any]:
    return {
        "labels": list(checked.labels),
        "label_map": dict(label_map),
        "roles": checked.roles,
        "dropped": {split: dict(counts) for split, counts in checked.dropped.items() if counts},
        "dev_cut": asdict(checked.dev_cut) if checked.dev_cut else None,
        "documents_shared": checked.documents_shared,
        "warnings": checked.warnings,
    }


def _facts(pairs: list[Pair], labels: tuple[str, ...]) -> dict[str, Any]:
    counts = Counter(pair.label for pair in pairs)
    return {
        "rows": len(pairs),
        "labels": {label: counts[label] for label in labels},
        "characters": lengths.characters(pairs),
        "duplicates": len(pairs) - len({(pair.text_a, pair.text_b) for pair in pairs}),
    }


def _token_lengths(
    splits: Mapping[str, list[Pair]], count: TokenCounter | None
) -> tuple[dict[str, dict[str, float]], str | None]:
    """Percentiles by split; or none, and the reason."""
    if count is None:
        return {}, "no tokenizer was given"
    try:
        return {split: lengths.tokens(pairs, count) for split, pairs in splits.items()}, None
    except ModelError as error:
        return {}, str(error)
