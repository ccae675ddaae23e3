"""`ag prepare`: read a source once into the prepared form."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from agcli.commands import display
from agcli.errors import UsageError

if TYPE_CHECKING:
    from agcli.corpora import PreparedDataset
    from agcli.corpora.lengths import TokenCounter

_SOURCE, _COLUMNS, _SPLITS, _OUTPUT = "Source", "Columns", "Splits", "Output"


def prepare(
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            help="multinli, snli, mednli, healthver, scifact, sample, tabular, a hub id (owner/name), or a name of "
            "your own; it picks the format and the output folder.",
            rich_help_panel=_SOURCE,
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option("--from", help="File, folder, zip, or hub:OWNER/NAME.", rich_help_panel=_SOURCE),
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Training file.", rich_help_panel=_SOURCE)] = None,
    dev: Annotated[Path | None, typer.Option(help="Dev file.", rich_help_panel=_SOURCE)] = None,
    test: Annotated[Path | None, typer.Option(help="Test file.", rich_help_panel=_SOURCE)] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Force a format: multinli, mednli, scifact, tabular, hub, sample. \\[default: by name or content]",
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
    document: Annotated[
        str | None, typer.Option(help="Column naming each pair's document.", rich_help_panel=_COLUMNS)
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="The label set in its order, separated by commas.", rich_help_panel=_COLUMNS),
    ] = None,
    quoting: Annotated[
        Literal["auto", "none", "minimal"],
        typer.Option(help="Quotation marks: decided per file, plain text, CSV rules.", rich_help_panel=_COLUMNS),
    ] = "auto",
    split_column: Annotated[
        str | None,
        typer.Option(help="Column naming each row's split, for one file with all.", rich_help_panel=_SPLITS),
    ] = None,
    dev_fraction: Annotated[
        float | None,
        typer.Option(
            help="Part of train that becomes dev where the source has none. \\[default: 0.1]", rich_help_panel=_SPLITS
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of that cut.", rich_help_panel=_SPLITS)] = 1,
    strict_splits: Annotated[
        bool, typer.Option("--strict-splits", help="Documents shared: an error.", rich_help_panel=_SPLITS)
    ] = False,
    drop_shared_pairs: Annotated[
        bool,
        typer.Option(
            "--drop-shared-pairs",
            help="Pairs shared between splits leave the split that is trained or tuned on.",
            rich_help_panel=_SPLITS,
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="Output folder. \\[default: data/NAME]", rich_help_panel=_OUTPUT)
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
    show: Annotated[
        int, typer.Option(min=0, help="Print the first N pairs of each split.", rich_help_panel=_OUTPUT)
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the manifest as JSON.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Read pairs from a source, check them, and write them once in the form every other command reads."""
    from agcli.corpora import PrepareRequest
    from agcli.corpora import prepare as prepare_dataset

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
        document=document,
        split_column=split_column,
        labels=tuple(name.strip() for name in labels.split(",")) if labels is not None else None,
        quoting=quoting,
        strict_splits=strict_splits,
        drop_shared_pairs=drop_shared_pairs,
        dev_fraction=dev_fraction,
        seed=seed,
        hub_config=hub_config,
        offline=offline,
        license=license_line,
        tokenizer=tokenizer,
        overwrite=overwrite,
    )
    _report(prepare_dataset(request, _token_counter(tokenizer)), show, as_json)


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


def _report(prepared: PreparedDataset, show: int, as_json: bool) -> None:
    manifest = prepared.manifest
    for warning in manifest["warnings"]:
        display.warn(warning)
    if manifest["tokenizer"]["missing"]:
        display.warn(f"lengths in tokens are left out: {manifest['tokenizer']['missing']}")
    if as_json:
        display.show_json(manifest)
        return
    display.show_table(
        f"{prepared.name}, prepared in {prepared.folder}",
        ["split", "rows", *prepared.labels, "length (p50/p95/max)"],
        [_split_row(split, facts) for split, facts in manifest["splits"].items()],
        caption=_caption(manifest),
    )
    if show:
        _show_pairs(prepared, show)
    display.note(f"next: ag finetune --dataset {prepared.folder}")


def _split_row(split: str, facts: dict[str, Any]) -> list[object]:
    return [split, facts["rows"], *facts["labels"].values(), _length(facts)]


def _length(facts: dict[str, Any]) -> str:
    """Median, 95th percentile and maximum: of pairs in tokens, or of the second text in characters."""
    lengths, unit = (facts["tokens"], "tokens") if facts["tokens"] else (facts["characters"]["text_b"], "chars of b")
    return f"{lengths['p50']}/{lengths['p95']}/{lengths['max']} {unit}"


def _caption(manifest: dict[str, Any]) -> str:
    lines = [f"{source['split']}: {source['file']}" + _quoting(source) for source in manifest["sources"]]
    lines += [f"the source's {old} is {new}" for old, new in manifest["roles"].items()]
    cut = manifest["dev_cut"]
    if cut:
        lines.append(f"dev was cut from train: {cut['rows']} rows, all pairs of {cut['texts']} first texts")
    lines += [f"not used: {file} ({why})" for file, why in manifest["not_used"].items()]
    twice = [f"{split} {facts['duplicates']}" for split, facts in manifest["splits"].items() if facts["duplicates"]]
    lines += [f"pairs that occur again within their split: {', '.join(twice)}"] if twice else []
    return "\n".join([*lines, f"digest {manifest['digest'][:16]}"])


def _quoting(source: dict[str, Any]) -> str:
    return f" (quoting: {source['quoting']})" if source["quoting"] else ""


def _show_pairs(prepared: PreparedDataset, show: int) -> None:
    """Print examples; of credentialed data ids, labels and lengths only."""
    shown: Callable[[str], object] = len if prepared.credentialed else str
    texts = ("text_a", "text_b")
    if prepared.credentialed:
        display.note("credentialed data: lengths in characters in place of the text")
    for split, frame in prepared.splits.items():
        head = frame.head(show)
        columns = [head["id"], head["label"], *(map(shown, head[text].tolist()) for text in texts)]
        display.show_table(split, ["id", "label", *texts], list(zip(*columns, strict=True)))
