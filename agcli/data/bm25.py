"""The first stage: BM25 by bm25s, with the one tie rule, saved without pickle and memory-mapped.

Source: Lucene's BM25 as in Kamphuis et al. (2020, "Which BM25 Do You Mean?"), which bm25s (Lù, 2024) works out when it
indexes: ln(1 + (N - df + 0.5) / (df + 0.5)), times tf / (tf + k1 (1 - b + b length / mean length)), summed over the
words of the query; one that stands twice counts twice.
"""

from __future__ import annotations

import json
import logging
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256 as sha256_of
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from agcli.errors import DataError, UsageError, did_you_mean, unreadable
from agcli.runs.atomic import sha256, writing

Method = Literal["lucene", "robertson", "atire"]
STOPWORDS = ("en", "en_plus", "da", "de", "es", "fr", "it", "ko", "nl", "no", "pt", "ru", "sv", "tr", "zh")
"""bm25s's lists of stop words; `en` is Lucene's 33 words, `en_plus` has 179."""
SETTINGS = "settings.json"
FORMAT = 1
_REPORT_EVERY = 256  # documents between two reports of progress
_REBUILD = "run `ag prepare` again"


@dataclass(frozen=True)
class Analysis:
    """How text becomes words: lower case, runs of two letters or digits and more, no stop words, stems.

    Attributes:
        stemmer: language of PyStemmer's Snowball stemmer, None for whole words.
        stopwords: one of `STOPWORDS`, None to keep every word.

    Raises:
        UsageError: an unknown language.
    """

    stemmer: str | None = "english"
    stopwords: str | None = "en"

    def __post_init__(self) -> None:
        from Stemmer import algorithms

        _check_known("stemmer", self.stemmer, (*algorithms(), None))
        _check_known("stopwords", self.stopwords, (*STOPWORDS, None))


@dataclass(frozen=True)
class Parameters:
    """BM25's constants.

    Attributes:
        k1: how soon a word's repetitions stop counting. Source of 1.2 and 0.75: Lucene's BM25Similarity.
        b: how much a document's length counts, from 0 to 1.
        method: bm25s's name of the formula. Of those that give a score to documents without any word of the query
            (`bm25l`, `bm25+`) none is here.

    Raises:
        UsageError: a value outside its range.
    """

    k1: float = 1.2
    b: float = 0.75
    method: Method = "lucene"

    def __post_init__(self) -> None:
        if not (0 <= self.k1 < float("inf") and 0 <= self.b <= 1):
            raise UsageError(f"BM25 takes k1 from 0 up and b from 0 to 1, not k1={self.k1} and b={self.b}.")
        _check_known("method", self.method, get_args(Method))


def _check_known(name: str, value: str | None, known: Sequence[str | None]) -> None:
    if value not in known:
        words = ["none" if word is None else word for word in known]
        near = did_you_mean(str(value), words)
        raise UsageError(f"BM25 has no {name} {value!r}.{near} Allowed: {', '.join(words)}.")


class FirstStage:
    """An index over a corpus, in memory (`build`) or memory-mapped (`open_index`).

    Attributes:
        analysis: how documents and queries become words.
        parameters: BM25's constants.
    """

    def __init__(self, scorer: Any, ids: Sequence[str], analysis: Analysis, parameters: Parameters) -> None:
        """Take what `build` or `open_index` made; `scorer` is a `bm25s.BM25` with its index."""
        self.analysis, self.parameters = analysis, parameters
        self._scorer, self._ids_sha256 = scorer, _digest(ids)
        self._words = _query_words(analysis, scorer.vocab_dict)
        # The place of each document when ids are sorted: the tie rule without comparing strings at every search.
        self._place = np.empty(len(ids), dtype=np.int32)
        self._place[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids), dtype=np.int32)

    def __len__(self) -> int:
        """Number of documents."""
        return len(self._place)

    def search(self, text: str, depth: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Corpus rows and scores of the best documents, by the one tie rule, at the cut-off too.

        Args:
            text: the query.
            depth: at most so many documents; those that share no word with the query are never among them.

        Shape:
            Both (num_found,), num_found <= depth.
        """
        if depth < 1:
            raise ValueError(f"depth is {depth}")
        scores = self._scorer.get_scores_from_ids(self._words(text))
        rows = np.flatnonzero(scores > 0)
        if len(rows) > depth:  # all that tie with the last one in stay until the ids have decided
            rows = rows[scores[rows] >= np.partition(scores[rows], -depth)[-depth]]
        rows = rows[np.lexsort((-self._place[rows], -scores[rows]))][:depth]
        return rows.astype(np.int32), scores[rows]

    def save(self, folder: Path) -> None:
        """Write the index into a folder: arrays as .npy, words and settings as JSON, no pickle.

        Raises:
            RunError: the disk refuses.
        """
        with writing(folder):
            self._scorer.save(folder, show_progress=False)
            settings = {
                "format": FORMAT,
                "analysis": asdict(self.analysis),
                "parameters": asdict(self.parameters),
                "documents": len(self),
                "ids_sha256": self._ids_sha256,
                "files": {path.name: sha256(path) for path in sorted(folder.glob("*.index.*"))},
            }
            (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def build(
    texts: Iterable[str],
    ids: Sequence[str],
    folder: Path,
    analysis: Analysis | None = None,
    parameters: Parameters | None = None,
    on_document: Callable[[int], None] | None = None,
) -> FirstStage:
    """Index a corpus and save the index. Texts are read one at a time; of each, 4 bytes a word are kept.

    Args:
        texts: of the documents.
        ids: theirs, in the same order.
        folder: where the index is written.
        analysis: None for Snowball's English stems without stop words.
        on_document: called with the number of texts read so far, every 256 and after the last.

    Raises:
        DataError: no document holds a word.
        RunError: the disk refuses.
        ValueError: there is not one id for every text.
    """
    analysis, parameters = analysis or Analysis(), parameters or Parameters()
    tokenizer = _tokenizer(analysis)
    stream = tokenizer.streaming_tokenize(_counted(texts, on_document), update_vocab=True, allow_empty=False)
    documents = [array("i", words) for words in stream]
    if len(documents) != len(ids):
        raise ValueError(f"{len(ids)} ids for {len(documents)} texts")
    vocabulary = tokenizer.get_vocab_dict()
    if not vocabulary:
        raise DataError(f"none of the {len(ids)} documents holds a word that could be looked for")
    scorer = _bm25s().BM25(**asdict(parameters), backend="numpy")
    scorer.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    stage = FirstStage(scorer, ids, analysis, parameters)
    stage.save(folder)
    return stage


def open_index(folder: Path, ids: Sequence[str]) -> FirstStage:
    """Open a saved index, its arrays memory-mapped, after checking it against its checksums.

    Args:
        ids: of the corpus it was built on, in the same order.

    Raises:
        DataError: the index is missing, damaged, of another format, or was built on another corpus.
    """
    settings = _read_settings(folder)
    if settings["ids_sha256"] != _digest(ids):
        problem = f"this index was built on another corpus: {settings['documents']} documents, here {len(ids)}"
        raise DataError(problem, file=folder, hint=_REBUILD)
    for name, expected in settings["files"].items():
        try:
            actual = sha256(folder / name)
        except PermissionError as error:
            raise unreadable(folder / name, error, folder / name) from None
        except OSError as error:
            actual = str(error.strerror)
        if actual != expected:
            problem = "the index is damaged: this file is not what was written"
            raise DataError(problem, file=folder / name, hint=_REBUILD)
    scorer = _bm25s().BM25.load(folder, mmap=True, show_progress=False)
    # Plain arrays over the same mapped pages: with np.memmap, sliced for each word, a search takes 1.3 times as long.
    scorer.scores |= {name: np.asarray(scorer.scores[name]) for name in ("data", "indices", "indptr")}
    return FirstStage(scorer, ids, Analysis(**settings["analysis"]), Parameters(**settings["parameters"]))


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise unreadable(path, error, path) from None
    except OSError as error:
        raise DataError(f"no BM25 index here ({error.strerror})", file=path, hint=_REBUILD) from None
    except ValueError:
        raise DataError("the index is damaged: its settings are no valid JSON", file=path, hint=_REBUILD) from None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        raise DataError(f"this index is not of format {FORMAT}", file=path, hint=_REBUILD)
    absent = {"analysis", "parameters", "documents", "ids_sha256", "files"} - settings.keys()
    if absent:
        raise DataError("the index is damaged: its settings lack an entry", file=path, value=min(absent), hint=_REBUILD)
    return settings


def _bm25s() -> Any:
    """The library, without the debug lines that it logs once it is imported."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s


def _tokenizer(analysis: Analysis) -> Any:
    from Stemmer import Stemmer

    stemmer = Stemmer(analysis.stemmer) if analysis.stemmer else None
    return _bm25s().tokenization.Tokenizer(stopwords=analysis.stopwords, stemmer=stemmer)


def _query_words(analysis: Analysis, vocabulary: dict[str, int]) -> Callable[[str], list[int]]:
    """A function from a query to the numbers of its words; words that no document holds are left out."""
    tokenizer = _tokenizer(analysis)
    if analysis.stemmer:  # word_to_id stays empty: its words would go round the stemmer, and these are stems
        tokenizer.stem_to_sid = vocabulary
    else:
        tokenizer.word_to_id = vocabulary

    def words(text: str) -> list[int]:
        # update_vocab=False looks new forms of known stems up ("never" would drop them) and learns no new stem
        (numbers,) = tokenizer.streaming_tokenize([text], update_vocab=False, allow_empty=False)
        return list(numbers)

    return words


def _counted(texts: Iterable[str], on_document: Callable[[int], None] | None) -> Iterator[str]:
    number = 0
    for number, text in enumerate(texts, start=1):
        yield text
        if on_document and number % _REPORT_EVERY == 0:
            on_document(number)
    if on_document and number % _REPORT_EVERY:
        on_document(number)


def _digest(ids: Sequence[str]) -> str:
    """SHA-256 of the ids in their order."""
    return sha256_of(json.dumps(list(ids)).encode()).hexdigest()
