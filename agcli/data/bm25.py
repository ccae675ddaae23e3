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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.errors import DataError, UsageError, did_you_mean, unreadable
from agcli.runs.atomic import sha256, writing

PARAMETERS: dict[str, Any] = {"k1": 1.2, "b": 0.75, "method": "lucene"}
"""BM25's constants. Source: Lucene's BM25Similarity."""
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

        for name, value, known in (
            ("stemmer", self.stemmer, (*algorithms(), "none")),
            ("stopwords", self.stopwords, (*STOPWORDS, "none")),
        ):
            if value is not None and value not in known[:-1]:
                near = did_you_mean(value, known)
                raise UsageError(f"BM25 has no {name} {value!r}.{near} Allowed: {', '.join(known)}.")

    @classmethod
    def from_options(cls, stemmer: str, stopwords: str) -> Analysis:
        """The analysis that `--stemmer` and `--stopwords` name; `none` turns either off."""
        return cls(*(None if name == "none" else name for name in (stemmer, stopwords)))


class FirstStage:
    """An index over a corpus, in memory (`build`) or memory-mapped (`open_index`).

    Args:
        scorer: a `bm25s.BM25` with its index.
        ids: of the documents, in the order in which they were indexed.
    """

    def __init__(self, scorer: Any, ids: Sequence[str], analysis: Analysis) -> None:
        self.analysis = analysis
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

        Documents that share no word with the query are never among them.

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
                "parameters": PARAMETERS,
                "documents": len(self),
                "ids_sha256": self._ids_sha256,
                "files": {path.name: sha256(path) for path in sorted(folder.glob("*.index.*"))},
            }
            (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def build(
    texts: Iterable[str],
    ids: Sequence[str],
    analysis: Analysis | None = None,
    on_document: Callable[[int], None] | None = None,
) -> FirstStage:
    """Index a corpus. Texts are read one at a time; of each, 4 bytes a word are kept.

    Args:
        ids: of the documents, in the order of their texts.
        on_document: called with the number of texts read so far, every 256 and after the last.

    Raises:
        DataError: no document holds a word.
        ValueError: there is not one id for every text.
    """
    analysis = analysis or Analysis()
    tokenizer = _tokenizer(analysis)
    stream = tokenizer.streaming_tokenize(_counted(texts, on_document), update_vocab=True, allow_empty=False)
    documents = [array("i", words) for words in stream]
    if len(documents) != len(ids):
        raise ValueError(f"{len(ids)} ids for {len(documents)} texts")
    vocabulary = tokenizer.get_vocab_dict()
    if not vocabulary:
        raise DataError(f"none of the {len(ids)} documents holds a word that could be looked for")
    scorer = _bm25s().BM25(**PARAMETERS, backend="numpy")
    scorer.index((documents, vocabulary), create_empty_token=False, show_progress=False)
    return FirstStage(scorer, ids, analysis)


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
        path = folder / name
        try:
            intact = sha256(path) == expected
        except PermissionError as error:
            raise unreadable(path, error, path) from None
        except OSError:
            intact = False
        if not intact:
            raise DataError("the index is damaged: this file is not what was written", file=path, hint=_REBUILD)
    scorer = _bm25s().BM25.load(folder, mmap=True, show_progress=False)
    # Plain arrays over the same mapped pages: with np.memmap, sliced for each word, a search takes 1.3 times as long.
    scorer.scores |= {name: np.asarray(scorer.scores[name]) for name in ("data", "indices", "indptr")}
    return FirstStage(scorer, ids, Analysis(**settings["analysis"]))


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
    absent = {"analysis", "documents", "ids_sha256", "files"} - settings.keys()
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
    return sha256_of(json.dumps(list(ids)).encode()).hexdigest()
