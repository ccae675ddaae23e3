"""A run on disk and the process that makes it: folder, atomic writes, signals, device, child processes."""
