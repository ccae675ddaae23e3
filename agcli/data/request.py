"""What `ag prepare` was asked to do, and the source files that this names."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agcli.data.archives import source_files
from agcli.data.cuts import GROUP_BY, GroupBy
from agcli.data.files import SourceFile, disk_file
from agcli.data.quoting import Quoting
from agcli.data.splits import split_files
from agcli.errors import DataError, UsageError, did_you_mean
from agcli.runs.home import expanded

DEV_FRACTION = 0.1
HUB_PREFIX = "hub:"


@dataclass(frozen=True)
class PrepareRequest:
    """One call of `ag prepare`.

    Attributes:
        name: the data set's name; picks the format where it is a known one.
        output: folder of the prepared form.
        source: file, folder, zip, or `hub:OWNER/NAME`; None with separate files.
        train: file of the training pairs, in place of `source`.
        dev: file of the dev pairs.
        test: file of the test pairs.
        format: forces a source format.
        text_a: column of the first text (tabular, hub).
        text_b: column of the second text.
        label: label column.
        id: identifier column.
        document: document column.
        no_ids: the source's identifiers are left alone; ids are made of split and row.
        split_column: column that names each row's split (tabular).
        labels: label set and order; None takes the format's own, or the training rows'.
        label_map: label as written -> the name it gets.
        quoting: how quotation marks are read.
        strict_splits: documents or texts shared between splits are an error.
        drop_shared_pairs: pairs shared between splits leave the split that is trained or tuned on.
        dev_fraction: part of train that becomes dev where there is no dev; None: 0.1 if there is a held-out file.
        test_fraction: part of train that becomes test where there is no test; None: no test is cut.
        group_by: what keeps rows on one side of a cut; None: documents where the data have some, else texts.
        seed: seed of these cuts.
        hub_config: configuration name of a hub data set.
        offline: no network.
        credentialed: no text, label outside the set or other cell ever appears in messages, logs and reports.
        license: licence line; None takes the known one.
        tokenizer: name of the tokenizer that lengths are counted with.
        overwrite: replace an existing prepared data set.
    """

    name: str
    output: Path
    source: str | None = None
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    format: str | None = None
    text_a: str | None = None
    text_b: str | None = None
    label: str | None = None
    id: str | None = None
    document: str | None = None
    split_column: str | None = None
    no_ids: bool = False
    labels: tuple[str, ...] | None = None
    label_map: Mapping[str, str] = field(default_factory=dict)
    quoting: Quoting = "auto"
    strict_splits: bool = False
    drop_shared_pairs: bool = False
    dev_fraction: float | None = None
    test_fraction: float | None = None
    group_by: GroupBy | None = None
    seed: int = 1
    hub_config: str | None = None
    offline: bool = False
    credentialed: bool = False
    license: str | None = None
    tokenizer: str = "minilm"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Check what can be checked without the data.

        Raises:
            UsageError: options that exclude each other or are out of range.
        """
        if self.source is not None and self.named_files:
            raise UsageError("--from and --train/--dev/--test exclude each other.")
        if self.no_ids and self.id is not None:
            raise UsageError("--id and --no-ids exclude each other.")
        for option, value in (("--dev-fraction", self.dev_fraction), ("--test-fraction", self.test_fraction)):
            if value is not None and not 0 < value < 1:
                raise UsageError(f"{option} lies between 0 and 1, not {value}.")
        if (self.dev_fraction or 0) + (self.test_fraction or 0) >= 1:
            both = f"--dev-fraction {self.dev_fraction} and --test-fraction {self.test_fraction}"
            raise UsageError(f"{both} leave nothing to train on.")
        if self.group_by is not None and self.group_by not in GROUP_BY:
            near = did_you_mean(self.group_by, GROUP_BY)
            raise UsageError(f"--group-by {self.group_by}?{near} Allowed: {', '.join(GROUP_BY)}.")
        if self.labels is not None and (len(set(self.labels)) < 2 or len(set(self.labels)) < len(self.labels)):
            raise UsageError(f"--labels needs two or more different labels, not {', '.join(self.labels)}.")

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
        """The options that name columns, as far as they were given."""
        given = {
            "--text-a": self.text_a,
            "--text-b": self.text_b,
            "--label": self.label,
            "--id": self.id,
            "--document": self.document,
            "--split-column": self.split_column,
        }
        return [option for option, value in given.items() if value is not None]

    @property
    def hub_id(self) -> str | None:
        """The hub data set behind `hub:OWNER/NAME`."""
        source = self.source or ""
        return source.removeprefix(HUB_PREFIX) if source.startswith(HUB_PREFIX) else None


@dataclass(frozen=True)
class ChosenFiles:
    """One file a split, the split files left alone and why, and the splits that the user named himself."""

    by_split: dict[str, SourceFile]
    not_used: dict[str, str]
    named: frozenset[str] = frozenset()


def all_files(request: PrepareRequest) -> list[SourceFile]:
    """Every file that the request points at.

    Raises:
        UsageError: it points at none.
        DataError: a path that is not there, or an unsafe archive.
    """
    if request.named_files:
        return [disk_file(path) for path in request.named_files.values()]
    if request.source is None:
        raise UsageError(
            f"Where is {request.name}? Give --from PATH, or --train FILE with --dev FILE and --test FILE.",
            hint=f"ag prepare --dataset {shlex.quote(request.name)} --from PATH",
        )
    return source_files(expanded(request.source))


def choose_files(request: PrepareRequest, suffixes: Sequence[str]) -> ChosenFiles:
    """The split files of a request: those named, else those recognised by name; a single file is train.

    Raises:
        UsageError: the request names no source.
        DataError: no file is recognised.
    """
    if request.named_files:
        files = {split: disk_file(path) for split, path in request.named_files.items()}
        return ChosenFiles(files, {}, frozenset(files))
    files_here = all_files(request)
    if len(files_here) == 1 and files_here[0].suffix in suffixes:
        return ChosenFiles({"train": files_here[0]}, {})
    by_split, not_used = split_files(files_here, suffixes)
    if not by_split:
        raise DataError(
            "no file here names a split",
            file=request.source,
            allowed=[f"a name with train, dev (val, validation) or test, ending in {', '.join(suffixes)}"],
            hint="name the files: --train FILE --dev FILE --test FILE",
        )
    return ChosenFiles(by_split, not_used)
