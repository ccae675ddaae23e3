"""A timing on the terminal: the bar while it goes, a table for each group, bars of step times."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.progress_bar import ProgressBar
from rich.table import Table as Grid
from rich.text import Text

from agcli.cli import display
from agcli.errors import counted
from agcli.paper.published import TABLE4_HARDWARE
from agcli.tables.table import Table
from agcli.timing.measure import TimingCallback
from agcli.timing.plan import Group
from agcli.timing.rows import TimingRow

_EXPLAINED = (
    "step: median (quartiles; with dynamic padding they span short and long batches). ratio: time over `none` on the "
    "same batches, geometric mean over rounds (95 % t interval over rounds). memory: peak in training and that over "
    "`none`. products: share of this machine's own matrix-product rate. Ratios hold for this machine only."
)
_COLUMNS = (
    "variant",
    "attention",
    "step ms",
    "pairs/s",
    "tokens/s",
    "epoch s",
    "ratio",
    "memory GB",
    "products %",
)
_BAR_WIDTH = 50


class TimingProgress(display.Bars, TimingCallback):
    """Shows a timing as it goes."""

    def planned(self, groups: Sequence[Group]) -> None:
        """Start the bar over all measured steps."""
        total = sum(sum(group.blocks) * len(group.methods) for group in groups)
        methods = ", ".join(method.name for method in groups[0].methods)
        what = groups[0].name if len(groups) == 1 else counted(len(groups), "group")
        self.message(f"{what}, {counted(total, 'measured step')} in all; methods: {methods}")
        self.start("timing", total)

    def doing(self, what: str) -> None:
        """Show it beside the bar."""
        self.move("timing", status=what)

    def block(self, steps: int) -> None:
        """Move the bar."""
        self.move("timing", advance=steps)

    def failed(self, method: str, reason: str) -> None:
        """A warning above the bar."""
        self.warning(f"{method}: {reason}; the others go on.")


def show_rows(groups: Sequence[Sequence[TimingRow]]) -> None:
    """A table for each group; what the columns mean stands below the last."""
    for number, rows in enumerate(groups, start=1):
        first = rows[0]
        title = f"{first.model}, length {first.length}, batch {first.batch_size}, {first.data}, {first.padding} padding"
        columns, cells, caption = list(_COLUMNS), [_cells(row) for row in rows], _notes(rows)
        if any(row.paper_seconds is not None for row in rows):
            columns.append("paper s")
            cells = [[*line, row.paper_seconds] for line, row in zip(cells, rows, strict=True)]
            caption.append(f"paper s: {TABLE4_HARDWARE}")
        caption += [_EXPLAINED] if number == len(groups) else []
        display.show(Table(title, columns, cells, "\n".join(caption)))


def show_bars(rows: Sequence[TimingRow]) -> None:
    """The median step of every method as a bar."""
    timed = [row for row in rows if row.step_seconds is not None]
    if not timed:
        return
    longest = max(row.step_seconds or 0.0 for row in timed)
    console, table = display.stdout(), Grid.grid(padding=(0, 1))
    labels = [f"{row.model} {row.length} {row.variant} {row.attention}" for row in timed]
    steps = [f"{short(1000 * (row.step_seconds or 0.0))} ms" for row in timed]
    room = console.width - max(map(len, labels)) - max(map(len, steps)) - 2
    for row, label, step in zip(timed, labels, steps, strict=True):
        bar = ProgressBar(total=longest, completed=row.step_seconds or 0.0, width=max(1, min(_BAR_WIDTH, room)))
        table.add_row(Text(label), bar, Text(step, justify="right"))
    console.print(table)


def _cells(row: TimingRow) -> list[object]:
    """One method as its line of the table."""
    if row.step_seconds is None or row.examples_per_second is None or row.tokens_per_second is None:
        return [row.variant, row.attention, *[None] * (len(_COLUMNS) - 2)]
    low, high = row.step_seconds_low or 0.0, row.step_seconds_high or 0.0
    epoch = None if row.epoch_seconds is None else short(row.epoch_seconds)
    memory = None if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e9:.2f}"
    if memory and row.memory_ratio is not None:
        memory += f" ({row.memory_ratio:.2f})"
    return [
        row.variant,
        f"{row.attention}, {row.precision}",
        f"{short(1000 * row.step_seconds)} ({short(1000 * low)}-{short(1000 * high)})",
        short(row.examples_per_second),
        short(row.tokens_per_second),
        epoch,
        _ratio(row),
        memory,
        None if row.matmul_share is None else f"{100 * row.matmul_share:.0f}",
    ]


def short(value: float) -> str:
    """Three significant digits, all of those before the point, and no power of ten."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0}f}"


def _ratio(row: TimingRow) -> str | None:
    if row.ratio is None:
        return None
    if row.ratio_low is None or row.ratio_high is None or row.variant == "none":
        return f"{row.ratio:.3f}"
    return f"{row.ratio:.3f} ({row.ratio_low:.3f}-{row.ratio_high:.3f})"


def _notes(rows: Sequence[TimingRow]) -> list[str]:
    """What holds for all methods of a group once, then what is a method's own."""
    split = [row.notes.split("; ") if row.notes else [] for row in rows]
    common = [note for note in split[0] if all(note in notes for notes in split)]
    epoch = next((row.epoch_kind for row in rows if row.epoch_kind), None)
    lines = ["; ".join([*common, *([f"epoch s is {epoch}"] if epoch else [])])]
    for row, notes in zip(rows, split, strict=True):
        own = [note for note in notes if note not in common]
        lines += [f"{row.variant}: {'; '.join(own)}"] if own else []
    return [line for line in lines if line]
