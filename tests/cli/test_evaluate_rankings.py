"""`ag evaluate` on saved rankings: both protocols, comparisons query by query, its outputs and its refusals."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from narrow_terminal import assert_narrows
from scipy import stats
from typer.testing import CliRunner

from agcli.cli.app import app
from agcli.measures.bootstrap import mean_estimates
from agcli.measures.ranking import MEASURES, QueryMeasures, measure
from agcli.measures.trec import qrels_lines
from agcli.runs.folder import RunFolder
from agcli.tables.csv_json import csv_text

DEPTH = 30
QUERIES = 40
Ranks = Sequence[int]


def ranked(ranks: Ranks, prefix: str = "q") -> QueryMeasures:
    """Measures of rankings whose relevant document has these ranks; 0: it is not among the candidates."""
    run, qrels = {}, {}
    for query, rank in enumerate(ranks):
        documents = [f"other{place}" for place in range(DEPTH)]
        if rank:
            documents[rank - 1] = f"d{query}"
        run[f"{prefix}{query}"] = {document: float(DEPTH - place) for place, document in enumerate(documents)}
        qrels[f"{prefix}{query}"] = {f"d{query}": 1}
    return measure(run, qrels)


def drawn(seed: int, missing: Sequence[int] = (3, 17)) -> list[int]:
    """Ranks of the relevant documents, those of `missing` not retrieved."""
    ranks = np.random.default_rng(seed).integers(1, DEPTH + 1, size=QUERIES)
    return [0 if query in missing else int(rank) for query, rank in enumerate(ranks)]


def saved(folder: Path, before: Ranks, after: Ranks, *, prefix: str = "q", **told: Any) -> Path:
    """A ranking folder as `ag rank` writes it."""
    folder.mkdir(parents=True)
    first, second = ranked(before, prefix), ranked(after, prefix)
    header = ["query", "retrieved", *(f"first_stage:{m}" for m in MEASURES), *(f"reranked:{m}" for m in MEASURES)]
    rows = [
        [query, bool(first.retrieved[row]), *first.values[row].tolist(), *second.values[row].tolist()]
        for row, query in enumerate(first.queries)
    ]
    (folder / "per_query.csv").write_text(csv_text([header, *rows]))
    (folder / "qrels.trec").write_text("".join(qrels_lines(q, {f"d{i}": 1}) for i, q in enumerate(first.queries)))
    metrics = {"task": "ranking", "dataset": "health", "digest": "abc", "split": "test", "depth": DEPTH}
    metrics |= {"claims_cut": 0, **told}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


def run_folder(path: Path) -> Path:
    """A finished run of the ranking task, without rankings yet."""
    path.mkdir(parents=True)
    (path / "predictions.csv").write_text("split,query,document\n")
    RunFolder(path).write_json("metrics.json", {"dev": {"RR": 0.5, "n": 9}, "metric": "RR"})
    RunFolder(path).set_state("finished")
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A run with a ranking of the test split."""
    run = run_folder(tmp_path / "plain")
    saved(run / "rankings" / "health-test", drawn(1), drawn(2))
    return run


@pytest.fixture
def guided(tmp_path: Path) -> Path:
    """Another run that ranked the same candidates."""
    run = run_folder(tmp_path / "guided")
    saved(run / "rankings" / "health-test", drawn(1), drawn(3))
    return run


def ag(*arguments: object, code: int = 0, columns: int = 220) -> str:
    """The stdout of `ag evaluate ARGUMENTS`, or its stderr where it is to fail."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.stdout if code == 0 else " ".join(result.stderr.split())


def told(*arguments: object) -> dict[str, Any]:
    """What `--json` prints."""
    found: dict[str, Any] = json.loads(ag(*arguments, "--json"))
    return found


def reciprocal(ranks: Ranks) -> np.ndarray:
    return np.array([1 / rank if rank else 0.0 for rank in ranks])


def edit(file: Path, change: Callable[[str], str]) -> None:
    file.write_text(change(file.read_text()))


def test_one_ranking_is_judged_under_both_protocols(plain: Path) -> None:
    found = told(plain)
    [run] = found["runs"]
    retrieved = np.array(drawn(2)) > 0
    for stage, seed in (("first_stage", 1), ("reranked", 2)):
        everything, conditional = run[stage]["all"], run[stage]["conditional"]
        assert everything["RR"]["value"] == pytest.approx(reciprocal(drawn(seed)).mean())
        assert conditional["RR"]["value"] == pytest.approx(reciprocal(drawn(seed))[retrieved].mean())
        assert (everything["n"], conditional["n"]) == (QUERIES, QUERIES - 2)
        for name in MEASURES:
            assert everything[name]["low"] <= everything[name]["value"] <= everything[name]["high"]
    intervals = mean_estimates(ranked(drawn(2)).of("conditional"))
    assert run["reranked"]["conditional"]["AP"]["low"] == intervals[MEASURES.index("AP")].low
    assert (run["run"], run["depth"], found["split"], found["dataset"]) == ("plain", DEPTH, "test", "health")


def test_one_ranking_is_compared_with_its_own_first_stage(plain: Path) -> None:
    [comparison] = told(plain)["comparisons"]
    assert (comparison["first"], comparison["second"], comparison["left_out"]) == ("first stage", "plain", None)
    before, after = reciprocal(drawn(1)), reciprocal(drawn(2))
    assert comparison["all"]["RR"]["value"] == pytest.approx((after - before).mean())
    assert comparison["all"]["RR"]["t_p"] == pytest.approx(stats.ttest_rel(after, before).pvalue)
    assert comparison["conditional"]["RR"]["n"] == QUERIES - 2


def test_two_rankings_are_compared_query_by_query(plain: Path, guided: Path) -> None:
    [comparison] = told(plain, guided)["comparisons"]
    assert (comparison["first"], comparison["second"]) == ("plain", "guided")
    before, after = reciprocal(drawn(2)), reciprocal(drawn(3))
    found = comparison["all"]["RR"]
    assert found["value"] == pytest.approx((after - before).mean())
    assert found["interval"]["low"] < found["value"] < found["interval"]["high"]
    assert found["t_p"] == pytest.approx(stats.ttest_rel(after, before).pvalue)
    assert found["randomisation_p"] == pytest.approx(found["t_p"], abs=0.05)
    assert (found["better"], found["worse"]) == (int((after > before).sum()), int((after < before).sum()))
    assert found["better"] + found["equal"] + found["worse"] == found["n"] == QUERIES
    kept = np.array(drawn(2)) > 0
    conditional = comparison["conditional"]["RR"]
    assert conditional["t_p"] == pytest.approx(stats.ttest_rel(after[kept], before[kept]).pvalue)


def test_the_tables_keep_the_protocols_apart_and_say_what_they_are(plain: Path, guided: Path) -> None:
    shown = " ".join(ag(plain, guided).split())
    for part in (
        "health, test, all 40 judged queries: measures",
        "health, test, conditional: measures",
        "all 40 judged queries: guided − plain",
        "conditional: guided − plain",
        "not to be set beside",
        "several seeds",
        "not corrected",
        "one seed each",
    ):
        assert part in shown
    assert shown.count("first stage") == 2  # once in each table of measures: it is one for both runs
    assert "differ:" not in shown


def test_tables_fit_a_pipe(plain: Path, guided: Path) -> None:
    lines = ag(plain, guided, columns=120).splitlines()
    assert [line for line in lines if line.startswith("│ RR ") and "…" not in line]
    assert max(map(len, lines)) <= 120
    assert sum(line.startswith("│ nDCG@10") for line in lines) == 4


def test_markdown_holds_the_same_values(plain: Path, guided: Path) -> None:
    lines = ag(plain, guided, "--markdown").splitlines()
    assert [line for line in lines if line.startswith("###")] == [
        "### health, test, all 40 judged queries: measures",
        "### health, test, all 40 judged queries: guided − plain",
        "### health, test, conditional: measures",
        "### health, test, conditional: guided − plain",
    ]
    assert lines[2] == "| measure | first stage | plain | guided |"
    assert lines[4].split(" | ")[2].startswith(f"{reciprocal(drawn(2)).mean():.4f} [")
    assert lines[11] == "| n | 40 | 40 | 40 |"


def test_three_rankings_are_each_compared_with_the_first(tmp_path: Path, plain: Path, guided: Path) -> None:
    third = saved(tmp_path / "third", drawn(1), drawn(9))
    found = told(plain, guided, third)
    assert [(c["first"], c["second"]) for c in found["comparisons"]] == [("plain", "guided"), ("plain", "third")]
    lines = ag(plain, guided, third, "--markdown").splitlines()
    values = [line.split(" | ")[1:] for line in lines if line.startswith("| RR |")]
    assert [row[0] for row in values] == ["first stage", "plain", "guided", "third"] * 2
    assert [row[1].split()[0] for row in values[1:4]] == [f"{reciprocal(drawn(seed)).mean():.4f}" for seed in (2, 3, 9)]
    assert [line.split(" | ")[0] for line in lines if "| RR | " in line[2:]] == ["| guided", "| third"] * 2
    assert "not corrected for the 14 comparisons" in " ".join(ag(plain, guided, third).split())


def test_rows_in_another_order_are_matched_by_id(tmp_path: Path, plain: Path) -> None:
    turned = tmp_path / "turned"
    shutil.copytree(plain / "rankings" / "health-test", turned)
    edit(turned / "per_query.csv", lambda text: "\n".join([text.splitlines()[0], *text.splitlines()[:0:-1]]) + "\n")
    [comparison] = told(plain, turned)["comparisons"]
    assert all(comparison["all"][name]["equal"] == QUERIES for name in MEASURES)
    assert comparison["conditional"]["RR"]["t_p"] == 1.0


def test_ids_with_signs_are_read_back(tmp_path: Path) -> None:
    ranking = saved(tmp_path / "one", drawn(1), drawn(2), prefix="=q")
    assert "\n=q0," in (ranking / "per_query.csv").read_text()
    assert told(ranking)["queries"] == QUERIES


def test_ids_that_an_older_version_marked_are_read_back(tmp_path: Path) -> None:
    """Rankings of the version that put an apostrophe before such ids do not record the claims that were cut."""
    old, new = (saved(tmp_path / name, drawn(1), drawn(2), prefix="=q") for name in ("old", "new"))
    edit(old / "per_query.csv", lambda text: text.replace("\n=q", "\n'=q"))
    edit(old / "metrics.json", lambda text: text.replace('"claims_cut": 0, ', "").replace(', "claims_cut": 0', ""))
    assert "'=q" in (old / "per_query.csv").read_text()
    [comparison] = told(old, new)["comparisons"]
    assert all(comparison["all"][name]["equal"] == QUERIES for name in MEASURES)
    quoted = saved(tmp_path / "quoted", drawn(1), drawn(2), prefix="'=q")
    assert told(quoted)["queries"] == QUERIES


def test_a_re_ranker_below_its_first_stage_is_said(tmp_path: Path) -> None:
    worse = saved(tmp_path / "worse", [1] * QUERIES, [DEPTH] * QUERIES)
    better = saved(tmp_path / "better", [DEPTH] * QUERIES, [1] * QUERIES)
    [note] = [note for note in told(worse, better)["notes"] if "first stage:" in note]
    assert note.startswith(f"worse is worse than its first stage: RR {1 / DEPTH:.4f} against 1.0000")
    assert "worse than its first stage" in ag(worse)


def test_no_id_of_credentialed_data_is_in_an_error(tmp_path: Path) -> None:
    first, other = (
        saved(tmp_path / name, drawn(1), drawn(2), prefix="SECRET", credentialed=True) for name in ("one", "two")
    )
    edit(other / "qrels.trec", lambda text: text.replace("SECRET7 0 d7 1", "SECRET7 0 d7 2"))
    shown = ag(first, other, code=3)
    assert "judgments of 1 query differ" in shown
    assert "SECRET" not in shown
    edit(other / "qrels.trec", lambda text: text + "SECRET7 0 d7 SECRET\n")
    assert "SECRET" not in ag(other, code=3)


def test_strays_among_rankings_are_named_together(tmp_path: Path, plain: Path) -> None:
    note = tmp_path / "notes.txt"
    note.touch()
    shown = ag(plain, note, tmp_path / "none", code=3)
    assert f"{note} (a file, no run folder); {tmp_path / 'none'} (no run folder (there is nothing))" in shown


class TestConditional:
    def test_it_is_not_compared_where_other_queries_count(self, tmp_path: Path, plain: Path) -> None:
        deeper = saved(tmp_path / "deeper", drawn(1, [5]), drawn(3, [5]), depth=50)
        found = told(plain, deeper)
        [comparison] = found["comparisons"]
        assert comparison["conditional"] is None
        assert "plain counts 38 queries and deeper 39, 37 of them the same" in comparison["left_out"]
        assert [run["reranked"]["conditional"]["n"] for run in found["runs"]] == [38, 39]
        shown = " ".join(ag(plain, deeper).split())
        assert "Not compared under conditional: plain counts 38" in shown
        assert "conditional: deeper − plain" not in shown
        assert "all 40 judged queries: deeper − plain" in shown

    def test_it_is_left_out_where_nothing_was_retrieved(self, tmp_path: Path) -> None:
        empty = saved(tmp_path / "empty", [0] * 5, [0] * 5)
        [run] = told(empty)["runs"]
        assert run["reranked"]["conditional"] is None
        assert run["reranked"]["all"]["RR"] == {"value": 0.0, "low": 0.0, "high": 0.0}
        shown = ag(empty)
        assert "conditional: measures" not in shown
        assert "so that it counts none" in " ".join(shown.split())


def test_other_depths_and_first_stages_are_said(tmp_path: Path, plain: Path) -> None:
    other = saved(tmp_path / "other", drawn(7), drawn(3), depth=20)
    found = told(plain, other)
    assert any("plain 30, other 20" in note for note in found["notes"])
    assert any("first stages differ" in note for note in found["notes"])
    shown = ag(plain, other)
    rows = [line.split("│")[2].strip() for line in shown.splitlines() if line.startswith("│ RR ") and "[+" not in line]
    assert rows[:4] == ["first stage of plain", "plain", "first stage of other", "other"]


def test_one_query_gives_values_and_says_what_they_are_worth(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", [4], [1])
    [comparison] = told(one)["comparisons"]
    assert comparison["all"]["RR"]["t_p"] is None
    assert comparison["all"]["RR"]["randomisation_p"] == 1.0
    shown = " ".join(ag(one).split())
    assert "One query alone" in shown
    assert "no t-test" in shown
    assert "nan" not in shown


class TestWhichRanking:
    @pytest.fixture
    def several(self, plain: Path) -> Path:
        """The run with a dev ranking too, and one that was interrupted."""
        saved(plain / "rankings" / "health-dev", drawn(4), drawn(5), split="dev")
        (plain / "rankings" / "half").mkdir()
        (plain / "rankings" / "half" / "run.trec").touch()
        return plain

    def test_test_is_judged_where_there_is_one(self, several: Path) -> None:
        assert told(several)["split"] == "test"
        assert told(several, "--split", "dev")["split"] == "dev"
        shutil.rmtree(several / "rankings" / "health-test")
        assert told(several)["split"] == "dev"

    def test_several_of_one_split_are_listed(self, several: Path) -> None:
        saved(several / "rankings" / "scifact-test", drawn(4), drawn(6), dataset="scifact")
        shown = ag(several, code=2)
        assert "health-test: health, test; scifact-test: scifact, test" in shown
        assert "--dataset" in shown
        assert told(several, "--dataset", "scifact")["dataset"] == "scifact"
        assert told(several / "rankings" / "scifact-test")["dataset"] == "scifact"

    @pytest.mark.parametrize("options", [["--dataset", "mine"], ["--dataset", "mine", "--split", "dev"]])
    def test_one_that_is_not_there_is_named_with_those_that_are(self, several: Path, options: list[str]) -> None:
        shown = ag(several, *options, code=3)
        assert "no ranking of mine" in shown
        assert "Allowed: health, dev, health, test" in shown
        assert f"ag rank {several} --dataset mine --split {options[-1] if len(options) > 2 else 'test'}" in shown

    def test_the_folder_itself_must_fit_too(self, several: Path) -> None:
        assert "no ranking of dev" in ag(several / "rankings" / "health-test", "--split", "dev", code=3)

    def test_a_run_without_rankings_is_told_how_to_rank(self, tmp_path: Path) -> None:
        run = run_folder(tmp_path / "run")
        shown = ag(run, code=3)
        assert "has no ranking" in shown
        assert f"ag rank {run} --split test" in shown

    def test_different_default_splits_are_refused(self, tmp_path: Path, several: Path) -> None:
        other = saved(tmp_path / "other", drawn(4), drawn(5), split="dev")
        assert "plain: test; other: dev" in ag(several, other, code=2)
        assert len(told(several, other, "--split", "dev")["runs"]) == 2

    def test_an_unfinished_run_is_refused(self, plain: Path) -> None:
        RunFolder(plain).set_state("interrupted")
        assert "interrupted, not finished" in ag(plain, code=1)

    def test_the_same_twice_is_refused(self, plain: Path) -> None:
        assert "same ranking is given twice" in ag(plain, plain / "rankings" / "health-test", code=2)

    def test_equal_names_give_way_to_paths(self, tmp_path: Path) -> None:
        folders = [saved(tmp_path / place / "ranking", drawn(1), drawn(2)) for place in "ab"]
        assert [run["run"] for run in told(*folders)["runs"]] == list(map(str, folders))


class TestNotComparable:
    @pytest.mark.parametrize(
        ("changes", "problem"),
        [
            ({"prefix": "x"}, "80 in only one of them"),
            ({"digest": "xyz"}, "different digests"),
        ],
    )
    def test_other_queries_or_data(self, tmp_path: Path, plain: Path, changes: dict[str, Any], problem: str) -> None:
        other = saved(tmp_path / "other", drawn(1), drawn(3), **changes)
        shown = ag(plain, other, code=3)
        assert "'plain' and 'other' cannot be compared" in shown
        assert problem in shown

    def test_other_judgements(self, tmp_path: Path, plain: Path) -> None:
        other = saved(tmp_path / "other", drawn(1), drawn(3))
        edit(other / "qrels.trec", lambda text: text.replace("q7 0 d7 1", "q7 0 d8 1"))
        assert "judgments of 1 query differ, first of 'q7'" in ag(plain, other, code=3)

    def test_judgements_in_another_order_are_the_same(self, tmp_path: Path, plain: Path) -> None:
        other = saved(tmp_path / "other", drawn(1), drawn(3))
        edit(other / "qrels.trec", lambda text: "\n".join(text.splitlines()[::-1]) + "\n")
        assert len(told(plain, other)["comparisons"]) == 1

    def test_a_run_that_classifies(self, tmp_path: Path, plain: Path) -> None:
        classifier = tmp_path / "classifier"
        classifier.mkdir()
        RunFolder(classifier).write_json("metrics.json", {"test": {"accuracy": 0.5}})
        (classifier / "predictions.csv").write_text("split,id,label,prediction,p_no,p_yes\n")
        RunFolder(classifier).set_state("finished")
        assert "cannot be compared with runs that classify" in ag(plain, classifier, code=2)
        assert "cannot be compared with runs that classify" in ag(classifier, plain, code=2)

    def test_a_folder_that_is_nothing(self, tmp_path: Path, plain: Path) -> None:
        assert "no run folder" in ag(plain, tmp_path / "nowhere", code=3)


class TestDamaged:
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            (lambda text: text.replace("retrieved", "found", 1), "not the columns of this version"),
            (lambda text: text.splitlines()[0] + "\n", "no judged query"),
            (lambda text: "", "not the measures of a ranking"),
            (lambda text: text.replace("q1,True", "q1,maybe"), "row 3, column 'retrieved': not a truth value"),
            (lambda text: text.replace("q1,True,", "q1,True,nan,"), "cells instead of 16"),
            (lambda text: text.replace("q1,", "q2,", 1), "a query has two rows"),
            (lambda text: text.replace("q1,", "q99,", 1), "2 queries in only one of this file and qrels.trec"),
        ],
    )
    def test_a_table_that_was_changed(self, plain: Path, change: Callable[[str], str], problem: str) -> None:
        file = plain / "rankings" / "health-test" / "per_query.csv"
        edit(file, change)
        shown = ag(plain, code=3)
        assert "per_query.csv" in shown
        assert problem in shown

    @pytest.mark.parametrize("value", ["nan", "inf", "-0.1", "1.5", "x"])
    def test_a_value_that_is_no_measure(self, plain: Path, value: str) -> None:
        file = plain / "rankings" / "health-test" / "per_query.csv"
        rows = list(csv.reader(file.open(newline="")))
        rows[4][-1] = value
        file.write_text("\n".join(map(",".join, rows)) + "\n")
        assert "row 5, column 'reranked:AP': a measure is a number from 0 to 1" in ag(plain, code=3)

    @pytest.mark.parametrize("name", ["per_query.csv", "qrels.trec"])
    def test_a_file_that_is_gone(self, plain: Path, name: str) -> None:
        (plain / "rankings" / "health-test" / name).unlink()
        assert name in ag(plain, code=3)

    @pytest.mark.parametrize("content", ["{", "[]", '{"task": "ranking"}', '{"task": "other"}'])
    def test_metrics_that_are_none(self, plain: Path, content: str) -> None:
        (plain / "rankings" / "health-test" / "metrics.json").write_text(content)
        assert "not the metrics of a ranking" in ag(plain, code=3)


class TestOptions:
    def test_csv_has_a_row_a_number(self, tmp_path: Path, plain: Path, guided: Path) -> None:
        file = tmp_path / "measures.csv"
        ag(plain, guided, "--csv", file)
        rows = list(csv.DictReader(file.open(newline="")))
        found = told(plain, guided)
        kinds = ["first_stage", "reranked", "difference", "t_p", "randomisation_p", "better", "equal", "worse"]
        assert {row["kind"] for row in rows} == set(kinds)
        assert len(rows) == 2 * len(MEASURES) * (2 * 2 + 6)
        for row in rows:
            if row["against"]:
                test = found["comparisons"][0][row["protocol"]][row["metric"]]
                assert float(row["value"]) == test["value" if row["kind"] == "difference" else row["kind"]]
            else:
                [run] = [run for run in found["runs"] if run["run"] == row["run"]]
                cell = run[row["kind"]][row["protocol"]][row["metric"]]
                assert [float(row[name]) for name in ("value", "low", "high")] == list(cell.values())
            assert row["n"] == ("40" if row["protocol"] == "all" else "38")

    def test_seed_and_resamples_reach_the_bootstrap(self, plain: Path) -> None:
        def interval(*options: object) -> Any:
            return told(plain, *options)["runs"][0]["reranked"]["all"]["RR"]

        assert interval() == interval("--seed", 0, "--resamples", 2000)
        assert interval() != interval("--seed", 1)
        assert interval() != interval("--resamples", 1999)

    def test_those_that_mean_nothing_are_refused_together(self, tmp_path: Path, plain: Path) -> None:
        shown = ag(plain, "--predictions", tmp_path / "x.csv", "--batch-size", 64, "--offline", code=2)
        for option in ("--predictions is not for rankings", "--batch-size is not", "--offline is not"):
            assert option in shown

    def test_a_file_in_the_ranking_is_refused(self, plain: Path) -> None:
        assert "lies in a finished run" in ag(plain, "--csv", plain / "rankings" / "x.csv", code=2)


def test_rankings_on_narrow_terminals(plain: Path, tmp_path: Path) -> None:
    runs = [plain]
    for seed in (3, 4):
        runs.append(run_folder(tmp_path / f"a-ranker-of-a-long-name-mdg=0.01-seed={seed}"))
        saved(runs[-1] / "rankings" / "health-test", drawn(1), drawn(seed))
    assert_narrows("evaluate", *runs, "--resamples", 100)
