"""A ranking on the terminal: the bar while it goes, measures side by side, and the answers to one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.cli.evaluate_tables import interval_caption, with_interval
from agcli.errors import counted
from agcli.measures.bootstrap import Estimate
from agcli.measures.ranking import MEASURES, below_first_stage
from agcli.ranking.rank_split import RankingCallback
from agcli.runs.folder import RunFolder
from agcli.tables.table import Table

if TYPE_CHECKING:
    from agcli.ranking.single_query import Answer

_SHOWN_CHARACTERS = 200
_TITLES = {
    "all": "all {n} judged queries (one whose document was not retrieved scores 0)",
    "conditional": "conditional: the {n} queries whose document was retrieved; not to be set beside the figures above",
}


class RankProgress(display.Bars, RankingCallback):
    """Shows a bar of scored pairs, and their pace at the end."""

    pairs, started = 0, 0.0

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        if self.pairs:
            seconds = perf_counter() - self.started
            self.message(f"{counted(self.pairs, 'pair')} in {seconds:.1f} s: {self.pairs / seconds:.0f} pairs/s")

    def scoring(self, done_pairs: int, total_pairs: int) -> None:
        """Start the bar."""
        self.started = perf_counter()
        self.start("scoring pairs", total_pairs, done_pairs)

    def scored(self, pairs: int) -> None:
        """Move it, and show the pace."""
        self.pairs += pairs
        pace = self.pairs / (perf_counter() - self.started)
        self.move("scoring pairs", advance=pairs, status=f"{pace:.0f} pairs/s")


def show_ranking(folder: Path, json: bool) -> None:
    """What a finished ranking found: a table for each protocol."""
    metrics = RunFolder(folder).read_json("metrics.json")
    if json:
        display.show_json({"folder": str(folder), **metrics})
        return
    if "reranked" in metrics:
        _warn_of_loss(metrics)
        for protocol, title in _TITLES.items():
            _show_protocol(metrics, protocol, title)
    else:
        display.note("there are no relevance judgments, so nothing is measured")
    display.show_path("ranking", folder)


def _warn_of_loss(metrics: dict[str, Any]) -> None:
    name = MEASURES[0]
    first, second, difference = (metrics[side]["all"] for side in ("first_stage", "reranked", "difference"))
    if difference["n"]:
        means = first[name]["value"], second[name]["value"]
        if sentence := below_first_stage("this re-ranker", name, *means, difference[name]["high"]):
            display.warn(sentence)


def _show_protocol(metrics: dict[str, Any], protocol: str, title: str) -> None:
    sides = [metrics[side][protocol] for side in ("first_stage", "reranked", "difference")]
    count = sides[0]["n"]
    heading = f"{metrics['dataset']}, {metrics['split']}, depth {metrics['depth']}: {title.format(n=count)}"
    if not count:
        display.note(f"{heading}: no query, no measure")
        return
    signed = list(zip(sides, ("", "", "+"), strict=True))
    rows = [[name, *(with_interval(Estimate(**side[name]), sign) for side, sign in signed)] for name in MEASURES]
    caption = interval_caption("queries", metrics["resamples"], metrics["seed"])
    caption += f" Scored in {metrics['precision']}."
    display.show(Table(heading, ["measure", "first stage", "re-ranked", "difference"], rows, caption))


def show_answers(query: str, answers: Sequence[Answer], top: int, hidden: bool, json: bool) -> None:
    """The first `top` documents for one query; of credentialed data no text."""
    candidates, answers = len(answers), answers[:top]
    if json:
        listed = [asdict(answer) | ({"text": None} if hidden else {}) for answer in answers]
        display.show_json({"claim": query, "candidates": candidates, "documents": listed})
        return
    rows = []
    for answer in answers:
        text = "(hidden)" if hidden else _start(answer.text)
        rows.append([answer.rank, answer.document, answer.score, answer.first_stage_rank, text])
    caption = f"{len(rows)} of {candidates} candidates of the first stage"
    if candidates < top:
        caption = f"Fewer than --top {top}: the query shares a word with {counted(candidates, 'document')} only."
    display.show(Table(query, ["rank", "document", "score", "first stage", "text"], rows, caption))


def _start(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
