"""What guides of a sweep need of data and encoders is checked before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from agcli.guides.tokens import Vocabulary
from agcli.options import GuideOptions
from agcli.sweep.cell import config_of, knowledge_digests_of
from agcli.sweep.grid import Cell


def check_guides(cells: Sequence[Cell]) -> None:
    """Check that data have the knowledge that guides need, and encoders the layers, heads and signs.

    Raises:
        DataError: knowledge is missing; with the command that makes all of it.
        UsageError: an encoder lacks something.
        ModelError: there is no such encoder.
    """
    configs = [config_of(cell) for cell in cells]
    needed: dict[str, dict[str, None]] = {}
    for config in configs:
        needed.setdefault(config.data.dataset, {}).update(dict.fromkeys(config.guides.knowledge))
    for dataset, names in needed.items():
        if names:
            knowledge_digests_of(dataset, tuple(names))
    guided = [config for config in configs if config.guides.captures]
    for model, offline, guides in dict.fromkeys((each.model.model, each.model.offline, each.guides) for each in guided):
        _check_encoder(model, offline, guides)


def _check_encoder(model: str, offline: bool, options: GuideOptions) -> None:
    """Check one encoder for the guides of some cells, by its configuration and its tokenizer."""
    from agcli.attention import EncoderAttention
    from agcli.guides.vocabulary import check_vocabulary
    from agcli.models import load_config
    from agcli.training.loss_terms import make_terms

    config = load_config(model, offline=offline)
    encoder = EncoderAttention("none", int(config.num_hidden_layers), int(config.num_attention_heads), model)
    for guide in make_terms(options, encoder).guides:
        if getattr(guide, "needs_of_vocabulary", ()):
            check_vocabulary(guide, _vocabulary(model, offline), model)


@lru_cache
def _vocabulary(model: str, offline: bool) -> Vocabulary:
    """What a tokenizer has; the embeddings, which every encoder has, are not read but stood in for."""
    import torch

    from agcli.guides.vocabulary import vocabulary_of
    from agcli.models import load_tokenizer

    return replace(vocabulary_of(load_tokenizer(model, offline=offline)), embeddings=torch.ones(1, 1))
