"""A finished run at work: candidates re-ranked, resumably, and written as the field's files and measures."""

from agcli.reranking.job import RankJob, RankWatch, rank
from agcli.reranking.ranker import Ranker, open_ranker

__all__ = ["RankJob", "RankWatch", "Ranker", "open_ranker", "rank"]
