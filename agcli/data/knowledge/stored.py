"""Knowledge on the disk, `knowledge/NAME/` in the folder of the prepared data that it was made from.

manifest.json   what it was made from and with, digest     relations.npz   pairs of words and their values
words.txt       the words, a line each; or, where each word of each text is one by itself, places.npz
"""

from __future__ import annotations

import hashlib
import json
import shlex
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import agcli
from agcli.data.formats.sample import SAMPLES, sample_folder
from agcli.data.knowledge.dependency import TextWords
from agcli.data.knowledge.inputs import Dataset, training_inputs
from agcli.data.knowledge.relations import Numbers, Relations
from agcli.data.knowledge.words import words_of
from agcli.data.prepared import KNOWLEDGE, MANIFEST
from agcli.errors import DataError, unreadable
from agcli.runs.atomic import write_folder

FORMAT = 1
_WRITE_HINT = "free some space, or make the folder writable, then run the command again"
WORDS, PLACES, RELATIONS = "words.txt", "places.npz", "relations.npz"

Spans = tuple[Numbers, Numbers, Numbers]
"""Of a text's words: first character, the one behind the last, and number (-1: nothing is known of it)."""
WordNumbers = list[str] | TextWords
"""What the numbers of words stand for: words as written, or single places in single texts."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Knowledge that is ready to be aligned with tokens.

    Attributes:
        spans: the words of one of the training texts.
    """

    name: str
    manifest: dict[str, Any]
    relations: Relations
    spans: Callable[[str], Spans]

    @property
    def digest(self) -> str:
        """SHA-256 over words and values."""
        return str(self.manifest["digest"])


def prepare_command(dataset: Dataset, names: Iterable[str]) -> str:
    """The command that makes knowledge of these prepared data, or of a copy of a shipped sample."""
    shipped = dataset.name in SAMPLES and dataset.folder == sample_folder(dataset.name)
    named = dataset.name if shipped else str(dataset.folder)
    return f"ag prepare --dataset {shlex.quote(named)} --knowledge {','.join(names)}"


def write_knowledge(
    dataset: Dataset, name: str, words: WordNumbers, relations: Relations, manifest: Mapping[str, Any]
) -> dict[str, Any]:
    """Write one kind of knowledge whole or not at all, in the place of an earlier one; returns its manifest.

    Raises:
        RunError: the disk refuses.
    """
    first, second = relations.pairs
    digest = _digest(words, relations)
    written = {
        "format": FORMAT,
        "name": name,
        "data_digest": dataset.digest,
        **manifest,
        "pairs": len(relations.keys),
        "digest": digest,
        "agcli_version": agcli.__version__,
    }

    def write(folder: Path) -> None:
        if isinstance(words, TextWords):
            np.savez_compressed(folder / PLACES, bounds=words.bounds, starts=words.starts, ends=words.ends)
        else:
            (folder / WORDS).write_text("".join(f"{word}\n" for word in words), encoding="utf-8", newline="")
        size = np.array(relations.size)
        np.savez_compressed(folder / RELATIONS, size=size, first=first, second=second, values=relations.values)
        (folder / MANIFEST).write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")

    write_folder(dataset.folder / KNOWLEDGE / name, write, hint=_WRITE_HINT)
    return written


def _digest(words: WordNumbers, relations: Relations) -> str:
    digest = hashlib.sha256(str(relations.size).encode())
    if isinstance(words, TextWords):
        for places in (words.bounds, words.starts, words.ends):
            digest.update(places.astype("<i8").tobytes())
    else:
        digest.update(json.dumps(words).encode())
    digest.update(relations.keys.astype("<i8").tobytes() + relations.values.astype("<f4").tobytes())
    return digest.hexdigest()


def read_knowledge_manifest(dataset: Dataset, name: str) -> dict[str, Any]:
    """The manifest of one kind of knowledge that was made from the data as they are now.

    Raises:
        DataError: it is not there, unreadable, or was made from other data.
    """
    path = dataset.folder / KNOWLEDGE / name / MANIFEST
    hint = prepare_command(dataset, [name])
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        form, made_from, kind = manifest["format"], manifest["data_digest"], manifest["name"]
    except FileNotFoundError:
        raise DataError(f"these data have no knowledge {name!r}", file=dataset.folder, hint=hint) from None
    except OSError as error:
        raise unreadable(path, error, path) from None
    except (ValueError, TypeError, KeyError):
        raise DataError("the manifest is damaged", file=path, hint=hint) from None
    if form != FORMAT:
        raise DataError(f"this knowledge is not of format {FORMAT}", file=path, hint=hint)
    if kind != name:
        raise DataError(f"this is knowledge {kind!r}, in the place of {name!r}", file=path, hint=hint)
    if made_from != dataset.digest:
        problem = f"knowledge {name!r} was made from other data than lie beside it"
        raise DataError(problem, file=path.parent, hint=hint)
    return dict(manifest)


def knowledge_digests(dataset: Dataset, names: Iterable[str]) -> dict[str, str]:
    """The digest of each of these kinds of knowledge.

    Raises:
        DataError: one is missing, damaged or stale; of several that are missing, the command names all.
    """
    names = tuple(names)
    missing = [name for name in names if name not in dataset.knowledge]
    if missing:
        words = " and ".join(map(repr, missing))
        hint = prepare_command(dataset, missing)
        raise DataError(f"these data have no knowledge {words}", file=dataset.folder, hint=hint)
    return {name: str(read_knowledge_manifest(dataset, name).get("digest")) for name in names}


def load_knowledge(dataset: Dataset, name: str) -> Knowledge:
    """Read one kind of knowledge and check it against its manifest.

    Raises:
        DataError: it is missing, damaged, altered, or made from other data.
    """
    manifest = read_knowledge_manifest(dataset, name)
    folder = dataset.folder / KNOWLEDGE / name
    try:
        words, relations = _read(folder)
        whole = _digest(words, relations) == manifest["digest"]
    except PermissionError as error:
        raise unreadable(folder, error, folder) from None
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error, EOFError):
        whole = False
    if not whole:
        problem = f"knowledge {name!r} is not what its manifest recorded"
        raise DataError(problem, file=folder, hint=prepare_command(dataset, [name]))
    texts = training_inputs(dataset).texts if isinstance(words, TextWords) else ()
    return Knowledge(name, manifest, relations, finder(words, texts))


def _read(folder: Path) -> tuple[WordNumbers, Relations]:
    """Words that are places in texts are related within their text only; the digest tells them from words as written.

    Raises:
        OSError, ValueError, KeyError, TypeError, BadZipFile, zlib.error, EOFError: a file is missing or damaged.
    """
    stored, in_places = _arrays(folder / RELATIONS), (folder / PLACES).exists()
    keys = stored["first"] * int(stored["size"]) + stored["second"]
    relations = Relations(int(stored["size"]), keys, stored["values"], within_text=in_places)
    if in_places:
        return TextWords(**_arrays(folder / PLACES)), relations
    with (folder / WORDS).open(encoding="utf-8", newline="") as file:
        return file.read().split("\n")[:-1], relations


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def finder(words: WordNumbers, texts: tuple[str, ...]) -> Callable[[str], Spans]:
    """The function that gives the words of one of the training texts; `texts` are all of them, in their order."""
    if isinstance(words, TextWords):
        number_of_text = {text: number for number, text in enumerate(texts)}

        def of_one_text(text: str) -> Spans:
            begin, end = words.bounds[number_of_text[text]], words.bounds[number_of_text[text] + 1]
            return words.starts[begin:end], words.ends[begin:end], np.arange(begin, end)

        return of_one_text
    number_of_word = {word: number for number, word in enumerate(words)}

    def by_spelling(text: str) -> Spans:
        rows = [(start, end, number_of_word.get(word, -1)) for word, start, end in words_of(text)]
        starts, ends, numbers = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return starts, ends, numbers

    return by_spelling
