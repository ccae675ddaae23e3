"""What every corpus must pass on its way to the prepared form: labels, ids, classes, sizes.

Where data are credentialed (`secret`), messages give row numbers and never a cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agcli.data.labels import unknown_label
from agcli.data.lengths import percentiles
from agcli.data.pairs import UNLABELLED, Pair, SourceSplit
from agcli.data.prepared import SPLITS
from agcli.errors import DataError, shortened_list

OUTSIZED = 20
NO_GOLD = "no gold label"
EMPTY_TEXT = "empty text"
Splits = dict[str, list[Pair]]


def accepted(split: str, source: SourceSplit, labels: Sequence[str], secret: bool) -> tuple[list[Pair], Counter[str]]:
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
            raise unknown_label(pair, source, labels, secret)
        elif not pair.text_a.strip() or not pair.text_b.strip():
            dropped[EMPTY_TEXT] += 1
        else:
            _refuse_lone_surrogates(pair, source)
            kept.append(pair if pair.id else replace(pair, id=f"{split}:{pair.row}"))
    return kept, dropped


def _refuse_lone_surrogates(pair: Pair, source: SourceSplit) -> None:
    for text in (pair.text_a, pair.text_b, pair.id, pair.document):
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                problem = "text with half of a surrogate pair, which is no character"
                raise DataError(problem, file=source.file, row=pair.row) from None


def check_ids(splits: Splits, files: Mapping[str, str], secret: bool) -> None:
    """Every id occurs once in the whole data set.

    Raises:
        DataError: an id occurs twice; both rows are named.
    """
    seen: dict[str, tuple[str, int]] = {}
    for split, pairs in splits.items():
        for pair in pairs:
            if pair.id in seen:
                other, row = seen[pair.id]
                elsewhere = "" if files[other] == files[split] else f"{files[other]}, "
                raise DataError(
                    f"this id occurs already in {elsewhere}row {row}",
                    file=files[split],
                    row=pair.row,
                    column="id",
                    value=None if secret else pair.id,
                    hint=(
                        "ids are unique over all splits; --no-ids makes them of split and row, "
                        "--format tabular --id COLUMN takes another column"
                    ),
                )
            seen[pair.id] = (split, pair.row)


def ordered(splits: Mapping[str, object]) -> list[str]:
    """Split names in the order train, dev, test."""
    return [split for split in SPLITS if split in splits]


def dropped_text(dropped: Mapping[str, int]) -> str:
    """How many were dropped for which reason, for messages; empty where none was."""
    return "; ".join(f"{count} dropped: {reason}" for reason, count in dropped.items())


def check_classes(
    splits: Splits, labels: Sequence[str], files: Mapping[str, str], dropped: Mapping[str, Counter[str]]
) -> list[str]:
    """Splits to train and choose on have at least two classes; a missing class is a warning, and so is a test of one.

    Args:
        splits: the rows that are kept.
        labels: all labels.
        files: where each split comes from, for messages.
        dropped: rows of each split that are not kept, by reason.

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
    """Warn of texts over 20 times the 99th percentile: mostly rows that an earlier tool's CSV reading ran together.

    They are kept: whether they are damage is the user's to judge.
    """
    messages = []
    for split, pairs in splits.items():
        sizes = [max(len(pair.text_a), len(pair.text_b)) for pair in pairs]
        usual = percentiles(sizes)["p99"]
        rows = [pair.row for pair, size in zip(pairs, sizes, strict=True) if size > OUTSIZED * max(usual, 100)]
        if rows:
            messages.append(
                f"{files[split]}: {len(rows)} text(s) over {OUTSIZED} times as long as 99 % of the others "
                f"({max(sizes):,} characters; rows {', '.join(map(str, rows[:5]))}): rows run together by "
                "misread quotation marks?"
            )
    return messages
