"""What every corpus must pass on its way to the prepared form: labels, ids, leaks between splits, classes.

Where data are credentialed (`secret`), messages give row numbers and never a cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from agcli.corpora.labels import unknown_label
from agcli.corpora.lengths import percentiles
from agcli.corpora.pairs import UNLABELLED, Pair, SourceSplit
from agcli.corpora.prepared import SPLITS
from agcli.errors import DataError

OUTSIZED = 20
NO_GOLD = "no gold label"
EMPTY_TEXT = "empty text"
SHARED_PAIR = "pair shared with a later split"
Splits = dict[str, list[Pair]]


@dataclass(frozen=True)
class SharedPair:
    """A pair of texts that two splits hold."""

    earlier: str
    later: str
    first: Pair
    second: Pair


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


def shared_pairs(splits: Splits) -> Iterator[SharedPair]:
    """Pairs of texts that occur in two splits, whatever their labels; once for each earlier row."""
    for earlier, later in combinations(ordered(splits), 2):
        second = {(pair.text_a, pair.text_b): pair for pair in reversed(splits[later])}
        for pair in splits[earlier]:
            match = second.get((pair.text_a, pair.text_b))
            if match:
                yield SharedPair(earlier, later, pair, match)


def refuse_shared_pairs(shared: Sequence[SharedPair], files: Mapping[str, str], secret: bool) -> None:
    """Stop at pairs shared between splits.

    Raises:
        DataError: there are some; how many, and the first few.
    """
    if not shared:
        return
    first = shared[0]
    names = "; ".join(
        f"{item.earlier} row {item.first.row} = {item.later} row {item.second.row}"
        + ("" if secret else f" (ids {item.first.id}, {item.second.id})")
        for item in shared[:3]
    )
    raise DataError(
        f"{len(shared)} {'pair is' if len(shared) == 1 else 'pairs are'} shared between splits: {names}",
        file=" and ".join(dict.fromkeys((files[first.earlier], files[first.later]))),
        hint="--drop-shared-pairs takes them out of the split that is trained or tuned on, and counts them",
    )


def without_shared_pairs(splits: Splits, shared: Sequence[SharedPair]) -> tuple[Splits, dict[str, int]]:
    """The splits without the earlier split's copies of shared pairs, and how many each lost."""
    gone = {item.first.id for item in shared}
    kept = {split: [pair for pair in pairs if pair.id not in gone] for split, pairs in splits.items()}
    lost = {split: len(pairs) - len(kept[split]) for split, pairs in splits.items()}
    return kept, {split: count for split, count in lost.items() if count}


def shared_values(splits: Splits, attribute: str) -> dict[str, dict[str, int]]:
    """How many distinct documents (or texts) of the later split the earlier one holds too: `shared` and `of`."""
    values = {
        split: {value for pair in pairs if (value := getattr(pair, attribute))} for split, pairs in splits.items()
    }
    counts = {
        f"{earlier}/{later}": {"shared": len(values[earlier] & values[later]), "of": len(values[later])}
        for earlier, later in combinations(ordered(splits), 2)
    }
    return {names: count for names, count in counts.items() if count["shared"]}


def document_warnings(shared: Mapping[str, Mapping[str, int]], strict: bool) -> list[str]:
    """Say which splits share documents.

    Raises:
        DataError: they do, and splits are to be strict.
    """
    messages = []
    for names, count in shared.items():
        earlier, later = names.split("/")
        messages.append(f"{count['shared']} of {count['of']} documents of {later} occur in {earlier} too")
    if strict and messages:
        raise DataError("; ".join(messages) + ": --strict-splits forbids that")
    return messages


def check_classes(splits: Splits, labels: Sequence[str], files: Mapping[str, str]) -> list[str]:
    """Splits to train and choose on have at least two classes; a missing class is a warning, and so is a test of one.

    Raises:
        DataError: an empty split, or train or dev with a single class.
    """
    messages = []
    for split in sorted(splits, key=("train", "test", "dev").index):  # dev last: it may be cut from a bad train
        present = {pair.label for pair in splits[split]}
        if len(present) < (1 if split == "test" else 2):
            raise DataError(
                f"the split {split} has {'one class' if present else 'no rows'} ({len(splits[split])} rows)",
                file=files[split],
                value=next(iter(present), None),
                allowed=["at least two of " + ", ".join(labels)],
                hint=None if present else UNLABELLED,
            )
        absent = [label for label in labels if label not in present]
        if len(present) == 1:
            messages.append(f"the split {split} has one class: a model that gives no other answer is always right")
        messages += [f"the split {split} has no row labelled {', '.join(absent)}"] if absent else []
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
