"""Golden values of guides on rows, from queries and keys whose maps are those of the golden file."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from agcli.attention import Capture, Request, guided_attention
from agcli.guides.base import CapturedAttention, Guide, TargetGuide
from agcli.guides.capture import MASS
from agcli.guides.registry import GUIDES
from agcli.guides.targets import NO_TARGETS
from agcli.guides.tokens import Tokens, Vocabulary

CASES = json.loads((Path(__file__).parents[1] / "guides" / "golden_rows.json").read_text())
VOCABULARY = Vocabulary(special_ids=(0, 101, 102), delim_ids=(102,), period_ids=(1012,))
TARGETED = ("next", "prev", "self", "first", "delim", "period", "match")


def golden_values(case: dict, name: str) -> list[tuple[Guide, Tensor]]:
    """What the file has of a guide: the guide in each form, and its value of each sample."""
    kind, golden = GUIDES[name].load(), case["values"]
    if name in TARGETED:
        heads = tuple(golden[name]["heads"])
        forms = [(kind(heads=heads, form=form), golden[name][form]) for form in ("nll", "squared")]
    elif name == "entropy":
        forms = [(kind(), [-value for value in golden[name]])]  # it is made large
    else:
        forms = [(kind(), golden[f"{name}_position"])]
    return [(guide, torch.tensor(values, dtype=torch.float64)) for guide, values in forms]


def captured_by(case: dict, guide: Guide, dtype: torch.dtype, **options) -> CapturedAttention:
    """What `guided_attention` captures for a guide.

    The query of a token is the logarithm of its row of the map and the keys are one-hot, so that the scores are the
    map's logarithm, whose softmax is the map.
    """
    maps = torch.tensor(case["attention"], dtype=torch.float64)
    mask = torch.arange(maps.shape[-1]) < torch.tensor(case["lengths"])[:, None]
    ids, types = torch.tensor(case["input_ids"]), torch.tensor(case["token_type_ids"])
    tokens = Tokens(ids, mask, types, VOCABULARY)
    targets = {guide.name: guide.target(tokens)} if isinstance(guide, TargetGuide) else NO_TARGETS
    heads = "all" if guide.heads is None else guide.heads
    needs = [f"{MASS}{guide.name}" if need == "mass" else need for need in guide.needs]
    capture = Capture(tuple(Request(need, "all", heads) for need in needs))
    queries = maps.clamp_min(1e-30).log().to(dtype)
    keys = torch.eye(maps.shape[-1], dtype=dtype).expand_as(queries[:, 0])
    captured: dict[str, dict[int, Tensor]] = {need: {} for need in needs}
    for layer, query in enumerate(queries.unbind(1)):
        settings = {"scaling": 1.0, "capture": capture.of_layer(layer), "targets": targets}
        _, found = guided_attention(query, keys, keys, mask, **settings, **options)
        for need in needs:
            captured[need][layer] = found[need]
    return CapturedAttention(mask, captured, capture, targets, tokens)
