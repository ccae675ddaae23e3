"""A new source format is one file and one entry: read, recognised, checked and listed like those that are here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from agcli.data.formats.registry import DATASETS, FORMATS, Format, register

Ag = Callable[..., Result]

PAIRS = '''
"""Pairs in one file of blocks: two texts and a label, each in its own line, a blank line between blocks."""

from agcli.data.files.text import text_lines
from agcli.data.pairs import Corpus, Pair, SourceSplit, source_records
from agcli.data.request import PrepareRequest
from agcli.data.split_files import choose_files


def read(request: PrepareRequest) -> Corpus:
    files = choose_files(request, (".blocks",))
    splits, sources = {}, []
    for split, file in files.by_split.items():
        lines = [line for _, line in text_lines(file)]
        pairs = [Pair(row + 1, *lines[row : row + 3]) for row in range(0, len(lines), 4)]
        splits[split] = SourceSplit(file.name, "third line", pairs)
        sources += source_records(split, file)
    return Corpus(None, splits, tuple(sources), files.not_used, files.named)
'''
RANKING = '''
"""Queries, documents and judgments as three members of one JSON object."""

from agcli.data.files.json_values import json_members
from agcli.data.pairs import source_records
from agcli.data.ranking.collection import Qrel, Query, RankingCollection, RankingSplit, collect_documents


def read(files):
    (file,) = [file for file in files if file.suffix == ".collection"]
    parts = {key: value for _, key, value in json_members(file)}
    documents = collect_documents(file.name, ((1, key, text) for key, text in parts["documents"].items()))
    claims = [Query(key, text, 1) for key, text in parts["queries"].items()]
    judged = [Qrel(claim, document, 1, 1) for claim, document in parts["relevant"]]
    split = RankingSplit(file.name, claims, file.name, judged)
    return RankingCollection(documents, {"test": split}, source_records("test", file))
'''


@pytest.fixture
def invented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "invented_blocks.py").write_text(PAIRS)
    (tmp_path / "code" / "invented_collection.py").write_text(RANKING)
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    register(Format("blocks", "pairs", "texts in blocks: *.blocks", "invented_blocks:read", ("train*.blocks",)))
    register(Format("one-object", "ranking", "x.collection", "invented_collection:read", ("*.collection",)))
    yield
    del FORMATS["blocks"], FORMATS["one-object"]


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    for split, count in (("train", 30), ("test", 6)):
        rows = [f"{split} text {n}\n{split} other {n}\n{'yes' if n % 2 else 'no'}\n" for n in range(count)]
        (tmp_path / "set").mkdir(exist_ok=True)
        (tmp_path / "set" / f"{split}.blocks").write_text("\n".join(rows))
    return tmp_path / "set"


def manifest(ag: Ag, *words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ag("prepare", *words, "--json").stdout)
    return found


@pytest.mark.usefixtures("invented")
@pytest.mark.parametrize("words", [(), ("--format", "blocks"), ("--task", "classification")])
def test_pairs_of_an_invented_format(ag: Ag, tmp_path: Path, blocks: Path, words: tuple[str, ...]) -> None:
    found = manifest(ag, "--dataset", "own", "--from", blocks, "--output", tmp_path / "out", *words)
    assert found["source_format"] == "blocks"
    assert {split: facts["rows"] for split, facts in found["splits"].items()} == {"train": 27, "dev": 3, "test": 6}
    assert [source["file"] for source in found["sources"]] == ["train.blocks", "test.blocks"]


@pytest.mark.usefixtures("invented")
def test_an_invented_format_has_its_own_columns(ag: Ag, tmp_path: Path, blocks: Path) -> None:
    words = ("--dataset", "own", "--from", blocks, "--output", tmp_path / "out")
    assert "has its own columns" in ag("prepare", *words, "--text-a", "x", code=2).stderr
    wrong = ag("prepare", *words, "--format", "block", code=2).stderr
    assert "Did you mean 'blocks'" in wrong
    assert "blocks: texts in blocks: *.blocks" in " ".join(wrong.split())


@pytest.mark.usefixtures("invented")
@pytest.mark.parametrize("words", [(), ("--format", "one-object"), ("--task", "ranking")])
def test_ranking_data_of_an_invented_format(ag: Ag, tmp_path: Path, words: tuple[str, ...]) -> None:
    texts = {f"d{n}": f"text on topic {n}" for n in range(20)}
    queries = {f"q{n}": f"which topic is {n}" for n in range(5)}
    relevant = [[f"q{n}", f"d{n}"] for n in range(5)]
    (tmp_path / "set").mkdir()
    whole = json.dumps({"documents": texts, "queries": queries, "relevant": relevant}, indent=1)
    (tmp_path / "set" / "x.collection").write_text(whole)
    found = manifest(ag, "--dataset", "own", "--from", tmp_path / "set", "--output", tmp_path / "out", *words)
    assert found["source_format"] == "one-object"
    assert found["splits"]["test"]["relevant"] == 5


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="there is a format 'beir' already"):
        register(Format("beir", "ranking", "", "x:y"))


@pytest.mark.parametrize("entry", FORMATS.values(), ids=FORMATS)
def test_every_entry_has_a_reader_and_a_line_of_help(entry: Format) -> None:
    assert callable(entry.load())
    assert entry.help
    assert "\n" not in entry.help


def test_known_data_sets_are_in_formats_that_there_are(ag: Ag) -> None:
    assert {known.format for known in DATASETS.values()} - {None} <= set(FORMATS)
    shown = "".join(ag("prepare", "--help").stdout.split())  # lines may break at a hyphen
    assert ",".join(DATASETS) in shown
    assert all(name in shown for name in FORMATS)


@pytest.mark.parametrize(
    ("names", "formats"),
    [
        (["./corpus.jsonl", "./claims_train.jsonl"], {"scifact", "claims"}),
        (["./corpus.jsonl"], set()),
        (["./queries.jsonl"], {"beir"}),
        (["queries/train.jsonl"], {"beir"}),
        (["a/queries/train.jsonl"], {"beir"}),
        (["./queries.train.tsv", "./qrels.train.txt"], {"trec"}),
        (["x/topics.txt", "qrels/test.trec"], {"trec"}),
        (["./queries.tsv"], set()),
        (["set/MLI_dev_v1.jsonl"], {"mednli"}),
        (["./dev_data_claim_pmid_dict.json"], {"cross-genre-ir"}),
        (["./train.tsv", "./test.tsv"], set()),
    ],
)
def test_formats_are_recognised_by_names_of_files(names: list[str], formats: set[str]) -> None:
    assert {name for name, entry in FORMATS.items() if entry.recognises(names)} == formats
