"""`ag prepare --knowledge`: knowledge of prepared data made and written, one kind after the other."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from agcli.data.knowledge import dependency, pmi, wordsim
from agcli.data.knowledge.dependency import dependency_relations, load_pipeline
from agcli.data.knowledge.inputs import Dataset, TrainingInputs, training_inputs
from agcli.data.knowledge.pmi import pmi_relations
from agcli.data.knowledge.relations import Relations
from agcli.data.knowledge.stored import Knowledge, WordNumbers, finder, load_knowledge, write_knowledge
from agcli.data.knowledge.wordnet import open_wordnet
from agcli.data.knowledge.wordsim import wordsim_relations
from agcli.data.ranking.candidates import Progress
from agcli.errors import DataError

_SAMPLED = 2000
"""Inputs of which the coverage is taken."""


class KnowledgeMaker:
    """Makes kinds of knowledge, with the libraries and models that they need opened before.

    Args:
        resources: what each kind needs, by its name.
        settings: what decides the outcome beside the data, by name.
    """

    def __init__(self, resources: dict[str, Any], settings: dict[str, dict[str, Any]]) -> None:
        self.resources, self.settings = resources, settings

    def add_to(self, dataset: Dataset, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
        """Make what is not there yet of these data and settings; the manifest of each kind.

        Raises:
            DataError: the data have no training split.
            RunError: the disk refuses.
        """
        if not self.settings:
            return {}
        progress = progress or (lambda what, done, total: None)
        inputs = training_inputs(dataset)
        return {name: self._one(dataset, inputs, name, progress) for name in self.settings}

    def _one(self, dataset: Dataset, inputs: TrainingInputs, name: str, progress: Progress) -> dict[str, Any]:
        with suppress(DataError):  # none, a damaged or a stale one: made anew
            there = load_knowledge(dataset, name).manifest  # read whole, as a damaged one is made anew by this command
            if there.get("made_with") == self.settings[name]:
                return there
        start = time.perf_counter()
        words, relations = self._made(inputs, name, progress)
        knowledge = Knowledge(name, {}, relations, finder(words, inputs.texts))
        manifest = {
            "made_with": self.settings[name],
            "within_text": relations.within_text,
            "texts": len(inputs.texts),
            **coverage(inputs, knowledge),
            "seconds": round(time.perf_counter() - start, 1),
        }
        return write_knowledge(dataset, name, words, relations, manifest)

    def _made(self, inputs: TrainingInputs, name: str, progress: Progress) -> tuple[WordNumbers, Relations]:
        match name:
            case "pmi":
                return pmi_relations(inputs, progress)
            case "wordsim":
                return wordsim_relations(inputs, self.resources[name], progress)
            case "dependency":
                return dependency_relations(inputs.texts, self.resources[name], progress)
        raise ValueError(f"there is no knowledge {name!r}")


@contextmanager
def knowledge_maker(names: Sequence[str], wordnet: Path | None, pipeline: str) -> Iterator[KnowledgeMaker]:
    """The maker of these kinds, which must be among `KINDS`.

    Args:
        wordnet: a folder with WordNet; None: NLTK's data path is searched.
        pipeline: name or path of a spaCy pipeline.

    Raises:
        UsageError: a package, a pipeline or WordNet is not there.
    """
    resources: dict[str, Any] = {}
    settings: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        for name in names:
            match name:
                case "pmi":
                    settings[name] = dict(pmi.SETTINGS)
                case "wordsim":
                    resources[name], versions = stack.enter_context(open_wordnet(wordnet))
                    settings[name] = {**wordsim.SETTINGS, **versions}
                case "dependency":
                    resources[name], versions = load_pipeline(pipeline)
                    settings[name] = {**dependency.SETTINGS, **versions}
        yield KnowledgeMaker(resources, settings)


def coverage(inputs: TrainingInputs, knowledge: Knowledge) -> dict[str, Any]:
    """The share of words in training inputs that are related to another word of the same input, over some inputs."""
    rows = np.unique(np.linspace(0, len(inputs.examples) - 1, _SAMPLED).astype(int))
    words = covered = 0
    for row in rows:
        spans = [knowledge.spans(inputs.texts[text])[2] for text in inputs.examples[row]]
        sides = np.concatenate([np.full(len(own), side, dtype=np.int8) for side, own in enumerate(spans)])
        values = knowledge.relations.of_tokens(np.concatenate(spans), sides)
        np.fill_diagonal(values, 0)
        words += len(values)
        covered += int((values > 0).any(axis=1).sum())
    return {"coverage": covered / words if words else 0.0, "coverage_inputs": len(rows)}
