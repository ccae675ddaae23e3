"""The kinds of task, one file each: examples, loss, evaluation, and what is written of them."""
