"""Metrics of predictions and rankings, and how certain they and their differences are.

classification.py  predictions and their metrics     ranking.py, trec.py, order.py  ranking measures, files, ties
bootstrap.py       intervals over examples or queries     paired_tests.py  two models, or two rankings, compared
seeds.py           means over seeds, the paired t-test over seeds, Holm's correction
crossed.py         seeds crossed with examples: both resampled, and how many seeds a difference takes

`bootstrap.py` and `paired_tests.py` take models as fixed and examples or queries as a sample, and say nothing of the
spread over seeds. `seeds.py` takes the test set as fixed and seeds as a sample, `crossed.py` both as samples.
"""
