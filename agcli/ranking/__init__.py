"""A finished run at work: candidates re-ranked, resumably, and written as the field's files and measures."""
