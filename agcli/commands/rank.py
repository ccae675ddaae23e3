"""`ag rank`: documents for claims, by a fine-tuned run; a whole split, two files, or one claim."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agcli.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from agcli.corpora.ranking.prepared import RankingDataset
    from agcli.reranking import Ranker

_WHAT, _FILES, _ONE, _HOW, _OUTPUT = "What to rank", "Files of your own", "One claim", "How", "Output"
PRECISIONS = ("auto", "fp32", "bf16")


def rank(
    run: Annotated[Path, typer.Argument(help="Run folder of a model that was fine-tuned on ranking data.")],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="Prepared ranking data: a folder or a name under ./data. \\[default: the run's]", rich_help_panel=_WHAT
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, dev or test. \\[default: test]", rich_help_panel=_WHAT)
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="First-stage candidates of a claim.", rich_help_panel=_WHAT)] = 100,
    queries: Annotated[
        Path | None, typer.Option(help="Claims: id<TAB>text, or JSON lines.", rich_help_panel=_FILES)
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Documents: JSON lines, or id<TAB>text.", rich_help_panel=_FILES)
    ] = None,
    qrels: Annotated[
        Path | None,
        typer.Option(help="Judgements in TREC's form; without them nothing is measured.", rich_help_panel=_FILES),
    ] = None,
    stemmer: Annotated[
        str, typer.Option(help="Stemmer of the first stage, or none.", rich_help_panel=_FILES)
    ] = "english",
    stopwords: Annotated[
        str, typer.Option(help="Stop words of the first stage, or none.", rich_help_panel=_FILES)
    ] = "en",
    text: Annotated[str | None, typer.Option(help="Rank documents for this claim.", rich_help_panel=_ONE)] = None,
    top: Annotated[int, typer.Option(min=1, help="Documents to show of it.", rich_help_panel=_ONE)] = 10,
    precision: Annotated[
        str, typer.Option(help="auto (bf16 where the hardware has it), fp32 or bf16.", rich_help_panel=_HOW)
    ] = "auto",
    batch_tokens: Annotated[
        int | None,
        typer.Option(min=64, help="Tokens in a batch. \\[default: what suits the device]", rich_help_panel=_HOW),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Never open a connection.", rich_help_panel=_HOW)] = False,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the results. \\[default: rankings/ in the run]", rich_help_panel=_OUTPUT),
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
    _check_options(text, dataset, split, queries, corpus, qrels, output, precision)
    from agcli.reranking import open_ranker

    ranker = open_ranker(run, precision=precision, batch_tokens=batch_tokens, offline=offline)
    analysis = (None if stemmer == "none" else stemmer, None if stopwords == "none" else stopwords)
    if text is not None:
        _answer(ranker, text, dataset, corpus, analysis, depth=depth, top=top, json=json)
        return
    data: RankingDataset
    if queries is not None and corpus is not None:
        place = (output or _default(ranker, queries.stem)).expanduser()
        data = _collected(queries, corpus, qrels, place, depth, analysis)
    else:
        data = _prepared(ranker, dataset)
        split = split or "test"
        place = (output or _default(ranker, f"{data.name}-{split}")).expanduser()
    _rank_split(
        ranker,
        data,
        split or "test",
        place,
        depth=depth,
        overwrite=overwrite,
        resamples=resamples,
        seed=seed,
        json=json,
    )


def _check_options(
    text: str | None,
    dataset: str | None,
    split: str | None,
    queries: Path | None,
    corpus: Path | None,
    qrels: Path | None,
    output: Path | None,
    precision: str,
) -> None:
    """Report all options that cannot be together."""
    problems = []
    if split is not None and split not in ("train", "dev", "test"):
        problems.append(f"--split is train, dev or test, not {split!r}.{did_you_mean(split, ('train', 'dev', 'test'))}")
    if precision not in PRECISIONS:
        problems.append(f"--precision is {', '.join(PRECISIONS)}, not {precision!r}.")
    if queries is not None and (dataset or split or text is not None):
        problems.append("--queries stands beside --corpus alone, not beside --dataset, --split or --text.")
    if (queries is not None) != (corpus is not None) and text is None:
        problems.append("--queries and --corpus belong together.")
    if qrels is not None and queries is None:
        problems.append("--qrels judges --queries: give both.")
    if text is not None and not text.strip():
        problems.append("--text is empty.")
    for name, given in (("--output", output), ("--split", split)):
        if text is not None and given:
            problems.append(f"--text only shows what it finds: leave out {name}.")
    if text is not None and dataset and corpus:
        problems.append("--text searches --dataset or --corpus: give one of them.")
    if problems:
        raise UsageError(" ".join(problems))


def _default(ranker: Ranker, name: str) -> Path:
    return ranker.folder.path / "rankings" / name


def _prepared(ranker: Ranker, dataset: str | None) -> RankingDataset:
    """The prepared data that were asked for, or those of the run."""
    from agcli.corpora import find_dataset
    from agcli.corpora.ranking.prepared import load_ranking
    from agcli.errors import DataError

    if dataset is not None:
        return load_ranking(find_dataset(dataset, Path.cwd()))
    began_with = Path(ranker.folder.environment["data"]["folder"])
    if not began_with.is_dir():
        raise DataError("the data that the run was trained on are not there any more", file=began_with,
                        hint="--dataset NAME")  # fmt: skip
    return load_ranking(began_with)


def _collected(
    queries: Path, corpus: Path, qrels: Path | None, place: Path, depth: int, analysis: tuple[str | None, str | None]
) -> RankingDataset:
    """The two files as a collection, kept beside the results so that a ranking can be gone on with."""
    from agcli.commands.prepare_ranking_display import working
    from agcli.corpora.ranking.loose_files import LooseFiles, collect
    from agcli.retrieval import Analysis

    with working() as progress:
        return collect(
            LooseFiles(queries, corpus, qrels),
            place.parent / f"{place.name}.collection",
            depth,
            Analysis(*analysis),
            progress,
        )


def _rank_split(
    ranker: Ranker,
    data: RankingDataset,
    split: str,
    place: Path,
    *,
    depth: int,
    overwrite: bool,
    resamples: int,
    seed: int,
    json: bool,
) -> None:
    from agcli.commands.rank_display import RankProgress, show_ranking
    from agcli.reranking import RankJob, rank

    job = RankJob(ranker, data, split, depth, place)
    with RankProgress() as watch:
        rank(job, overwrite=overwrite, resamples=resamples, seed=seed, watch=watch)
    show_ranking(place, json)


def _answer(
    ranker: Ranker,
    text: str,
    dataset: str | None,
    corpus: Path | None,
    analysis: tuple[str | None, str | None],
    *,
    depth: int,
    top: int,
    json: bool,
) -> None:
    """Show the best documents for one claim."""
    from agcli.commands.rank_display import show_answers
    from agcli.reranking.single import answer_from_corpus, answer_from_dataset

    if corpus is not None:
        answers, hidden = answer_from_corpus(ranker, text, corpus, analysis, depth), False
    else:
        data = _prepared(ranker, dataset)
        answers, hidden = answer_from_dataset(ranker, text, data, depth), data.credentialed
    show_answers(text, answers[:top], hidden, json)
