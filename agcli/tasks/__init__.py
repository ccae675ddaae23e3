"""The kinds of task, one file each: what an example is, its loss, its predictions."""

from agcli.tasks.classification import Classification
from agcli.tasks.ranking import Ranking, relevance_scores

__all__ = ["Classification", "Ranking", "relevance_scores"]
