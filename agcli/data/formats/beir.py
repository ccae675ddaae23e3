"""BEIR's layout: `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`), `qrels/*.tsv`.

Source: Thakur et al. 2021. The text of a document is its title and its text, a space between them. `queries.jsonl`
holds the queries of every split; which split a query belongs to, `qrels/train.tsv`, `dev.tsv` and `test.tsv` say.
"""

from __future__ import annotations

from agcli.data.files.opening import SourceFile
from agcli.data.ranking.assembly import assembled, named
from agcli.data.ranking.collection import RankingCollection, corpus_file, json_documents, json_queries
from agcli.errors import DataError


def read(files: list[SourceFile]) -> RankingCollection:
    """Read corpus, queries and relevance judgments.

    Raises:
        DataError: a file that is missing, or broken records.
    """
    corpus = corpus_file(files)
    queries = named(files, ("queries",), (".jsonl",))
    if not queries:
        raise DataError("no queries.jsonl here: the claims are missing")
    qrels = named(files, ("qrels", "qrel"), (".tsv", ".txt", ".qrels", ".trec"))
    return assembled(corpus, json_documents(corpus), queries, qrels, json_queries)
