"""The labels of pairs: their set, missing gold labels, and renaming."""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from agcli.data.pairs import NLI_LABELS, Corpus, Pair, SourceSplit
from agcli.errors import DataError, UsageError, did_you_mean

MOST_LABELS = 100
LONGEST_LABEL = 100


def parse_label_map(texts: Iterable[str]) -> dict[str, str]:
    """`OLD=NEW,OLD=NEW` as a dictionary; spaces around OLD belong to it, so that "yes " can be named.

    Raises:
        UsageError: no `=`, an empty NEW, or two NEW for one OLD.
    """
    renamed: dict[str, str] = {}
    for text in (part for whole in texts for part in whole.split(",")):
        old, equals, new = text.rpartition("=")
        if not equals or not new.strip():
            raise UsageError(f"--label-map takes OLD=NEW, not {text!r}.", hint="--label-map NEUTRAL=neutral,YES=yes")
        if renamed.setdefault(old, new.strip()) != new.strip():
            raise UsageError(f"--label-map gives {old!r} two names: {renamed[old]!r} and {new.strip()!r}.")
    return renamed


def with_gold_labels(corpus: Corpus, label_map: Mapping[str, str], insisted: Collection[str]) -> Corpus:
    """The corpus with its labels (its format's set too) renamed, and None where a label means "no gold label".

    That is `-` (SNLI, MultiNLI) and -1 (the hub), in any spacing and also as -1.0, unless the user renames it or names
    it in `--labels`. Both are classes where they are one of two (-1 and 1, - and +), and so is -1 where another label
    is a number below 0. A label that `--label-map` renames to `-` has no gold label either.

    Raises:
        DataError: `label_map` renames a label that no row has.
    """
    present = {pair.label for source in corpus.splits.values() for pair in source.pairs if pair.label is not None}
    for old in label_map:
        if old not in present:
            raise DataError(
                f"--label-map: no row is labelled {old!r}",
                file=next((source.file for source in corpus.splits.values()), None),
                allowed=sorted(present),
                detail=did_you_mean(old, present),
            )
    named = {label: label_map.get(label, label) for label in present}
    no_gold = _no_gold(set(named.values())) - set(insisted)
    changed = {label: None if new in no_gold else new for label, new in named.items() if new != label or new in no_gold}
    if not changed:
        return corpus

    def renamed(pair: Pair) -> Pair:
        return replace(pair, label=changed[pair.label]) if pair.label in changed else pair

    splits = {name: replace(source, pairs=list(map(renamed, source.pairs))) for name, source in corpus.splits.items()}
    of_format = corpus.labels and tuple(dict.fromkeys(label_map.get(label, label) for label in corpus.labels))
    return replace(corpus, splits=splits, labels=of_format)


def _no_gold(present: Collection[str]) -> set[str]:
    others = {label.strip() for label in present} - {"-", "-1", "-1.0"}
    missing = {"-"} if others != {"+"} else set()
    if len(others) > 1 and not any(label.startswith("-") for label in others):
        missing |= {"-1", "-1.0"}
    return {label for label in present if label.strip() in missing}


def infer_labels(sources: Mapping[str, SourceSplit], secret: bool) -> tuple[str, ...]:
    """The labels of the training rows, or of all where none are for training.

    In NLI's order if it is NLI's set, else by number or by alphabet. Where the data are secret, their labels are NLI's.

    Raises:
        DataError: more labels than any classification task has (the wrong column was named), a row without one, or
            one label in two spellings.
    """
    searched = [sources["train"]] if "train" in sources else list(sources.values())
    present = {pair.label for source in searched for pair in source.pairs if pair.label is not None}
    if len(present) > MOST_LABELS:
        raise DataError(
            f"{len(present)} different labels; is this the label column?",
            file=searched[0].file,
            column=searched[0].label_column,
            allowed=[f"up to {MOST_LABELS} labels"],
        )
    for source in searched:
        for pair in source.pairs:
            if pair.label == "":
                problem, hint = "a row without a label", "--label-map =- counts and leaves out such rows"
            elif pair.label is not None and len(pair.label) > LONGEST_LABEL:
                problem, hint = f"a label of {len(pair.label)} characters; is this the label column?", None
            else:
                continue
            raise DataError(problem, file=source.file, row=pair.row, column=source.label_column, hint=hint)
    if secret:
        return NLI_LABELS
    _refuse_two_spellings(sources)
    if present == set(NLI_LABELS):
        return NLI_LABELS
    return tuple(sorted(present, key=lambda label: (int(label), "") if label.isdecimal() else (10**9, label)))


def _refuse_two_spellings(sources: Mapping[str, SourceSplit]) -> None:
    """Refuse labels that differ only in case or surrounding spaces."""
    first: dict[str, str] = {}
    for source in sources.values():
        for pair in source.pairs:
            if pair.label is None:
                continue
            usual = first.setdefault(pair.label.strip().casefold(), pair.label)
            if usual != pair.label:
                raise DataError(
                    "one label in two spellings",
                    file=source.file,
                    row=pair.row,
                    column=source.label_column,
                    value=[usual, pair.label],
                    hint=_uniting_option(sources),
                )


def _uniting_option(sources: Mapping[str, SourceSplit]) -> str:
    """The `--label-map` that renames every rarer spelling to the most frequent one."""
    counts = Counter(pair.label for source in sources.values() for pair in source.pairs if pair.label is not None)
    spellings: dict[str, list[str]] = defaultdict(list)
    for label, _ in counts.most_common():
        spellings[label.strip().casefold()].append(label)
    pairs = [f"{odd}={usual.strip()}" for usual, *odds in spellings.values() for odd in odds]
    pairs += [f"{usual}={usual.strip()}" for usual, *odds in spellings.values() if odds and usual != usual.strip()]
    pairs = [pair for pair in pairs if pair.partition("=")[0] != pair.partition("=")[2]]
    option = f"--label-map {shlex.quote(','.join(pairs))}"
    return option if len(option) <= 300 and "," not in "".join(spellings) else "--label-map OLD=NEW,OLD=NEW unites them"
