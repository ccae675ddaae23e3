"""`ag rank`: documents for queries, by a fine-tuned run; a whole split, two files, or one query."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agcli.cli import display
from agcli.cli.parameters import BootstrapOptions, JsonOption, OverwriteOption, refuse, with_options
from agcli.data.request import PREPARE_OPTIONS, NegativeGrades
from agcli.declare import declared_options, flag, option, out_of_range
from agcli.options import OPTIONS as RUN_OPTIONS
from agcli.runs.paths import expanded

if TYPE_CHECKING:
    from agcli.data.bm25 import Analysis
    from agcli.data.ranking.prepared import PreparedRanking
    from agcli.ranking.ranker import Ranker
    from agcli.runs.folder import RunFolder


@dataclass(frozen=True)
class QueryOptions:
    """What is ranked."""

    dataset: str | None = option(None, "Prepared ranking data: a folder or a name under ./data.",
                                 default_text="the run's")  # fmt: skip
    split: Literal["train", "dev", "test"] = option("test", "Whose queries are ranked.")
    depth: int | None = option(
        None, "First-stage candidates of a query.", minimum=1, default_text="100, or all there are"
    )
    strict_splits: bool = option(False, "Queries that the run was trained on: an error.")


@dataclass(frozen=True)
class FileOptions:
    """Files that were not prepared."""

    queries: Path | None = option(None, "Queries: id<TAB>text, or JSON lines.")
    corpus: Path | None = option(None, "Documents: JSON lines, or id<TAB>text.")
    qrels: Path | None = option(None, "Relevance judgments, TREC's or BEIR's; without them nothing is measured.")
    negative_grades: NegativeGrades = option("refuse", PREPARE_OPTIONS["negative_grades"].spec.help)
    credentialed: bool = option(
        False, "No text or id of these files is in any message; always so where the run's data are credentialed."
    )
    stemmer: str = option("english", PREPARE_OPTIONS["stemmer"].spec.help)
    stopwords: str = option("en", PREPARE_OPTIONS["stopwords"].spec.help)


@dataclass(frozen=True)
class TextOptions:
    """One query."""

    text: str | None = option(None, "Rank documents for this query.")
    top: int = option(10, "Documents to show of it.", minimum=1)


@dataclass(frozen=True)
class ScoringOptions:
    """How pairs are scored."""

    precision: Literal["auto", "fp32", "bf16"] = option("auto", RUN_OPTIONS["precision"].spec.help)
    batch_tokens: int | None = option(None, "Tokens in a batch.", minimum=64, default_text="what suits the device")
    long_claims: Literal["cut", "error"] = option(
        "cut",
        "Queries that leave no room for a document: cut to half of the run's --max-length and counted, or an error.",
    )
    offline: bool = option(False, RUN_OPTIONS["offline"].spec.help)


@dataclass(frozen=True)
class ResultOptions(BootstrapOptions, JsonOption, OverwriteOption):
    """What is written where."""

    output: Path | None = option(None, "Folder of the results.", default_text="rankings/ in the run")


@dataclass(frozen=True)
class RankOptions(QueryOptions, FileOptions, TextOptions, ScoringOptions, ResultOptions):
    """One call of `ag rank`."""

    @property
    def analysis(self) -> Analysis:
        """How the first stage splits `--corpus` into words."""
        from agcli.data.bm25 import Analysis

        return Analysis.from_options(self.stemmer, self.stopwords)


OPTIONS = declared_options(
    {
        "What to rank": QueryOptions,
        "Files of your own": FileOptions,
        "One query": TextOptions,
        "How": ScoringOptions,
        "Output": ResultOptions,
    }
)
_WITHOUT_USE = {
    "--text is answered and nothing is written": (
        {"split", "strict_splits", "queries", "qrels", "output", "overwrite", "resamples", "seed"}
    ),
    "--queries are ranked": {"split", "top"},
    "prepared queries are ranked": {"qrels", "top"},
}
"""Options that would do nothing, by what is done."""


def _rank(
    given: dict[str, Any],
    *,
    run: Annotated[Path, typer.Argument(help="Run folder of a model that was fine-tuned on ranking data.")],
) -> None:
    """Re-rank first-stage candidates: write TREC files and measures, beside those of the first stage.

    An interrupted ranking goes on where it stopped when the same command is given again.
    """
    _check(given)
    options = RankOptions(**given)
    from agcli.runs.folder import open_ranker_run

    folder = open_ranker_run(run)  # what cannot be ranked is refused before torch and the model are loaded
    data = None if options.corpus is not None else _prepared(folder, options.dataset)
    options = replace(options, credentialed=options.credentialed or folder.credentialed)
    from agcli.cli.rank_display import RankProgress, show_ranking
    from agcli.ranking.rank_split import RankJob, rank, usual_depth
    from agcli.ranking.ranker import open_ranker

    ranker = open_ranker(
        run,
        precision=options.precision,
        batch_tokens=options.batch_tokens,
        cut_queries=options.long_claims == "cut",
        offline=options.offline,
    )
    if options.text is not None:
        _answer(ranker, options.text, data, options)
        return
    name = f"{data.name}-{options.split}" if data is not None else options.queries.stem if options.queries else ""
    place = expanded(options.output or folder.path / "rankings" / name)
    if data is None:
        data = _collected(options, place)
    job = RankJob(ranker, data, options.split, options.depth or usual_depth(data), place, options.strict_splits)
    job.check()
    if job.warning:
        display.warn(job.warning)
    with RankProgress() as callback:
        rank(job, overwrite=options.overwrite, resamples=options.resamples, seed=options.seed, callback=callback)
    show_ranking(place, options.json)


def _check(given: dict[str, Any]) -> None:
    """Refuse options that cannot be together, and those that would do nothing."""
    problems = out_of_range(given, OPTIONS)
    if "text" in given and not given["text"].strip():
        problems.append("--text is empty.")
    if "text" not in given and ("queries" in given) != ("corpus" in given):
        problems.append("--queries and --corpus belong together.")
    if "corpus" in given and "dataset" in given:
        problems.append("--corpus and --dataset exclude each other.")
    to_text, to_queries, to_split = _WITHOUT_USE
    purpose = to_text if "text" in given else to_queries if "queries" in given else to_split
    useless = set(_WITHOUT_USE[purpose])
    if "corpus" not in given:
        useless |= {"stemmer", "stopwords", "credentialed"}
    if "qrels" not in given:
        useless.add("negative_grades")
    named = [flag(name) for name in given if name in useless]
    if named:
        problems.append(f"{', '.join(named)}: of no use here, where {purpose}.")
    refuse(problems, "rank")


def _prepared(folder: RunFolder, dataset: str | None) -> PreparedRanking:
    """The named prepared data, or those of the run."""
    from agcli.data.catalogue import find_dataset
    from agcli.data.ranking.prepared import load_ranking
    from agcli.errors import DataError

    recorded = folder.environment["data"]
    if dataset is not None:
        return load_ranking(find_dataset(dataset, Path.cwd()))
    began_with = Path(recorded["folder"])
    if not began_with.is_dir():
        problem = "the data that the run was trained on are not there any more"
        raise DataError(problem, file=began_with, hint="--dataset NAME")
    data = load_ranking(began_with)
    if data.digest != recorded["digest"]:
        raise DataError(
            "these data were prepared anew since the run was trained: it may know queries that are in this split now",
            file=began_with,
            hint=f"--dataset {shlex.quote(str(began_with))} ranks them all the same",
        )
    return data


def _collected(options: RankOptions, place: Path) -> PreparedRanking:
    """The user's files as a collection, kept beside the results so that a ranking can be resumed."""
    from agcli.data.formats.query_files import QueryFiles, collect
    from agcli.ranking.rank_split import DEPTH, check_place

    check_place(place, {}, options.overwrite)
    assert options.queries is not None
    assert options.corpus is not None
    files = QueryFiles(options.queries, options.corpus, options.qrels, options.negative_grades, options.credentialed)
    with display.Bars() as bars:
        folder = place.parent / f"{place.name}.collection"
        return collect(files, folder, options.depth or DEPTH, options.analysis, bars.track)


def _answer(ranker: Ranker, text: str, data: PreparedRanking | None, options: RankOptions) -> None:
    """Show the best documents for one query, out of a file or of prepared data."""
    from agcli.cli.rank_display import show_answers
    from agcli.data.text_pairs import cut_note
    from agcli.errors import cells_hidden
    from agcli.ranking.rank_split import DEPTH
    from agcli.ranking.single_query import answer_from_corpus, answer_from_dataset

    hidden = options.credentialed if data is None else data.credentialed
    depth = options.depth or DEPTH
    with cells_hidden(hidden):
        if data is not None:
            answers, cut = answer_from_dataset(ranker, text, data, depth)
        else:
            assert options.corpus is not None, "without --corpus there are prepared data"
            answers, cut = answer_from_corpus(ranker, text, options.corpus, options.analysis, depth)
    if cut:
        display.warn(cut_note(1, 1, ranker.max_length))
    show_answers(text, answers, options.top, hidden, options.json)


rank = with_options(_rank, OPTIONS)
