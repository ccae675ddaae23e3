"""Source formats, one file each, and the one prepared form that they all become."""

from agcli.data.catalogue import find_dataset
from agcli.data.preparation import prepare
from agcli.data.prepared import PreparedDataset, load_prepared
from agcli.data.request import PrepareRequest
from agcli.data.sample import sample_folder

__all__ = ["PrepareRequest", "PreparedDataset", "find_dataset", "load_prepared", "prepare", "sample_folder"]
