"""The guides: one file each, the formula beside its equation; `registry` lists them without importing torch."""
