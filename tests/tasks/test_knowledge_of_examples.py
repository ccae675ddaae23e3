"""Training examples bring the knowledge that is needed, with and without the tokens that a sweep shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_rankings import write_ranking_dataset
from tiny_runs import short_options, write_dataset

from agcli.config import RunConfig, make_config
from agcli.data.batching import Examples, collate
from agcli.data.knowledge.alignment import pair_relations
from agcli.data.knowledge.preparation import KnowledgeMaker
from agcli.data.knowledge.stored import load_knowledge
from agcli.errors import DataError
from agcli.models import load_tokenizer
from agcli.tasks.base import Task, load_dataset, make_task


def made(folder: Path) -> Path:
    KnowledgeMaker({}, {"pmi": {}}).add_to(load_dataset(folder))
    return folder


@pytest.fixture(scope="module", params=["pairs", "ranking"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("known") / request.param
    return made(write_dataset(place) if request.param == "pairs" else write_ranking_dataset(place).folder)


def task_of(folder: Path, encoder: Path, **changes: Any) -> tuple[Task, RunConfig]:
    config = make_config({**short_options(folder, encoder), **changes})
    return make_task(load_dataset(folder), config.data, config.ranking, config.subset_seed), config


def values(examples: Examples) -> list[Any]:
    return [each.tolist() for each in examples.knowledge["pmi"]]


@pytest.mark.parametrize("changes", [{}, {"max_length": 12}, {"train_limit": 3}])
def test_training_examples_have_it_and_others_have_not(
    folder: Path, encoder: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    task, config = task_of(folder, encoder, **changes)
    tokenizer = load_tokenizer(str(encoder), offline=True)
    assert task.examples(tokenizer)["train"].knowledge == {}
    examples = task.examples(tokenizer, None, ["pmi"])
    train = examples["train"]
    assert [len(each) for each in train.knowledge["pmi"]] == train.lengths.tolist()
    assert any(np.array(each).any() for each in values(train))
    assert all(not other.knowledge for split, other in examples.items() if split != "train")
    for _ in range(2):  # the second time from what is stored
        shared = task.examples(tokenizer, tmp_path / "shared", ["pmi"])["train"]
        assert values(shared) == values(train)
    batch = collate(train, np.arange(2))
    assert batch.knowledge["pmi"].shape == (2, *[batch.mask.shape[1]] * 2)
    # What is joined of single texts is what the pair gives as a whole, unless both texts of a pair are cut.
    if "max_length" not in changes:
        decoded = pair_texts(task, train)
        known = {"pmi": load_knowledge(task.dataset, "pmi")}
        again = pair_relations(tokenizer, *decoded, known, max_length=config.data.max_length)["pmi"]
        assert [each.tolist() for each in again] == values(train)


def pair_texts(task: Any, train: Examples) -> tuple[list[str], list[str]]:
    """The texts of training examples, by their ids."""
    if task.name == "classification":
        frame = task.dataset.splits["train"].set_index("id").loc[list(train.ids)]
        return frame["text_a"].tolist(), frame["text_b"].tolist()
    queries = dict(zip(task.dataset.queries["id"], task.dataset.queries["text"], strict=True))
    documents = dict(zip(task.dataset.document_ids, task.dataset.documents.column("text").to_pylist(), strict=True))
    names = [name.split(" ") for name in train.ids]
    return [queries[query] for query, _ in names], [documents[document] for _, document in names]


def test_knowledge_that_was_not_made(folder: Path, encoder: Path) -> None:
    task, _ = task_of(folder, encoder)
    with pytest.raises(DataError, match="these data have no knowledge 'wordsim'") as error:
        task.examples(load_tokenizer(str(encoder), offline=True), None, ["wordsim"])
    assert error.value.hint == f"ag prepare --dataset {folder} --knowledge wordsim"


def test_it_is_made_when_a_batch_is(folder: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No example's (length, length) values are kept: they would be many times the tokens."""
    task, _ = task_of(folder, encoder)
    calls: list[int] = []
    from agcli.data.knowledge.relations import Relations

    original: Callable[..., Any] = Relations.of_tokens
    monkeypatch.setattr(Relations, "of_tokens", lambda *a: calls.append(1) or original(*a))
    train = task.examples(load_tokenizer(str(encoder), offline=True), None, ["pmi"])["train"]
    assert calls == []
    collate(train, np.arange(4))
    assert len(calls) == 4
