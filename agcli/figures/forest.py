"""Effects of guiding with their intervals, one line a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from agcli.figures import style
from agcli.figures.means import at_most
from agcli.figures.row_chart import Page, draw_frame, draw_pages, height_of, write_columns
from agcli.guides.variants import variant_marker
from agcli.measures.seeds import p_text
from agcli.sweep.cautions import few_seeds
from agcli.sweep.seed_groups import SHORTFALLS

_SETTINGS = {"size", "guide_mode", "layers"}
_NAME, _HEADING = 44, 90
"""Most characters of a comparison's name and of a data set's."""
_WIDEST = 4.0
"""Half-widths of the median interval, and at least the largest effect, beyond which an interval is cut off: with two
seeds the t-interval is 13 standard errors to either side, and would press all others into a line."""
_COLUMNS = {"difference [95 %]": (6, "left"), "p": (154, "right"), "p, Holm": (206, "right"), "seeds": (234, "right")}
_EXPLANATION = (
    "Guided minus unguided on the test set: mean over paired seeds with its 95 % t-interval. p: paired t-test. "
    "* p < 0.05, ** p < 0.01, marker filled: after Holm's correction over the whole family of contrasts."
)
_AXIS = "Difference (percentage points)\n← unguided better    guided better →"
_CUT = "An arrow: the interval goes on; the column has its ends."
_EQUAL = "not estimable: all seeds differ by the same amount, which says nothing of the next seed."
_POINTS = ["difference", "low", "high"]


def forest(contrast_rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Draw a line a comparison: the mean difference with its interval, the p-values and the number of seeds beside it.

    Args:
        contrast_rows: rows of `contrasts.csv`; differences are shares, not percent. A row without a difference keeps
            its line, with a text in place of the number.
        folder: for `forest.png`, `.svg` and `.pdf`; `forest_1` and on, where the lines fill several pages.

    Raises:
        RunError: the disk refuses.
    """
    if not contrast_rows:
        return []
    by_heading = _effects(contrast_rows).groupby("heading", sort=False)
    groups = {str(heading): list(part.itertuples()) for heading, part in by_heading}
    return draw_pages("forest", groups, folder, _draw)


def _effects(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rows with `name`, `heading` and `lost` in words, and differences in percentage points (NaN where missing).

    `low` and `high` are NaN too where all seeds differ by one amount (`equal`), so that nothing can be estimated.
    """
    table = pd.DataFrame(rows)
    numbers = [*_POINTS, "t_p", "holm_p", "n", *(name for name in map(str, table) if name.endswith(tuple(SHORTFALLS)))]
    table[numbers] = table[numbers].apply(pd.to_numeric)
    table[_POINTS] *= 100
    table["equal"] = table["low"] == table["high"]
    table.loc[table["equal"], ["low", "high"]] = math.nan
    table = table.fillna({"stars": "", "metric": "", "n": 0})
    settings = [name for name in map(str, table) if name in _SETTINGS or name.startswith("set:")]
    varied = [name for name in settings if table[name].astype(str).nunique() > 1]
    records = table.to_dict("records")
    headings = [f"{row['dataset']} ({row['metric']})" if row["metric"] else row["dataset"] for row in records]
    return table.assign(
        heading=[style.plain(heading, _HEADING) for heading in headings],
        name=[_name(row, varied) for row in records],
        lost=[", ".join(filter(None, (_lost(row, runs) for runs in ("unguided", "guided")))) for row in records],
    )


def _name(row: Mapping[Any, Any], varied: Sequence[str]) -> str:
    """`minilm, mdg, layer 3, dropout 0.1`: the settings in which comparisons differ."""
    parts = [str(row["model"]), str(row["variant"])]
    for name in varied:
        value = str(row[name])
        if name == "layers" and value.isdecimal():
            parts.append(f"layer {value}")
        else:
            parts.append(value if name == "guide_mode" else f"{name.removeprefix('set:')} {value}")
    return style.plain(", ".join(parts), _NAME)


def _lost(row: Mapping[Any, Any], runs: str) -> str:
    """`guided 2 collapsed, 1 failed`, where the row counts such seeds; one may be both."""
    counts = {reason: row.get(f"{runs}_{reason}", 0) for reason in SHORTFALLS}
    text = ", ".join(f"{count:.0f} {reason}" for reason, count in counts.items() if count > 0)
    return text and f"{runs} {text}"


def _draw(page: Page, folder: Path, stem: str) -> list[Path]:
    effects = [effect for _, rows in page for effect in rows]
    reach = _reach(pd.DataFrame(effects))
    is_cut = any(max(abs(effect.low), abs(effect.high)) > reach for effect in effects)
    caption = [_EXPLANATION, *([_CUT] if is_cut else [])]
    caption += [_EQUAL] if any(effect.equal for effect in effects) else []
    caption += few_seeds(effect.n for effect in effects)
    caption += at_most([f"{effect.name}, seeds: {effect.lost}" for effect in effects if effect.lost])
    with style.picture(height_of(page) + 0.8, caption) as figure:
        axes, lines = draw_frame(figure, page, _COLUMNS)
        for line, effect in lines.items():
            if not math.isnan(effect.difference):
                _draw_effect(axes, line, effect, reach)
            p_values = [p_text(None if math.isnan(p) else p) for p in (effect.t_p, effect.holm_p)]
            corrected = f"{p_values[1]} {effect.stars}".rstrip()
            write_columns(axes, line, _COLUMNS, [_difference(effect), p_values[0], corrected, f"{effect.n:.0f}"])
        axes.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
        axes.set_xlim(-reach * 1.04, reach * 1.04)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(_AXIS, size=style.SMALL)
        return style.save(figure, folder, stem)


def _reach(effects: pd.DataFrame) -> float:
    """The axis's ends on either side of 0, in points."""
    known = effects.dropna(subset=["difference"])
    half = float(((known["high"] - known["low"]) / 2).median())
    largest = float(known["difference"].abs().max()) if len(known) else 0.0
    if math.isnan(half):  # no interval
        return 1.25 * largest or 1.0
    farthest = float(known[["low", "high"]].abs().max().max())
    return min(1.25 * largest + _WIDEST * half, max(1.05 * farthest, 1.25 * largest)) or 1.0


def _draw_effect(axes: Axes, line: int, effect: Any, reach: float) -> None:
    """A marker for the variant, filled where the effect is significant; whiskers, or arrows where they are cut off."""
    for end in [] if math.isnan(effect.low) else [effect.low, effect.high]:
        shown = max(-reach, min(end, reach))
        axes.plot([effect.difference, shown], [line, line], color=style.INK, linewidth=0.9, zorder=2)
        marker = "|" if shown == end else (">" if end > 0 else "<")
        axes.plot([shown], [line], color=style.INK, marker=marker, markersize=4.5, zorder=2)
    axes.plot(
        [effect.difference],
        [line],
        marker=variant_marker(effect.variant) or "v",
        markersize=5.5,
        markerfacecolor=style.colours_of([effect.variant])[effect.variant] if effect.stars else "white",
        markeredgecolor=style.INK,
        zorder=3,
    )


def _difference(effect: Any) -> str:
    """`+1.23 [+0.45, +2.01]`, or why there is no number or interval."""
    if math.isnan(effect.difference):
        return "no figure"
    if effect.equal:
        return f"{_signed(effect.difference)} [not estimable]"
    interval = ", no interval" if math.isnan(effect.low) else f" [{_signed(effect.low)}, {_signed(effect.high)}]"
    return f"{_signed(effect.difference)}{interval}"


def _signed(points: float) -> str:
    return f"{points:+.2f}".replace("-", "−")
