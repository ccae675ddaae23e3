"""Logits of very many pairs, without gradients or captured attention: the most expensive part of a re-ranking.

Unlike `training.predict`: torch's fused attention, batches of about equal numbers of tokens, bfloat16 or float16 as an
option, and the last layer for the first token only.

Throughput relative to sentence-transformers' `CrossEncoder.predict` in float32 (`minilm`, real pairs of at most 128 and
256 tokens, one core of an AMD EPYC, median of three): float32 1.17 and 1.16 (scores equal to 1e-6), bfloat16 2.01 and
1.93 (Spearman's correlation 0.9998). With the last layer in full 0.99 and 1.00 in float32, 1.80 and 1.67 in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import (
    BertForSequenceClassification,
    ElectraForSequenceClassification,
    PreTrainedModel,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)

from agcli.data.batching import Examples, Rows, collate

BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
"""Token slots of a batch, by type of device.

Pairs of 256 tokens a CPU second of one core, `minilm`, bf16, by slots: 1024: 20.6; 2048: 22.6; 4096: 23.7; 8192: 23.5;
16384: 23.4. On a GPU it has not been measured.
"""

LOW_PRECISION = {"bf16": torch.bfloat16, "fp16": torch.float16}

_FIRST_TOKEN = (
    BertForSequenceClassification,
    ElectraForSequenceClassification,
    RobertaForSequenceClassification,
    XLMRobertaForSequenceClassification,
)
"""Models whose output layer reads the first token alone, and whose layers are all laid out as BERT's."""


def score_logits(
    model: PreTrainedModel,
    examples: Examples,
    device: torch.device,
    *,
    precision: str = "fp32",
    batch_tokens: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits of every example, in their order.

    In `bf16` and `fp16` the residual stream, layer norms, pooler and output layer stay in float32: logits in bfloat16
    would make ties of every two scores that differ by less than 0.4 %.

    Shape:
        returns (num_examples, num_labels), float32, on the CPU; a logit may be NaN.

    Args:
        precision: `fp32`, `bf16` or `fp16`.
        batch_tokens: token slots of a batch, padding included; default: `BATCH_TOKENS`.
        on_batch: called with the number of examples of each batch; on a GPU that may still be under way.
    """
    if not len(examples):
        return torch.empty((0, model.config.num_labels))
    slots = batch_tokens or BATCH_TOKENS.get(device.type, BATCH_TOKENS["cuda"])
    batches = token_batches(examples.lengths, slots)
    logits: list[Tensor] = []
    with torch.inference_mode(), scoring_form(model, precision, device) as forward:
        for rows in batches:
            # Logits stay where they are until the end: a GPU never waits for the next batch to be put together.
            logits.append(forward(**collate(examples, rows).to(device).inputs).logits.float())
            if on_batch is not None:
                on_batch(len(rows))
        joined = torch.cat(logits).cpu()
    return joined[torch.from_numpy(np.argsort(np.concatenate(batches)))]


def token_batches(lengths: Rows, slots: int) -> list[Rows]:
    """Batches of at most so many token slots, padding included, and at least one example; longest first."""
    order = np.argsort(-lengths, kind="stable")
    batches: list[Rows] = []
    start = 0
    while start < len(order):
        size = max(1, slots // int(lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


@contextmanager
def scoring_form(model: PreTrainedModel, precision: str, device: torch.device) -> Iterator[Callable[..., Any]]:
    """The model's fastest forward; the model is restored on leaving.

    Any encoder with a sequence-classification head works: attention without an `sdpa` form stays as it is, and models
    of another layout than BERT's compute their last layer in full.
    """
    was_training = model.training
    with ExitStack() as stack:
        stack.callback(model.train, was_training)
        model.eval()
        attention = model.config._attn_implementation
        if model._supports_sdpa and attention != "sdpa":
            stack.callback(model.set_attn_implementation, attention)
            model.set_attn_implementation("sdpa")
        if type(model) in _FIRST_TOKEN and not model.config.is_decoder:
            stack.enter_context(_last_layer_for_first_token(model))
        if precision in LOW_PRECISION:
            for module in _head(model):
                stack.enter_context(_forward_replaced(module, partial(_in_float32, module.forward, device.type)))
            # Entered once for all batches, so each weight is cast once.
            stack.enter_context(torch.autocast(device.type, LOW_PRECISION[precision]))
        # An accelerator may have put its own mixed precision into the instance's `forward`; the class's has none.
        yield partial(type(model).forward, model)


@contextmanager
def _last_layer_for_first_token(model: PreTrainedModel) -> Iterator[None]:
    """The last layer computes query and output of the first token only: no logit depends on the others.

    Keys and values are still those of all tokens. It saves 14 % of the products of a model of 6 layers, 7 % of 12.
    """
    attention = model.base_model.encoder.layer[-1].attention
    output = attention.output.forward
    with (
        _forward_replaced(attention.self, partial(_first_token_attends, attention.self)),
        _forward_replaced(attention.output, lambda attended, hidden: output(attended, hidden[:, :1])),
    ):
        yield


def _first_token_attends(
    module: Any, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: object
) -> tuple[Tensor, None]:
    """`BertSelfAttention.forward` for one query.

    Shape: hidden_states (batch, length, hidden), attention_mask of `sdpa` (batch, 1, length, length) -> (batch, 1,
    hidden).
    """

    def heads(projected: Tensor) -> Tensor:
        return projected.view(*projected.shape[:2], -1, module.attention_head_size).transpose(1, 2)

    attended = scaled_dot_product_attention(
        heads(module.query(hidden_states[:, :1])),
        heads(module.key(hidden_states)),
        heads(module.value(hidden_states)),
        attn_mask=None if attention_mask is None else attention_mask[:, :, :1],
        scale=module.scaling,
    )
    return attended.transpose(1, 2).flatten(2), None


def _head(model: PreTrainedModel) -> list[nn.Module]:
    """The modules after the encoder: poolers and output layers."""
    encoder = model.base_model
    after = [] if encoder is model else [child for child in model.children() if child is not encoder]
    pooler = getattr(encoder, "pooler", None)
    return [*after, pooler] if isinstance(pooler, nn.Module) else after


def _in_float32(forward: Callable[..., Any], device_type: str, *args: Any, **kwargs: Any) -> Any:
    def widened(value: Any) -> Any:
        return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value

    with torch.autocast(device_type, enabled=False):
        return forward(*map(widened, args), **{name: widened(value) for name, value in kwargs.items()})


@contextmanager
def _forward_replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    own = module.__dict__.get("forward")
    module.forward = forward
    try:
        yield
    finally:
        del module.__dict__["forward"]
        if own is not None:
            module.forward = own
