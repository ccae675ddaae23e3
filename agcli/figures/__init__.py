"""Every picture, drawn from saved results only, as PNG (200 dpi) and SVG.

Importing this package costs nothing; matplotlib comes with the first picture. No picture goes through pyplot: a user's
own figures, settings and backend stay as they are.

bars.py, scaling.py    of a timing, read by rows.py
curves.py, panels.py   of a sweep, read by cells.py: a metric against the guided layer, and against the training size
printed.py             what a paper prints of the same, as stars beside our means
heatmap.py             of a sweep: the dev metric over the grid of weights
forest.py              of a sweep's contrasts: effects with their intervals
"""

from agcli.figures.bars import step_time_bars
from agcli.figures.curves import layer_curve, size_curve
from agcli.figures.forest import forest
from agcli.figures.heatmap import weight_heatmap
from agcli.figures.printed import PaperPoints
from agcli.figures.scaling import scaling

__all__ = ["PaperPoints", "forest", "layer_curve", "scaling", "size_curve", "step_time_bars", "weight_heatmap"]
