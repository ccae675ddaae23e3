"""The options of `ag prepare`, each declared once, and the request that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

from agcli.data.files.delimited import Quoting
from agcli.data.formats.registry import DATASETS, formats_of
from agcli.data.knowledge.kinds import DEFAULT_PIPELINE, KINDS
from agcli.declare import OFFLINE_HELP, Option, declared_options, flag, option, out_of_range
from agcli.errors import UsageError
from agcli.runs.paths import expanded

CLASSIFICATION: Final = "classification"
RANKING: Final = "ranking"
Task = Literal["classification", "ranking"]
GroupBy = Literal["document", "text", "first-text", "pair"]
GROUP_BY: tuple[GroupBy, ...] = get_args(GroupBy)  # from the most rows linked to the fewest
NegativesFrom = Literal["bm25", "random", "mixed"]
NegativeGrades = Literal["refuse", "as-zero", "drop"]
DEV_FRACTION = 0.1
HUB_PREFIX = "hub:"


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where the data are, and in which format."""

    name: str = field(
        metadata={
            "option": Option(
                f"{', '.join(DATASETS)}, "
                "a hub id (owner/name), or a name of your own; it picks the format and the output folder.",
                flag="--dataset",
            )
        }
    )
    source: str | None = option(
        None, "File (also .gz, .bz2, .xz, .zst), folder, zip, or hub:OWNER/NAME.", flag="--from"
    )
    train: Path | None = option(None, "Training file.", task=CLASSIFICATION)
    dev: Path | None = option(None, "Dev file.", task=CLASSIFICATION)
    test: Path | None = option(None, "Test file.", task=CLASSIFICATION)
    format: str | None = option(
        None,
        f"Force a format: {', '.join(formats_of('pairs'))}; for ranking {', '.join(formats_of('ranking'))}.",
        default_text="by name or content",
    )
    task: Task | None = option(
        None,
        "Pairs with labels, or queries with documents to rank.",
        default_text="by name, format or content",
    )
    hub_config: str | None = option(None, "Configuration of a hub data set.", task=CLASSIFICATION)
    offline: bool = option(False, OFFLINE_HELP, task=CLASSIFICATION)


@dataclass(frozen=True, kw_only=True)
class ColumnOptions:
    """Which columns of tables and hub data hold what, and how labels and quotation marks are read."""

    text_a: str | None = option(None, "Column of the first text (premise, query).", task=CLASSIFICATION)
    text_b: str | None = option(None, "Column of the second text (hypothesis).", task=CLASSIFICATION)
    label: str | None = option(None, "Label column.", task=CLASSIFICATION)
    id: str | None = option(None, "Identifier column.", task=CLASSIFICATION)
    no_ids: bool = option(False, "Leave the source's ids; make them of split and row.", task=CLASSIFICATION)
    document: str | None = option(None, "Column naming each pair's document.", task=CLASSIFICATION)
    labels: tuple[str, ...] | None = option(
        None, "The label set in its order, separated by commas.", task=CLASSIFICATION
    )
    label_map: Mapping[str, str] | None = option(
        None, "Rename labels: OLD=NEW,OLD=NEW; can be repeated.", task=CLASSIFICATION
    )
    quoting: Quoting = option(
        "auto",
        "Quotation marks: decided per file, plain text, CSV rules, or CSV with backslashes (Spark, R).",
        task=CLASSIFICATION,
    )


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """How splits are made, and what they may share."""

    split_column: str | None = option(
        None, "Column naming each row's split, for one file with all.", task=CLASSIFICATION
    )
    dev_fraction: float | None = option(
        None, "Part of train that becomes dev where the source has none.", above=0, below=1, default_text="0.1"
    )
    test_fraction: float | None = option(
        None,
        "Part of train that becomes test where the source has none.",
        above=0,
        below=1,
        default_text="none",
        task=CLASSIFICATION,
    )
    group_by: GroupBy | None = option(
        None,
        "Rows that a cut keeps together: those that share a document or a text, a text, the first text, or both texts.",
        default_text="the first of these that is possible",
        task=CLASSIFICATION,
    )
    seed: int = option(1, "Seed of these cuts, and of negatives.")
    strict_splits: bool = option(False, "Shared documents or texts: an error.")
    drop_shared_pairs: bool = option(
        False, "Pairs shared between splits leave the split that is trained or tuned on.", task=CLASSIFICATION
    )


@dataclass(frozen=True, kw_only=True)
class RankingOptions:
    """The first stage, the lists to train on, and what becomes of relevance judgments that cannot be used."""

    depth: int = option(100, "First-stage candidates of a query.", minimum=1, task=RANKING)
    negatives: int = option(10, "Negatives beside each positive to train on.", minimum=1, task=RANKING)
    negatives_from: NegativesFrom = option(
        "bm25", "The query's candidates, the whole corpus, or half and half.", task=RANKING
    )
    stemmer: str = option("english", "BM25's stemmer: a language of Snowball, or none.", task=RANKING)
    stopwords: str = option("en", "BM25's stop words: en, en_plus, de, ..., or none.", task=RANKING)
    drop_missing: bool = option(
        False,
        "Drop and count relevance judgments of queries or documents that are absent, or of empty documents.",
        task=RANKING,
    )
    negative_grades: NegativeGrades = option(
        "refuse", "Grades below 0: an error, not relevant, or left out; counted.", task=RANKING
    )


@dataclass(frozen=True, kw_only=True)
class KnowledgeOptions:
    """What is made beside the data for guides that need it."""

    knowledge: tuple[str, ...] = option(
        (),
        "What the guides of these names learn from, made of the training split and stored with the data. Data that are "
        "prepared already get it without a source: ag prepare --dataset NAME --knowledge pmi.",
        default_text="none",
        choices=tuple(KINDS),
    )
    wordnet: Path | None = option(
        None, "Folder with WordNet's files (data.noun, ...), for wordsim.", default_text="where NLTK looks"
    )
    spacy: str = option(DEFAULT_PIPELINE, "spaCy pipeline with a parser, a name or a path, for dependency.")


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is written where."""

    output: Path | None = option(None, "Output folder.", default_text="data/NAME")
    overwrite: bool = option(False, "Replace prepared data.")
    license: str | None = option(None, "Licence line for the manifest.")
    tokenizer: str = option("minilm", "Model whose tokenizer measures lengths.", task=CLASSIFICATION)
    credentialed: bool = option(False, "No cell is ever shown or logged; labels other than NLI's need --labels.")


PREPARE_OPTIONS = declared_options(
    {
        "Source": SourceOptions,
        "Columns": ColumnOptions,
        "Splits": SplitOptions,
        "Ranking": RankingOptions,
        "Knowledge": KnowledgeOptions,
        "Output": OutputOptions,
    }
)


@dataclass(frozen=True, kw_only=True)
class PrepareRequest(SourceOptions, ColumnOptions, SplitOptions, RankingOptions, KnowledgeOptions, OutputOptions):
    """One call of `ag prepare`."""

    def __post_init__(self) -> None:
        """Check what can be checked without the data.

        Raises:
            UsageError: options that exclude each other or are out of range; all of them at once.
        """
        problems = out_of_range({name: getattr(self, name) for name in PREPARE_OPTIONS}, PREPARE_OPTIONS)
        if self.source is not None and self.named_files:
            problems.append("--from and --train/--dev/--test exclude each other.")
        if self.no_ids and self.id is not None:
            problems.append("--id and --no-ids exclude each other.")
        if not problems and (self.dev_fraction or 0) + (self.test_fraction or 0) >= 1:
            both = f"--dev-fraction {self.dev_fraction} and --test-fraction {self.test_fraction}"
            problems.append(f"{both} leave nothing to train on.")
        if self.labels is not None and (len(set(self.labels)) < 2 or len(set(self.labels)) < len(self.labels)):
            problems.append(f"--labels needs two or more different labels, not {', '.join(self.labels)}.")
        if problems:
            raise UsageError("\n".join(problems))
        parts = Path(self.name).parts
        if self.output is None and (not parts or ".." in parts or Path(self.name).is_absolute()):
            hint = "the data's place goes into --from, the result's into --output"
            raise UsageError(f"--dataset is a name, not a path: {self.name!r}.", hint=hint)

    @property
    def folder(self) -> Path:
        """Where the prepared form is written."""
        return self.output or Path("data", self.name)

    @property
    def named_files(self) -> dict[str, Path]:
        """The files given with `--train`, `--dev` and `--test`."""
        given = {"train": self.train, "dev": self.dev, "test": self.test}
        return {split: path for split, path in given.items() if path is not None}

    @property
    def paths(self) -> list[Path]:
        """The files and folders that the user points at."""
        source = [expanded(self.source)] if self.source is not None and self.hub_id is None else []
        return [*source, *self.named_files.values()]

    @property
    def column_options(self) -> list[str]:
        """The given options that name columns."""
        names = ("text_a", "text_b", "label", "id", "document", "split_column")
        return [flag(name) for name in names if getattr(self, name) is not None]

    @property
    def hub_id(self) -> str | None:
        """The hub data set behind `hub:OWNER/NAME`."""
        source = self.source or ""
        return source.removeprefix(HUB_PREFIX) if source.startswith(HUB_PREFIX) else None
