"""Metrics of predictions and rankings, and how certain they and their differences are.

classification.py     predictions and their metrics
ranking.py            ranking measures; their files are in trec.py, the order of ties in tie_rule.py
bootstrap.py          intervals over examples or queries
paired_tests.py       two models, or two rankings, compared
seeds.py              means over seeds, the paired t-test over seeds, Holm's correction
crossed_bootstrap.py  seeds crossed with examples: both resampled, and how many seeds a difference takes

`bootstrap.py` and `paired_tests.py` take models as fixed and examples or queries as a sample, and say nothing of the
spread over seeds. `seeds.py` takes the test set as fixed and seeds as a sample, `crossed_bootstrap.py` both as samples.
"""
