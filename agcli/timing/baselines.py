"""Other recipes, as their own users would run them, on the same batches."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from agcli.attention import EncoderAttention
from agcli.data.batching import Rows
from agcli.guides.tokens import Tokens
from agcli.models import quiet_transformers
from agcli.options import GuideOptions
from agcli.runs.device import make_accelerator, precision_of
from agcli.runs.launcher import without_outer_settings
from agcli.timing.methods import KEPT_MAPS, Method, MethodSpec, fresh_model, guide_terms, kept_maps, option_notes
from agcli.timing.workload import Work, Workload
from agcli.training.assemble import checkpoint_activations
from agcli.training.loss_terms import GuidedForward, LossTerms, make_terms

_KNOWLEDGE = "ag_knowledge"
"""What the trainer carries to the device beside the model's inputs."""


def hugging_face_trainer(spec: MethodSpec) -> Method:
    """The `Trainer` of transformers with its defaults: sdpa attention, its optimiser, schedule and clipping.

    Its own training step in the order of its own loop, on the group's batches instead of its data loader's, and
    without logging. Mixed precision as our engine would choose it. `hf-guided` adds guides the way one would
    without this package: on the maps that transformers returns, and so keeps, with `eager` attention.
    """
    from transformers import Trainer, TrainingArguments

    guided = spec.variant == "hf-guided"
    attention = "eager" if guided else "sdpa"
    model, options = fresh_model(spec, attention), spec.training
    precision = precision_of(make_accelerator(options.precision))
    with tempfile.TemporaryDirectory() as folder, quiet_transformers(), without_outer_settings():
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,  # it insists on one; nothing is saved
                per_device_train_batch_size=spec.workload.batch_size,
                learning_rate=options.learning_rate,
                weight_decay=options.weight_decay,
                max_grad_norm=options.max_grad_norm,
                bf16=precision == "bf16",
                fp16=precision == "fp16",
                use_cpu=not torch.cuda.is_available(),
                seed=options.seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
            ),
        )
        checkpoint_activations(model, spec.model_options)
        trainer.create_optimizer()
        prepared, trainer.optimizer = trainer.accelerator.prepare(model, trainer.optimizer)
        trainer.create_scheduler(num_training_steps=10**6)  # the rate changes nothing about the time
        trainer.current_gradient_accumulation_steps = 1  # set by its loop
    if guided:
        attention_maps = kept_maps(model)
        terms = guide_terms(spec, attention_maps, model)
        trainer.compute_loss = partial(_loss_on_kept_maps, attention_maps, terms)

    def step(rows: Rows) -> None:
        batch = spec.workload.batch(rows)
        known = {_KNOWLEDGE: dict(batch.knowledge)} if batch.knowledge else {}
        trainer.training_step(prepared, {**batch.inputs, "labels": batch.labels, **known})
        if options.max_grad_norm > 0:
            trainer.accelerator.clip_grad_norm_(prepared.parameters(), options.max_grad_norm)
        trainer.optimizer.step()
        trainer.lr_scheduler.step()
        prepared.zero_grad()

    notes = (KEPT_MAPS, *option_notes(spec)) if guided else ()
    return Method(model, trainer.args.device, precision, attention, partial(_plain_epoch, spec.workload, step), notes)


def _loss_on_kept_maps(
    attention: EncoderAttention, terms: LossTerms, model: Any, inputs: dict[str, Any], **_: object
) -> Tensor:
    """`Trainer.compute_loss`: the task's loss and the guides, on the maps in `outputs.attentions`."""
    known = inputs.pop(_KNOWLEDGE, {})
    mask = inputs["attention_mask"].bool()
    forward = GuidedForward(
        terms, attention, Tokens(inputs["input_ids"], mask, inputs.get("token_type_ids"), terms.vocabulary, known)
    )
    outputs = model(**inputs, **forward.kwargs)
    loss: Tensor = outputs.loss + terms.values(forward.attention(outputs)).loss
    return loss


def authors_recipe(spec: MethodSpec) -> Method:
    """The authors' way, in a plain loop: every pair padded to the maximum, float32, all maps and hidden states kept.

    Source: Wang et al. 2022, experimental setting (Adam, 1e-5), and their released arithmetic of both guides; here
    with the group's batches, whose size need not be theirs.
    """
    model = fresh_model(spec, "eager").train()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device)
    attention = kept_maps(model)
    terms = make_terms(GuideOptions(guide_mode="released"), attention)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)

    def step(rows: Rows) -> None:
        batch = spec.workload.batch(rows).to(device)
        forward = GuidedForward(terms, attention, batch.tokens(terms.vocabulary))
        outputs = model(**batch.inputs, **forward.kwargs, output_hidden_states=True)
        guided = terms.values(forward.attention(outputs))
        optimizer.zero_grad()
        loss: Any = cross_entropy(outputs.logits, batch.labels) + guided.loss
        loss.backward()
        optimizer.step()

    return Method(model, device, "fp32", "eager", partial(_plain_epoch, spec.workload, step))


def _plain_epoch(workload: Workload, step: Callable[[Rows], None], number: int) -> Iterator[Work]:
    """One epoch of a recipe that is a function of a batch."""
    for rows in workload.batches(number):
        step(rows)
        yield workload.work(rows)
