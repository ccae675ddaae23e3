"""The kinds of knowledge that `ag prepare --knowledge` makes; no heavy import."""

from __future__ import annotations

KINDS: dict[str, str] = {
    "pmi": "pointwise mutual information of word pairs",
    "wordsim": "WordNet similarity of word pairs, needs nltk and WordNet",
    "dependency": "dependency arcs, needs spacy and a pipeline",
}
"""Name -> what it is; each is a folder `knowledge/NAME` of the prepared data."""

DEFAULT_PIPELINE = "en_core_web_sm"
EXTRA = "knowledge"
"""The extra of this package that brings the libraries."""
