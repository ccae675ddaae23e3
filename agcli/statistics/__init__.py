"""How sure the numbers are.

resampling.py   the bootstrap over rows         predictions.py  one model's answers, and two models compared
per_query.py    means over queries, and two rankings compared

Models are taken as fixed and examples or queries as a sample: nothing in these files speaks of the spread over seeds.
"""

from __future__ import annotations

from agcli.statistics.per_query import PairedDifference, mean_intervals, paired, paired_measures
from agcli.statistics.predictions import (
    Bootstrap,
    Comparison,
    Difference,
    aligned,
    bootstrap,
    bootstrap_interval,
    confusion_interval,
    paired_comparison,
)
from agcli.statistics.resampling import PERMUTATIONS, RESAMPLES, Interval

__all__ = [
    "PERMUTATIONS",
    "RESAMPLES",
    "Bootstrap",
    "Comparison",
    "Difference",
    "Interval",
    "PairedDifference",
    "aligned",
    "bootstrap",
    "bootstrap_interval",
    "confusion_interval",
    "mean_intervals",
    "paired",
    "paired_comparison",
    "paired_measures",
]
