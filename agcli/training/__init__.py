"""A training run: the engine, what it is put together from, its checkpoints and its reports."""
