"""Effects of guiding with their intervals, one line a contrast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from agcli.figures import style
from agcli.figures.cells import at_most, no_claim, number_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES = 40
"""Lines of one picture, headings included: 9 inches of a page."""
_SETTINGS = {"size", "guide_mode", "layers"}
_MARKERS = {"mdg": "s", "pdg": "^", "both": "D"}
_LINE = 0.215
"""Inches from one line to the next: 8 pt type with half a line between."""
_NAME, _HEADING = 44, 90
"""Most characters of a contrast's name and of a data set's."""
_WIDEST = 4.0
"""Half-widths of the median interval, and at least the largest effect, beyond which an interval is cut off: with two
seeds the t-interval is 13 standard errors to either side, and would press all others into a line."""
_COLUMNS = {"difference": (6, "left"), "p": (154, "right"), "p, Holm": (206, "right"), "seeds": (234, "right")}
"""Heading -> points to the right of the axes, and which end of the text is there."""
_EXPLAINED = (
    "Guided minus unguided on the test set: mean over paired seeds with its 95 % t-interval. p: paired t-test. "
    "* p < 0.05, ** p < 0.01, marker filled: after Holm's correction over the whole family of contrasts."
)
_AXIS = "Difference (percentage points)\n← unguided better    guided better →"
_CUT = "An arrow: the interval goes on; the column has its ends."
_EQUAL = "not estimable: all seeds differ by the same amount, which says nothing of the next seed."


@dataclass(frozen=True)
class _Effect:
    """One contrast, in percentage points. What the row lacks is None; `lost` counts seeds that came to nothing."""

    dataset: str
    name: str
    variant: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    corrected_p: float | None
    stars: str
    n: int
    lost: str

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends; None where there is none, or none can be estimated since all seeds differ by the same amount."""
        return None if self.low is None or self.high is None or self.equal else (self.low, self.high)

    @property
    def equal(self) -> bool:
        """Whether all of several seeds differ by the same amount."""
        return self.low is not None and self.low == self.high


def forest(contrast_rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw a line a contrast: the mean difference with its interval, the p-values and the number of seeds beside it.

    Args:
        contrast_rows: a sweep's saved contrasts, with `model`, `dataset`, `variant`, `label`, `difference`, `low`,
            `high`, `p`, `corrected_p`, `stars` and `n`, or as `ablation.contrasts.flat` names them; differences are
            shares, not percent. One without a difference keeps its line and says so.
        folder: where `forest.png` and `.svg` go; `forest_1` and on, where the contrasts fill several pages.

    Returns:
        The files written; none for no rows.

    Raises:
        RunError: the disk refuses.
    """
    groups: dict[str, list[_Effect]] = {}
    varied = _varied(contrast_rows)
    for effect in (_read(row, varied) for row in contrast_rows):
        groups.setdefault(effect.dataset, []).append(effect)
    parts = [part for group in groups.values() for part in _parts(group)]
    found = [parts[page] for page in style.pages([len(part) for part in parts], MOST_LINES - 1)]
    written: list[Path] = []
    for number, page in enumerate(found, start=1):
        written += _draw(page, folder, "forest" if len(found) == 1 else f"forest_{number}")
    return written


def _read(row: Mapping[str, Any], varied: Sequence[str]) -> _Effect:
    def number(name: str, scale: float = 1.0) -> float | None:
        value = number_of(row[name])
        return None if value is None else value * scale

    metric = f" ({row['metric']})" if isinstance(row.get("metric"), str) and row["metric"] else ""
    label = row["label"] if row.get("label") else ", ".join([row["variant"], *(_said(row, name) for name in varied)])
    return _Effect(
        dataset=style.plain(f"{row['dataset']}{metric}", _HEADING),
        name=style.plain(f"{row['model']}, {label}", _NAME),
        variant=str(row["variant"]),
        difference=number("difference", 100.0),
        low=number("low", 100.0),
        high=number("high", 100.0),
        p=number("p" if "p" in row else "t_p"),
        corrected_p=number("corrected_p" if "corrected_p" in row else "holm_p"),
        stars=row["stars"] if isinstance(row["stars"], str) else "",  # pandas reads an empty cell as nan
        n=int(number("n") or 0),
        lost=", ".join(filter(None, (_lost(row, arm) for arm in ("unguided", "guided")))),
    )


def _varied(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Columns of a setting that take several values: what a label must say where the rows bring none."""
    names = [name for name in (rows[0] if rows else ()) if name in _SETTINGS or name.startswith("set:")]
    return [name for name in names if len({str(row[name]) for row in rows}) > 1]


def _said(row: Mapping[str, Any], name: str) -> str:
    """`layer 3`, `dropout 0.1`, or `received` for what needs no name."""
    value = str(row[name])
    if name == "layers" and value.isdecimal():
        return f"layer {value}"
    return value if name == "guide_mode" else f"{name.removeprefix('set:')} {value}"


def _lost(row: Mapping[str, Any], arm: str) -> str:
    """`guided 2 collapsed, 1 failed`, where the row counts such seeds; one may be both."""
    counts = {what: number_of(row.get(f"{arm}_{what}")) for what in ("collapsed", "diverged", "failed", "pending")}
    said = ", ".join(f"{count:.0f} {what}" for what, count in counts.items() if count)
    return said and f"{arm} {said}"


def _parts(group: list[_Effect]) -> Iterator[list[_Effect]]:
    """A group in parts that fit on a page with their heading."""
    most = MOST_LINES - 2  # the columns' heading takes a line, and the group's
    yield from (group[start : start + most] for start in range(0, len(group), most))


def _draw(groups: Sequence[list[_Effect]], folder: Path, stem: str) -> list[Path]:
    effects = [effect for group in groups for effect in group]
    lines = len(effects) + len(groups)
    reach = _reach(effects)
    cut = [_CUT] if any(max(map(abs, each.interval)) > reach for each in effects if each.interval) else []
    few = [*([_EQUAL] if any(effect.equal for effect in effects) else []), *no_claim(effect.n for effect in effects)]
    lost = at_most(f"{effect.name}, seeds: {effect.lost}" for effect in effects if effect.lost)
    with style.house_style():
        figure = style.new_figure(_LINE * (lines + 1) + 0.8, [_EXPLAINED, *cut, *few, *lost])
        axes = figure.add_subplot()
        names: dict[int, str] = {}
        heading = 0
        for group in groups:
            _write_heading(figure, axes, heading, group[0].dataset)
            for line, effect in enumerate(group, start=heading + 1):
                names[line] = effect.name
                _draw_effect(axes, line, effect, reach)
                _write_figures(axes, line, effect)
            heading += len(group) + 1
        for title in _COLUMNS:
            _write_beside(axes, -1, title, "difference [95 %]" if title == "difference" else title, style.QUIET)
        axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
        axes.set_xlim(-reach * 1.04, reach * 1.04)
        axes.set_ylim(lines - 0.4, -1.5)
        axes.set_yticks(list(names), list(names.values()))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(_AXIS, size=style.SMALL)
        return style.save(figure, folder, stem)


def _reach(effects: Sequence[_Effect]) -> float:
    """How far the axis goes to either side of 0, in points."""
    known = [effect for effect in effects if effect.difference is not None]
    halves = [(effect.interval[1] - effect.interval[0]) / 2 for effect in known if effect.interval]
    largest = max((abs(effect.difference or 0.0) for effect in known), default=0.0)
    ends = max((abs(end) for effect in known for end in effect.interval or ()), default=0.0)
    bound = 1.25 * largest + (_WIDEST * median(halves) if halves else 0.0)
    return min(bound, max(1.05 * ends, 1.25 * largest)) or 1.0


def _write_heading(figure: Figure, axes: Axes, line: int, text: str) -> None:
    """A line across the whole picture."""
    from matplotlib.transforms import blended_transform_factory

    across = blended_transform_factory(figure.transFigure, axes.transData)
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # else the axis runs through the letters
    axes.text(style.LEFT, line, text, transform=across, va="center", weight="bold", bbox=behind, in_layout=False)


def _draw_effect(axes: Axes, line: int, effect: _Effect, reach: float) -> None:
    """A marker for the variant, filled where the effect is significant; whiskers, or arrows where they are cut off."""
    if effect.difference is None:
        return
    if effect.interval is not None:
        for end in effect.interval:
            kept = max(-reach, min(end, reach))
            axes.plot([effect.difference, kept], [line, line], color=style.INK, linewidth=0.9, zorder=2)
            mark = "|" if kept == end else (">" if end > 0 else "<")
            axes.plot([kept], [line], color=style.INK, marker=mark, markersize=4.5, zorder=2)
    colour = style.colour_of(effect.variant, [effect.variant])
    axes.plot(
        [effect.difference],
        [line],
        marker=_MARKERS.get(effect.variant, "v"),
        markersize=5.5,
        markerfacecolor=colour if effect.stars else "white",
        markeredgecolor=style.INK,
        zorder=3,
    )


def _write_figures(axes: Axes, line: int, effect: _Effect) -> None:
    """The figures at the right; in place of a difference that there is none."""
    from agcli.measures.seeds import p_text  # scipy comes with the first picture

    if effect.difference is None:
        said = "no figure"
    elif effect.interval is None:
        said = f"{_signed(effect.difference)}{' [not estimable]' if effect.equal else ', no interval'}"
    else:
        said = f"{_signed(effect.difference)} [{', '.join(map(_signed, effect.interval))}]"
    corrected = f"{p_text(effect.corrected_p)} {effect.stars}".rstrip()
    for column, text in zip(_COLUMNS, (said, p_text(effect.p), corrected, str(effect.n)), strict=True):
        _write_beside(axes, line, column, text, style.INK)


def _signed(points: float) -> str:
    return f"{points:+.2f}".replace("-", "−")


def _write_beside(axes: Axes, line: int, column: str, text: str, colour: str) -> None:
    style.write_beside(axes, line, text, *_COLUMNS[column], colour)
