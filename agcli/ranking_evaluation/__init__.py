"""Rankings that `ag rank` wrote, judged again: each by itself, and each compared with the first, query by query."""

from __future__ import annotations

from agcli.ranking_evaluation.judging import (
    Averages,
    JudgedRanking,
    RankingComparison,
    RankingEvaluation,
    evaluate_rankings,
)
from agcli.ranking_evaluation.report import as_json, write_measures
from agcli.ranking_evaluation.saved import SavedRanking, is_ranking, open_ranking

__all__ = [
    "Averages",
    "JudgedRanking",
    "RankingComparison",
    "RankingEvaluation",
    "SavedRanking",
    "as_json",
    "evaluate_rankings",
    "is_ranking",
    "open_ranking",
    "write_measures",
]
