"""What `ag prepare` shows: one table of the splits for each kind of data."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from agcli.cli import display
from agcli.data.request import RANKING
from agcli.errors import DataError, counted
from agcli.tables.table import Table

if TYPE_CHECKING:
    from agcli.data.prepared import PreparedPairs
    from agcli.data.ranking.prepared import PreparedRanking

_RANKING_COLUMNS = {
    "queries": "queries",
    "judged": "judged",
    "relevant pairs": "relevant",
    "with one retrieved": "retrieved",
    "recall@{depth}": "recall",
}
"""Column titles, and the manifest's entries that are shown below them."""
_DRAWN = {"bm25": "from the candidates", "random": "from the corpus", "mixed": "half from the candidates"}


def report(prepared: PreparedPairs | PreparedRanking, show: int, as_json: bool) -> None:
    """Warnings on stderr; the manifest as JSON, or a table and the first `show` pairs or queries of each split."""
    manifest = prepared.manifest
    ranking = manifest["task"] == RANKING
    for warning in manifest["warnings"]:
        display.warn(warning)
    if not ranking and manifest["tokenizer"]["missing"]:
        display.warn(f"lengths in tokens are left out: {manifest['tokenizer']['missing']}")
    made = _knowledge(prepared)
    if as_json:
        display.show_json({**manifest, "knowledge": made} if made else manifest)
        return
    columns, rows = _ranking_table(manifest) if ranking else _pairs_table(manifest)
    lines = []
    for source in manifest["sources"]:
        quoting = f" (quoting: {source['quoting']})" if source["quoting"] else ""
        lines.append(f"{source['split']}: {source['file']}{quoting}")
    lines += [f"the source's {old} is {new}" for old, new in manifest["roles"].items()]
    lines += _ranking_lines(manifest) if ranking else _pairs_lines(manifest)
    lines += [f"not used: {file} ({why})" for file, why in manifest["not_used"].items()]
    title = f"{prepared.name}, prepared in {prepared.folder}"
    caption = "\n".join([*lines, f"digest {manifest['digest'][:16]}"])
    display.show(Table(title, ["split", *columns], rows, caption))
    if made:
        _show_knowledge(prepared, made)
    if show:
        _show_rows(prepared, show)
    elsewhere = "rank RUN" if ranking else "evaluate RUN"
    trainable = manifest["lists"] and manifest["lists"]["count"] if ranking else "train" in prepared.splits
    display.note(f"next: ag {'finetune' if trainable else elsewhere} --dataset {shlex.quote(str(prepared.folder))}")


def report_knowledge(prepared: PreparedPairs | PreparedRanking, as_json: bool) -> None:
    """The knowledge of prepared data, as a table or as JSON."""
    made = _knowledge(prepared)
    if as_json:
        display.show_json(made)
    else:
        _show_knowledge(prepared, made)


def _knowledge(prepared: PreparedPairs | PreparedRanking) -> dict[str, dict[str, Any]]:
    """The manifest of each kind of knowledge of the data; a warning for each that is not of these data as they are."""
    from agcli.data.knowledge.stored import read_knowledge_manifest

    made = {}
    for name in prepared.knowledge:
        try:
            made[name] = read_knowledge_manifest(prepared, name)
        except DataError as error:
            display.warn(f"{error}" + (f" {error.hint}" if error.hint else ""))
    return made


def _show_knowledge(prepared: PreparedPairs | PreparedRanking, made: dict[str, dict[str, Any]]) -> None:
    names = ("spacy", "pipeline", "version", "nltk", "wordnet")
    rows = [
        [
            name,
            f"{facts['pairs']:,}",
            f"{facts['coverage']:.1%}",
            f"{facts['seconds']:.1f}",
            ", ".join(f"{key} {facts['made_with'][key]}" for key in names if key in facts["made_with"]),
        ]
        for name, facts in made.items()
    ]
    caption = (
        "Made of the training split. Coverage: the share of its words that are related to another word of their input."
    )
    title = f"knowledge of {prepared.name}, in {prepared.folder / 'knowledge'}"
    display.show(Table(title, ["knowledge", "pairs", "coverage", "seconds", "made with"], rows, caption))


def _lengths(lengths: dict[str, int], form: str = "") -> str:
    return "/".join(format(lengths[key], form) for key in ("p50", "p95", "max"))


def _pairs_table(manifest: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """The lengths are those of whole pairs in tokens, or else of second texts in characters."""
    splits = manifest["splits"]
    counted_tokens = all(facts["tokens"] for facts in splits.values())
    unit = "tokens" if counted_tokens else "chars of b"
    rows = [
        [
            split,
            facts["rows"],
            *facts["labels"].values(),
            _lengths(facts["tokens"] if counted_tokens else facts["characters"]["text_b"]),
        ]
        for split, facts in splits.items()
    ]
    return ["rows", *manifest["labels"], f"{unit} (p50/p95/max)"], rows


def _pairs_lines(manifest: dict[str, Any]) -> list[str]:
    from agcli.data.cut_splits import SHARED

    lines = [f"the label {old!r} became {new!r}" for old, new in manifest["label_map"].items()]
    for split in ("dev", "test"):
        cut = manifest[f"{split}_cut"]
        if cut:
            together = f"rows that share {SHARED[cut['by']]} stay together (--group-by {cut['by']})"
            lines.append(f"{split} was cut from train: {counted(cut['rows'], 'row')}; {together}")
    return lines


def _ranking_table(manifest: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    columns = [head.format(depth=manifest["depth"]) for head in _RANKING_COLUMNS]
    rows = [
        [split, *(facts[entry] for entry in _RANKING_COLUMNS.values()), _lengths(facts["characters"])]
        for split, facts in manifest["splits"].items()
    ]
    return [*columns, "query chars (p50/p95/max)"], rows


def _ranking_lines(manifest: dict[str, Any]) -> list[str]:
    documents, stage, cut, lists = (manifest[key] for key in ("documents", "first_stage", "dev_cut", "lists"))
    settings = f"BM25 (k1 {stage['k1']}, b {stage['b']}, stems: {stage['stemmer'] or 'none'}, "
    settings += f"stop words: {stage['stopwords'] or 'none'})"
    settings += f"; {', '.join(stage['from_runs'])}: the run file" if stage["from_runs"] else ""
    characters = _lengths(documents["characters"], ",")
    lines = [f"{counted(documents['rows'], 'document')} ({characters} chars), first stage: {settings}"]
    if cut:
        groups = counted(cut["groups"], "group")
        lines.append(
            f"dev was cut from train: {counted(cut['claims'], 'query', 'queries')}, linked ones together ({groups})"
        )
    if lists:
        drawn = _DRAWN[lists["from"]]
        drawn += f"; {lists['filled']:,} from the corpus for want of candidates" if lists["filled"] else ""
        negatives = counted(manifest["negatives"], "negative")
        lines.append(f"{counted(lists['count'], 'training list')}: 1 positive, {negatives} ({drawn})")
    return lines


def _show_rows(prepared: PreparedPairs | PreparedRanking, show: int) -> None:
    """The first rows of each split; of credentialed data lengths in place of texts."""
    from agcli.data.prepared import PreparedPairs

    shown: Any = len if prepared.credentialed else str
    if isinstance(prepared, PreparedPairs):
        if prepared.credentialed:
            display.note("credentialed data: lengths in characters in place of the text")
        texts = ("text_a", "text_b")
        for split, frame in prepared.splits.items():
            head = frame.head(show)
            columns = [head["id"], head["label"], *(map(shown, head[text].tolist()) for text in texts)]
            display.show(Table(split, ["id", "label", *texts], list(zip(*columns, strict=True))))
        return
    for split in prepared.splits:
        head = prepared.queries.iloc[prepared.rows(split)[:show]]
        relevant = [
            ", ".join(name for name, grade in prepared.relevance.get(query, {}).items() if grade > 0)
            for query in head["id"]
        ]
        rows = list(zip(head["id"], map(shown, head["text"]), relevant, strict=True))
        display.show(Table(split, ["id", "query", "relevant documents"], rows))
