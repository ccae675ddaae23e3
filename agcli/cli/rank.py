"""`ag rank`: documents for claims, by a fine-tuned run; a whole split, two files, or one claim."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from agcli.cli.given import given_among
from agcli.errors import UsageError
from agcli.runs.home import expanded

if TYPE_CHECKING:
    from agcli.data.ranking.loose_files import LooseFiles
    from agcli.data.ranking.prepared import RankingDataset
    from agcli.ranking.ranker import Ranker
    from agcli.ranking.request import RankJob
    from agcli.runs.folder import RunFolder

_WHAT, _FILES, _ONE, _HOW, _OUTPUT = "What to rank", "Files of your own", "One claim", "How", "Output"


def rank(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(help="Run folder of a model that was fine-tuned on ranking data.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Prepared ranking data: a folder or a name under ./data. [default: the run's]", rich_help_panel=_WHAT
        ),
    ] = None,
    split: Annotated[
        Literal["train", "dev", "test"], typer.Option(help="Whose claims are ranked.", rich_help_panel=_WHAT)
    ] = "test",
    depth: Annotated[
        int | None,
        typer.Option(
            min=1, help="First-stage candidates of a claim. [default: 100, or all there are]", rich_help_panel=_WHAT
        ),
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(readable=False, help="Claims: id<TAB>text, or JSON lines.", rich_help_panel=_FILES)
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(readable=False, help="Documents: JSON lines, or id<TAB>text.", rich_help_panel=_FILES)
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(
            readable=False,
            help="Judgements, TREC's or BEIR's; without them nothing is measured.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    negative_grades: Annotated[
        Literal["refuse", "as-zero", "drop"],
        typer.Option(help="Grades below 0 in --qrels: an error, not relevant, or left out.", rich_help_panel=_FILES),
    ] = "refuse",
    credentialed: Annotated[
        bool,
        typer.Option(
            "--credentialed",
            help="No text or id of these files is in any message; always so where the run's data are credentialed.",
            rich_help_panel=_FILES,
        ),
    ] = False,
    stemmer: Annotated[
        str, typer.Option(help="Stemmer of the first stage over --corpus, or none.", rich_help_panel=_FILES)
    ] = "english",
    stopwords: Annotated[
        str, typer.Option(help="Stop words of the first stage over --corpus, or none.", rich_help_panel=_FILES)
    ] = "en",
    text: Annotated[str | None, typer.Option(help="Rank documents for this claim.", rich_help_panel=_ONE)] = None,
    top: Annotated[int, typer.Option(min=1, help="Documents to show of it.", rich_help_panel=_ONE)] = 10,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        typer.Option(help="auto: bf16 where the hardware has it.", rich_help_panel=_HOW),
    ] = "auto",
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=64, help="Tokens in a batch. [default: what suits the device]", rich_help_panel=_HOW),
    ] = None,
    long_claims: Annotated[
        Literal["cut", "error"],
        typer.Option(
            help="Claims that leave no room for a document: cut to half of the run's --max-length and counted, or an "
            "error.",
            rich_help_panel=_HOW,
        ),
    ] = "cut",
    strict_splits: Annotated[
        bool,
        typer.Option("--strict-splits", help="Claims that the run was trained on: an error.", rich_help_panel=_WHAT),
    ] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never open a connection.", rich_help_panel=_HOW)] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the results. [default: rankings/ in the run]", rich_help_panel=_OUTPUT),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier ranking there.", rich_help_panel=_OUTPUT)
    ] = False,
    resamples: Annotated[
        int, typer.Option(min=100, max=100_000, help="Bootstrap resamples.", rich_help_panel=_OUTPUT)
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.", rich_help_panel=_OUTPUT)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.", rich_help_panel=_OUTPUT)] = False,
) -> None:
    """Re-rank first-stage candidates: write TREC files and measures, beside those of the first stage.

    An interrupted ranking goes on where it stopped when the same command is given again.
    """
    _check_options(ctx, text, queries, corpus, qrels, dataset)
    from agcli.runs.finished import open_ranker_run

    folder = open_ranker_run(run)  # what cannot be ranked is refused before torch and the model are loaded
    data = _prepared(folder, dataset) if corpus is None else None
    credentialed = credentialed or folder.credentialed
    analysis = (None if stemmer == "none" else stemmer, None if stopwords == "none" else stopwords)
    from agcli.data.ranking.loose_files import LooseFiles
    from agcli.ranking.ranker import open_ranker
    from agcli.ranking.request import DEPTH

    ranker = open_ranker(
        run, precision=precision, batch_tokens=batch_tokens, cut_claims=long_claims == "cut", offline=offline
    )
    if text is not None:
        _answer(ranker, text, data, corpus, analysis, credentialed, depth=depth or DEPTH, top=top, json=json)
        return
    name = f"{data.name}-{split}" if data is not None else queries.stem if queries is not None else ""
    place = expanded(output or folder.path / "rankings" / name)
    if queries is not None and corpus is not None:
        files = LooseFiles(queries, corpus, qrels, negative_grades, credentialed)
        data = _collected(files, place, depth or DEPTH, analysis, overwrite)
    assert data is not None, "without --corpus there are prepared data"
    from agcli.ranking.request import RankJob, usual_depth

    job = RankJob(ranker, data, split, depth or usual_depth(data), place, strict_splits)
    _rank_split(job, overwrite=overwrite, resamples=resamples, seed=seed, json=json)


def _check_options(
    ctx: typer.Context,
    text: str | None,
    queries: Path | None,
    corpus: Path | None,
    qrels: Path | None,
    dataset: str | None,
) -> None:
    """Refuse options that cannot be together, and those that would do nothing.

    Raises:
        UsageError: all of them at once.
    """
    problems = []
    if text is not None and not text.strip():
        problems.append("--text is empty.")
    if text is None and (queries is None) != (corpus is None):
        problems.append("--queries and --corpus belong together.")
    if corpus is not None and dataset is not None:
        problems.append("--corpus and --dataset exclude each other.")
    way = "text" if text is not None else "queries" if queries is not None else "split"
    useless = _WITHOUT_USE[way] | (set() if corpus is not None else {"stemmer", "stopwords", "credentialed"})
    useless |= set() if qrels is not None else {"negative_grades"}
    given = given_among(ctx, useless)
    if given:
        problems.append(f"{', '.join(given)}: of no use here, where {_WAYS[way]}.")
    if problems:
        raise UsageError(" ".join(problems), hint="ag rank --help")


_WAYS = {
    "text": "--text is answered and nothing is written",
    "queries": "--queries are ranked",
    "split": "prepared claims are ranked",
}
_WITHOUT_USE: dict[str, set[str]] = {
    "text": {"split", "strict_splits", "queries", "qrels", "output", "overwrite", "resamples", "seed"},
    "queries": {"split", "top"},
    "split": {"qrels", "top"},
}


def _prepared(folder: RunFolder, dataset: str | None) -> RankingDataset:
    """The prepared data that were asked for, or those of the run."""
    from agcli.data import find_dataset
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
            "these data were prepared anew since the run was trained: it may know claims that are in this split now",
            file=began_with,
            hint=f"--dataset {shlex.quote(str(began_with))} ranks them all the same",
        )
    return data


def _collected(
    files: LooseFiles, place: Path, depth: int, analysis: tuple[str | None, str | None], overwrite: bool
) -> RankingDataset:
    """The two files as a collection, kept beside the results so that a ranking can be gone on with."""
    from agcli.cli.prepare_ranking_display import working
    from agcli.data.bm25 import Analysis
    from agcli.data.ranking.loose_files import collect
    from agcli.ranking.job import check_place

    check_place(place, {}, overwrite)
    with working() as progress:
        return collect(files, place.parent / f"{place.name}.collection", depth, Analysis(*analysis), progress)


def _rank_split(job: RankJob, *, overwrite: bool, resamples: int, seed: int, json: bool) -> None:
    from agcli.cli import display
    from agcli.cli.rank_display import RankProgress, show_ranking
    from agcli.ranking.job import rank

    job.check()
    if job.warning:
        display.warn(job.warning)
    with RankProgress() as watch:
        rank(job, overwrite=overwrite, resamples=resamples, seed=seed, watch=watch)
    show_ranking(job.output, json)


def _answer(
    ranker: Ranker,
    text: str,
    data: RankingDataset | None,
    corpus: Path | None,
    analysis: tuple[str | None, str | None],
    credentialed: bool,
    *,
    depth: int,
    top: int,
    json: bool,
) -> None:
    """Show the best documents for one claim, out of a file or of prepared data."""
    from agcli.cli import display
    from agcli.cli.rank_display import show_answers
    from agcli.data.text_pairs import cut_note
    from agcli.errors import cells_hidden
    from agcli.ranking.single import answer_from_corpus, answer_from_dataset

    hidden = credentialed if data is None else data.credentialed
    with cells_hidden(hidden):
        if corpus is not None:
            answers, cut = answer_from_corpus(ranker, text, corpus, analysis, depth)
        else:
            assert data is not None, "without --corpus there are prepared data"
            answers, cut = answer_from_dataset(ranker, text, data, depth)
    if cut:
        display.warn(cut_note(1, 1, ranker.max_length))
    show_answers(text, answers, top, hidden, json)
