"""Tiny random encoders, one a family, and a batch with padding."""

import pytest
import torch
import transformers as hf

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "num_labels": 3,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}
CONFIGS = {
    "bert": lambda: hf.BertConfig(**SIZES),
    "roberta": lambda: hf.RobertaConfig(**SIZES),
    "xlm-roberta": lambda: hf.XLMRobertaConfig(**SIZES),
    "camembert": lambda: hf.CamembertConfig(**SIZES),
    "albert": lambda: hf.AlbertConfig(**SIZES, embedding_size=16),
    "electra": lambda: hf.ElectraConfig(**SIZES, embedding_size=16),
    "distilbert": lambda: hf.DistilBertConfig(
        vocab_size=50, dim=32, n_layers=2, n_heads=4, hidden_dim=37, num_labels=3, initializer_range=0.2
    ),
    # Layers 0 and 2 attend everywhere, 1 and 3 in a window.
    "modernbert": lambda: hf.ModernBertConfig(
        **(SIZES | {"num_hidden_layers": 4}), pad_token_id=0, local_attention=6, global_attn_every_n_layers=2
    ),
    # Two heads share one key and value.
    "eurobert": lambda: hf.EuroBertConfig(
        **SIZES, num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2, mask_token_id=3
    ),
    "nomic-bert": lambda: hf.NomicBertConfig(**SIZES),  # rotates queries and keys
    "deberta-v2": lambda: hf.DebertaV2Config(**SIZES),
    "mpnet": lambda: hf.MPNetConfig(**SIZES),
}


@pytest.fixture
def tiny():
    """Makes the classifier of a family, the same weights every time; `changes` go into its config."""

    def make(family, **changes):
        torch.manual_seed(0)
        config = CONFIGS[family]()
        config.update(changes)
        return hf.AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()

    return make


@pytest.fixture
def batch():
    """12, 7 and 1 real tokens."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 50, (3, 12), generator=generator)
    mask = torch.arange(12) < torch.tensor([12, 7, 1])[:, None]
    return {"input_ids": ids, "attention_mask": mask.long()}
