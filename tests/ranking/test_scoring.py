"""Fast logits: the same as a plain forward's, in the examples' order, and no trace left in the model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr
from torch import Tensor, nn
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    XLMRobertaConfig,
)

from agcli.attention.encoder_attention import attach
from agcli.data.batching import Examples
from agcli.ranking.scoring import score_logits, token_batches

CPU = torch.device("cpu")
VOCABULARY = 50
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 80,
    "initializer_range": 0.3,
    "pad_token_id": 0,
    "num_labels": 1,
}
BERT = BertConfig(**SMALL)
FIRST_TOKEN = [BERT, RobertaConfig(**SMALL), ElectraConfig(**SMALL, embedding_size=16), XLMRobertaConfig(**SMALL)]
OTHERS = [
    AlbertConfig(**SMALL, embedding_size=16),
    DebertaV2Config(**SMALL, relative_attention=True, pos_att_type=["p2c", "c2p"], position_biased_input=False),
    DistilBertConfig(
        vocab_size=VOCABULARY, dim=32, n_layers=2, n_heads=4, hidden_dim=48, initializer_range=0.3, num_labels=1
    ),
    ModernBertConfig(
        **SMALL,
        local_attention=8,
        **{f"{token}_token_id": 1 for token in ("bos", "cls", "eos", "sep")},
    ),
]


def make_model(config: PreTrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()


def make_examples(count: int = 40) -> Examples:
    """Examples of 3 to 40 tokens."""
    random = np.random.default_rng(0)
    lengths = random.integers(3, 41, count)
    encoded = tuple({"input_ids": random.integers(5, VOCABULARY, length).tolist()} for length in lengths)
    return Examples(
        ids=tuple(map(str, range(count))),
        encoded=encoded,
        lengths=lengths.astype(np.int64),
        labels=np.zeros(count, np.int64),
        truncated=np.zeros(count, np.bool_),
        pad={"input_ids": 0},
    )


def plain_logits(model: PreTrainedModel, examples: Examples) -> Tensor:
    """One example at a time, so without padding."""
    with torch.inference_mode():
        return torch.cat([model(input_ids=torch.tensor([each["input_ids"]])).logits for each in examples.encoded])


@pytest.mark.parametrize("config", [*FIRST_TOKEN, *OTHERS], ids=lambda config: config.model_type)
def test_float32_equals_one_plain_forward_for_each_example(config: PreTrainedConfig) -> None:
    model, examples = make_model(config), make_examples()
    expected = plain_logits(model, examples)
    assert expected.std() > 0.3
    found = score_logits(model, examples, CPU, batch_tokens=200)
    assert (found.dtype, found.shape) == (torch.float32, (len(examples), 1))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("config", [*FIRST_TOKEN, *OTHERS], ids=lambda config: config.model_type)
def test_bfloat16_ranks_as_float32_does_and_its_scores_are_no_bfloat16_numbers(config: PreTrainedConfig) -> None:
    model, examples = make_model(config), make_examples(120)
    full = score_logits(model, examples, CPU)[:, 0]
    low = score_logits(model, examples, CPU, precision="bf16")[:, 0]
    assert low.dtype == torch.float32
    assert not torch.allclose(full, low, rtol=0, atol=1e-4)
    assert spearmanr(full, low)[0] > 0.995
    assert kendalltau(full, low)[0] > 0.95
    assert len(low.unique()) > len(low.bfloat16().unique())


@pytest.mark.parametrize("num_labels", [2, 3])
def test_as_many_logits_as_the_model_has_outputs(num_labels: int) -> None:
    model, examples = make_model(BertConfig(**{**SMALL, "num_labels": num_labels})), make_examples()
    found = score_logits(model, examples, CPU)
    torch.testing.assert_close(found, plain_logits(model, examples), rtol=0, atol=2e-5)
    nothing = score_logits(model, examples.take(np.empty(0, np.int64)), CPU)
    assert nothing.shape == (0, num_labels)


def test_layers_before_the_last_and_a_single_layer_see_all_tokens() -> None:
    for layers in (1, 3):
        model, examples = make_model(BertConfig(**{**SMALL, "num_hidden_layers": layers})), make_examples()
        torch.testing.assert_close(score_logits(model, examples, CPU), plain_logits(model, examples), rtol=0, atol=2e-5)


def rows_of_last_feed_forward(model: PreTrainedModel, examples: Examples) -> set[int]:
    """Tokens of an example that the last layer's feed-forward saw."""
    seen: set[int] = set()
    layer = model.base_model.encoder.layer[-1].intermediate
    hook = layer.register_forward_hook(lambda _, inputs, __: seen.add(inputs[0].shape[1]))
    score_logits(model, examples, CPU)
    hook.remove()
    return seen


def test_the_last_layer_computes_one_token_unless_the_model_is_of_a_class_of_its_own() -> None:
    model, examples = make_model(BERT), make_examples()
    assert rows_of_last_feed_forward(model, examples) == {1}

    class MeanOfAllTokens(type(model)):  # type: ignore[misc]
        pass

    model.__class__ = MeanOfAllTokens
    assert min(rows_of_last_feed_forward(model, examples)) > 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_is_left_in_the_model_even_when_scoring_is_interrupted(precision: str) -> None:
    model, examples = make_model(BERT).train(), make_examples()
    attach(model)
    attention = model.config._attn_implementation
    weights = {name: weight.clone() for name, weight in model.state_dict().items()}

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    for on_batch in (None, stop):
        try:
            score_logits(model, examples, CPU, precision=precision, on_batch=on_batch)
        except KeyboardInterrupt:
            assert on_batch is stop
        assert model.training
        assert model.config._attn_implementation == attention
        assert not torch.is_autocast_enabled("cpu")
        assert [name for name, module in model.named_modules() if "forward" in vars(module)] == []
        assert model.state_dict().keys() == weights.keys()
        assert all(torch.equal(weight, weights[name]) for name, weight in model.state_dict().items())


def test_a_forward_that_somebody_else_put_into_the_model_is_not_used_but_stays() -> None:
    """Accelerate puts its mixed precision there."""
    model, examples = make_model(BERT), make_examples()
    expected = plain_logits(model, examples)
    mixed = torch.autocast("cpu", torch.bfloat16)(model.forward)
    model.forward = mixed
    model.classifier.forward = own = nn.Linear.forward.__get__(model.classifier)
    torch.testing.assert_close(score_logits(model, examples, CPU), expected, rtol=0, atol=2e-5)
    score_logits(model, examples, CPU, precision="bf16")
    assert model.forward is mixed
    assert model.classifier.forward is own


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_score_that_is_not_a_number_is_that_example_s_alone(precision: str) -> None:
    model, examples = make_model(BERT), make_examples()
    with torch.no_grad():
        model.base_model.embeddings.word_embeddings.weight[7] = torch.nan
    broken = [7 in each["input_ids"] for each in examples.encoded]
    assert 0 < sum(broken) < len(broken)
    assert score_logits(model, examples, CPU, precision=precision)[:, 0].isnan().tolist() == broken


def test_progress_counts_every_example_once_and_longest_come_first() -> None:
    model, examples = make_model(BERT), make_examples()
    counted: list[int] = []
    score_logits(model, examples, CPU, batch_tokens=100, on_batch=counted.append)
    assert counted == [len(rows) for rows in token_batches(examples.lengths, 100)]
    assert sum(counted) == len(examples)
    assert counted[0] == 100 // examples.lengths.max()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 40), max_size=300), st.integers(1, 200))
def test_batches_hold_every_row_once_within_their_slots(lengths: list[int], slots: int) -> None:
    array = np.array(lengths, dtype=np.int64)
    batches = token_batches(array, slots)
    assert sorted(np.concatenate([np.empty(0, np.int64), *batches]).tolist()) == list(range(len(lengths)))
    for number, rows in enumerate(batches):
        longest = array[rows[0]]
        assert longest == array[rows].max()
        assert len(rows) == 1 or len(rows) * longest <= slots
        if number + 1 < len(batches):
            assert array[batches[number + 1][0]] <= array[rows[-1]]
            assert (len(rows) + 1) * longest > slots
