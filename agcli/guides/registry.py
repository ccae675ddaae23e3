"""The list of guides, from which options, run names, variants, columns, colours and tables derive; no torch.

A new guide is a file in this folder, an entry here, and a test.
"""

from __future__ import annotations

from agcli.guides.entry import GuideEntry, GuideOption

GUIDES: dict[str, GuideEntry] = {}
"""Name -> guide, in the order in which they are shown and added up."""

COMBINED: dict[str, tuple[str, ...]] = {"none": (), "both": ("mdg", "pdg")}
"""The variants that are not one guide alone; `both` is the paper's AG."""


def register(entry: GuideEntry) -> None:
    """Add a guide; must happen before `agcli.options` is imported.

    Raises:
        ValueError: the name is taken, by a guide or by a word for a variant.
    """
    if entry.name in GUIDES or entry.name in COMBINED:
        raise ValueError(f"there is a guide or variant {entry.name!r} already")
    GUIDES[entry.name] = entry


register(
    GuideEntry(
        name="mdg",
        title="MDG",
        symbol="α",
        help="Weight of map discrimination guiding (α); 0 turns it off.",
        weight=0.01,
        by_default=True,
        has_flag=True,
        colour="#E69F00",
        marker="s",
        target="agcli.guides.mdg:MDG",
        options=(
            GuideOption("temperature", 1.0, "MDG's temperature τ; default: 1 (released: 2).", 2.0, {"above": 0.0}),
        ),
    )
)
register(
    GuideEntry(
        name="pdg",
        title="PDG",
        symbol="β",
        help="Weight of pattern decorrelation guiding (β); 0 turns it off.",
        weight=0.001,
        by_default=True,
        has_flag=True,
        colour="#56B4E9",
        marker="^",
        target="agcli.guides.pdg:PDG",
    )
)

_FORM = GuideOption(
    "form",
    "nll",
    "nll (−ln of the mass on the target), squared (‖A_i − P_i‖²) or released (the authors' code, on dropped-out maps).",
    limits={"choices": ("nll", "squared", "released")},
)
_KNOWLEDGE_FORM = GuideOption(
    "form",
    "nll",
    "nll, squared, or vector (received attention against the column mean of the knowledge).",
    limits={"choices": ("nll", "squared", "vector")},
)
_MATCH_FORM = GuideOption("form", "nll", "nll or squared, as of the patterns.", limits={"choices": ("nll", "squared")})
_PATTERNS = (
    ("next", "[Next]", "the next token", "#009E73", "v"),
    ("prev", "[Prev]", "the token before", "#D55E00", "<"),
    ("self", "[Self]", "itself", "#8C8C00", "h"),
    ("first", "[First]", "the first token", "#CC79A7", ">"),
    ("delim", "[Delim]", "the signs between and behind the texts", "#882255", "p"),
    ("period", "[Period]", "periods", "#117733", "*"),
)
for _name, _title, _what, _colour, _marker in _PATTERNS:
    register(
        GuideEntry(
            name=_name,
            title=_title,
            symbol=f"λ_{_name}",
            help=f"Some heads attend to {_what} (Deshpande & Narasimhan 2020).",
            weight=0.01,
            colour=_colour,
            marker=_marker,
            target=f"agcli.guides.patterns:{_name.capitalize()}",
            takes_heads=True,
            options=(_FORM,),
        )
    )
register(
    GuideEntry(
        name="pmi",
        title="[PMI]",
        symbol="λ_pmi",
        help="Some heads attend to words of high pointwise mutual information with the token's word.",
        weight=0.01,
        colour="#44AA99",
        marker="P",
        target="agcli.guides.knowledge:PMI",
        takes_heads=True,
        knowledge="pmi",
        options=(
            _KNOWLEDGE_FORM,
            GuideOption(
                "counts",
                "split",
                "split (words of the training split) or sentence (the authors' helper: this input alone).",
                limits={"choices": ("split", "sentence")},
                without_knowledge="sentence",
            ),
        ),
    )
)
register(
    GuideEntry(
        name="dependency",
        title="[Dependency]",
        symbol="λ_dependency",
        help="Some heads attend along dependency arcs.",
        weight=0.01,
        colour="#332288",
        marker="X",
        target="agcli.guides.knowledge:Dependency",
        takes_heads=True,
        knowledge="dependency",
        options=(_KNOWLEDGE_FORM,),
    )
)
register(
    GuideEntry(
        name="wordsim",
        title="[WordSim]",
        symbol="λ_wordsim",
        help="Some heads attend to words that are similar in WordNet.",
        weight=0.01,
        colour="#999933",
        marker="d",
        target="agcli.guides.knowledge:WordSim",
        takes_heads=True,
        knowledge="wordsim",
        options=(_KNOWLEDGE_FORM,),
    )
)
register(
    GuideEntry(
        name="match",
        title="Match",
        symbol="λ_match",
        help="Some heads compare the two texts: a token attends to the same word piece, or similar ones, of the other.",
        weight=0.01,
        colour="#AA4499",
        marker="8",
        target="agcli.guides.match:Match",
        takes_heads=True,
        options=(
            _MATCH_FORM,
            GuideOption(
                "match",
                "exact",
                "exact (the same word piece) or similar (the nearest input embeddings).",
                limits={"choices": ("exact", "similar")},
            ),
            GuideOption("nearest", 3, "How many are similar.", limits={"minimum": 1, "maximum": 64}),
        ),
    )
)
register(
    GuideEntry(
        name="entropy",
        title="Entropy",
        symbol="λ_entropy",
        help="Attention of each row spreads (its entropy grows).",
        weight=0.01,
        colour="#661100",
        marker="1",
        target="agcli.guides.entropy:Entropy",
    )
)
register(
    GuideEntry(
        name="entropy_band",
        title="Entropy band",
        symbol="λ_band",
        help="The mean entropy of attention comes to a share of the greatest possible one.",
        weight=0.01,
        colour="#888888",
        marker="2",
        target="agcli.guides.entropy:EntropyBand",
        options=(GuideOption("level", 0.5, "That share.", limits={"minimum": 0.0, "maximum": 1.0}),),
    )
)
register(
    GuideEntry(
        name="disagreement",
        title="Disagreement",
        symbol="λ_disagreement",
        help="The heads of a layer attend to different positions (Li et al. 2018).",
        weight=0.01,
        colour="#6699CC",
        marker="3",
        target="agcli.guides.disagreement:Disagreement",
    )
)

SHARED_OPTIONS = (
    GuideOption("heads", "", "How many heads (4), or which (0-3, 0+2+5); default: the guide's."),
    GuideOption("share", 0.0, "Share of the heads, in place of heads.", limits={"above": 0.0, "maximum": 1.0}),
    GuideOption("layers", "", "Guided layers (0-2, 1+3); default: --guide-layers."),
    GuideOption("schedule", "constant", "The weight over training: constant, linear:H, warmup:H or off:H."),
)
"""Options of every guide that are written behind a weight; `heads` and `share` only where a guide takes heads."""
