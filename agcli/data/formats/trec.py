"""TREC's layout: queries `queries[.split].tsv`, qrels `qrels[.split].{txt,tsv,qrels,trec}`, a corpus, run files.

The corpus is `collection.tsv` (`id<TAB>text`, MS MARCO's) or `corpus.jsonl`. Queries are `id<TAB>text`. A file
`run[.split].{trec,run,txt}` holds the first stage's candidates for its queries, in place of BM25's.
"""

from __future__ import annotations

from agcli.data.files.opening import SourceFile
from agcli.data.ranking.assembly import assembled, named
from agcli.data.ranking.collection import RankingCollection, corpus_file, json_documents, tab_queries, tab_rows
from agcli.errors import DataError


def read(files: list[SourceFile]) -> RankingCollection:
    """Read corpus, queries and relevance judgments; run files are read once the corpus is known.

    Raises:
        DataError: a file that is missing, two for one split, or broken rows.
    """
    queries = named(files, ("queries", "topics"), (".tsv", ".txt"))
    if not queries:
        raise DataError("no claims here", allowed=["queries.tsv", "queries.{train,dev,test}.tsv"])
    qrels = named(files, ("qrels", "qrel"), (".txt", ".tsv", ".qrels", ".trec"))
    runs = named(files, ("run", "runs"), (".trec", ".run", ".txt"))
    table = next((file for file in files if file.stem == "collection" and file.suffix in (".tsv", ".txt")), None)
    corpus = table or corpus_file(files)
    rows = tab_rows(corpus) if table else json_documents(corpus)
    return assembled(corpus, rows, queries, qrels, tab_queries, runs)
