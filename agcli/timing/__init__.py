"""`ag timing`: what guiding costs, measured with every variant in its own process and in turns.

plan.py      what is asked for, checked; groups of arms          measuring.py  the arms in turns; steps and memory
supply.py    where examples come from                            rows.py       steps -> medians, ratios, intervals
children.py  one process an arm, and the talk with it            record.py     CSV, JSON and environment
"""

from __future__ import annotations

from agcli.timing.measuring import TimingWatch, measure
from agcli.timing.plan import Group, TimingRequest, plan_groups
from agcli.timing.rows import TimingRow, group_rows

__all__ = ["Group", "TimingRequest", "TimingRow", "TimingWatch", "group_rows", "measure", "plan_groups"]
