"""The errors that users see: what happened, what is allowed, and what to do next.

`agcli.cli.app` turns them into a message and an exit code.
"""

from __future__ import annotations

import gzip
import os
import shlex
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class AgError(Exception):
    """Base of every error that a user can mend; `hint` says what to do next and is shown on its own line."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class RunError(AgError):
    """A run that started could not go on (exit code 1)."""


class DivergedError(RunError):
    """A loss, gradient or score is not finite: a result of the run's settings, not of the machine."""


class UsageError(AgError):
    """An option or a combination of options that is not allowed (exit code 2)."""

    exit_code = 2


class ModelError(UsageError):
    """A model that is missing, or cannot be loaded safely (exit code 2)."""


class MissingExtraError(UsageError):
    """An optional package is needed and absent; the hint is the command that installs it (exit code 2)."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed.",
            hint=install_command(extra),
        )


def install_command(extra: str) -> str:
    """`pip install` of an extra's packages by their own names: on PyPI, `agcli` is another project."""
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement

    try:
        needed = [Requirement(text) for text in requires("agcli") or ()]
    except PackageNotFoundError:  # the source tree is imported as it lies
        needed = []
    chosen = (
        each
        for each in needed
        if (marker := each.marker) and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})
    )
    packages = " ".join(f'"{each.name}{each.specifier}"' for each in chosen)
    return f"pip install {packages}" if packages else f'pip install ".[{extra}]", in the folder that agcli came in'


class DataError(AgError):
    """Data that cannot be read or must not be used (exit code 3).

    Text of the data goes into `detail`, `value` or `allowed`, never into the message: there it is cut, so that no
    cell floods a terminal, and `without_cells` leaves it out.

    Args:
        message: the problem, without its place.
        detail: a sentence after it that quotes the data, such as `did_you_mean`'s.
        row: 1-based line of a text file (the header is line 1) or 1-based record of a parquet file.
        value: the wrong value; leave it out for credentialed text.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        detail: str = "",
        file: object = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        allowed: Iterable[object] | None = None,
        hint: str | None = None,
    ) -> None:
        place = [str(file)] if file is not None else []
        place += [f"row {row}"] if row is not None else []
        place += [f"column {shortened(column)}"] if column is not None else []
        sentence = message if message.endswith((".", "?", "!")) else f"{message}."
        parts = [f"{', '.join(place)}: {sentence}" if place else sentence]
        parts += [detail.strip()] if detail else []
        if value is not None:
            parts.append(f"Found {shortened(value)}.")
        if allowed is not None:
            parts.append(f"Allowed: {shortened_list(allowed)}.")
        super().__init__(" ".join(parts), hint=hint)
        self.message, self.file, self.row, self.column, self.value = message, file, row, column, value

    def without_cells(self) -> DataError:
        """The same error without any text of the data."""
        return DataError(self.message, file=self.file, row=self.row, hint=self.hint)


@contextmanager
def cells_hidden(hidden: bool) -> Iterator[None]:
    """Under `hidden`, for credentialed data, a `DataError` leaves the block without text of the data."""
    try:
        yield
    except DataError as error:
        if not hidden:
            raise
        raise error.without_cells() from None


def unreadable(name: object, error: Exception, path: Path | None = None, hint: str | None = None) -> DataError:
    """The error for a file or folder that the system, or a library, cannot read.

    Args:
        name: of the file, for the message.
        error: raised by the system or the library.
        path: of a file on the disk, whose permissions the hint may then name.
    """
    cause = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if isinstance(error, gzip.BadGzipFile):
        cause = "damaged, or not made by gzip"  # gzip's own message quotes the file
    if isinstance(error, PermissionError) and path is not None:
        folders = reversed(path.absolute().parents)
        closed = next((folder for folder in folders if folder.is_dir() and not os.access(folder, os.X_OK)), path)
        hint = f"make it readable, or ask its owner to: chmod u+rX {shlex.quote(str(closed))}"
    return DataError(f"cannot be read ({cause})", file=name, hint=hint)


class InterruptedRunError(AgError):
    """SIGINT or SIGTERM ended a run after its state was saved (exit code 130)."""

    exit_code = 130


def shortened(value: object, limit: int = 80) -> str:
    """`repr(value)`, cut to `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shortened_list(items: Iterable[object], limit: int = 400, item_limit: int = 120) -> str:
    """Items with commas between them: each cut to `item_limit` characters, all to about `limit`, the rest counted."""
    shown: list[str] = []
    rest = 0
    for item in items:
        text = str(item) if str(item).isprintable() else repr(item)
        text = text if len(text) <= item_limit else text[: item_limit - 1] + "…"
        if rest or (shown and sum(map(len, shown)) + len(text) > limit):
            rest += 1
        else:
            shown.append(text)
    return ", ".join(shown) + (f", … ({rest} more)" if rest else "")


def counted(count: int, noun: str, plural: str = "") -> str:
    """`1 step`, `2,000 steps`: a count and what is counted; `plural` where it is not `noun` and an s."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, whatever its case, else an empty string."""
    # A cell may be a whole file, and the time for matching grows with the product of both lengths.
    words = {each.casefold(): each for each in reversed(list(known)) if len(each) <= 200}
    near = get_close_matches(word.casefold()[:200], words, n=1, cutoff=0.6)
    return f" Did you mean {shortened(words[near[0]])}?" if near else ""
