"""Pictures of ablations: means and intervals where they belong, gaps and few seeds said, the same bytes again."""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pytest
from made_up_ablation import SEEDS, cell, contrast, over_layers, over_sizes, over_weights
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.lines import Line2D
from matplotlib.text import Text
from pictures import NASTY, all_text, points_of, texts

from agcli.errors import DataError, RunError
from agcli.figures import style
from agcli.figures.curves import layer_curve, size_curve
from agcli.figures.forest import forest
from agcli.figures.paper_points import PaperPoints
from agcli.figures.row_chart import MOST_LINES
from agcli.figures.weight_heatmap import weight_heatmap
from agcli.guides.registry import GUIDES
from agcli.sweep.comparisons import family, flat

FEW = (1, 2)
FIVE = (0.60, 0.61, 0.62, 0.63, 0.64)
MEAN, HALF = 62.0, 1.9632432
"""In percent, of `FIVE`: the mean, and t(0.975, 4) = 2.7764451 times its standard error, sqrt(2.5 / 5) = 0.7071068."""


def five(variant: str, values: Any = FIVE, **changes: Any) -> list[dict[str, Any]]:
    """A cell a seed."""
    return [cell(variant, seed, value, **changes) for seed, value in enumerate(values, start=1)]


def labelled(axes: Axes, start: str) -> Line2D:
    """The only line whose label starts so."""
    (line,) = (line for line in axes.get_lines() if str(line.get_label()).startswith(start))
    return line


def whiskers(axes: Axes) -> list[tuple[float, float]]:
    """Ends of the vertical whiskers, from left to right; a mean without an interval has none."""
    from matplotlib.collections import LineCollection

    (found,) = (each for each in axes.collections if isinstance(each, LineCollection))
    return [(float(ends[0, 1]), float(ends[-1, 1])) for ends in found.get_segments() if len(ends)]


def caption(figure: Figure) -> str:
    """All that is written, on one line."""
    return " ".join(" ".join(all_text(figure)).split())


class TestLayerCurve:
    def rows(self) -> list[dict[str, Any]]:
        shifted = [value + 0.01 for value in FIVE]
        return [*five("none"), *five("mdg", layers="0"), *five("mdg", shifted, layers="1"), *five("pdg", layers="1")]

    def test_a_panel_a_variant_with_means_and_t_intervals(self, tmp_path: Path, drawn: list[Figure]) -> None:
        written = layer_curve(self.rows(), tmp_path)
        assert [path.name for path in written] == [f"layer_curve_minilm_mnli_20k.{kind}" for kind in style.METADATA]
        mdg, pdg = drawn[0].axes
        line = labelled(mdg, "guided")
        assert list(line.get_xdata()) == [0, 1]
        assert list(line.get_ydata()) == pytest.approx([MEAN, MEAN + 1])
        (first, second) = whiskers(mdg)
        assert first == pytest.approx((MEAN - HALF, MEAN + HALF))
        assert second == pytest.approx((MEAN + 1 - HALF, MEAN + 1 + HALF))
        assert list(labelled(pdg, "guided").get_xdata()) == [1]

    def test_the_unguided_mean_is_a_line_across_with_its_band(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve(self.rows(), tmp_path)
        for axes in drawn[0].axes:
            line = labelled(axes, "none: mean, 5 seeds")
            assert list(line.get_xdata()) == [-0.5, 1.5]
            assert list(line.get_ydata()) == pytest.approx([MEAN, MEAN])
            band = next(each for each in axes.collections if each.get_label() == "none: 95 % t-interval")
            heights = band.get_paths()[0].vertices[:, 1]
            assert (heights.min(), heights.max()) == pytest.approx((MEAN - HALF, MEAN + HALF))

    def test_labels_name_units_weights_and_seeds(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve(self.rows(), tmp_path)
        found = all_text(drawn[0])
        for label in (
            "minilm on mnli_20k, training size 4,000",
            "mdg, α = 0.01\n5 seeds",
            "pdg, β = 0.001\n5 seeds",
            "Test accuracy (%)",
            "Guided layer (0 = first)",
        ):
            assert label in found, label
        assert "no claim" not in caption(drawn[0])

    def test_all_layers_stand_apart_and_no_line_leads_there(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([*self.rows(), *five("mdg", layers="all")], tmp_path)
        mdg = drawn[0].axes[0]
        assert list(labelled(mdg, "guided").get_xdata()) == [0, 1]
        assert [2.5] in [list(line.get_xdata()) for line in mdg.get_lines()]
        assert [label.get_text() for label in mdg.get_xticklabels()] == ["0", "1", "all"]

    def test_a_layer_without_a_figure_breaks_the_line_and_is_explained(
        self, tmp_path: Path, drawn: list[Figure]
    ) -> None:
        rows = [*five("none"), *(each for layer in "013" for each in five("mdg", layers=layer))]
        rows += five("mdg", [None] * 5, layers="2")
        layer_curve(rows, tmp_path)
        (axes,) = drawn[0].axes
        assert [math.isnan(value) for value in labelled(axes, "guided").get_ydata()] == [False, False, True, False]
        assert [list(line.get_xdata()) for line in axes.get_lines() if line.get_marker() == "x"] == [[2.0]]
        assert "mdg, layer 2: 5 of 5 seeds without a figure (failed: the loss is nan)" in text_lines(drawn[0])

    def test_lost_and_diverged_seeds_are_counted(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [*five("none", [*FIVE[:4], None]), *five("mdg", layers="0"), *five("mdg", layers="1")]
        rows[5]["diverged"] = 1
        rows[10] |= {"state": "pending", "reason": "", "test:accuracy": None}
        layer_curve(rows, tmp_path)
        found = text_lines(drawn[0])
        assert "none: 1 of 5 seeds without a figure (failed: the loss is nan)" in found
        assert "mdg, layer 0: 1 of 5 seeds collapsed to one class, and counted" in found
        assert "mdg, layer 1: 1 of 5 seeds without a figure (not run yet)" in found
        assert "mdg, α = 0.01\n4 to 5 seeds" in all_text(drawn[0])
        assert "Where seeds are fewer than 5, no claim can be made; those numbers only describe." in found

    def test_a_seed_that_diverged_and_failed_is_said_once(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([*self.rows(), cell("mdg", 6, None, layers="0", diverged=1)], tmp_path)
        assert "mdg, layer 0: 1 of 6 seeds without a figure (failed: the loss is nan)" in text_lines(drawn[0])

    def test_an_interval_may_go_on_beyond_100_percent_but_the_axis_does_not(
        self, tmp_path: Path, drawn: list[Figure]
    ) -> None:
        layer_curve([row for layer in "01" for row in five("mdg", [0.9, 1.0], layers=layer)], tmp_path)
        assert drawn[0].axes[0].get_ylim()[1] == 100

    def test_many_lost_layers_are_counted_not_listed(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row for layer in range(20) for row in five("mdg", [0.6, None], layers=str(layer))]
        layer_curve(rows, tmp_path)
        found = text_lines(drawn[0])
        assert sum("seeds without a figure" in line for line in found) == 7
        assert "and 13 more" in found

    def test_one_seed_has_no_interval_and_says_so(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([row for row in self.rows() if row["seed"] == 1], tmp_path)
        assert "mdg, α = 0.01\n1 seed, no interval" in all_text(drawn[0])
        assert "none: mean, 1 seed, no interval" in all_text(drawn[0])
        assert "1 seed: fewer than 5, so no claim can be made; the numbers only describe." in text_lines(drawn[0])
        assert "t-interval" not in caption(drawn[0])
        assert drawn[0].axes[0].get_ylim()[0] > 0

    def test_without_an_unguided_cell_that_is_said(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([row for row in self.rows() if row["variant"] != "none"], tmp_path)
        assert "There is no unguided cell: nothing to compare with." in text_lines(drawn[0])

    def test_cells_that_choose_stay_out(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([*self.rows(), *five("mdg", [0.9] * 5, layers="0", role="select")], tmp_path)
        assert list(labelled(drawn[0].axes[0], "guided").get_ydata()) == pytest.approx([MEAN, MEAN + 1])

    def test_settings_models_and_data_are_pictures_of_their_own(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row | {"set:dropout": dropout} for row in self.rows() for dropout in (0.0, "0.10")]
        rows += [row | {"set:dropout": 0.0, "model": "bert"} for row in self.rows()]
        written = layer_curve(rows, tmp_path)
        assert [path.stem for path in written[::3]] == [
            "layer_curve_minilm_mnli_20k",
            "layer_curve_minilm_mnli_20k_2",
            "layer_curve_bert_mnli_20k",
        ]
        assert "minilm on mnli_20k, training size 4,000, dropout 0.1" in all_text(drawn[1])

    def test_the_majority_class_is_a_line_across(self, tmp_path: Path, drawn: list[Figure]) -> None:
        chance = {"baseline": "majority class", "test:baseline": 0.61}
        layer_curve([row | chance for row in self.rows()], tmp_path)
        for axes in drawn[0].axes:
            line = labelled(axes, "majority class")
            assert (list(line.get_xdata()), list(line.get_ydata())) == ([-0.5, 1.5], pytest.approx([61, 61]))
        assert "majority class" in {text.get_text() for text in drawn[0].legends[0].get_texts()}

    def test_a_majority_class_far_below_is_said_and_leaves_the_arms_apart(
        self, tmp_path: Path, drawn: list[Figure]
    ) -> None:
        layer_curve([row | {"baseline": "majority class", "test:baseline": 1 / 3} for row in self.rows()], tmp_path)
        assert "Below the picture: majority class, 33.33." in text_lines(drawn[0])
        assert drawn[0].axes[0].get_ylim()[0] > 50

    def test_equal_seeds_have_no_interval_and_say_so(self, tmp_path: Path, drawn: list[Figure]) -> None:
        equal = five("mdg", [0.62] * 5, layers="2")
        layer_curve([*self.rows(), *equal], tmp_path)
        assert len(whiskers(drawn[0].axes[0])) == 2
        assert "mdg, layer 2: 5 seeds are equal, so that an interval is not estimable" in text_lines(drawn[0])
        assert "mdg, α = 0.01\n5 seeds; equal seeds: no interval" in all_text(drawn[0])

    def test_fewer_than_two_layers_are_no_curve(self, tmp_path: Path) -> None:
        assert layer_curve([*five("none"), *five("mdg", layers="3"), *five("both")], tmp_path) == []
        assert layer_curve([], tmp_path) == []

    def test_cells_that_a_picture_cannot_tell_apart_are_refused(self, tmp_path: Path) -> None:
        """Else a seed would count twice, and the interval shrink."""
        with pytest.raises(DataError, match=r"minilm on mnli_20k, variant mdg, seed 1.*different figures"):
            layer_curve([*self.rows(), cell("mdg", 1, 0.99, layers="0", mdg=0.5)], tmp_path)

    def test_a_ranking_is_drawn_on_its_own_metric(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve([cell("mdg", 1, 0.3, layers=layer, metric="RR") for layer in "01"], tmp_path)
        assert "Test RR (%)" in all_text(drawn[0])
        assert list(labelled(drawn[0].axes[0], "guided").get_ydata()) == pytest.approx([30, 30])


def text_lines(figure: Figure) -> list[str]:
    """What is written, a text for each line."""
    return [line for text in all_text(figure) for line in text.splitlines()]


class TestSizeCurve:
    def rows(self, sizes: Any = (0.2, 1.0)) -> list[dict[str, Any]]:
        gains = {"none": 0.0, "mdg": 0.01}
        return [
            row
            for place, size in enumerate(sizes)
            for variant, gain in gains.items()
            for row in five(variant, [value + gain + place / 10 for value in FIVE], size=size)
        ]

    def test_guided_and_unguided_lines_with_bands(self, tmp_path: Path, drawn: list[Figure]) -> None:
        written = size_curve(self.rows(), tmp_path)
        assert [path.name for path in written] == [f"size_curve_minilm_mnli_20k.{kind}" for kind in style.METADATA]
        (axes,) = drawn[0].axes
        none, mdg = labelled(axes, "none: mean, 5 seeds"), labelled(axes, "guided")
        assert list(none.get_xdata()) == list(mdg.get_xdata()) == pytest.approx([20, 100])
        assert list(none.get_ydata()) == pytest.approx([MEAN, MEAN + 10])
        assert list(mdg.get_ydata()) == pytest.approx([MEAN + 1, MEAN + 11])
        lows = [band.get_paths()[0].vertices[:, 1].min() for band in axes.collections]
        assert lows == pytest.approx([MEAN - HALF, MEAN + 1 - HALF])
        assert "Training size (% of the training set)" in all_text(drawn[0])

    def test_lines_and_bands_differ_in_more_than_colour(self, tmp_path: Path, drawn: list[Figure]) -> None:
        size_curve(self.rows(), tmp_path)
        (axes,) = drawn[0].axes
        none, mdg = labelled(axes, "none"), labelled(axes, "guided")
        assert none.get_marker() != mdg.get_marker()
        assert none.get_linestyle() != mdg.get_linestyle()
        edges = [line for line in axes.get_lines() if to_hex(line.get_color()) == style.INK.lower()]
        assert len(edges) == 2, "the guided band alone has edges"

    def test_numbers_of_examples_are_on_a_log_scale_where_they_go_far(
        self, tmp_path: Path, drawn: list[Figure]
    ) -> None:
        size_curve(self.rows((500, 4000)), tmp_path)
        size_curve(self.rows((1000, 2000)), tmp_path)
        assert "Training size (examples, log scale)" in all_text(drawn[0])
        assert drawn[0].axes[0].get_xscale() == "log"
        assert "4,000" in all_text(drawn[0])
        assert "Training size (examples)" in all_text(drawn[1])
        assert drawn[1].axes[0].get_xscale() == "linear"

    def test_chosen_weights_may_differ_from_size_to_size(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row | {"role": "report"} for row in self.rows()]
        for row in rows:
            if row["variant"] == "mdg" and row["size"] == 1.0:
                row |= {"mdg": 0.1, "learning_rate": 1e-5}
        size_curve(rows, tmp_path)
        assert "mdg, weights chosen on dev\n5 seeds" in all_text(drawn[0])

    def test_each_guided_layer_has_the_unguided_line_beside_it(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = self.rows()
        rows += [row | {"layers": "7"} for row in rows if row["variant"] == "mdg"]
        assert len(size_curve(rows, tmp_path)) == 2 * 3
        assert all(labelled(figure.axes[0], "none") for figure in drawn)
        assert "minilm on mnli_20k, layer 7" in all_text(drawn[1])

    def test_the_first_stage_of_each_size_is_a_line(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row | {"baseline": "first stage", "test:baseline": 0.6 + row["size"] / 100} for row in self.rows()]
        size_curve(rows, tmp_path)
        line = labelled(drawn[0].axes[0], "first stage")
        assert list(line.get_xdata()) == pytest.approx([20, 100])
        assert list(line.get_ydata()) == pytest.approx([60.2, 61])

    def test_one_size_or_no_rows_are_no_curve(self, tmp_path: Path) -> None:
        assert size_curve(self.rows((1.0,)), tmp_path) == []
        assert size_curve([], tmp_path) == []


PRINTED = PaperPoints(
    of="BERT on MedNLI",
    models=frozenset({"bert-base-uncased"}),
    datasets=frozenset({"mednli"}),
    numbers=(("none", "all", 76.02), ("mdg", "1", 77.36), ("mdg", "9", 75.39), ("both", "0", 77.78)),
)
SHARES = replace(PRINTED, numbers=(("none", "0.2", 68.78), ("mdg", "0.2", 69.62)))


def as_the_paper(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"model": "bert-base-uncased", "dataset": "mednli"} for row in rows]


def stars(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    """Label -> (place, number) of the printed numbers in a panel."""
    return {
        str(line.get_label()): [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
        for line in axes.get_lines()
        if str(line.get_label()).startswith("paper")
    }


class TestPaperPoints:
    def test_stars_and_a_dotted_line_beside_our_layers(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve(as_the_paper(over_layers(range(3), FEW)), tmp_path, PRINTED)
        mdg, pdg, both = drawn[0].axes
        line = [(-0.5, 76.02), (2.5, 76.02)]
        assert stars(mdg) == {"paper: none": line, "paper: guided": [(1.0, 77.36)]}  # layer 9 has no place here
        assert stars(pdg) == {"paper: none": line, "paper: guided": []}
        assert stars(both) == {"paper: none": line, "paper: guided": [(0.0, 77.78)]}
        assert "Paper: none 76.02; mdg 77.36 at layer 1, 75.39 at layer 9; both 77.78 at layer 0." in caption(drawn[0])
        (legend,) = drawn[0].legends
        assert {"paper: none", "paper: guided"} <= {text.get_text() for text in legend.get_texts()}

    def test_stars_beside_our_sizes(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row for row in over_sizes((0.2, 1.0), FEW) if row["variant"] in ("none", "mdg")]
        size_curve(as_the_paper(rows), tmp_path, SHARES)
        (axes,) = drawn[0].axes
        assert stars(axes) == {"paper: none": [(20.0, 68.78)], "paper: guided": [(20.0, 69.62)]}
        assert "Paper: none 68.78 at 20 %; mdg 69.62 at 20 %." in caption(drawn[0])

    def test_numbers_of_examples_are_no_shares(self, tmp_path: Path, drawn: list[Figure]) -> None:
        size_curve(as_the_paper(over_sizes((20, 100), FEW)), tmp_path, SHARES)
        assert stars(drawn[0].axes[0]) == {}

    @pytest.mark.parametrize("changed", [{"model": "minilm"}, {"dataset": "mnli_20k"}])
    def test_another_model_or_other_data_has_them_in_words_only(
        self, tmp_path: Path, drawn: list[Figure], changed: dict[str, str]
    ) -> None:
        layer_curve([row | changed for row in as_the_paper(over_layers(range(2), FEW))], tmp_path, PRINTED)
        assert all(stars(axes) == {} for axes in drawn[0].axes)
        assert "Not drawn, the paper has another model or data (BERT on MedNLI): none 76.02;" in caption(drawn[0])

    def test_without_them_nothing_is_said(self, tmp_path: Path, drawn: list[Figure]) -> None:
        layer_curve(as_the_paper(over_layers(range(2), FEW)), tmp_path)
        assert stars(drawn[0].axes[0]) == {}
        assert "aper" not in caption(drawn[0])


class TestWeightHeatmap:
    def chosen(self) -> list[dict[str, Any]]:
        weights = (("none", 0.0, 0.0), ("mdg", 0.1, 0.0), ("both", 0.01, 0.001))
        return [
            cell(variant, seed, 0.9, role="report", mdg=mdg, pdg=pdg, learning_rate=2.5e-5)
            for variant, mdg, pdg in weights
            for seed in (1, 2)
        ]

    def squares(self, figure: Figure) -> dict[tuple[float, float], str]:
        """(column, row) -> what is written there."""
        return {
            (float(text.get_position()[0]), float(text.get_position()[1])): text.get_text()
            for text in figure.axes[0].texts
        }

    def test_every_square_has_its_mean_and_spread_of_dev(self, tmp_path: Path, drawn: list[Figure]) -> None:
        """0.61, 0.62 and 0.63 have the mean 0.62 and the standard deviation 0.01."""
        shared = {"role": "select", "test:accuracy": 0.99}
        rows = [
            cell(variant, seed, seed / 100 + 0.59 + alpha - 0.01, mdg=alpha, pdg=beta, **shared)
            for variant, alpha, beta in (("none", 0, 0), ("mdg", 0.01, 0), ("mdg", 0.1, 0), ("both", 0.1, 0.5))
            for seed in (1, 2, 3)
        ]
        written = weight_heatmap(rows, tmp_path)
        assert [path.name for path in written] == [f"weight_heatmap_minilm_mnli_20k.{kind}" for kind in style.METADATA]
        assert self.squares(drawn[0]) == {
            (0, 0): "61.00\n± 1.00",
            (0, 1): "62.00\n± 1.00",
            (0, 2): "71.00\n± 1.00",
            (1, 2): "71.00\n± 1.00",
        }
        axes = drawn[0].axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["off", "0.01", "0.1"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["off", "0.5"]
        assert axes.get_ylim() == (-0.5, 2.5), "weights grow upwards"
        (image,) = axes.get_images()
        shades = image.get_array()
        assert shades is not None
        assert list(shades[:, 0]) == pytest.approx([61, 62, 71])
        assert math.isnan(float(shades.filled(math.nan)[1, 1])), "nothing was to be run there"
        assert "Dev accuracy (%), 3 seeds" in all_text(drawn[0])

    def test_what_was_reported_is_framed_and_its_figures_stay_out(self, tmp_path: Path, drawn: list[Figure]) -> None:
        weight_heatmap([*over_weights((0.001, 0.01, 0.1)), *self.chosen()], tmp_path)
        axes = drawn[0].axes[0]
        bold = {text.get_position() for text in axes.texts if text.get_weight() == "bold"}
        assert bold == {(0, 0), (0, 3), (1, 2)}
        frames = {
            (round(patch.get_x() + 0.46), round(patch.get_y() + 0.44))
            for patch in axes.patches
            if patch.get_linewidth() > 1
        }
        assert frames == bold
        assert "3 seeds" in caption(drawn[0])
        assert not any(text.startswith("91") for text in self.squares(drawn[0]).values())

    def test_the_unguided_corner_is_that_of_the_chosen_learning_rate(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = over_weights((0.001, 0.01, 0.1))
        weight_heatmap([*rows, *self.chosen()], tmp_path)
        figures = [row["dev:accuracy"] for row in rows if row["variant"] == "none" and row["learning_rate"] == 2.5e-5]
        assert self.squares(drawn[0])[0, 0].startswith(f"{100 * sum(figures) / 3:.2f}\n")
        assert "none: learning rate 2.5e-05, chosen among 4 from 1.25e-05 to 0.0001." in caption(drawn[0])

    def test_before_the_choice_nothing_is_framed(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = over_weights((0.001, 0.01))
        for row in rows:
            row["dev:accuracy"] += 0.1 * (row["learning_rate"] == 2.5e-5)
        weight_heatmap(rows, tmp_path)
        assert "No winner is chosen yet." in caption(drawn[0])
        assert "none: learning rate 2.5e-05, the best so far of 4" in caption(drawn[0])
        assert not [text for text in drawn[0].axes[0].texts if text.get_weight() == "bold"]

    def test_lost_cells_are_hatched_and_one_seed_has_no_spread(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = over_weights((0.001, 0.01), seeds=(1, 2))
        lost = cell(figure=None)
        for row in rows:
            if row["pdg"] == 0.01 and (row["mdg"] == 0.01 or (row["mdg"] == 0.001 and row["seed"] == 1)):
                row |= {key: lost[key] for key in ("state", "reason", "metric", "dev:accuracy")}
        weight_heatmap(rows, tmp_path)
        found = self.squares(drawn[0])
        assert found[2, 2] == "no figure"
        assert found[2, 1].endswith("\n1 seed")
        hatched = [patch for patch in drawn[0].axes[0].patches if patch.get_hatch()]
        assert [(patch.get_x(), patch.get_y()) for patch in hatched] == [(1.5, 1.5)]
        assert "α 0.001, β 0.01: 1 of 2 seeds without a figure (failed: the loss is nan)" in text_lines(drawn[0])
        assert "Dev accuracy (%), 0 to 2 seeds" in all_text(drawn[0])

    def test_shades_grow_darker_so_that_grey_print_keeps_their_order(self, tmp_path: Path, drawn: list[Figure]) -> None:
        weight_heatmap(over_weights((0.001, 0.01)), tmp_path)
        shades = drawn[0].axes[0].get_images()[0].get_cmap()
        greys = [sum(w * c for w, c in zip((0.299, 0.587, 0.114), shades(at / 10), strict=False)) for at in range(11)]
        assert greys == sorted(greys, reverse=True)
        assert greys[-1] > 0.5, "dark type stays readable"

    def test_one_weight_of_each_guide_is_no_grid(self, tmp_path: Path) -> None:
        assert weight_heatmap([*five("none"), *five("mdg"), *five("pdg"), *five("both")], tmp_path) == []
        assert weight_heatmap([], tmp_path) == []

    def test_all_failed_is_a_picture_too(self, tmp_path: Path, drawn: list[Figure]) -> None:
        weight_heatmap([cell("mdg", 1, None, mdg=alpha, role="select") for alpha in (0.1, 0.01)], tmp_path)
        assert all_text(drawn[0]).count("no figure") == 3
        assert drawn[0].axes[0].get_ylabel() == "α, weight of MDG"
        assert drawn[0].axes[0].get_xlabel() == "", "one guide has one axis"
        assert "No unguided cell: nothing to compare with." in caption(drawn[0])


class TestForest:
    def test_markers_whiskers_and_figures_in_points(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [
            contrast("mdg", 0.0123, low=0.0045, high=0.0201, t_p=0.0004, holm_p=0.0012, stars="**"),
            contrast("pdg", -0.002, low=-0.01, high=0.006),
        ]
        written = forest(rows, tmp_path)
        assert [path.name for path in written] == ["forest.png", "forest.svg", "forest.pdf"]
        axes = drawn[0].axes[0]
        found = all_text(drawn[0])
        for text in (
            "mnli_20k",
            "minilm, mdg",
            "minilm, pdg",
            "+1.23 [+0.45, +2.01]",
            "−0.20 [−1.00, +0.60]",
            "0.0004",
            "0.0012 **",
            "0.3210",
            "0.6540",
            "difference [95 %]",
            "p, Holm",
            "Difference (percentage points)\n← unguided better    guided better →",
        ):
            assert text in found, text
        assert found.count("5") == 2
        square = next(line for line in axes.get_lines() if line.get_marker() == "s")
        assert list(square.get_xdata()) == pytest.approx([1.23])
        assert list(square.get_ydata()) == [1]
        ends = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "|"]
        assert ends == pytest.approx([0.45, 2.01, -1.0, 0.6])
        assert axes.get_xlim()[0] == -axes.get_xlim()[1]
        assert axes.get_xlim()[1] > 2.01

    def test_seeds_that_differ_by_one_amount_are_no_certainty(self, tmp_path: Path, drawn: list[Figure]) -> None:
        """And their interval of no width does not cut off those of the others."""
        equal = [contrast(variant, 0.0, low=0.0, high=0.0, t_p=1.0, n=2) for variant in ("mdg", "pdg")]
        forest([contrast("both", 0.0, low=-0.05, high=0.05), *equal], tmp_path)
        found = all_text(drawn[0])
        assert found.count("+0.00 [not estimable]") == 2
        assert "seeds" in found
        assert "not estimable: all seeds differ by the same amount" in caption(drawn[0])
        axes = drawn[0].axes[0]
        ends = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "|"]
        assert ends == pytest.approx([-5, 5])

    def test_filled_markers_are_significant_after_correction(self, tmp_path: Path, drawn: list[Figure]) -> None:
        forest([contrast("mdg", stars="*"), contrast("both", t_p=0.01)], tmp_path)
        faces = {line.get_marker(): to_hex(line.get_markerfacecolor()) for line in drawn[0].axes[0].get_lines()}
        assert faces["s"] == GUIDES["mdg"].colour.lower()
        assert faces["D"] == "#ffffff"

    def test_data_sets_have_a_heading_each_with_their_metric(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [
            contrast(dataset=name, metric=metric)
            for name, metric in (("a", "accuracy"), ("b", "RR"), ("a", "accuracy"))
        ]
        forest(rows, tmp_path)
        bold = [text for text in drawn[0].axes[0].texts if text.get_weight() == "bold"]
        assert [(text.get_text(), text.get_position()[1]) for text in bold] == [("a (accuracy)", 0), ("b (RR)", 3)]
        assert list(drawn[0].axes[0].get_yticks()) == [1, 2, 4]

    def test_one_seed_and_none_at_all(self, tmp_path: Path, drawn: list[Figure]) -> None:
        forest([contrast("pdg", low=None, high=None, t_p=None, holm_p=None, n=1), contrast("mdg", None)], tmp_path)
        found = all_text(drawn[0])
        assert "+0.40, no interval" in found
        assert "no figure" in found
        assert found.count("-") == 4
        assert "1 seed: fewer than 5, so no claim can be made; the numbers only describe." in text_lines(drawn[0])

    def test_an_endless_interval_does_not_squash_the_others(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [contrast(layers=str(n)) for n in range(4)]
        forest([*rows, contrast(low=-0.5, high=0.508, n=2)], tmp_path)
        axes = drawn[0].axes[0]
        assert axes.get_xlim()[1] < 10
        arrows = [line for line in axes.get_lines() if line.get_marker() in ("<", ">")]
        assert [line.get_marker() for line in arrows] == ["<", ">"]
        assert all(abs(float(line.get_xdata()[0])) < axes.get_xlim()[1] for line in arrows)
        assert "+0.40 [−50.00, +50.80]" in all_text(drawn[0])
        assert "An arrow: the interval goes on" in caption(drawn[0])

    def test_no_arrow_is_explained_where_there_is_none(self, tmp_path: Path, drawn: list[Figure]) -> None:
        forest([contrast()], tmp_path)
        assert "An arrow" not in caption(drawn[0])
        assert "no claim" not in caption(drawn[0])

    def test_many_contrasts_fill_pages_and_none_is_lost(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [contrast(dataset=f"d{n % 3}", size=n) for n in range(100)]
        names = [path.name for path in forest(rows, tmp_path)]
        assert names == [f"forest_{page}.{kind}" for page in (1, 2, 3) for kind in style.METADATA]
        found = [text for figure in drawn for text in all_text(figure)]
        assert all(f"minilm, both, size {n}" in found for n in range(100))
        assert max(figure.get_figheight() for figure in drawn) < 10.5

    def test_one_data_set_longer_than_a_page_is_cut_and_headed_again(self, tmp_path: Path, drawn: list[Figure]) -> None:
        forest([contrast(layers=str(n)) for n in range(MOST_LINES)], tmp_path)
        assert [len(figure.axes[0].get_yticks()) for figure in drawn] == [MOST_LINES - 1, 1]
        assert all("mnli_20k" in all_text(figure) for figure in drawn)

    def test_contrasts_of_a_sweep_are_drawn_as_they_are(self, tmp_path: Path, drawn: list[Figure]) -> None:
        """Settings that differ become labels; failed seeds are counted."""
        rows = over_layers(range(2))
        failed = next(row for row in rows if row["variant"] == "pdg" and row["layers"] == "1")
        failed |= {
            "state": "failed",
            "reason": "out of memory",
            "metric": "",
            "dev:accuracy": None,
            "test:accuracy": None,
        }
        contrasts = flat(family(pd.DataFrame(rows)))
        forest(contrasts, tmp_path)
        assert "mnli_20k (accuracy)" in all_text(drawn[0])
        names = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
        assert names == [f"minilm, {variant}, layer {layer}" for variant in ("mdg", "pdg", "both") for layer in (0, 1)]
        assert "minilm, pdg, layer 1, seeds: guided 1 failed" in text_lines(drawn[0])
        points = [line.get_xdata()[0] for line in drawn[0].axes[0].get_lines() if line.get_marker() in ("s", "^", "D")]
        assert points == pytest.approx([100 * each["difference"] for each in contrasts])  # type: ignore[operator]

    def test_no_rows_no_picture(self, tmp_path: Path) -> None:
        assert forest([], tmp_path) == []
        assert list(tmp_path.iterdir()) == []


BOTH = {"mdg+next": {"mdg": 0.1, "pdg": 0.0}, "pdg+next": {"mdg": 0.0, "pdg": 0.1}}


class TestAThirdGuide:
    """One that is registered, and in no list of this package."""

    @pytest.fixture(autouse=True)
    def _registered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        entry = replace(GUIDES["mdg"], name="next", title="NXT", symbol="ν", colour="#AA3377", marker="P")
        monkeypatch.setitem(GUIDES, "next", entry)

    def rows(self, variant: str, weight: float, **changes: Any) -> list[dict[str, Any]]:
        return five(variant, next=weight, **{"pdg": 0.0, **changes})

    def test_it_has_a_panel_with_its_weight_and_colour(self, tmp_path: Path, drawn: list[Figure]) -> None:
        guided = [row for layer in "01" for row in self.rows("next", 0.5, layers=layer)]
        layer_curve([*five("none"), *guided, *(row for layer in "01" for row in five("mdg", layers=layer))], tmp_path)
        panel, mdg = drawn[0].axes
        assert panel.get_title(loc="left") == "next, ν = 0.5\n5 seeds"
        assert mdg.get_title(loc="left") == "mdg, α = 0.01\n5 seeds"
        assert labelled(panel, "guided").get_color() == "#AA3377"
        assert labelled(mdg, "guided").get_color() == GUIDES["mdg"].colour

    def test_titles_of_four_panels_keep_to_them(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [*self.rows("next", 0.5, layers="0", values=[0.6] * 5), *self.rows("next", 0.5, layers="1")]
        rows += over_layers(range(2), FEW)
        layer_curve(rows, tmp_path)
        (figure,) = drawn
        figure.draw_without_rendering()
        titles = {axes.get_title(loc="left") for axes in figure.axes}
        boxes = [text.get_window_extent() for text in figure.findobj(Text) if text.get_text() in titles]
        boxes.sort(key=lambda box: float(box.x0))
        assert len(boxes) == 4
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
        assert boxes[-1].x1 <= figure.bbox.x1

    def test_its_weights_have_an_axis_beside_those_of_another(self, tmp_path: Path, drawn: list[Figure]) -> None:
        pairs = [(alpha, nu) for alpha in (0.0, 0.1) for nu in (0.0, 0.5, 0.7)][1:]
        rows = [row for alpha, nu in pairs for row in self.rows("next" if nu else "mdg", nu, mdg=alpha, role="select")]
        weight_heatmap([*five("none", role="select"), *rows], tmp_path)
        (axes,) = (figure.axes[0] for figure in drawn)
        assert (axes.get_ylabel(), axes.get_xlabel()) == ("α, weight of MDG", "ν, weight of NXT")
        assert [label.get_text() for label in axes.get_xticklabels()] == ["off", "0.5", "0.7"]
        assert len(axes.texts) == 6

    def test_guides_that_are_on_alone_have_a_row_each(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row for nu in (0.5, 0.7) for row in self.rows("next", nu, role="select")]
        rows += [row for beta in ("0.7,layers=0", "0.2,layers=0") for row in five("pdg", pdg=beta, role="select")]
        rows += [row | {"next": "share:0.1"} for row in self.rows("next", 0.1, role="select")]
        assert len(weight_heatmap([*five("none", role="select"), *rows], tmp_path)) == len(style.METADATA)
        axes = drawn[0].axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == ["none", "NXT", "PDG (layers=0)"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["off", "0.2", "0.5", "0.7", "share:0.1"]
        places = {text.get_position() for text in axes.texts}
        assert places == {(0, 0), (2, 1), (3, 1), (4, 1), (1, 2), (3, 2)}

    def test_three_guides_are_compared_two_at_a_time(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row for nu in (0.5, 0.7) for row in self.rows("next", nu, role="select")]
        rows += [row for beta in (0.1, 0.2) for row in five("pdg", pdg=beta, role="select")]
        rows += five("mdg", mdg=0.1, role="select")
        rows += [row for pair in ("mdg+next", "pdg+next") for row in self.rows(pair, 0.5, role="select", **BOTH[pair])]
        rows += five("both", mdg=0.1, pdg=0.1, role="select")
        assert len(weight_heatmap([*five("none", role="select"), *rows], tmp_path)) == 3 * len(style.METADATA)
        labels = [(figure.axes[0].get_ylabel()[0], figure.axes[0].get_xlabel()[0]) for figure in drawn]
        assert labels == [("α", "β"), ("α", "ν"), ("β", "ν")]
        assert [len(figure.axes[0].texts) for figure in drawn] == [5, 5, 6]

    def test_its_effects_have_its_marker_and_colour(self, tmp_path: Path, drawn: list[Figure]) -> None:
        forest([contrast("next", stars="*")], tmp_path)
        (point,) = (line for line in drawn[0].axes[0].get_lines() if line.get_marker() == "P")
        assert to_hex(point.get_markerfacecolor()) == "#aa3377"


def named(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The same rows of a model and data of another name."""
    return [row | {"model": name, "dataset": f"{name} data", "reason": name} for row in rows]


DRAWN = {
    layer_curve: over_layers(range(2), FEW),
    size_curve: over_sizes((0.5, 1.0), FEW),
    weight_heatmap: over_weights((0.001, 0.01), FEW),
    forest: [contrast("mdg"), contrast("both", stars="*"), contrast("pdg", None)],
}


@pytest.mark.parametrize(("draw", "rows"), DRAWN.items())
class TestAll:
    def test_all_files_are_whole_pictures(self, draw: Any, rows: Any, tmp_path: Path) -> None:
        written = draw(rows, tmp_path / "new")
        assert [path.suffix for path in written] == [".png", ".svg", ".pdf"]
        assert sorted(tmp_path.rglob("*.*")) == sorted(written), "no temporary file is left"
        pixels = imread(written[0])
        assert pixels.shape[1] == style.PAGE_WIDTH * 200
        assert pixels.std() > 0.05
        assert texts(written)

    def test_the_same_rows_give_the_same_bytes_whatever_the_user_set(
        self, draw: Any, rows: Any, tmp_path: Path
    ) -> None:
        expected = [path.read_bytes() for path in draw(rows, tmp_path / "plain")]
        with matplotlib.rc_context(
            {"font.size": 30, "text.parse_math": True, "svg.hashsalt": "u", "hatch.linewidth": 9}
        ):
            before = dict(matplotlib.rcParams)
            found = [path.read_bytes() for path in draw(rows, tmp_path / "loud")]
            assert dict(matplotlib.rcParams) == before
        assert found == expected
        assert b"<dc:date>" not in expected[1]
        assert b"Date" not in expected[2]

    @pytest.mark.usefixtures("only_svg")
    def test_rows_of_a_csv_file_draw_the_same(self, draw: Any, rows: Any, tmp_path: Path) -> None:
        cells = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
        numbers = [{key: math.nan if value is None else value for key, value in row.items()} for row in rows]
        first, second, third = (
            draw(each, tmp_path / str(place))[0].read_bytes() for place, each in enumerate((rows, cells, numbers))
        )
        assert first == second == third

    def test_nothing_overlaps_the_caption_and_nothing_leaves_the_page(
        self, draw: Any, rows: Any, tmp_path: Path, drawn: list[Figure]
    ) -> None:
        draw(rows, tmp_path)
        (figure,) = drawn
        figure.draw_without_rendering()
        page = figure.bbox
        written = [text.get_window_extent() for text in figure.texts]
        below = [box for box in written if box.y1 < page.height / 2]
        below += [legend.get_window_extent() for legend in figure.legends]
        below.sort(key=lambda box: float(box.y0))
        assert all(lower.y1 <= upper.y0 + 1 for lower, upper in itertools.pairwise(below))
        for axes in figure.axes:
            box = axes.get_tightbbox()
            assert box is not None
            assert box.y0 > below[-1].y1
            assert box.x0 >= -1
            assert box.x1 <= page.x1 + 1
            assert box.y1 <= page.y1 + 1

    @pytest.mark.usefixtures("only_svg")
    def test_type_is_8_points_or_more(self, draw: Any, rows: Any, tmp_path: Path) -> None:
        sizes = points_of(draw(rows, tmp_path))
        assert sizes
        assert min(sizes) >= 8

    @pytest.mark.usefixtures("only_svg")
    def test_names_are_drawn_as_they_are_and_make_safe_file_names(self, draw: Any, rows: Any, tmp_path: Path) -> None:
        written = draw(named(rows, NASTY), tmp_path)
        assert any(NASTY in text for text in texts(written))
        hidden = draw(named(rows, "../../etc/\x00\x1b[31m\n" + "long " * 100), tmp_path)
        assert {path.parent for path in written + hidden} == {tmp_path}
        assert not any("\n" in text or "\x1b" in text for text in texts(hidden))
        assert max(len(path.name) for path in hidden) < 120

    def test_a_disk_that_refuses_is_an_error_that_names_the_file(self, draw: Any, rows: Any, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file, not a folder")
        with pytest.raises(RunError, match=r"cannot write .*taken"):
            draw(rows, tmp_path / "taken")


@pytest.mark.parametrize("name", ["…", "a/b", NASTY])
def test_every_picture_cuts_names_alike(name: str) -> None:
    """A name without a letter that a file system takes is `unnamed`; one that is taken gets a number."""
    first = style.stem_of("scaling", (name,), ())
    assert re.fullmatch(r"scaling_[A-Za-z0-9._-]+", first)
    assert first == {"…": "scaling_unnamed", "a/b": "scaling_a_b"}.get(name, first)
    assert style.stem_of("scaling", (name,), [Path(f"{first.upper()}.png")]) == f"{first}_2"


@pytest.mark.usefixtures("only_svg")
def test_the_order_of_seeds_does_not_matter(tmp_path: Path) -> None:
    rows = over_sizes((0.5, 1.0), SEEDS)
    by_seed = sorted(rows, key=lambda row: -int(row["seed"]))
    random.Random(0).shuffle(rows)
    rows.sort(key=lambda row: ("none", "mdg", "pdg", "both").index(row["variant"]))
    first, second = (size_curve(each, tmp_path / name)[0].read_bytes() for each, name in ((rows, "a"), (by_seed, "b")))
    assert first == second


def test_drawing_leaves_pyplot_and_the_backend_alone(tmp_path: Path) -> None:
    program = f"""
import sys
import agcli.figures
assert not {{"matplotlib", "scipy", "numpy"}} & set(sys.modules)
from pathlib import Path
from agcli.figures.curves import layer_curve
layer_curve({over_layers(range(2), FEW)!r}, Path({str(tmp_path)!r}))
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
assert matplotlib.get_backend(auto_select=False) is None
"""
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""
