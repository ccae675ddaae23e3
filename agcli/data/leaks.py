"""What two splits of pairs share, and what occurs twice within one: pairs, texts, documents; all `folded`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from agcli.data.checks import split_pairs
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
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in shared:
        counts[f"{item.earlier}/{item.later}"].update([item.kind, *([OTHER_LABEL] if item.contradictory else [])])
    return {names: {what: count[what] for what in (*DROPPED, OTHER_LABEL)} for names, count in counts.items()}


def refuse_shared_pairs(shared: Sequence[SharedPair], files: Mapping[str, str], secret: bool) -> None:
    """Stop at pairs shared between splits; where the data are `secret`, without their ids.

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
    kinds: dict[str, str] = {}
    for item in shared:
        kinds.setdefault(item.first.id, item.kind)
    kept = {split: [pair for pair in pairs if pair.id not in kinds] for split, pairs in splits.items()}
    lost = {
        split: Counter(DROPPED[kinds[pair.id]] for pair in pairs if pair.id in kinds) for split, pairs in splits.items()
    }
    return kept, lost


def contradictory_warnings(shared: Sequence[SharedPair]) -> list[str]:
    """Warnings of shared pairs that the two splits label differently."""
    return [
        f"{count[OTHER_LABEL]} of the pairs that {names.replace('/', ' and ')} share have contradictory labels"
        for names, count in counted_pairs(shared).items()
        if count[OTHER_LABEL]
    ]


def shared_documents(splits: Splits) -> Counts:
    """By `earlier/later`: how many of the later split's documents the earlier one has too, `shared` and `of`."""
    documents = {split: {pair.document for pair in pairs if pair.document} for split, pairs in splits.items()}
    return {
        names: {"shared": len(both), "of": len(documents[later])}
        for names, (_, later, both) in shared_between(documents).items()
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
    """Say which splits share documents or texts.

    Raises:
        DataError: they do, and splits are to be strict.
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


class Repeats(NamedTuple):
    """What occurs more than once within a split, apart from case and spaces.

    Attributes:
        duplicates: rows that repeat the texts and the label of an earlier row.
        contradictory: pairs of texts that occur with more than one label.
        rows: the first such pair's first two rows of different labels; empty where there is none.
    """

    duplicates: int
    contradictory: int
    rows: tuple[int, ...]

    def warnings(self, split: str) -> Iterator[str]:
        """What there is, in words."""
        if self.duplicates:
            yield f"{split}: {self.duplicates} row(s) repeat a pair and its label"
        if self.contradictory:
            rows = " and ".join(map(str, self.rows))
            yield f"{split}: {self.contradictory} pair(s) occur with contradictory labels (the first: rows {rows})"


def repeats(pairs: Sequence[Pair]) -> Repeats:
    """Count what occurs more than once within a split."""
    rows: dict[tuple[str, str], dict[str | None, int]] = defaultdict(dict)
    for pair in pairs:
        rows[_folded(pair)].setdefault(pair.label, pair.row)
    contradictory = [tuple(labels.values())[:2] for labels in rows.values() if len(labels) > 1]
    distinct = sum(map(len, rows.values()))
    return Repeats(len(pairs) - distinct, len(contradictory), contradictory[0] if contradictory else ())
