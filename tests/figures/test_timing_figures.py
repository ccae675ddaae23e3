"""Pictures of timings: valid files, every label and figure in them, gaps said, the same bytes again, no trace left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread
from pictures import NASTY, all_text, points_of, texts

from agcli.errors import RunError
from agcli.figures import style
from agcli.figures.row_chart import MOST_LINES
from agcli.figures.scaling import scaling
from agcli.figures.step_time import step_time_bars
from agcli.figures.timing_rows import three_digits
from agcli.guides.variants import variant_names


def row(model: str = "bert", variant: str = "none", length: int = 128, **changes: Any) -> dict[str, Any]:
    """A saved row: 0.4 s, quartiles 0.39 and 0.42, twice the guides' usual ratio, 2 GB."""
    found: dict[str, Any] = {
        "model": model,
        "arm": variant,
        "variant": variant,
        "attention": "sdpa" if variant == "none" else "cpu",
        "length": length,
        "batch_size": 32,
        "step_seconds": 0.4,
        "step_seconds_low": 0.39,
        "step_seconds_high": 0.42,
        "ratio": 1.0 if variant == "none" else 1.06,
        "ratio_low": None if variant == "none" else 1.04,
        "ratio_high": None if variant == "none" else 1.08,
        "peak_memory_bytes": 2e9,
        "notes": "",
    }
    return found | changes


def failed(reason: str, **changes: Any) -> dict[str, Any]:
    """The row of an arm without figures."""
    missing = dict.fromkeys(key for key in row() if key.startswith(("step_", "ratio", "peak_")))
    return row(**changes) | missing | {"notes": reason}


class TestBars:
    def test_both_files_are_whole_pictures_with_every_label(self, tmp_path: Path) -> None:
        rows = [row(), row(variant="both"), row("albert", "mdg", notes="x")]
        written = step_time_bars(rows, tmp_path / "new")
        assert [path.name for path in written] == ["step_time.png", "step_time.svg", "step_time.pdf"]
        assert sorted(tmp_path.rglob("*.*")) == sorted(written), "no temporary file is left"
        pixels = imread(written[0])
        assert pixels.shape[1] == style.PAGE_WIDTH * 200
        assert pixels.std() > 0.05
        found = texts(written)
        for label in (
            "bert, length 128, batch 32",
            "albert, length 128, batch 32",
            "none, sdpa",
            "both, cpu",
            "mdg, cpu",
            "400 ms",
            "1.06 [1.04, 1.08]",
            "ratio to none [95 %]",
            "Step time (ms): median, whiskers at the quartiles",
        ):
            assert label in found, label
        assert not any("1.00" in text for text in found), "none has no ratio to itself"

    def test_bars_and_whiskers_are_as_long_as_the_figures(self, tmp_path: Path, drawn: list[Figure]) -> None:
        step_time_bars([row(step_seconds=2.0, step_seconds_low=1.5, step_seconds_high=2.25)], tmp_path)
        (axes,) = drawn[0].axes
        assert [bar.get_width() for bar in axes.patches] == [2.0]
        (whisker,) = axes.collections
        (ends,) = whisker.get_segments()  # type: ignore[attr-defined]
        assert ends[:, 0].tolist() == [1.5, 2.25]
        assert axes.get_xlim()[0] == 0
        assert axes.get_xlim()[1] > 2.25

    def test_what_the_ratio_is_and_is_not(self, tmp_path: Path, drawn: list[Figure]) -> None:
        step_time_bars([row(), row(variant="mdg", step_seconds=0.3, ratio=1.1)], tmp_path)
        step_time_bars([row()], tmp_path)
        with_ratio, alone = (" ".join(" ".join(all_text(figure)).split()) for figure in drawn)
        words = "geometric mean, over rounds, of the times on the same batches"
        assert words in with_ratio
        assert "not the quotient of the bars" in with_ratio
        assert words not in alone

    def test_a_failed_arm_leaves_a_gap_that_says_why(self, tmp_path: Path, drawn: list[Figure]) -> None:
        common = "random weights; synthetic ids"
        rows = [row(notes=common), failed(f"{common}; out of memory", variant="both")]
        step_time_bars(rows, tmp_path)
        found = all_text(drawn[0])
        assert "both, cpu" in found
        assert "no figure: out of memory" in found
        assert common in found, "what holds for all is said under the picture"
        assert len(drawn[0].axes[0].patches) == 1

    def test_missing_quartiles_intervals_and_attention_are_left_out(self, tmp_path: Path, drawn: list[Figure]) -> None:
        bare = {"step_seconds_low": None, "step_seconds_high": None, "ratio_low": None, "ratio_high": None}
        step_time_bars([row(variant="pdg", attention=None, **bare)], tmp_path)
        found = all_text(drawn[0])
        assert "pdg" in found
        assert "1.06" in found
        assert not drawn[0].axes[0].collections

    def test_all_failed_is_a_picture_too(self, tmp_path: Path, drawn: list[Figure]) -> None:
        step_time_bars([failed("no compiler", length=64), failed("no compiler", length=128)], tmp_path)
        assert all_text(drawn[0]).count("no figure: no compiler") == 2

    @pytest.mark.usefixtures("only_svg")
    def test_rows_of_a_csv_file_draw_the_same(self, tmp_path: Path) -> None:
        rows = [row(), failed("gone", variant="both")]
        cells = [{key: "" if value is None else str(value) for key, value in each.items()} for each in rows]
        numbers = [each | {key: float("nan") for key, value in each.items() if value is None} for each in rows]
        first, second, third = (
            step_time_bars(each, tmp_path / str(place))[0].read_bytes()
            for place, each in enumerate((rows, cells, numbers))
        )
        assert first == second == third

    def test_many_rows_fill_pages_and_none_is_lost(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row(f"m{n}", variant) for n in range(20) for variant in ("none", "mdg", "pdg", "both")]
        names = {path.name for path in step_time_bars(rows, tmp_path)}
        assert names == {f"step_time_{page}.{kind}" for page in (1, 2, 3) for kind in style.METADATA}
        assert sum(len(figure.axes[0].patches) for figure in drawn) == len(rows)
        assert max(figure.get_figheight() for figure in drawn) < 10.2

    def test_the_papers_seven_models_fit_on_one_page(self, tmp_path: Path, drawn: list[Figure]) -> None:
        step_time_bars(
            [row(f"m{n}", variant) for n in range(7) for variant in ("none", "mdg", "pdg", "both")], tmp_path
        )
        assert len(drawn) == 1

    def test_one_group_longer_than_a_page_is_cut(self, tmp_path: Path, drawn: list[Figure]) -> None:
        step_time_bars([row(variant=f"v{n}") for n in range(MOST_LINES + 5)], tmp_path)
        assert [len(figure.axes[0].patches) for figure in drawn] == [MOST_LINES - 1, 6]

    def test_no_rows_no_picture(self, tmp_path: Path) -> None:
        assert step_time_bars([], tmp_path) == []
        assert list(tmp_path.iterdir()) == []


class TestScaling:
    LENGTHS = (64, 128, 256, 512)

    def rows(self, model: str = "minilm") -> list[dict[str, Any]]:
        return [
            row(model, variant, length, step_seconds=length / 640 * factor, peak_memory_bytes=length * 1e7 * factor)
            for length in self.LENGTHS
            for variant, factor in (("none", 1.0), ("both", 1.05))
        ]

    def test_one_picture_a_model_with_both_panels(self, tmp_path: Path, drawn: list[Figure]) -> None:
        written = scaling(self.rows() + self.rows("bert"), tmp_path)
        found = all_text(drawn[0])
        stems = ("scaling_minilm", "scaling_bert")
        assert [path.name for path in written] == [f"{stem}.{kind}" for stem in stems for kind in style.METADATA]
        for label in ("minilm", "none, sdpa", "both, cpu", "Length (tokens, log scale)", "64", "512"):
            assert label in found, label
        assert "Step time (ms, log scale)" in found
        assert "Peak memory (GB, log scale)" in found
        time, memory = drawn[0].axes
        assert time.get_xscale() == memory.get_xscale() == "log"
        lines = {line.get_label(): line for line in time.get_lines()}
        assert list(lines["both, cpu"].get_xdata()) == list(self.LENGTHS)
        assert list(lines["both, cpu"].get_ydata()) == pytest.approx([105.0, 210.0, 420.0, 840.0])
        assert list(memory.get_lines()[0].get_ydata()) == pytest.approx([0.64, 1.28, 2.56, 5.12])

    def test_arms_differ_in_more_than_colour(self, tmp_path: Path, drawn: list[Figure]) -> None:
        scaling(self.rows(), tmp_path)
        first, second = (
            line for line in drawn[0].axes[0].get_lines() if line.get_label() in ("none, sdpa", "both, cpu")
        )
        assert first.get_color() != second.get_color()
        assert first.get_marker() != second.get_marker()
        assert first.get_linestyle() != second.get_linestyle()

    def test_what_auto_takes_may_change_along_a_line(self, drawn: Any, tmp_path: Path) -> None:
        """Below 64 tokens both arms ran on the reference; neither takes the other's place."""
        rows = [
            row(variant="both", arm=f"both, {asked}", attention=ran, length=length)
            for length, took in ((32, "reference"), (64, "cpu"))
            for asked, ran in (("auto", took), ("reference", "reference"))
        ]
        scaling(rows, tmp_path)
        time = drawn[0].axes[0]
        lines = {line.get_label(): list(line.get_xdata()) for line in time.lines if line.get_marker() in style.MARKERS}
        assert lines == {"both, auto": [32, 64], "both, reference": [32, 64]}

    def test_a_missing_point_breaks_the_line_and_is_explained(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = self.rows()
        rows[-1] = failed("out of memory", model="minilm", variant="both", length=512)
        scaling(rows, tmp_path)
        assert "× both, cpu, length 512: no figure: out of memory" in all_text(drawn[0])
        for axes in drawn[0].axes:
            both = next(line for line in axes.get_lines() if line.get_label() == "both, cpu")
            assert [value == value for value in both.get_ydata()] == [True, True, True, False]  # nan is not itself
            crosses = [line for line in axes.get_lines() if line.get_marker() == "x"]
            assert [list(cross.get_xdata()) for cross in crosses] == [[512]]

    def test_memory_alone_may_be_missing(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [each | {"peak_memory_bytes": None} for each in self.rows()]
        scaling(rows, tmp_path)
        assert "no figures" in all_text(drawn[0])
        assert drawn[0].axes[0].get_yscale() == "log"

    def test_small_spreads_start_at_nought_with_whiskers_in_sight(self, tmp_path: Path, drawn: list[Figure]) -> None:
        scaling([row(length=128), row(length=256, step_seconds_high=0.9)], tmp_path)
        low, high = drawn[0].axes[0].get_ylim()
        assert low == 0
        assert high > 900

    def test_one_length_scales_nothing(self, tmp_path: Path) -> None:
        assert scaling([row(), row(variant="both")], tmp_path) == []

    def test_two_batch_sizes_are_two_lines(self, tmp_path: Path, drawn: list[Figure]) -> None:
        rows = [row(length=length, batch_size=size) for length in (64, 128) for size in (8, 16)]
        scaling(rows, tmp_path)
        assert {"none, sdpa, batch 8", "none, sdpa, batch 16"} <= set(all_text(drawn[0]))

    def test_names_become_safe_and_different_file_names(self, tmp_path: Path, drawn: list[Figure]) -> None:
        models = ("a/b", "a_b", "A b", "../../etc/x$", "…")
        written = scaling([row(model, length=length) for model in models for length in (64, 128)], tmp_path)
        assert len({path.name.lower() for path in written}) == 3 * len(models)
        assert {path.parent for path in written} == {tmp_path}
        assert all(re.fullmatch(r"scaling_[A-Za-z0-9._-]+\.(png|svg|pdf)", path.name) for path in written)


@pytest.mark.parametrize("draw", [step_time_bars, scaling])
class TestBoth:
    ROWS = (row(length=64), row(length=128), row(variant="both", length=128))

    def test_the_same_rows_give_the_same_bytes_on_any_day(self, draw: Any, tmp_path: Path) -> None:
        first, second = (draw(self.ROWS, tmp_path / name) for name in ("one", "two"))
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
        assert b"<dc:date>" not in first[1].read_bytes()
        assert b"Date" not in first[2].read_bytes()

    @pytest.mark.usefixtures("only_svg")
    def test_markup_in_names_is_drawn_as_it_is(self, draw: Any, tmp_path: Path) -> None:
        rows = [row(NASTY, length=length, attention="a_$b$<c>", notes="50 $ & <more>") for length in (64, 128)]
        found = texts(draw(rows, tmp_path))
        assert any(NASTY in text for text in found)
        assert "none, a_$b$<c>" in found
        assert "50 $ & <more>" in found

    @pytest.mark.usefixtures("only_svg")
    def test_control_characters_and_long_names_do_no_harm(self, draw: Any, tmp_path: Path) -> None:
        name = "start\x00\x1b[31m\n" + "long " * 100 + "end"
        found = texts(draw([row(name, length=length) for length in (64, 128)], tmp_path))
        (title, *_) = (text for text in found if text.startswith("start"))
        assert "…" in title
        assert "end" in title
        assert len(title) < 100
        assert not any("\n" in text or "\x1b" in text for text in found)

    @pytest.mark.usefixtures("only_svg")
    def test_type_is_8_points_or_more(self, draw: Any, tmp_path: Path) -> None:
        """An SVG of matplotlib's counts 72 px to the inch, so that px are points."""
        sizes = points_of(draw([row(length=64), failed("gone", length=128)], tmp_path))
        assert sizes
        assert min(sizes) >= 8

    def test_the_users_settings_stay_and_do_not_show(self, draw: Any, tmp_path: Path) -> None:
        expected = [path.read_bytes() for path in draw(self.ROWS, tmp_path / "plain")]
        loud = {
            "font.size": 30,
            "text.parse_math": True,
            "svg.hashsalt": "u",
            "axes.labelpad": 20,
            "xtick.direction": "in",
        }
        with matplotlib.rc_context(loud):
            before = dict(matplotlib.rcParams)
            found = [path.read_bytes() for path in draw(self.ROWS, tmp_path / "loud")]
            assert dict(matplotlib.rcParams) == before
        assert found == expected

    def test_a_disk_that_refuses_is_an_error_that_names_the_file(self, draw: Any, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file, not a folder")
        with pytest.raises(RunError, match=r"cannot write .*taken"):
            draw(self.ROWS, tmp_path / "taken")

    def test_a_write_that_fails_leaves_the_old_picture(
        self, draw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = draw(self.ROWS, tmp_path)
        before = written[0].read_bytes()

        def refuse(path: Path, target: Path) -> None:
            raise OSError(28, os.strerror(28))

        monkeypatch.setattr(Path, "replace", refuse)
        with pytest.raises(RunError, match="No space left"):
            draw([row("other", length=length) for length in (64, 128)], tmp_path)
        assert written[0].read_bytes() == before
        assert sorted(tmp_path.iterdir()) == sorted(written)


def test_importing_is_light_and_drawing_leaves_pyplot_and_the_backend_alone(tmp_path: Path) -> None:
    program = f"""
import sys
import agcli.figures
assert not [name for name in sys.modules if name.split(".")[0] == "matplotlib"]
from pathlib import Path
from agcli.figures.step_time import step_time_bars
step_time_bars([{row()!r}], Path({str(tmp_path)!r}))
assert "matplotlib.pyplot" not in sys.modules
import matplotlib
assert matplotlib.get_backend(auto_select=False) is None
"""
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert found.returncode == 0, found.stderr
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (0.01234, "0.0123"),
        (0.4, "0.400"),
        (1.05, "1.05"),
        (62.13, "62.1"),
        (412.4, "412"),
        (2334.0, "2334"),
    ],
)
def test_three_digits(value: float, text: str) -> None:
    assert three_digits(value) == text


def test_every_variant_has_a_colour_of_its_own() -> None:
    own = style.colours_of([*variant_names(), *style.METHOD_COLOURS])
    assert len(set(own.values())) == len(own)
    found = style.colours_of(["mine", "none", "yours"])
    assert found["none"] == own["none"]
    assert found["mine"] != found["yours"]
    assert {found["mine"], found["yours"]}.isdisjoint(own.values())
