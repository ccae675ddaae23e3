"""Ranking data: one file a source layout, and the one prepared form that they all become."""
