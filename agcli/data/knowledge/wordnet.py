"""WordNet's noun and verb senses through NLTK, from its data path or a folder of WordNet's own files."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from agcli.data.knowledge.kinds import EXTRA
from agcli.data.knowledge.wordsim import PARTS_OF_SPEECH, Taxonomy
from agcli.errors import DataError, MissingExtraError, UsageError, unreadable
from agcli.runs.atomic import writing

_SUFFIXES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_NEEDED = tuple(f"{kind}.{suffix}" for suffix in _SUFFIXES.values() for kind in ("data", "index"))
_EXCEPTIONS = tuple(f"{suffix}.exc" for suffix in _SUFFIXES.values())
_MAY_BE_EMPTY = ("index.sense", "cntlist.rev", *_EXCEPTIONS)
_HINT = "python -m nltk.downloader wordnet   (or: apt-get install wordnet-base, then --wordnet /usr/share/wordnet)"
_TOPICS = {
    "noun": "Tops act animal artifact attribute body cognition communication event feeling food group location motive "
    "object person phenomenon plant possession process quantity relation shape state substance time",
    "verb": "body change cognition communication competition consumption contact creation emotion motion perception "
    "possession social stative weather",
}
_LEXICOGRAPHER_FILES = (
    ("adj", 3, "all"),
    ("adj", 3, "pert"),
    ("adv", 4, "all"),
    *(("noun", 1, topic) for topic in _TOPICS["noun"].split()),
    *(("verb", 2, topic) for topic in _TOPICS["verb"].split()),
    ("adj", 3, "ppl"),
)
"""Part of speech, its number and topic of each of WordNet's source files, in the order of lexnames(5WN)."""


@contextmanager
def open_wordnet(folder: Path | None) -> Iterator[tuple[Taxonomy, dict[str, str]]]:
    """The senses, and what the manifest records of NLTK and WordNet.

    Args:
        folder: with `data.noun` and its like, or with `corpora/wordnet`; None: NLTK's data path is searched.

    Raises:
        MissingExtraError: NLTK is not installed.
        UsageError: there is no WordNet.
        DataError: its files are damaged or unreadable.
        RunError: there is no space for a copy of them.
    """
    try:
        import nltk
    except ImportError:
        raise MissingExtraError("nltk", EXTRA, "--knowledge wordsim") from None
    paths = list(nltk.data.path)
    with tempfile.TemporaryDirectory() as staged:
        try:
            if folder is not None:  # and no other WordNet, which may be there too
                nltk.data.path[:] = [_data_root(folder, Path(staged))]
            reader = _reader(folder)
            with _damage_named(folder):
                versions = _version(reader)
            yield _taxonomy(reader, folder), {"nltk": nltk.__version__, **versions}
        finally:
            nltk.data.path[:] = paths


def _data_root(folder: Path, staged: Path) -> str:
    """A folder for NLTK's data path; it refuses files elsewhere, those behind links too, so WordNet's own are copied.

    Debian's package leaves out `lexnames`, whose rows are documented, and `index.sense`, which is not used.
    """
    if (folder / "corpora").is_dir():
        return str(folder)
    if not folder.is_dir():
        raise UsageError(f"--wordnet {folder}: no such folder.", hint=_HINT)
    missing = [name for name in _NEEDED if not (folder / name).is_file()]
    if missing:
        raise UsageError(f"--wordnet {folder}: WordNet's {missing[0]} is not there.", hint=_HINT)
    target = staged / "corpora" / "wordnet"
    target.mkdir(parents=True)
    for name in (*_NEEDED, *_MAY_BE_EMPTY, "lexnames"):
        content = _lexnames().encode() if name == "lexnames" else b""
        if (folder / name).is_file():
            try:
                content = (folder / name).read_bytes()
            except OSError as error:
                raise unreadable(folder / name, error, folder / name) from None
        with writing(target / name, "free some space, or name another folder for temporary files: TMPDIR=FOLDER"):
            (target / name).write_bytes(content)
    return str(staged)


def _lexnames() -> str:
    return "".join(f"{row:02}\t{kind}.{topic}\t{pos}\n" for row, (kind, pos, topic) in enumerate(_LEXICOGRAPHER_FILES))


@contextmanager
def _damage_named(folder: object) -> Iterator[None]:
    """Turn what NLTK raises for WordNet's files, which is of any kind, into an error that names their folder.

    Raises:
        DataError: NLTK raised something.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # other languages' WordNets are not used; a missing sense is an error here
            yield
    except Exception as error:
        problem = f"WordNet cannot be read ({type(error).__name__})"
        raise DataError(problem, file=folder or "on NLTK's data path", hint=_HINT) from None


def _reader(folder: Path | None = None) -> Any:
    """NLTK's reader of the first WordNet on its data path.

    Args:
        folder: the user's, of whose files NLTK may read copies.

    Raises:
        UsageError: there is none.
        DataError: its files are damaged.
    """
    import nltk
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    root = None
    with _damage_named(folder):
        for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
            with suppress(LookupError):
                root = root or nltk.data.find(place)
    if root is None:
        where = f"is not in {folder}" if folder else "NLTK does not find"
        raise UsageError(f"--knowledge wordsim needs WordNet, which {where}.", hint=_HINT)
    with _damage_named(folder or root):
        reader = WordNetCorpusReader(root, None)
        reader.synsets("dog", "n")[0].hypernyms()
    return reader


def _taxonomy(reader: Any, folder: Path | None = None) -> Taxonomy:
    @cache
    def first_sense(word: str, part_of_speech: str) -> str | None:
        with _damage_named(folder):
            senses = reader.synsets(word, pos=part_of_speech)
            return str(senses[0].name()) if senses else None

    @cache
    def above(sense: str) -> tuple[str, ...]:
        with _damage_named(folder):
            synset = reader.synset(sense)
            return tuple(each.name() for each in synset.hypernyms() + synset.instance_hypernyms())

    return Taxonomy(first_sense, above)


def _version(reader: Any) -> dict[str, str]:
    """WordNet's version, and a hash of its noun and verb files."""
    digest = hashlib.sha256()
    for part_of_speech in PARTS_OF_SPEECH:
        for kind in ("index", "data"):
            with reader.open(f"{kind}.{_SUFFIXES[part_of_speech]}") as file:
                digest.update(file.read().encode("utf-8"))
    return {"wordnet": str(reader.get_version()), "wordnet_sha256": digest.hexdigest()}
