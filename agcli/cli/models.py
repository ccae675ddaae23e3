"""`ag models`: the zoo, and what of it is on this machine."""

from __future__ import annotations

from typing import Any

from agcli.cli import display
from agcli.cli.parameters import JsonOption, with_options
from agcli.declare import declared_options
from agcli.tables.table import Table

_HUB_NOTE = "Also: any hub id (owner/name) or folder. Fetch one for offline use with: hf download HUB_ID"

_COLUMNS = {
    "name": "name",
    "hub id": "hub_id",
    "family": "model_type",
    "layers": "num_layers",
    "heads": "num_heads",
    "hidden": "hidden_size",
    "cased": "cased",
    "license": "license",
    "here?": "here",
}


def _models(*, given: dict[str, Any]) -> None:
    """List the known encoders and what is on this machine: bundled, cached or no. Asks no network."""
    from agcli.models.model_files import locate
    from agcli.models.zoo import ZOO

    listed: list[dict[str, Any]] = []
    for name, entry in ZOO.items():
        place = locate(name)
        here, folder = (place.kind, str(place.folder)) if place else ("no", None)
        listed.append(vars(entry) | {"here": here, "folder": folder})
    if "json" in given:
        display.show_json(listed)
        return
    rows = []
    for values in listed:
        shown = values | {"cased": "yes" if values["cased"] else "no"}
        rows.append([shown[field] for field in _COLUMNS.values()])
    display.show(Table("Models", list(_COLUMNS), rows, _HUB_NOTE, spare=("license", "family")))


models = with_options(_models, declared_options({"Options": JsonOption}))
