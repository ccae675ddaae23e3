"""The tables and figures of Wang et al. 2022: as published, as sweeps to run, and with our results beside.

The numbers are in `published.json`, what is run and the notes on it in `recipes.json`.
"""
