"""The cut of dev from train for ranking: claims that share a relevant document or their text stay together."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, replace

import numpy as np

from agcli.corpora.ranking.checks import relevant_documents
from agcli.corpora.ranking.collection import Claim, RankingSplit
from agcli.errors import DataError


@dataclass(frozen=True)
class RankingCut:
    """How dev was cut from train: asked fraction, seed, and the claims (out of how many) and groups that came of it."""

    fraction: float
    seed: int
    claims: int
    groups: int
    of: int

    @property
    def warnings(self) -> list[str]:
        """That dev is under half of what was asked for, where it is."""
        if 2 * self.claims >= self.fraction * self.of:
            return []
        return [
            f"dev was cut from train and has {self.claims} of {self.of} claims, less than half of what --dev-fraction "
            f"{self.fraction} asks for: the others hang together by shared relevant documents"
        ]

    def recorded(self) -> dict[str, float | str]:
        """What the manifest says of it."""
        facts = {"fraction": self.fraction, "seed": self.seed, "claims": self.claims, "groups": self.groups}
        return {**facts, "by": "relevant documents and texts"}


def cut_dev(train: RankingSplit, fraction: float, seed: int) -> tuple[RankingSplit, RankingSplit, RankingCut]:
    """Cut dev from train by whole groups of linked claims; both keep their order.

    Groups are ordered by a hash of the seed and their least text, and each is taken that still fits into the fraction.
    So the cut depends on no library's random stream and not on the file's order, and one large group (HealthVer: most
    abstracts are cited by many claims) does not become a dev as large as train. Claims without a relevant document
    stay in train: dev is there to be scored.

    Raises:
        DataError: all claims hang together, or too few are judged.
    """
    groups = _groups(train)
    total = sum(map(len, groups))
    wanted = fraction * total
    chosen: set[str] = set()
    taken = 0
    for group in sorted(groups, key=lambda group: _place(min(claim.text for claim in group), seed)):
        if len(chosen) + len(group) <= max(wanted, 1):
            chosen |= {claim.id for claim in group}
            taken += 1
    if not chosen or taken == len(groups):
        raise DataError(
            f"dev cannot be cut: {total} claims with relevant documents hang together in {len(groups)} group(s), "
            f"and none of at most {max(wanted, 1):.0f} claims can be spared",
            file=train.file,
            hint="claims that share a relevant document stay together; give a dev split, or a larger --dev-fraction",
        )
    return (
        _part(train, chosen, False),
        _part(train, chosen, True),
        RankingCut(fraction, seed, len(chosen), taken, total),
    )


def _groups(train: RankingSplit) -> list[list[Claim]]:
    """The claims with relevant documents, by connected component."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    documents = relevant_documents(train)
    claims = [claim for claim in train.claims if claim.id in documents]
    if not claims:
        return []
    nodes: dict[tuple[str, str], int] = {}
    links = [
        (row, nodes.setdefault(link, len(claims) + len(nodes)))
        for row, claim in enumerate(claims)
        for link in [("text", claim.text), *(("document", document) for document in documents[claim.id])]
    ]
    ends = np.array(links).T
    size = len(claims) + len(nodes)
    graph = coo_array((np.ones(len(links), dtype=np.int8), (ends[0], ends[1])), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    groups: dict[int, list[Claim]] = defaultdict(list)
    for claim, number in zip(claims, component[: len(claims)].tolist(), strict=True):
        groups[number].append(claim)
    return list(groups.values())


def _part(train: RankingSplit, chosen: set[str], inside: bool) -> RankingSplit:
    return replace(
        train,
        file=f"{train.file} (cut)" if inside else train.file,
        claims=[claim for claim in train.claims if (claim.id in chosen) == inside],
        judgements=[judgement for judgement in train.judgements if (judgement.claim in chosen) == inside],
    )


def _place(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
