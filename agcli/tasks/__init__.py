"""The kinds of task, one file each: what an example is, its loss, its predictions."""

from agcli.tasks.classification import Classification

__all__ = ["Classification"]
