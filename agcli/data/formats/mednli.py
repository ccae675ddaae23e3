"""MedNLI: premises from clinical notes, under PhysioNet's credentialed licence. Its text never leaves these files.

Source: Romanov & Shivade 2018. The files have MultiNLI's jsonl layout: `sentence1`, `sentence2`, `gold_label` and
`pairID`.
"""

from __future__ import annotations

from agcli.data.formats import multinli
from agcli.data.pairs import Corpus
from agcli.data.request import PrepareRequest
from agcli.data.split_files import choose_files
from agcli.errors import DataError

FILES = ("mli_train_v1.jsonl", "mli_dev_v1.jsonl", "mli_test_v1.jsonl")


def read(request: PrepareRequest) -> Corpus:
    """Read the user's own copy, from a folder, the original zip, or named files.

    Raises:
        DataError: the files are not there (what to download, and the command to run then), or are damaged.
    """
    if request.named_files:
        return multinli.read_files(choose_files(request, (".jsonl",)), request)
    if request.source is None:
        raise missing()
    try:
        files = choose_files(request, (".jsonl",))
    except DataError as error:
        raise missing(str(error)) from None
    if set(files.by_split) != {"train", "dev", "test"}:
        names = [file.name for file in files.by_split.values()]
        raise missing(f"{request.source}: not all of {', '.join(FILES)} are here. Found {', '.join(names)}.")
    return multinli.read_files(files, request)


def missing(problem: str = "") -> DataError:
    """The error for absent files: what to download, that it needs credentials, the command to run then."""
    return DataError(
        f"{problem or 'No MedNLI files were named.'} MedNLI is not shipped: it is credentialed data.",
        hint=(
            "with credentialed access to PhysioNet (training and a signed agreement), download MedNLI 1.0.0 from "
            f"https://physionet.org/content/mednli/1.0.0/ ({', '.join(FILES)}), then run: "
            "ag prepare --dataset mednli --from FOLDER_OR_ZIP"
        ),
    )
