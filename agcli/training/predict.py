"""Predictions for any number of examples: longest batches first, in float32, capturing no attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from agcli.data.batching import Examples, collate, length_order
from agcli.data.catalogue import find_dataset
from agcli.data.prepared import load_prepared
from agcli.errors import DataError
from agcli.measures.classification import Predictions
from agcli.models import load_model
from agcli.runs.folder import open_run
from agcli.tasks.classification import label_probabilities, pair_examples


def predict_logits(
    model: nn.Module,
    examples: Examples,
    batch_size: int,
    device: torch.device,
    *,
    on_batch: Callable[[int], None] | None = None,
) -> Tensor:
    """Logits of every example in their order, shape (num_examples, num_labels), float32; the mode is restored.

    Batches go longest first; `on_batch` is called with the number of examples of each.
    """
    # An accelerator puts mixed precision into the instance's `forward`; the class's own is plain float32.
    forward = partial(type(model).forward, model)
    was_training = model.training
    model.eval()
    order = length_order(examples.lengths, batch_size)
    batches: list[Tensor] = []
    with torch.inference_mode():
        for rows in order:
            batches.append(forward(**collate(examples, rows).to(device).inputs).logits.float().cpu())
            if on_batch is not None:
                on_batch(len(rows))
    model.train(was_training)
    return torch.cat(batches)[torch.from_numpy(np.argsort(np.concatenate(order)))]


def predict(run: Path, dataset: str, split: str, batch_size: int, offline: bool) -> Predictions:
    """Predictions of a finished run's model on a prepared data set whose labels are among the run's.

    Raises:
        DataError: the label sets differ, or the data set has no such split.
    """
    folder = open_run(run)
    data = load_prepared(find_dataset(dataset, Path.cwd()))
    frame = data.frame(split)
    trained = folder.trained_labels
    if not set(data.labels) <= set(trained):
        raise DataError(
            "the labels are not those the model was trained for",
            file=data.folder,
            value=list(data.labels),
            allowed=trained,
            hint="prepare it with --label-map OLD=NEW, so that its labels are among the model's",
        )
    labels = data.labels if len(data.labels) == len(trained) else tuple(trained)
    loaded = load_model(str(folder.model), labels=labels, offline=offline)
    examples = pair_examples(frame, labels, loaded.tokenizer, int(folder.config["max_length"]))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logits = predict_logits(loaded.model.to(device), examples, batch_size, device)
    return label_probabilities(examples, labels, logits)
