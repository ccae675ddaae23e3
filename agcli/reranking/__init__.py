"""A finished run at work: candidates re-ranked, resumably, and written as the field's files and measures."""

from agcli.reranking.job import DEPTH, RankJob, RankWatch, check_place, rank, usual_depth
from agcli.reranking.ranker import Ranker, open_ranker

__all__ = [
    "DEPTH",
    "RankJob",
    "RankWatch",
    "Ranker",
    "check_place",
    "open_ranker",
    "rank",
    "usual_depth",
]
