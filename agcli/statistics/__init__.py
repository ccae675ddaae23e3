"""How sure the numbers are.

resampling.py   the bootstrap over rows         predictions.py  one model's answers, and two models compared
per_query.py    means over queries, and two rankings compared
seeds.py        over seeds: means, paired contrasts, Holm
crossed.py      seeds crossed with examples: both resampled, and how many seeds it takes

The first three take models as fixed and examples or queries as a sample, and say nothing of the spread over seeds.
`seeds.py` takes the test set as fixed and seeds as a sample, `crossed.py` both as samples.
"""

from __future__ import annotations

from agcli.statistics.crossed import Power, crossed_bootstrap, power, power_line
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
from agcli.statistics.resampling import PERMUTATIONS, RESAMPLES, Interval, permutations_text
from agcli.statistics.seeds import (
    FEWEST_SEEDS,
    Contrast,
    Summary,
    claim_line,
    contrast,
    holm,
    p_text,
    stars,
    summary,
    unpaired_line,
)

__all__ = [
    "FEWEST_SEEDS",
    "PERMUTATIONS",
    "RESAMPLES",
    "Bootstrap",
    "Comparison",
    "Contrast",
    "Difference",
    "Interval",
    "PairedDifference",
    "Power",
    "Summary",
    "aligned",
    "bootstrap",
    "bootstrap_interval",
    "claim_line",
    "confusion_interval",
    "contrast",
    "crossed_bootstrap",
    "holm",
    "mean_intervals",
    "p_text",
    "paired",
    "paired_comparison",
    "paired_measures",
    "permutations_text",
    "power",
    "power_line",
    "stars",
    "summary",
    "unpaired_line",
]
