"""Saved runs and rankings: evaluated, and compared with each other."""
