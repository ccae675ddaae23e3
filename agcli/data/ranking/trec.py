"""TREC's layout: claims `queries[.split].tsv`, judgements `qrels[.split].{txt,tsv,qrels,trec}`, a corpus, run files.

The corpus is `collection.tsv` (`id<TAB>text`, MS MARCO's) or `corpus.jsonl`. Claims are `id<TAB>text`. A file
`run[.split].{trec,run,txt}` holds the first stage's candidates for its claims, in place of BM25's.
"""

from __future__ import annotations

from agcli.data.files import SourceFile
from agcli.data.ranking.assembly import BySplit, RankingFiles, assembled, named
from agcli.data.ranking.beir import corpus_file
from agcli.data.ranking.collection import Claim, RankingCollection, collect_documents, json_documents, tab_rows
from agcli.data.tables import source_records
from agcli.errors import DataError

_QUERIES = ("queries", "topics")


def recognises(files: list[SourceFile]) -> bool:
    """Whether these files are claims with TREC's judgements."""
    return bool(_queries(files)) and bool(_qrels(files))


def read(files: list[SourceFile]) -> RankingCollection:
    """Read corpus, claims and judgements; run files are read once the corpus is known.

    Raises:
        DataError: a file that is missing, two for one split, or broken rows.
    """
    queries = _queries(files)
    if not queries:
        raise DataError("no claims here", allowed=["queries.tsv", "queries.{train,dev,test}.tsv"])
    found = assembled(RankingFiles(queries, _qrels(files)), _claims)
    runs = named(files, ("run", "runs"), (".trec", ".run", ".txt"))
    table = next((file for file in files if file.stem == "collection" and file.suffix in (".tsv", ".txt")), None)
    corpus = table or corpus_file(files)
    return RankingCollection(
        collect_documents(corpus.name, tab_rows(corpus) if table else json_documents(corpus)),
        found.splits,
        (
            *source_records("corpus", corpus),
            *found.sources,
            *(
                record
                for split, file in runs.items()
                for record in source_records(f"run of {split or 'all splits'}", file)
            ),
        ),
        runs=tuple(runs.values()),
        not_used=found.not_used,
        warnings=found.warnings,
    )


def _queries(files: list[SourceFile]) -> BySplit:
    return named(files, _QUERIES, (".tsv", ".txt"))


def _qrels(files: list[SourceFile]) -> BySplit:
    return named(files, ("qrels", "qrel"), (".txt", ".tsv", ".qrels", ".trec"))


def _claims(source: SourceFile) -> list[Claim]:
    return [Claim(identifier, text.strip(), row) for row, identifier, text in tab_rows(source)]
