"""All registered guides at once on real architectures: their values are those of eager maps, their gradients finite."""

from __future__ import annotations

import pytest
import torch
import transformers as hf

from agcli.attention import attach
from agcli.guides import guide_value
from agcli.guides.registry import GUIDES
from agcli.guides.tokens import Tokens, Vocabulary
from agcli.training.loss_terms import GuidedForward, LossTerms

SIZES = {
    "vocab_size": 50,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 40,
    "initializer_range": 0.2,
}
CONFIGS = {
    "bert": lambda: hf.BertConfig(**SIZES),
    "albert": lambda: hf.AlbertConfig(**SIZES, embedding_size=16),  # its layers share one module
    "deberta-v2": lambda: hf.DebertaV2Config(**SIZES),  # gives eager maps only
}
VOCABULARY = Vocabulary(special_ids=(0, 1, 2), delim_ids=(2,), period_ids=(3,))


def tokens() -> Tokens:
    ids = torch.tensor([[1, 10, 11, 3, 2, 10, 12, 11, 2], [1, 13, 2, 13, 2, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0]])
    mask = ids != 0
    types = (torch.arange(9) >= torch.tensor([5, 3, 9])[:, None]) & mask
    content = mask & ~torch.isin(ids, torch.tensor(VOCABULARY.special_ids))
    known = (content[:, :, None] & content[:, None, :]).float()
    knowledge = {entry.knowledge: known for entry in GUIDES.values() if entry.knowledge}
    return Tokens(ids, mask, types.long(), VOCABULARY, knowledge)


@pytest.mark.parametrize("form", ["nll", "squared", "released", "vector"])
@pytest.mark.parametrize("family", CONFIGS)
def test_values_are_those_of_eager_maps(family: str, form: str) -> None:
    torch.manual_seed(0)
    model = hf.AutoModelForSequenceClassification.from_config(CONFIGS[family](), attn_implementation="eager").eval()
    batch = tokens()
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.mask.long(), "token_type_ids": batch.token_type_ids}
    maps = torch.stack(model(**inputs, output_attentions=True).attentions, dim=1).detach()
    guides = []
    for entry in GUIDES.values():
        kind = entry.load()
        options = {"form": form} if form in getattr(kind, "forms", ()) else {}
        guides.append(kind(heads=(0, 2), layers=(1,), **options))
    terms, encoder = LossTerms(guides, vocabulary=VOCABULARY), attach(model)
    forward = GuidedForward(terms, encoder, batch)
    attention = forward.attention(model(**inputs, **forward.kwargs))
    values = {guide.name: guide(attention) for guide in guides}
    for guide in guides:
        expected = guide_value(
            guide.name,
            maps[:, 1:],
            batch.input_ids,
            batch.token_type_ids,
            batch.mask,
            heads=(0, 2),
            form=getattr(guide, "form", "nll"),
            special_ids=VOCABULARY.special_ids,
            delim_ids=VOCABULARY.delim_ids,
            period_ids=VOCABULARY.period_ids,
            knowledge=batch.knowledge,
        )
        torch.testing.assert_close(values[guide.name], expected, rtol=1e-4, atol=1e-5)
    terms.values(attention).loss.backward()
    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert any(gradient.any() for gradient in gradients)
