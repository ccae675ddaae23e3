"""Source formats, one file each, and the one prepared form that they all become."""

from agcli.corpora.catalogue import find_dataset
from agcli.corpora.preparation import prepare
from agcli.corpora.prepared import PreparedDataset, load_prepared
from agcli.corpora.request import PrepareRequest
from agcli.corpora.sample import sample_folder

__all__ = ["PrepareRequest", "PreparedDataset", "find_dataset", "load_prepared", "prepare", "sample_folder"]
