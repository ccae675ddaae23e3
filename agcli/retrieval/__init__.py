"""Retrieval: the first stage, the one order of a ranking, the files of the field, and the measures."""

from agcli.retrieval.bm25 import STOPWORDS, Analysis, FirstStage, Method, Parameters, build, open_index
from agcli.retrieval.measures import MEASURES, PROTOCOLS, Protocol, QueryMeasures, below_first_stage, joined, measure
from agcli.retrieval.order import descending, strictly_decreasing
from agcli.retrieval.trec import check_id, qrels_lines, read_qrels, read_run, run_lines

__all__ = [
    "MEASURES",
    "PROTOCOLS",
    "STOPWORDS",
    "Analysis",
    "FirstStage",
    "Method",
    "Parameters",
    "Protocol",
    "QueryMeasures",
    "below_first_stage",
    "build",
    "check_id",
    "descending",
    "joined",
    "measure",
    "open_index",
    "qrels_lines",
    "read_qrels",
    "read_run",
    "run_lines",
    "strictly_decreasing",
]
