"""From a source to the prepared form: the one pipeline behind every format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

import agcli
from agcli.data import checks, leaks, lengths
from agcli.data.catalogue import KNOWN, read_corpus
from agcli.data.cuts import Cut, cut
from agcli.data.labels import infer_labels, with_gold_labels
from agcli.data.lengths import TokenCounter
from agcli.data.pairs import UNLABELLED, Corpus, Pair, SourceSplit
from agcli.data.prepared import COLUMNS, FORMAT, PreparedDataset, check_target, data_digest, write_prepared
from agcli.data.request import DEV_FRACTION, PrepareRequest
from agcli.errors import DataError, ModelError

_NAMED = 6


@dataclass(frozen=True)
class _Checked:
    """Splits that passed every check, and what the manifest says of the way there."""

    labels: tuple[str, ...]
    splits: checks.Splits
    dropped: dict[str, Counter[str]]
    roles: dict[str, str]
    cuts: dict[str, Cut]
    repeats: dict[str, leaks.Repeats]
    pairs_shared: dict[str, dict[str, int]]
    documents_shared: dict[str, dict[str, int]]
    texts_shared: dict[str, dict[str, dict[str, int]]]
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
    check_target(request.output, request.overwrite, request.paths)
    corpus = with_gold_labels(read_corpus(request), request.label_map, request.labels or ())
    corpus = _labelled(corpus)
    checked = _checked(corpus, request)
    frames = {split: _frame(checked.splits[split]) for split in checks.ordered(checked.splits)}
    tokens, tokens_missing = _token_lengths(checked.splits, count_tokens)
    manifest = {
        **_origin(request, corpus),
        **_contents(checked, request.label_map),
        "splits": {
            split: {
                **_facts(checked.splits[split], checked.labels),
                "duplicates": checked.repeats[split].duplicates,
                "contradictory": checked.repeats[split].contradictory,
                "tokens": tokens.get(split),
            }
            for split in frames
        },
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
    shared = leaks.shared_pairs(splits)
    if not request.drop_shared_pairs:
        leaks.refuse_shared_pairs(shared, files, secret)
    splits, lost = leaks.without_shared_pairs(splits, shared)
    for split, counts in lost.items():
        dropped[split] += counts
    warnings = [f"{split}: {n} dropped ({why})" for split, counts in dropped.items() for why, n in counts.items()]
    warnings += leaks.contradictory_warnings(shared)
    if "train" not in splits:
        left_alone = _left_alone(corpus)
        warnings.append(f"no training data: a model can be judged on this set, but not trained{left_alone}")
    splits, cuts, not_used = _cut(splits, request)
    files |= dict.fromkeys(cuts, f"{files.get('train')} (cut)")
    warnings += not_used
    warnings += checks.check_classes(splits, labels, files, dropped)
    repeats = {split: leaks.repeats(pairs) for split, pairs in splits.items()}
    warnings += [line for split, counts in repeats.items() for line in counts.warnings(split)]
    documents, texts = leaks.shared_documents(splits), leaks.shared_texts(splits)
    warnings += leaks.shared_warnings(documents, texts, request.strict_splits)
    warnings += checks.outsized_texts(splits, files)
    return _Checked(
        labels, splits, dropped, roles, cuts, repeats, leaks.counted_pairs(shared), documents, texts, warnings
    )


def _cut(splits: checks.Splits, request: PrepareRequest) -> tuple[checks.Splits, dict[str, Cut], list[str]]:
    """Test, if that is asked for, and dev cut from train where the source has none; and which options had no use."""
    fractions = {"test": request.test_fraction, "dev": request.dev_fraction or DEV_FRACTION}
    options = {"test": request.test_fraction, "dev": request.dev_fraction}
    warnings = [
        f"--{split}-fraction was not used: the source has a {split} split"
        for split, value in options.items()
        if value is not None and split in splits
    ]
    wanted = {split: value for split, value in fractions.items() if value is not None and split not in splits}
    if not splits.get("train") or not wanted:
        unused = ["--group-by was not used: nothing is cut from train"] if request.group_by else []
        return splits, {}, warnings + unused
    splits, cuts, whole = dict(splits), {}, len(splits["train"])
    for split, value in wanted.items():
        splits["train"], splits[split], cuts[split] = cut(
            splits["train"], split, value, request.seed, request.group_by, whole
        )
        if cuts[split].why:
            warnings.append(f"{split} was cut as by --group-by {cuts[split].by}: {cuts[split].why}")
    return {split: splits[split] for split in checks.ordered(splits)}, cuts, warnings


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
    """With train and one held-out file, that file is the test set, unless the user named it dev or test is cut.

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
            f"only training data: at least train and a held-out file are needed{_left_alone(corpus)}",
            file=sources["train"].file,
            hint=(
                "--train FILE --test FILE, or --split-column COLUMN, or --test FILE alone for a set to judge with, "
                "or --dev-fraction 0.1 --test-fraction 0.1 to cut dev and test from train "
                "(without test a run has no test metrics)"
            ),
        )
    if set(sources) == {"train", "dev"} and "dev" not in corpus.named and request.test_fraction is None:
        return {"train": sources["train"], "test": sources["dev"]}, {"dev": "test"}
    return {split: sources[split] for split in checks.ordered(sources)}, {}


def _left_alone(corpus: Corpus) -> str:
    """The files that were not used, and why, as an aside for messages about a split that is missing."""
    files = [f"{file} ({why})" for file, why in corpus.not_used.items()]
    more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
    return f"; not used: {', '.join(files[:_NAMED])}{more}" if files else ""


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
        **{f"{split}_cut": asdict(checked.cuts[split]) if split in checked.cuts else None for split in ("dev", "test")},
        "pairs_shared": checked.pairs_shared,
        "documents_shared": checked.documents_shared,
        "texts_shared": checked.texts_shared,
        "warnings": checked.warnings,
    }


def _facts(pairs: list[Pair], labels: tuple[str, ...]) -> dict[str, Any]:
    counts = Counter(pair.label for pair in pairs)
    return {
        "rows": len(pairs),
        "labels": {label: counts[label] for label in labels},
        "characters": lengths.characters(pairs),
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
