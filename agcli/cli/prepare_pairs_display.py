"""What `ag prepare` shows of pairs with labels: rows and labels of each split, and where they came from."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.errors import counted

if TYPE_CHECKING:
    from agcli.data import PreparedDataset

_UNITS = {"tokens": "tokens", "characters": "chars of b"}
"""What lengths are counted in, in the head of their column."""


def report(prepared: PreparedDataset, show: int, as_json: bool) -> None:
    """Warnings on stderr; the manifest as JSON, or a table and the first `show` pairs."""
    manifest = prepared.manifest
    for warning in manifest["warnings"]:
        display.warn(warning)
    if manifest["tokenizer"]["missing"]:
        display.warn(f"lengths in tokens are left out: {manifest['tokenizer']['missing']}")
    if as_json:
        display.show_json(manifest)
        return
    unit = "tokens" if all(facts["tokens"] for facts in manifest["splits"].values()) else "characters"
    display.show_table(
        f"{prepared.name}, prepared in {prepared.folder}",
        ["split", "rows", *prepared.labels, f"{_UNITS[unit]} (p50/p95/max)"],
        [_split_row(split, facts, unit) for split, facts in manifest["splits"].items()],
        caption=_caption(manifest),
    )
    if show:
        _show_pairs(prepared, show)
    folder = shlex.quote(str(prepared.folder))
    display.note(f"next: ag {'finetune' if 'train' in prepared.splits else 'evaluate RUN'} --dataset {folder}")


def _split_row(split: str, facts: dict[str, Any], unit: str) -> list[object]:
    """The split's counts; median, 95th percentile and maximum length of its pairs, or of their second texts."""
    lengths = facts["tokens"] if unit == "tokens" else facts["characters"]["text_b"]
    length = f"{lengths['p50']}/{lengths['p95']}/{lengths['max']}"
    return [split, facts["rows"], *facts["labels"].values(), length]


def _caption(manifest: dict[str, Any]) -> str:
    lines = [f"{source['split']}: {source['file']}" + _quoting(source) for source in manifest["sources"]]
    lines += [f"the label {old!r} became {new!r}" for old, new in manifest["label_map"].items()]
    lines += [f"the source's {old} is {new}" for old, new in manifest["roles"].items()]
    lines += [_cut(split, cut) for split in ("dev", "test") if (cut := manifest[f"{split}_cut"])]
    lines += [f"not used: {file} ({why})" for file, why in manifest["not_used"].items()]
    return "\n".join([*lines, f"digest {manifest['digest'][:16]}"])


def _cut(split: str, cut: dict[str, Any]) -> str:
    from agcli.data.cuts import SHARED

    together = f"rows that share {SHARED[cut['by']]} stay together (--group-by {cut['by']})"
    return f"{split} was cut from train: {counted(cut['rows'], 'row')}; {together}"


def _quoting(source: dict[str, Any]) -> str:
    return f" (quoting: {source['quoting']})" if source["quoting"] else ""


def _show_pairs(prepared: PreparedDataset, show: int) -> None:
    """Print examples; of credentialed data ids, labels and lengths only."""
    shown: Callable[[str], object] = len if prepared.credentialed else str
    texts = ("text_a", "text_b")
    if prepared.credentialed:
        display.note("credentialed data: lengths in characters in place of the text")
    for split, frame in prepared.splits.items():
        head = frame.head(show)
        columns = [head["id"], head["label"], *(map(shown, head[text].tolist()) for text in texts)]
        display.show_table(split, ["id", "label", *texts], list(zip(*columns, strict=True)))
