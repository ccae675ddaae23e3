"""What predictions, rankings and differences are measured by, and how sure the numbers are.

classification.py  predictions and their metrics      ranking.py, trec.py, order.py  ranking measures, files, ties
bootstrap.py       one model's answers, and two models compared
per_query.py       means over queries, and two rankings compared
seeds.py           over seeds: means, paired contrasts, Holm
crossed.py         seeds crossed with examples: both resampled, and how many seeds it takes

`bootstrap.py` and `per_query.py` take models as fixed and examples or queries as a sample, and say nothing of the
spread over seeds. `seeds.py` takes the test set as fixed and seeds as a sample, `crossed.py` both as samples.
"""
