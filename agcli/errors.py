"""The errors a user can meet. Each says what happened, what is allowed, and what to do next.

Only `agcli.commands.app` turns them into a message and an exit code; everything else raises them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class AgError(Exception):
    """Base of every error that is the user's to mend.

    Attributes:
        exit_code: what the process returns when this error ends it.
        hint: what to do next; shown on its own line.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class RunError(AgError):
    """A run that started could not go on (exit code 1)."""

    exit_code = 1


class DivergedError(RunError):
    """Training left the finite numbers: a result of its settings, not of what befell the machine."""


class UsageError(AgError):
    """An option or a combination of options that cannot be (exit code 2)."""

    exit_code = 2


class ModelError(UsageError):
    """A model that is not here, or that cannot be loaded safely (exit code 2)."""


class MissingExtraError(UsageError):
    """An optional package is needed and absent; the hint is the `pip install` to run (exit code 2)."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed.",
            hint=f'pip install "agcli[{extra}]"',
        )


class DataError(AgError):
    """Data that cannot be read or must not be used (exit code 3).

    Args:
        message: what is wrong, without the place.
        detail: a sentence after it that quotes the data; `without_cells` leaves it out.
        file: the file at fault.
        row: 1-based line of a text file (the header is line 1) or 1-based record of a parquet file.
        column: the column at fault.
        value: the value at fault; leave it out for credentialed text.
        allowed: the values that would have been right.
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
        place += [f"column {column!r}"] if column is not None else []
        message = message if message.endswith((".", "?", "!")) else f"{message}."
        self.message = message
        parts = [f"{', '.join(place)}: {message}" if place else message]
        parts += [detail.strip()] if detail else []
        if value is not None:
            parts.append(f"Found {shortened(value)}.")
        if allowed is not None:
            parts.append("Allowed: " + ", ".join(str(item) for item in allowed) + ".")
        super().__init__(" ".join(parts), hint=hint)
        self.file, self.row, self.column, self.value = file, row, column, value

    def without_cells(self) -> DataError:
        """The same error with nothing in it that stood in the data, whatever that was taken for."""
        return DataError(self.message, file=self.file, row=self.row, hint=self.hint)


@contextmanager
def cells_hidden(hidden: bool) -> Iterator[None]:
    """Where `hidden`, an error of data leaves the block without cells: for credentialed data."""
    try:
        yield
    except DataError as error:
        if not hidden:
            raise
        raise error.without_cells() from None


class InterruptedRunError(AgError):
    """SIGINT or SIGTERM ended a run after its state was saved (exit code 130)."""

    exit_code = 130


def shortened(value: object, limit: int = 80) -> str:
    """`repr(value)`, cut to `limit` characters so that one bad cell cannot flood a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` for the nearest known word, else an empty string."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
