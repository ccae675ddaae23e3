"""`ag models`: the zoo, and what of it is on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from agcli.cli import display

_HUB_NOTE = "Also: any hub id (owner/name) or folder. Fetch one for offline use with: hf download HUB_ID"


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the known encoders and what is on this machine: bundled, cached or no. Asks no network."""
    from agcli.models.find import locate
    from agcli.models.zoo import ZOO

    places = {name: locate(name) for name in ZOO}
    here = {name: place.kind if place else "no" for name, place in places.items()}
    if as_json:
        display.show_json(
            [
                vars(entry) | {"here": here[name], "folder": str(place.folder) if (place := places[name]) else None}
                for name, entry in ZOO.items()
            ]
        )
        return
    display.show_table(
        "Models",
        ("name", "hub id", "family", "layers", "heads", "hidden", "cased", "license", "here?"),
        [
            (
                name,
                entry.hub_id,
                entry.model_type,
                entry.num_layers,
                entry.num_heads,
                entry.hidden_size,
                "yes" if entry.cased else "no",
                entry.license,
                here[name],
            )
            for name, entry in ZOO.items()
        ],
        caption=_HUB_NOTE,
        spare=("license", "family"),
    )
