"""Each fault of ranking data once: what would change a score unseen is an error that names the place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from claim_files import Collection, small, write_beir, write_cross_genre_ir, write_scifact, write_trec

from agcli.data.ranking.prepared import PreparedRanking
from agcli.data.request import PrepareRequest
from agcli.errors import DataError, UsageError

Prepare = Callable[..., PreparedRanking]


def add(path: Path, *lines: str) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.writelines(f"{line}\n" for line in lines)


def refused(prepare_claims: Prepare, folder: Path, match: str, **options: object) -> DataError:
    output = folder.parent / "never"
    with pytest.raises(DataError, match=match) as caught:
        prepare_claims(folder, output=output, **options)
    assert not output.exists()
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []
    return caught.value


def test_a_leak_of_cross_genre_ir_is_named(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"][1] = ("c9", "d2", 1)
    refused(
        prepare_claims,
        write_cross_genre_ir(tmp_path / "x", made),
        r"leak between splits: 1 of 2 relevant documents of test are relevant in train too; .*"
        r"\(query train-3 of train and query test-2 of test share document d2\)",
    )


def test_a_split_of_which_no_judgement_is_left(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["train"] = [("absent", "d1", 1)]
    refused(
        prepare_claims,
        write_beir(tmp_path / "x", made),
        "no relevance judgment of train is left .1 dropped: relevance judgment of a",
    )


def test_elsewhere_shared_documents_and_texts_are_counted(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"] += [("c9", "d2", 1), ("c9", "d3", 0)]
    made.claims["test"]["c8"] = made.claims["dev"]["c7"].upper().replace(" ", "  ")
    folder = write_beir(tmp_path / "x", made)
    prepared = prepare_claims(folder)
    assert prepared.manifest["documents_shared"]["train/test"] | {"example": ""} == {
        "shared": 1,
        "of": 3,
        "example": "",
    }
    assert prepared.manifest["texts_shared"].keys() == {"dev/test"}
    assert prepared.manifest["warnings"] == [
        "1 of 3 relevant documents of test are relevant in train too",
        "1 of 2 queries of test have the text of a query of dev (query c7 of dev and query c8 of test)",
    ]
    refused(prepare_claims, folder, "--strict-splits forbids", strict_splits=True)


def test_strict_splits_forbid_shared_texts_too(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.claims["test"]["c8"] = made.claims["dev"]["c7"].upper()
    folder = write_beir(tmp_path / "x", made)
    shared = (
        r"leak between splits: 1 of 2 queries of test have the text of a query of dev; --strict-splits forbids that"
    )
    error = refused(prepare_claims, folder, shared, strict_splits=True)
    assert "query c7 of dev and query c8 of test" in str(error)
    assert "c7" not in str(refused(prepare_claims, folder, shared, strict_splits=True, credentialed=True))


def test_splits_that_share_no_abstract_may_share_texts(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.claims["test"]["c8"] = made.claims["dev"]["c7"]
    prepared = prepare_claims(write_cross_genre_ir(tmp_path / "x", made))
    assert "1 of 2 queries of test have the text of a query of dev" in prepared.manifest["warnings"][0]


def test_what_a_cut_dev_shares_with_test_is_counted(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    del made.qrels["dev"], made.claims["dev"]
    made.qrels["test"] = [("c8", "d8", 1), *(("c9", f"d{n}", 1) for n in range(6))]
    made.claims["test"] |= {f"t{n}": text for n, text in enumerate(made.claims["train"].values())}
    made.qrels["test"] += [(f"t{n}", "d9", 1) for n in range(6)]
    folder = write_trec(tmp_path / "x", made)
    manifest = prepare_claims(folder, dev_fraction=0.5).manifest
    assert {names: (each["shared"], each["of"]) for names, each in manifest["documents_shared"].items()} == {
        "train/test": (3, 8),
        "dev/test": (3, 8),
    }
    assert {names: (each["shared"], each["of"]) for names, each in manifest["texts_shared"].items()} == {
        "train/test": (3, 8),
        "dev/test": (3, 8),
    }
    assert "3 of 8 relevant documents of test are relevant in dev too" in manifest["warnings"]


def test_claims_without_judgements_stay_where_their_file_names_the_split(
    tmp_path: Path, prepare_claims: Prepare
) -> None:
    made = small()
    made.claims["test"]["extra"] = "Nobody judged this."
    made.qrels["dev"].append(("c7", "d0", 1))
    made.qrels["dev"][0] = ("c6", "d6", 0)
    prepared = prepare_claims(write_trec(tmp_path / "x", made))
    facts = prepared.manifest["splits"]
    assert (facts["test"]["queries"], facts["test"]["judged"]) == (3, 2)
    assert (facts["dev"]["queries"], facts["dev"]["judged"]) == (2, 1)
    assert (
        "test: 1 of 3 queries have no relevance judgment; they cannot be scored or trained on"
        in prepared.manifest["warnings"]
    )
    assert "dev: 1 of 2 queries have relevance judgments, but no relevant document" in prepared.manifest["warnings"]
    left_out = prepare_claims(write_beir(tmp_path / "y", made))
    assert left_out.manifest["splits"]["test"]["queries"] == 2
    assert "1 of 11 queries have no relevance judgments" in left_out.manifest["warnings"][0]


def test_judgements_of_absent_documents(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"] += [("c9", f"gone{n}", 1) for n in range(7)] + [("c9", "other", 0)]
    folder = write_trec(tmp_path / "x", made)
    error = refused(
        prepare_claims,
        folder,
        r"qrels\.test\.txt, row 3: relevance judgment of a document that is not in the corpus: 7 relevant .*"
        r"row 3: c9 gone0; .*row 7: c9 gone4; \.\.\.",
    )
    assert "--drop-missing" in str(error.hint)
    assert "gone5" not in str(error)
    prepared = prepare_claims(folder, drop_missing=True)
    assert prepared.manifest["dropped"] == {"test": {"relevance judgment of a document that is not in the corpus": 8}}
    assert prepared.manifest["warnings"] == [
        "test: 8 dropped (relevance judgment of a document that is not in the corpus)"
    ]
    made.qrels["test"] = [*small().qrels["test"], ("c9", "other", 0)]
    harmless = prepare_claims(write_trec(tmp_path / "y", made))
    assert harmless.manifest["dropped"] == {"test": {"relevance judgment of a document that is not in the corpus": 1}}


def test_judgements_of_absent_claims(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["train"].append(("nobody", "d1", 1))
    assert prepare_claims(write_beir(tmp_path / "x", made)).manifest["dropped"] == {
        "train": {"relevance judgment of a query that is not there": 1}
    }
    made.qrels["dev"].append(("nobody2", "d1", 1))
    folder = write_beir(tmp_path / "y", made)
    refused(
        prepare_claims, folder, r"qrels/dev\.tsv, row 4: relevance judgment of a query that is not there.*nobody2 d1"
    )
    assert prepare_claims(folder, drop_missing=True).manifest["dropped"]["dev"] == {
        "relevance judgment of a query that is not there": 1
    }


def test_empty_abstracts(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.documents |= {"blank": (" ", ""), "d11": ("", "")}
    folder = write_beir(tmp_path / "x", made)
    prepared = prepare_claims(folder, negatives=8, negatives_from="random")
    assert prepared.manifest["documents"]["empty"] == 2
    assert prepared.manifest["warnings"] == ["corpus.jsonl: 2 of 13 documents have no text"]
    assert prepared.lists is not None
    assert {prepared.document_ids[row] for row in prepared.lists[:, 2:].ravel()}.isdisjoint({"blank", "d11"})
    add(folder / "qrels" / "test.tsv", "c9\tblank\t1")
    refused(prepare_claims, folder, r"qrels/test\.tsv, row 4: relevance judgment of a document without text.*c9 blank")
    assert len(prepare_claims(folder, drop_missing=True).qrels) == 10


Change = Callable[[Path], None]


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


FAULTS: dict[str, tuple[Change, str]] = {
    "document twice": (
        lambda x: add(x / "corpus.jsonl", json.dumps({"_id": "d3", "text": "again"})),
        r"corpus\.jsonl, row 13: this document id occurs already in row 4\..*'d3'",
    ),
    "claim twice": (
        lambda x: add(x / "queries.jsonl", json.dumps({"_id": "c3", "text": "again"})),
        r"queries\.jsonl, row 11: this query id occurs already in row 4\..*'c3'",
    ),
    "claim in two splits": (
        lambda x: add(x / "qrels" / "test.tsv", "c3\td3\t1"),
        r"queries\.jsonl, row 4: this query id occurs already in .*row 4 \(train\): it cannot be in test too",
    ),
    "white space in a document id": (
        lambda x: add(x / "corpus.jsonl", json.dumps({"_id": "d 99", "text": "x"})),
        r"corpus\.jsonl, row 13, column 'document id'.*white space.*'d 99'",
    ),
    "white space in a claim id": (
        lambda x: (
            rewrite(x / "queries.jsonl", '"c9"', '"c\\u00a09"') or rewrite(x / "qrels/test.tsv", "c9", "c\u00a09")
        ),
        r"queries\.jsonl, row 10, column 'query id'.*white space",
    ),
    "empty claim": (
        lambda x: rewrite(x / "queries.jsonl", '"Could garlic help adults?"', '" "'),
        r"queries\.jsonl, row 1: a query without text.*'c0'",
    ),
    "negative relevance": (
        lambda x: add(x / "qrels" / "test.tsv", "c9\td1\t-1"),
        r"qrels/test\.tsv, row 4, column 'relevance': 1 grade\(s\) below 0\. Found -1\..*whole number from 0",
    ),
    "relevance that is no whole number": (
        lambda x: add(x / "qrels" / "dev.tsv", "c7\td1\t0.5"),
        r"qrels/dev\.tsv, row 4, column 'score': not a relevance.*'0\.5'",
    ),
    "contradictory judgements": (
        lambda x: add(x / "qrels" / "test.tsv", "c9\td9\t0"),
        r"qrels/test\.tsv, row 4: contradicts the relevance judgment in row 3\. Relevance 0 here, 1 there.*'c9 d9'",
    ),
    "columns": (
        lambda x: add(x / "qrels" / "test.tsv", "c9\td9"),
        r"qrels/test\.tsv, row 4: 2 columns instead of 3, separated by tabs",
    ),
    "no header": (
        lambda x: rewrite(x / "qrels" / "test.tsv", "query-id", "query_id"),
        r"qrels/test\.tsv, row 1: 3 column\(s\), and no header of BEIR's\. Did you mean 'query_id'",
    ),
    "no text": (
        lambda x: add(x / "corpus.jsonl", json.dumps({"_id": "d99", "txt": "x"})),
        r"corpus\.jsonl, row 13, column 'text': no such column\. Did you mean 'txt'",
    ),
    "text of the wrong type": (
        lambda x: add(x / "corpus.jsonl", json.dumps({"_id": "d99", "text": 7})),
        r"corpus\.jsonl, row 13, column 'text': a value of type int",
    ),
    "half a character": (
        lambda x: add(x / "corpus.jsonl", '{"_id": "d99", "text": "\\ud83d"}'),
        r"corpus\.jsonl, row 13: text with half of a surrogate pair",
    ),
    "two files for one split": (
        lambda x: add(x / "qrels" / "test.txt", "c9 0 d9 1"),
        r"qrels/test\.tsv and qrels/test\.txt: two files of qrels for test",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named_by_file_and_row(tmp_path: Path, prepare_claims: Prepare, fault: str) -> None:
    folder = write_beir(tmp_path / "x", small())
    change, match = FAULTS[fault]
    change(folder)
    refused(prepare_claims, folder, match)


@pytest.mark.parametrize(
    ("file", "line", "match"),
    [
        ("queries.test.tsv", "c99\ttext\tmore", r"queries\.test\.tsv, row 3: 3 column\(s\).*id and text"),
        ("collection.tsv", "alone", r"collection\.tsv, row 13: 1 column\(s\)"),
        ("qrels.test.txt", "c9 d9 1", r"qrels\.test\.txt, row 3: 3 columns instead of 4"),
        ("qrels.test.txt", "c9 0 d5 1.5", r"qrels\.test\.txt, row 3, column 'relevance': not a relevance"),
        (
            "queries.test.tsv",
            "c0\tCould it?",
            r"queries\.test\.tsv, row 3: this query id occurs already in queries\.train",
        ),
        ("qrels.txt", "c9 0 d9 1", r"qrels\.txt: this file names no split, and others here do"),
    ],
)
def test_faults_of_trec_files(tmp_path: Path, prepare_claims: Prepare, file: str, line: str, match: str) -> None:
    folder = write_trec(tmp_path / "x", small())
    add(folder / file, line)
    refused(prepare_claims, folder, match)


@pytest.mark.parametrize(("how", "grades"), [("as-zero", [0, 1]), ("drop", [1])])
def test_grades_below_0_are_counted_and_taken_as_said(
    tmp_path: Path, prepare_claims: Prepare, how: str, grades: list[int]
) -> None:
    made = small()
    made.qrels["test"].insert(0, ("c8", "d1", -2))
    folder = write_beir(tmp_path / "x", made)
    assert "--negative-grades as-zero" in str(refused(prepare_claims, folder, "row 2, .* 1 grade").hint)
    prepared = prepare_claims(folder, negative_grades=how)
    assert list(prepared.relevance["c8"].values()) == grades
    assert prepared.manifest["negative_grades"] == {"test": 1}
    fate = {"as-zero": "taken for 0", "drop": "dropped"}[how]
    assert f"test: 1 grade(s) below 0 {fate}" in prepared.manifest["warnings"]


def test_grades_may_be_whole_numbers_with_a_point(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"] = [(claim, document, "2.0") for claim, document, _ in made.qrels["test"]]
    assert prepare_claims(write_trec(tmp_path / "x", made)).relevance["c8"] == {"d8": 2}


SECRET = "SECRET"
SPILLS: dict[str, Change] = {
    "text for a claim id": lambda x: add(x / "queries.test.tsv", f"{SECRET} of a patient\tc99"),
    "text for a document id": lambda x: add(x / "collection.tsv", f"{SECRET} of a patient\td99"),
    "a document id twice": lambda x: add(x / "collection.tsv", f"{SECRET}\tone", f"{SECRET}\ttwo"),
    "a query id twice": lambda x: add(x / "queries.test.tsv", f"{SECRET}\tone", f"{SECRET}\ttwo"),
    "a query without text": lambda x: add(x / "queries.test.tsv", f"{SECRET}\t "),
    "text for a grade": lambda x: add(x / "qrels.test.txt", f"c9 0 d9 {SECRET}"),
    "text for the header": lambda x: (x / "qrels.test.txt").write_text(f"query-id-{SECRET}\tcorpus-id\n") and None,
    "an absent document": lambda x: add(x / "qrels.test.txt", f"c9 0 {SECRET} 1"),
    "contradictory grades": lambda x: add(
        x / "qrels.test.txt", f"{SECRET} 0 d1 1", f"{SECRET} 0 d1 0"
    ) or add(x / "queries.test.tsv", f"{SECRET}\tone"),
    "a candidate that the corpus lacks": lambda x: add(x / "run.test.txt", f"c9 Q0 {SECRET} 1 1.0 t"),
    "a score": lambda x: add(x / "run.test.txt", f"c9 Q0 d1 1 {SECRET} t"),
    "a shared document": lambda x: (
        add(x / "collection.tsv", f"{SECRET}\tone")
        or add(x / "qrels.test.txt", f"c9 0 {SECRET} 1")
        or add(x / "qrels.train.txt", f"c1 0 {SECRET} 1")
    ),
}  # fmt: skip


@pytest.mark.parametrize("spill", SPILLS)
def test_no_cell_of_credentialed_data_is_in_an_error(tmp_path: Path, prepare_claims: Prepare, spill: str) -> None:
    folder = write_trec(tmp_path / "x", small())
    SPILLS[spill](folder)
    plain = refused(prepare_claims, folder, SECRET, strict_splits=True)
    hidden = refused(prepare_claims, folder, ":", strict_splits=True, credentialed=True)
    assert SECRET not in f"{hidden} {hidden.hint} {vars(hidden)} {hidden.__cause__}"
    assert hidden.__suppress_context__
    assert (hidden.file, hidden.row, hidden.hint) == (plain.file, plain.row, plain.hint)


@pytest.mark.parametrize("key", ["text", "id", "title"])
def test_no_json_key_of_credentialed_data_is_in_an_error(tmp_path: Path, prepare_claims: Prepare, key: str) -> None:
    folder = write_beir(tmp_path / "x", small())
    record = {"_id": "d99", "text": "x", "title": ""}
    record[f"{key}s {SECRET}"] = record.pop("_id" if key == "id" else key)
    if key == "title":
        record["title"] = [SECRET]  # type: ignore[assignment]
    add(folder / "corpus.jsonl", json.dumps(record))
    assert SECRET not in str(refused(prepare_claims, folder, ":", credentialed=True))


def test_no_member_of_a_credentialed_object_is_in_an_error(tmp_path: Path, prepare_claims: Prepare) -> None:
    for name, text in (("data_abst_200k_pure", "7"), ("dev_data_claim_pmid_dict", '"d1"')):
        folder = write_cross_genre_ir(tmp_path / name, small())
        (folder / f"{name}.json").write_text(f'{{"{SECRET}": {text}}}')
        assert SECRET not in str(refused(prepare_claims, folder, ":", credentialed=True))


def test_what_credentialed_splits_share_is_counted_without_an_example(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.claims["test"]["c8"] = made.claims["dev"]["c7"]
    manifest = prepare_claims(write_beir(tmp_path / "x", made), credentialed=True).manifest
    assert manifest["warnings"] == ["1 of 2 queries of test have the text of a query of dev"]
    assert manifest["texts_shared"]["dev/test"]["example"] == ""


def test_a_judgement_given_twice_alike_is_counted(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels["test"].append(made.qrels["test"][0])
    for write in (write_scifact, write_trec):
        prepared = prepare_claims(write(tmp_path / write.__name__, made))
        assert prepared.manifest["dropped"] == {"test": {"relevance judgment that occurs twice": 1}}
        assert len(prepared.qrels) == 10


def test_a_claim_given_twice_in_one_object(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_cross_genre_ir(tmp_path / "x", small())
    path = folder / "dev_data_claim_pmid_dict.json"
    path.write_text('{"Same\\n": ["d6"],\n"Same\\n": ["d7"]\n}')
    refused(prepare_claims, folder, r"dev_data_claim_pmid_dict\.json, row 2: this claim occurs already in row 1")


def test_nothing_relevant_at_all(tmp_path: Path, prepare_claims: Prepare) -> None:
    made = small()
    made.qrels = {split: [(claim, document, 0) for claim, document, _ in rows] for split, rows in made.qrels.items()}
    refused(prepare_claims, write_beir(tmp_path / "x", made), "no relevance judgment says that a document is relevant")


def test_a_corpus_too_small_for_the_negatives(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_beir(tmp_path / "x", Collection(small().documents, small().claims, small().qrels))
    assert prepare_claims(folder, negatives=11).lists is not None
    error = refused(prepare_claims, folder, "12 documents with text are too few for 12 negatives", negatives=12)
    assert error.hint == "--negatives 11"


@pytest.mark.parametrize(
    "options", [{"depth": 0}, {"negatives": 0}, {"negatives_from": "bm52"}, {"dev_fraction": 1.0}], ids=str
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--" + next(iter(options)).replace("_", "-")):
        PrepareRequest(name="x", output=tmp_path, **options)  # type: ignore[arg-type]


def test_an_existing_folder_stays_unless_told(tmp_path: Path, prepare_claims: Prepare) -> None:
    folder = write_beir(tmp_path / "x", small())
    first = prepare_claims(folder, output=tmp_path / "out")
    with pytest.raises(DataError, match="already there"):
        prepare_claims(folder, output=tmp_path / "out")
    again = prepare_claims(folder, output=tmp_path / "out", overwrite=True)
    assert again.digest == first.digest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x"]
