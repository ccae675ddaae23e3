"""What `ag prepare` shows of ranking data: a bar while it works, then what BM25 found of each split."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.errors import counted

if TYPE_CHECKING:
    from agcli.data.ranking.candidates import Progress
    from agcli.data.ranking.prepared import RankingDataset
    from agcli.data.ranking.request import RankingRequest


def prepare_and_report(request: RankingRequest, show: int, as_json: bool) -> None:
    """Prepare ranking data, a bar on stderr meanwhile, and report it."""
    from agcli.data.ranking.preparation import prepare_ranking

    with working() as progress:
        prepared = prepare_ranking(request, progress)
    for warning in prepared.manifest["warnings"]:
        display.warn(warning)
    if as_json:
        display.show_json(prepared.manifest)
        return
    _report(prepared, show)


@contextmanager
def working() -> Iterator[Progress]:
    """One bar for each thing that is being done."""
    with display.progress_bar() as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total, status="")
            bar.update(tasks[what], completed=done)

        yield advance


def _report(prepared: RankingDataset, show: int) -> None:
    manifest = prepared.manifest
    display.show_table(
        f"{prepared.name}, prepared in {prepared.folder}",
        [
            "split",
            "claims",
            "judged",
            "relevant pairs",
            "with one retrieved",
            f"recall@{prepared.depth}",
            "claim chars (p50/p95/max)",
        ],
        [_split_row(split, facts) for split, facts in manifest["splits"].items()],
        caption=_caption(manifest),
    )
    if show:
        _show_claims(prepared, show)
    verb = "ag finetune" if prepared.lists is not None else "ag rank RUN"
    display.note(f"next: {verb} --dataset {shlex.quote(str(prepared.folder))}")


def _split_row(split: str, facts: dict[str, Any]) -> list[object]:
    lengths = facts["characters"]
    characters = f"{lengths['p50']}/{lengths['p95']}/{lengths['max']}"
    return [split, *(facts[key] for key in ("queries", "judged", "relevant", "retrieved", "recall")), characters]


def _caption(manifest: dict[str, Any]) -> str:
    documents = manifest["documents"]
    lengths = documents["characters"]
    lines = [f"{source['split']}: {source['file']}" for source in manifest["sources"]]
    lines.append(
        f"{counted(documents['rows'], 'document')} ({lengths['p50']:,}/{lengths['p95']:,}/{lengths['max']:,} chars), "
        f"first stage: {_first_stage(manifest['first_stage'])}"
    )
    lines += [f"the source's {old} is {new}" for old, new in manifest["roles"].items()]
    cut = manifest["dev_cut"]
    if cut:
        lines.append(
            f"dev was cut from train: {counted(cut['claims'], 'claim')}, linked ones together "
            f"({counted(cut['groups'], 'group')})"
        )
    lists = manifest["lists"]
    if lists:
        lines.append(
            f"{counted(lists['count'], 'training list')}: 1 positive, "
            f"{counted(manifest['negatives'], 'negative')} ({_drawn(lists)})"
        )
    lines += [f"not used: {file} ({why})" for file, why in manifest["not_used"].items()]
    return "\n".join([*lines, f"digest {manifest['digest'][:16]}"])


def _first_stage(facts: dict[str, Any]) -> str:
    settings = f"BM25 (k1 {facts['k1']}, b {facts['b']}, stems: {facts['stemmer'] or 'none'}, "
    settings += f"stop words: {facts['stopwords'] or 'none'})"
    return settings + (f"; {', '.join(facts['from_runs'])}: the run file" if facts["from_runs"] else "")


def _drawn(lists: dict[str, Any]) -> str:
    origin = {"bm25": "from the candidates", "random": "from the corpus", "mixed": "half from the candidates"}
    filled = f"; {lists['filled']:,} from the corpus for want of candidates" if lists["filled"] else ""
    return origin[lists["from"]] + filled


def _show_claims(prepared: RankingDataset, show: int) -> None:
    """The first claims of each split and their relevant documents."""
    for split in prepared.splits:
        head = prepared.queries.iloc[prepared.rows(split)[:show]]
        rows = [
            (
                claim,
                len(text) if prepared.credentialed else text,
                ", ".join(name for name, grade in prepared.judgements.get(claim, {}).items() if grade > 0),
            )
            for claim, text in zip(head["id"], head["text"], strict=True)
        ]
        display.show_table(split, ["id", "claim", "relevant documents"], rows)
