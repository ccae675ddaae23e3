"""The zoo: the encoders known by a short name, with what their own files do not always say; free of torch.

Dimensions and casing follow the published configurations; a license is what the model card says, or "unknown".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ModelEntry:
    """One encoder of the zoo; dimensions default to BERT-base's.

    Attributes:
        model_type: the architecture's name in transformers; old folders do not carry it.
        license: SPDX identifier on the model card, or "unknown".
        max_length: longest input in tokens (not the position table's rows, see `position_offset`).
        position_offset: rows of the position table before the first usable one (RoBERTa: 2).
        embedding_size: width of the embedding where it differs from `hidden_size` (ALBERT) or is set apart.
        local_attention: window in tokens of the local layers (ModernBERT).
        global_every: every how many layers attention is global (ModernBERT).
    """

    name: str
    hub_id: str
    model_type: str
    vocab_size: int
    cased: bool
    license: str
    num_layers: int = 12
    num_heads: int = 12
    hidden_size: int = 768
    intermediate_size: int = 3072
    max_length: int = 512
    type_vocab_size: int = 2
    position_offset: int = 0
    pad_token_id: int = 0
    embedding_size: int | None = None
    local_attention: int | None = None
    global_every: int | None = None


_ROBERTA: dict[str, Any] = {"type_vocab_size": 1, "position_offset": 2, "pad_token_id": 1}
_MODERNBERT: dict[str, Any] = {
    "num_layers": 22,
    "intermediate_size": 1152,
    "max_length": 8192,
    "type_vocab_size": 0,
    "pad_token_id": 50283,
    "local_attention": 128,
    "global_every": 3,
}
_BLUEBERT_HUB = "bionlp/bluebert_pubmed_mimic_uncased_L-12_H-768_A-12"
_BIOMEDBERT_HUB = "microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract-fulltext"
_BIOCLINICAL_HUB = "thomas-sounack/BioClinical-ModernBERT-base"
_MINILM_HUB = "sentence-transformers/all-MiniLM-L6-v2"
_DISTILBERT_HUB = "distilbert/distilbert-base-uncased"
_ELECTRA_HUB = "google/electra-base-discriminator"
_DISTILBERT: dict[str, Any] = {"num_layers": 6, "type_vocab_size": 0}
_MINILM: dict[str, Any] = {"num_layers": 6, "hidden_size": 384, "intermediate_size": 1536}

_ENTRIES = (  # name, hub id, model type, rows of the vocabulary, cased, license
    # The paper's seven, under its own ids.
    ModelEntry("bert", "google-bert/bert-base-uncased", "bert", 30522, False, "apache-2.0"),
    ModelEntry("roberta", "FacebookAI/roberta-base", "roberta", 50265, True, "mit", **_ROBERTA),
    ModelEntry("albert", "albert/albert-base-v2", "albert", 30000, False, "apache-2.0", embedding_size=128),
    ModelEntry("biobert", "dmis-lab/biobert-v1.1", "bert", 28996, True, "unknown"),
    ModelEntry("clinicalbert", "emilyalsentzer/Bio_ClinicalBERT", "bert", 28996, True, "mit"),
    ModelEntry("bluebert", "ttumyche/bluebert", "bert", 30522, False, "unknown"),
    ModelEntry("scibert", "nfliu/scibert_basevocab_uncased", "bert", 30522, False, "unknown"),
    # Maintained equivalents of the last two; scivocab is another vocabulary, so not the same weights.
    ModelEntry("bluebert-bionlp", _BLUEBERT_HUB, "bert", 30522, False, "cc0-1.0"),
    ModelEntry("scibert-allenai", "allenai/scibert_scivocab_uncased", "bert", 31090, False, "unknown"),
    # What users pick today.
    ModelEntry("modernbert", "answerdotai/ModernBERT-base", "modernbert", 50368, True, "apache-2.0", **_MODERNBERT),
    ModelEntry("biomedbert", _BIOMEDBERT_HUB, "bert", 30522, False, "mit"),
    ModelEntry("bioclinical-modernbert", _BIOCLINICAL_HUB, "modernbert", 50368, True, "mit", **_MODERNBERT),
    ModelEntry("electra", _ELECTRA_HUB, "electra", 30522, False, "apache-2.0", embedding_size=768),
    ModelEntry("distilbert", _DISTILBERT_HUB, "distilbert", 30522, False, "apache-2.0", **_DISTILBERT),
    ModelEntry("xlm-roberta", "FacebookAI/xlm-roberta-base", "xlm-roberta", 250002, True, "mit", **_ROBERTA),
    ModelEntry("minilm", _MINILM_HUB, "bert", 30522, False, "apache-2.0", **_MINILM),
)

ZOO: dict[str, ModelEntry] = {entry.name: entry for entry in _ENTRIES}


def find_entry(name: str) -> ModelEntry | None:
    """The entry with this zoo name, hub id or last part of a hub id (`bert-base-uncased`); case does not matter."""
    wanted = name.lower()
    for entry in ZOO.values():
        hub_id = entry.hub_id.lower()
        if wanted in (entry.name, hub_id, hub_id.rpartition("/")[2]):
            return entry
    return None
