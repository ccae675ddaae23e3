"""Sweeps: grids of runs, restartable and parallel, and what they say."""
