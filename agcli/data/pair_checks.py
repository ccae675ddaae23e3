"""Checks of pairs: labels, texts, ids, classes, sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agcli.data.checks import check_characters, check_ids, dropped_text, percentiles
from agcli.data.pairs import UNLABELLED, Pair, SourceSplit
from agcli.errors import DataError, did_you_mean, shortened_list

OUTSIZED = 20
NO_GOLD = "no gold label"
EMPTY_TEXT = "empty text"
Splits = dict[str, list[Pair]]


def accepted(split: str, source: SourceSplit, labels: Sequence[str]) -> tuple[list[Pair], Counter[str]]:
    """The pairs to keep, each with an id, and the number dropped for each reason.

    Raises:
        DataError: a label outside the set, or text that is not valid Unicode.
    """
    known = frozenset(labels)
    kept: list[Pair] = []
    dropped = Counter(source.dropped)
    for pair in source.pairs:
        if pair.label is None:
            dropped[NO_GOLD] += 1
        elif pair.label not in known:
            raise DataError(
                "label outside the set",
                file=source.file,
                row=pair.row,
                column=source.label_column,
                value=pair.label,
                allowed=labels,
                detail=did_you_mean(pair.label, labels),
                hint=(
                    "--label-map OLD=NEW renames labels; --labels fixes set and order; "
                    "--format tabular --label COLUMN reads another column"
                ),
            )
        elif not pair.text_a.strip() or not pair.text_b.strip():
            dropped[EMPTY_TEXT] += 1
        else:
            check_characters(source.file, pair.row, pair.text_a, pair.text_b, pair.id, pair.document)
            kept.append(pair if pair.id else replace(pair, id=f"{split}:{pair.row}"))
    return kept, dropped


def check_pair_ids(splits: Splits, files: Mapping[str, str]) -> None:
    """Check that every id occurs once in the whole data set; see `check_ids`."""
    rows = ((split, files[split], pair.row, pair.id) for split, pairs in splits.items() for pair in pairs)
    hint = (
        "ids are unique over all splits; --no-ids makes them of split and row, "
        "--format tabular --id COLUMN takes another column"
    )
    check_ids("id", rows, column="id", hint=hint)


def check_classes(
    splits: Splits, labels: Sequence[str], files: Mapping[str, str], dropped: Mapping[str, Counter[str]]
) -> list[str]:
    """Check that train and dev have at least two classes; a missing class, and a test of one class, are warnings.

    Raises:
        DataError: an empty split, or train or dev with a single class.
    """
    messages = []
    for split in sorted(splits, key=("train", "test", "dev").index):  # dev last: it may be cut from a bad train
        present = {pair.label for pair in splits[split]}
        if len(present) < (1 if split == "test" else 2):
            lost = dropped.get(split, Counter())
            why = dropped_text(lost)
            raise DataError(
                f"the split {split} has {'one class' if present else 'no rows'} ({len(splits[split])} rows"
                + (f"; {why})" if why else ")"),
                file=files[split],
                value=next(iter(present), None),
                allowed=["at least two of " + shortened_list(labels)],
                hint=UNLABELLED if set(lost) == {NO_GOLD} and not present else None,
            )
        absent = [label for label in labels if label not in present]
        if len(present) == 1:
            messages.append(f"the split {split} has one class: a model that gives no other answer is always right")
        messages += [f"the split {split} has no row labelled {shortened_list(absent)}"] if absent else []
    return messages


def outsized_texts(splits: Splits, files: Mapping[str, str]) -> list[str]:
    """Warnings of texts over 20 times the 99th percentile: mostly rows that an earlier CSV reader joined."""
    warnings = []
    for split, pairs in splits.items():
        sizes = [max(len(pair.text_a), len(pair.text_b)) for pair in pairs]
        usual = percentiles(sizes)["p99"]
        rows = [pair.row for pair, size in zip(pairs, sizes, strict=True) if size > OUTSIZED * max(usual, 100)]
        if rows:
            warnings.append(
                f"{files[split]}: {len(rows)} text(s) over {OUTSIZED} times as long as 99 % of the others "
                f"({max(sizes):,} characters; rows {', '.join(map(str, rows[:5]))}): rows run together by "
                "misread quotation marks?"
            )
    return warnings
