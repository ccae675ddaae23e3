"""Sweeps: grids of runs, restartable and parallel, and their reports."""
