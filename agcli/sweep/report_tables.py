"""The tables of a sweep's report, and the means over seeds that they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from agcli.errors import counted
from agcli.guides.registry import GUIDES
from agcli.guides.variants import weights_text
from agcli.measures.seeds import p_text
from agcli.sweep.results import GUIDING, Split, axes, choice, first_name, groups, guides_in, reported, split_of
from agcli.sweep.seed_groups import over_seeds
from agcli.sweep.winners import Winner
from agcli.tables.table import Table

NOT_ESTIMABLE = "not estimable"
_MEANS = "Over seeds, in percent. best: the best seed, to be read beside the mean only."
_COUNTS = {
    "collapsed": " collapsed: seeds that give every dev example the same class; they are in the mean.",
    "diverged": " diverged: seeds whose numbers ceased to be finite.",
    "failed": "",
}
"""Optional columns, shown where a seed is counted in them, and their explanation."""


def mean_rows(table: pd.DataFrame) -> list[dict[str, object]]:
    """A plain row for each setting and variant that is reported, on its primary metric; dev where there is no test."""
    settings = groups(reported(table), *GUIDING, "variant", *choice(table))
    return [_mean_row(part, split_of(table, part["dataset"].iloc[0])) for part in settings]


def _mean_row(part: pd.DataFrame, split: Split | None) -> dict[str, object]:
    """Mean, spread and counts; there is no mean as long as no cell of the data has finished."""
    row = part.iloc[0]
    seeds = over_seeds(part, split) if split else None
    mean = seeds.summary if seeds else None
    baseline = part[f"{split}:baseline"].mean() if f"{split}:baseline" in part else float("nan")
    return {
        **{name: row[name] for name in ("model", "dataset", "size", "layers", "guide_mode")},
        **{name: row[name] for name in axes(part)},
        **{name: row[name] for name in ("variant", *guides_in(part), "learning_rate", "metric")},
        "split": split,
        "n": mean.n if mean else 0,
        **{name: getattr(mean, name, None) for name in ("mean", "sd", "low", "high")},
        "best": seeds.best if seeds else None,
        "baseline": first_name(part, "baseline") or None,
        "baseline_mean": None if pd.isna(baseline) else float(baseline),
        **{flag: int((part[flag] == 1).sum()) for flag in ("collapsed", "diverged")},
        **{state: int((part["state"] == state).sum()) for state in ("failed", "pending")},
    }


def report_tables(
    means: Sequence[Mapping[str, object]],
    comparisons: Sequence[Mapping[str, object]],
    winners: Sequence[Winner],
    table: pd.DataFrame,
) -> Iterator[Table]:
    """Means, comparisons (flat), winners and failed cells; a table without rows is left out."""
    varied = _varied(means)
    yield _means_table(means, varied)
    if comparisons:
        tests = ["points [95 % t-interval]", "t p", "Holm p", "stars", "Wilcoxon p (least)", "d_z"]
        yield Table(
            "Guided minus unguided",
            [*varied, "variant", "seeds", *tests],
            [[*(row[name] for name in (*varied, "variant", "n")), *_tests(row)] for row in comparisons],
            "Paired over seeds; the primary test is the paired t-test on the metric named above. Holm: over the "
            f"{counted(len(comparisons), 'comparison')} here; * p < 0.05, ** p < 0.01, on corrected values. The rest "
            "is descriptive.",
        )
    if winners:
        names = ["model", "dataset", "variant", "chosen", "dev mean", "trials"]
        yield Table("Chosen on dev", names, [_winner(row) for row in winners])
    failed = table[table["state"] == "failed"].astype({"seed": int})
    if len(failed):
        columns = ["cell", "variant", "size", "seed", "reason"]
        yield Table("Failed cells", columns, failed[columns].to_numpy().tolist())


def _means_table(means: Sequence[Mapping[str, object]], varied: Sequence[str]) -> Table:
    """The means, and after those of each training set a row with the baseline that costs no training."""
    names = [*varied, "variant", "metric", "split", "n"]
    counts = [name for name in _COUNTS if any(row[name] for row in means)]
    trained_on = [(row["dataset"], row["size"], row["split"]) for row in means]
    last = {key: place for place, key in enumerate(trained_on) if means[place]["baseline_mean"] is not None}
    rows: list[list[object]] = []
    for place, row in enumerate(means):
        rows.append([*(row[name] for name in names), *_figures(row), *(row[name] for name in counts)])
        if last.get(trained_on[place]) == place:
            shared = {name: row[name] for name in ("dataset", "size", "metric", "split")} | {"variant": row["baseline"]}
            rows.append([*map(shared.get, names), _percent(row["baseline_mean"]), None, None, *[None] * len(counts)])
    columns = [*varied, "variant", "metric", "split", "seeds", "mean ± sd", "95 % t-interval", "best", *counts]
    equal = f" {NOT_ESTIMABLE}: the seeds are equal." if any(row["sd"] == 0 for row in means) else ""
    notes = "".join(_COUNTS[name] for name in counts) + equal + _weights_note(means)
    return Table("Means", columns, rows, _MEANS + notes)


def _weights_note(means: Sequence[Mapping[str, Any]]) -> str:
    """The weights and options of each guided variant; a search's, which may differ, stand in the table of winners."""
    weights: dict[str, set[str]] = {}
    for row in means:
        text = ", ".join(weights_text({name: row[name] for name in GUIDES if name in row}))
        weights.setdefault(str(row["variant"]), set()).add(text)
    known = [f"{variant} {min(texts)}" for variant, texts in weights.items() if len(texts) == 1 and min(texts)]
    return f" Weights: {'; '.join(known)}." if known else ""


def _varied(means: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns of settings that differ between rows; model and data set always."""
    first = means[0] if means else {}
    names = [name for name in first if name in ("size", "layers", "guide_mode") or name.startswith("set:")]
    return ["model", "dataset", *(name for name in names if len({str(row[name]) for row in means}) > 1)]


def _figures(row: Mapping[str, Any]) -> list[object]:
    if row["mean"] is None:
        return [None, None, None]
    mean, best = _percent(row["mean"]), _percent(row["best"])
    if row["sd"] is None:
        return [mean, None, best]
    interval = f"{_percent(row['low'])} to {_percent(row['high'])}" if row["sd"] else NOT_ESTIMABLE
    return [f"{mean} ± {_percent(row['sd'])}", interval, best]


def _tests(row: Mapping[str, Any]) -> list[object]:
    if row["difference"] is None:
        return [None] * 6
    interval = ""
    if row["low"] is not None:
        ends = f"{100 * row['low']:+.2f}, {100 * row['high']:+.2f}"
        interval = f" [{ends if row['low'] < row['high'] else NOT_ESTIMABLE}]"
    wilcoxon = f"{p_text(row['wilcoxon_p'])} ({p_text(row['wilcoxon_least_p'])})"
    points = f"{100 * row['difference']:+.2f}{interval}"
    return [points, p_text(row["t_p"]), p_text(row["holm_p"]), row["stars"], wilcoxon, row["effect_size"]]


def _percent(value: Any) -> str:
    return f"{100 * value:.2f}"


def _winner(row: Winner) -> list[object]:
    choice = mean = None
    if row.chosen and row.chosen.summary:
        choice = ", ".join([*weights_text(row.chosen.weights), f"learning rate {row.chosen.learning_rate:g}"])
        mean = _percent(row.chosen.summary.mean)
    return [row.setting.model, row.setting.dataset, row.variant, choice, mean, len(row.trials)]
