"""What two splits of pairs share, and what occurs twice within one. Texts are compared as `folded`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agcli.data.checks import shared_between, split_pairs
from agcli.data.pair_checks import Splits
from agcli.data.pairs import Pair, folded
from agcli.errors import DataError

EXACT, SPACING, REVERSED = "exact", "other case or spaces", "reversed"
OTHER_LABEL = "other label"
DROPPED = {
    EXACT: "pair shared with a later split",
    SPACING: "pair shared with a later split, in other case or spaces",
    REVERSED: "pair shared with a later split, reversed",
}
Counts = dict[str, dict[str, int]]


class SharedPair(NamedTuple):
    """A pair of texts that two splits hold, and how alike the two are."""

    earlier: str
    later: str
    first: Pair
    second: Pair
    kind: str

    @property
    def contradictory(self) -> bool:
        """Whether the two splits label it differently."""
        return self.first.label != self.second.label


def shared_pairs(splits: Splits) -> list[SharedPair]:
    """Pairs of texts that occur in two splits, whatever their labels; once for each earlier row."""
    shared = []
    for earlier, later in split_pairs(splits):
        exact: dict[tuple[str, str], Pair] = {}
        loose: dict[tuple[str, str], Pair] = {}
        for pair in splits[later]:
            exact.setdefault((pair.text_a, pair.text_b), pair)
            loose.setdefault(_folded(pair), pair)
        for pair in splits[earlier]:
            texts = _folded(pair)
            matches = {
                EXACT: exact.get((pair.text_a, pair.text_b)),
                SPACING: loose.get(texts),
                REVERSED: loose.get(texts[::-1]),
            }
            kind, match = next(((kind, match) for kind, match in matches.items() if match), ("", None))
            if match:
                shared.append(SharedPair(earlier, later, pair, match, kind))
    return shared


def _folded(pair: Pair) -> tuple[str, str]:
    return folded(pair.text_a), folded(pair.text_b)


def counted_pairs(shared: Sequence[SharedPair]) -> Counts:
    """By `earlier/later`: rows of the earlier split by kind of likeness, and those whose label is another there."""
    counts: dict[str, dict[str, int]] = {}
    for item in shared:
        count = counts.setdefault(f"{item.earlier}/{item.later}", dict.fromkeys((*DROPPED, OTHER_LABEL), 0))
        count[item.kind] += 1
        count[OTHER_LABEL] += item.contradictory
    return counts


def refuse_shared_pairs(shared: Sequence[SharedPair], files: Mapping[str, str], secret: bool) -> None:
    """Stop at pairs shared between splits; where the data are secret, without their ids.

    Raises:
        DataError: there are some; how many of each kind, and the first few.
    """
    if not shared:
        return
    first = shared[0]
    names = "; ".join(
        f"{item.earlier} row {item.first.row} = {item.later} row {item.second.row}"
        + ("" if secret else f" (ids {item.first.id}, {item.second.id})")
        for item in shared[:3]
    )
    kinds = Counter(item.kind for item in shared)
    counts = [f"{kinds[kind]} {kind}" for kind in DROPPED]
    counts.append(f"{sum(item.contradictory for item in shared)} with another label")
    raise DataError(
        f"{len(shared)} {'pair is' if len(shared) == 1 else 'pairs are'} shared between splits: {names} "
        f"[{', '.join(counts)}]",
        file=" and ".join(dict.fromkeys((files[first.earlier], files[first.later]))),
        hint="--drop-shared-pairs takes them out of the split that is trained or tuned on, and counts them",
    )


def without_shared_pairs(splits: Splits, shared: Sequence[SharedPair]) -> tuple[Splits, dict[str, Counter[str]]]:
    """The splits without the earlier split's copies of shared pairs, and how many each lost for which reason."""
    reasons: dict[str, str] = {}
    for item in shared:
        reasons.setdefault(item.first.id, DROPPED[item.kind])
    kept = {split: [pair for pair in pairs if pair.id not in reasons] for split, pairs in splits.items()}
    lost = {split: Counter(reasons[pair.id] for pair in pairs if pair.id in reasons) for split, pairs in splits.items()}
    return kept, lost


def shared_documents(splits: Splits) -> Counts:
    """By `earlier/later`: how many of the later split's documents are `shared`, `of` how many."""
    documents = {split: {pair.document for pair in pairs if pair.document} for split, pairs in splits.items()}
    return {
        f"{earlier}/{later}": {"shared": len(both), "of": len(documents[later])}
        for earlier, later, both in shared_between(documents)
    }


def shared_texts(splits: Splits) -> dict[str, Counts]:
    """How much text of the later split the earlier one holds too, as a first or a second text.

    Returns:
        By `earlier/later`, for the distinct `first texts` and `second texts` of the later split and for its `rows`
        with either: `shared` and `of`.
    """
    rows = {split: [_folded(pair) for pair in pairs] for split, pairs in splits.items()}
    counts = {}
    for earlier, later in split_pairs(splits):
        held = {text for texts in rows[earlier] for text in texts}
        first, second = ({texts[column] for texts in rows[later]} for column in (0, 1))
        shared = sum(not held.isdisjoint(texts) for texts in rows[later])
        if shared:
            counts[f"{earlier}/{later}"] = {
                "first texts": {"shared": len(held & first), "of": len(first)},
                "second texts": {"shared": len(held & second), "of": len(second)},
                "rows": {"shared": shared, "of": len(rows[later])},
            }
    return counts


def shared_warnings(documents: Counts, texts: Mapping[str, Counts], strict: bool) -> list[str]:
    """Warnings of documents and texts that splits share.

    Raises:
        DataError: they share some, and splits are to be strict.
    """
    messages = []
    for names, count in documents.items():
        earlier, later = names.split("/")
        messages.append(f"{count['shared']} of {count['of']} documents of {later} occur in {earlier} too")
    for names, counts in texts.items():
        earlier, later = names.split("/")
        shown = {what: f"{count['shared']} of {count['of']} {what}" for what, count in counts.items()}
        messages.append(
            f"{shown['first texts']} and {shown['second texts']} of {later} occur in {earlier} too ({shown['rows']})"
        )
    if strict and messages:
        raise DataError("; ".join(messages) + ": --strict-splits forbids that")
    return messages


def repeats(split: str, pairs: Sequence[Pair]) -> tuple[dict[str, int], list[str]]:
    """What occurs more than once within a split, and warnings of it.

    Returns:
        `duplicates`, the rows that repeat the texts and the label of an earlier row, and `contradictory`, the pairs of
        texts that occur with more than one label.
    """
    rows: dict[tuple[str, str], dict[str | None, int]] = defaultdict(dict)
    for pair in pairs:
        rows[_folded(pair)].setdefault(pair.label, pair.row)
    contradictory = [list(labels.values()) for labels in rows.values() if len(labels) > 1]
    duplicates = len(pairs) - sum(map(len, rows.values()))
    warnings = [f"{split}: {duplicates} row(s) repeat a pair and its label"] if duplicates else []
    if contradictory:
        first, second = contradictory[0][:2]
        count = f"{len(contradictory)} pair(s) occur with contradictory labels"
        warnings.append(f"{split}: {count} (the first: rows {first} and {second})")
    return {"duplicates": duplicates, "contradictory": len(contradictory)}, warnings
