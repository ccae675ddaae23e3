"""`ag prepare`: read a source once into the prepared form."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agcli.cli import prepare_pairs_display, prepare_ranking_display
from agcli.cli.given import given_among
from agcli.errors import UsageError

if TYPE_CHECKING:
    from agcli.data.lengths import TokenCounter

_SOURCE, _COLUMNS, _SPLITS, _OUTPUT = "Source", "Columns", "Splits", "Output"
_RANKING = "Ranking"
_FOR_PAIRS_ONLY = frozenset(
    {"train", "dev", "test", "hub_config", "offline", "text_a", "text_b", "label", "id_column", "no_ids", "document"}
    | {"labels", "label_map", "quoting", "split_column", "drop_shared_pairs", "tokenizer", "test_fraction", "group_by"}
)
_FOR_RANKING_ONLY = frozenset(
    {"depth", "negatives", "negatives_from", "stemmer", "stopwords", "drop_missing", "negative_grades"}
)


def prepare(
    ctx: typer.Context,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="multinli, snli, mednli, healthver, scifact, sample, sample-hard, tabular, cross-genre-ir, ranking, "
            "a hub id (owner/name), or a name of your own; it picks the format and the output folder.",
            rich_help_panel=_SOURCE,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from", help="File (also .gz, .bz2, .xz, .zst), folder, zip, or hub:OWNER/NAME.", rich_help_panel=_SOURCE
        ),
    ] = None,
    train: Annotated[Path | None, typer.Option(readable=False, help="Training file.", rich_help_panel=_SOURCE)] = None,
    dev: Annotated[Path | None, typer.Option(readable=False, help="Dev file.", rich_help_panel=_SOURCE)] = None,
    test: Annotated[Path | None, typer.Option(readable=False, help="Test file.", rich_help_panel=_SOURCE)] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Force a format: multinli, mednli, scifact, tabular, hub, sample, sample-hard; for ranking "
            "cross-genre-ir, claims (SciFact's), beir, trec. [default: by name or content]",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    task: Annotated[
        Literal["classification", "ranking"] | None,
        typer.Option(
            help="Pairs with labels, or claims with documents to rank. [default: by name, format or content]",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    hub_config: Annotated[
        str | None, typer.Option(help="Configuration of a hub data set.", rich_help_panel=_SOURCE)
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.", rich_help_panel=_SOURCE)] = False,
    text_a: Annotated[
        str | None, typer.Option(help="Column of the first text (premise, claim).", rich_help_panel=_COLUMNS)
    ] = None,
    text_b: Annotated[
        str | None, typer.Option(help="Column of the second text (hypothesis).", rich_help_panel=_COLUMNS)
    ] = None,
    label: Annotated[str | None, typer.Option(help="Label column.", rich_help_panel=_COLUMNS)] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Identifier column.", rich_help_panel=_COLUMNS)] = None,
    no_ids: Annotated[
        bool,
        typer.Option("--no-ids", help="Leave the source's ids; make them of split and row.", rich_help_panel=_COLUMNS),
    ] = False,
    document: Annotated[
        str | None, typer.Option(help="Column naming each pair's document.", rich_help_panel=_COLUMNS)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="The label set in its order, separated by commas.", rich_help_panel=_COLUMNS),
    ] = None,
    label_map: Annotated[
        list[str] | None,
        typer.Option(help="Rename labels: OLD=NEW,OLD=NEW; can be repeated.", rich_help_panel=_COLUMNS),
    ] = None,
    quoting: Annotated[
        Literal["auto", "none", "minimal", "backslash"],
        typer.Option(
            help="Quotation marks: decided per file, plain text, CSV rules, or CSV with backslashes (Spark, R).",
            rich_help_panel=_COLUMNS,
        ),
    ] = "auto",
    split_column: Annotated[
        str | None,
        typer.Option(help="Column naming each row's split, for one file with all.", rich_help_panel=_SPLITS),
    ] = None,
    dev_fraction: Annotated[
        float | None,
        typer.Option(
            help="Part of train that becomes dev where the source has none. [default: 0.1]", rich_help_panel=_SPLITS
        ),
    ] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option(
            help="Part of train that becomes test where the source has none. [default: none]",
            rich_help_panel=_SPLITS,
        ),
    ] = None,
    group_by: Annotated[
        Literal["document", "text", "first-text", "pair"] | None,
        typer.Option(
            help="Rows that a cut keeps together: those that share a document or a text, a text, the first text, or "
            "both texts. [default: the first of these that is possible]",
            rich_help_panel=_SPLITS,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of these cuts, and of negatives.", rich_help_panel=_SPLITS)] = 1,
    strict_splits: Annotated[
        bool, typer.Option("--strict-splits", help="Shared documents or texts: an error.", rich_help_panel=_SPLITS)
    ] = False,
    drop_shared_pairs: Annotated[
        bool,
        typer.Option(
            "--drop-shared-pairs",
            help="Pairs shared between splits leave the split that is trained or tuned on.",
            rich_help_panel=_SPLITS,
        ),
    ] = False,
    depth: Annotated[int, typer.Option(help="First-stage candidates of a claim.", rich_help_panel=_RANKING)] = 100,
    negatives: Annotated[
        int, typer.Option(help="Negatives beside each positive to train on.", rich_help_panel=_RANKING)
    ] = 10,
    negatives_from: Annotated[
        Literal["bm25", "random", "mixed"],
        typer.Option(help="The claim's candidates, the whole corpus, or half and half.", rich_help_panel=_RANKING),
    ] = "bm25",
    stemmer: Annotated[
        str, typer.Option(help="BM25's stemmer: a language of Snowball, or none.", rich_help_panel=_RANKING)
    ] = "english",
    stopwords: Annotated[
        str, typer.Option(help="BM25's stop words: en, en_plus, de, ..., or none.", rich_help_panel=_RANKING)
    ] = "en",
    drop_missing: Annotated[
        bool,
        typer.Option(
            "--drop-missing",
            help="Drop and count judgements of claims or documents that are absent, or of empty documents.",
            rich_help_panel=_RANKING,
        ),
    ] = False,
    negative_grades: Annotated[
        Literal["refuse", "as-zero", "drop"],
        typer.Option(help="Grades below 0: an error, not relevant, or left out; counted.", rich_help_panel=_RANKING),
    ] = "refuse",
    output: Annotated[
        Path | None, typer.Option(help="Output folder. [default: data/NAME]", rich_help_panel=_OUTPUT)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace prepared data.", rich_help_panel=_OUTPUT)
    ] = False,
    license_line: Annotated[
        str | None, typer.Option("--license", help="Licence line for the manifest.", rich_help_panel=_OUTPUT)
    ] = None,
    tokenizer: Annotated[
        str, typer.Option(help="Model whose tokenizer measures lengths.", rich_help_panel=_OUTPUT)
    ] = "minilm",
    credentialed: Annotated[
        bool,
        typer.Option(
            "--credentialed",
            help="No cell is ever shown or logged; labels other than NLI's need --labels.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    show: Annotated[
        int, typer.Option(min=0, help="Print the first N pairs or claims of each split.", rich_help_panel=_OUTPUT)
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Read pairs, or claims and documents, check them, and write them once in the form every other command reads."""
    from agcli.data import PrepareRequest
    from agcli.data import prepare as prepare_dataset
    from agcli.data.catalogue import RANKING, task_of
    from agcli.data.labels import parse_label_map
    from agcli.data.ranking.request import RankingRequest

    if _fitting(ctx, task_of(dataset, format_name, source, task)) == RANKING:
        ranking_request = RankingRequest(
            name=dataset,
            output=output or _default_output(dataset),
            source=source,
            format=format_name,
            depth=depth,
            negatives=negatives,
            negatives_from=negatives_from,
            stemmer=None if stemmer == "none" else stemmer,
            stopwords=None if stopwords == "none" else stopwords,
            seed=seed,
            dev_fraction=dev_fraction,
            strict_splits=strict_splits,
            drop_missing=drop_missing,
            negative_grades=negative_grades,
            license=license_line,
            credentialed=credentialed,
            overwrite=overwrite,
        )
        prepare_ranking_display.prepare_and_report(ranking_request, show, as_json)
        return
    request = PrepareRequest(
        name=dataset,
        output=output or _default_output(dataset),
        source=source,
        train=train,
        dev=dev,
        test=test,
        format=format_name,
        text_a=text_a,
        text_b=text_b,
        label=label,
        id=id_column,
        no_ids=no_ids,
        document=document,
        split_column=split_column,
        labels=tuple(name.strip() for name in labels.split(",")) if labels is not None else None,
        label_map=parse_label_map(label_map or ()),
        quoting=quoting,
        strict_splits=strict_splits,
        drop_shared_pairs=drop_shared_pairs,
        dev_fraction=dev_fraction,
        test_fraction=test_fraction,
        group_by=group_by,
        seed=seed,
        hub_config=hub_config,
        offline=offline,
        credentialed=credentialed,
        license=license_line,
        tokenizer=tokenizer,
        overwrite=overwrite,
    )
    prepare_pairs_display.report(prepare_dataset(request, _token_counter(tokenizer)), show, as_json)


def _fitting(ctx: typer.Context, task: str) -> str:
    """The task, once it is known that every option given on the command line fits it.

    Raises:
        UsageError: some do not; all are named.
    """
    foreign = _FOR_PAIRS_ONLY if task == "ranking" else _FOR_RANKING_ONLY
    given = given_among(ctx, foreign)
    if given:
        other = "classification" if task == "ranking" else "ranking"
        raise UsageError(
            f"{', '.join(given)}: of no use for --task {task}, as which this is prepared.",
            hint=f"leave out what does not fit, or say --task {other}",
        )
    return task


def _default_output(dataset: str) -> Path:
    parts = Path(dataset).parts
    if not parts or ".." in parts or Path(dataset).is_absolute():
        hint = "the data's place goes into --from, the result's into --output"
        raise UsageError(f"--dataset is a name, not a path: {dataset!r}.", hint=hint)
    return Path("data", *parts)


def _token_counter(name: str) -> TokenCounter:
    """Counts the tokens of pairs; loads the tokenizer when first asked, and never over the network."""

    @cache
    def tokenizer() -> Any:
        from agcli.models import load_tokenizer

        return load_tokenizer(name, offline=True)

    def count(text_a: list[str], text_b: list[str]) -> list[int]:
        encoded = tokenizer()(text_a, text_b, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    return count
