"""Every picture, drawn from saved results only, as PNG (200 dpi) and SVG.

Importing this package costs nothing; matplotlib comes with the first picture. No picture goes through pyplot: a user's
own figures, settings and backend stay as they are.
"""

from agcli.figures.bars import step_time_bars
from agcli.figures.scaling import scaling

__all__ = ["scaling", "step_time_bars"]
