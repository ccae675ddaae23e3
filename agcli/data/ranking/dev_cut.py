"""The cut of dev from train for ranking: claims that share a relevant document or their text stay together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agcli.data.groups import fitting_groups, linked_rows
from agcli.data.pairs import folded
from agcli.data.ranking.checks import relevant_documents
from agcli.data.ranking.collection import Claim, RankingSplit
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
    stay in train, since dev is there to be scored, but for those whose text goes to dev.

    Raises:
        DataError: all claims hang together, or too few are judged.
    """
    groups = _groups(train)
    total = sum(map(len, groups))
    wanted = fraction * total
    names = [min(claim.text for claim in group) for group in groups]
    taken = fitting_groups(groups, names, max(wanted, 1), seed)
    chosen = {claim.id for number in taken for claim in groups[number]}
    if not chosen or len(taken) == len(groups):
        raise DataError(
            f"dev cannot be cut: {total} claims with relevant documents hang together in {len(groups)} group(s), "
            f"and none of at most {max(wanted, 1):.0f} claims can be spared",
            file=train.file,
            hint="claims that share a relevant document stay together; give a dev split, or a larger --dev-fraction",
        )
    return (
        _part(train, chosen, False),
        _part(train, chosen, True),
        RankingCut(fraction, seed, len(chosen), len(taken), total),
    )


def _groups(train: RankingSplit) -> list[list[Claim]]:
    """The claims with relevant documents, and those of the same text, by connected component."""
    documents = relevant_documents(train)
    texts = {folded(claim.text) for claim in train.claims if claim.id in documents}
    claims = [claim for claim in train.claims if folded(claim.text) in texts]
    links = (
        [("text", folded(claim.text)), *(("document", document) for document in documents.get(claim.id, []))]
        for claim in claims
    )
    return [[claims[row] for row in group] for group in linked_rows(links)]


def _part(train: RankingSplit, chosen: set[str], inside: bool) -> RankingSplit:
    return replace(
        train,
        file=f"{train.file} (cut)" if inside else train.file,
        claims=[claim for claim in train.claims if (claim.id in chosen) == inside],
        judgements=[judgement for judgement in train.judgements if (judgement.claim in chosen) == inside],
    )
