"""From a `RunConfig` to a run folder: train, evaluate, save, resume."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agcli.config import RunConfig
from agcli.data.knowledge.stored import knowledge_digests
from agcli.errors import InterruptedRunError, RunError
from agcli.models import quiet_transformers
from agcli.runs import environment
from agcli.runs.atomic import write_folder
from agcli.runs.folder import RunFolder
from agcli.runs.launcher import process_rank
from agcli.runs.signals import StopRequest, stop_on_signals
from agcli.tasks.training_overlap import write_trained_on
from agcli.training import checkpoint, model_card
from agcli.training.assemble import Assembly, tracker_settings
from agcli.training.guide_shares import RECORD, SetShare, set_weights, shares_of, with_recorded_weights
from agcli.training.output_folder import check_resumable
from agcli.training.report import History, Plan, RunCallback, StepReport, add_to_sums, gradient_shares, idle_guides

SIGNAL_STEPS = 8
"""Steps after which several processes exchange whether one received a signal: that waits for the slowest."""


def plan_run(config: RunConfig, folder: Path) -> Plan:
    """What `finetune` would do; reads data and model, writes nothing."""
    return Assembly(config, RunFolder(folder)).plan


def finetune(
    config: RunConfig,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    callback: RunCallback | None = None,
    tokenised: Path | None = None,
) -> RunFolder:
    """Fine-tune, choose the best epoch on dev, evaluate it, and leave a run folder.

    Args:
        resume: go on from the newest valid checkpoint.
        overwrite: clear the folder of an earlier run.
        tokenised: a folder of tokenised data that runs share.

    Raises:
        AgError: as the parts raise them; once training has begun, the folder is marked `failed`.
        InterruptedRunError: SIGINT or SIGTERM; full state is saved and the folder marked `interrupted`.
    """
    folder, callback = RunFolder(path, writes=process_rank() == 0), callback or RunCallback()
    parts = Assembly(with_recorded_weights(config, folder) if resume else config, folder, tokenised)
    shares: dict[str, SetShare] = {}
    if shares_of(parts.config):
        parts, shares = set_weights(parts)
        for name, share in shares.items():
            callback.message(share.line(name))
    _ = parts.plan  # invalid settings, data or models are refused before the folder is touched
    parts.accelerator.wait_for_everyone()
    with folder.locked(callback.warning), stop_on_signals() as stop:
        if folder.writes and folder.state is not None and not (resume or overwrite):  # another run has just made it
            raise RunError(f"{path} holds a run that is {folder.state}.", hint="--overwrite replaces it")
        folder.set_state("running")
        if not resume:
            folder.clear()
        if shares:
            folder.write_json(RECORD, {name: asdict(share) for name, share in shares.items()})
        folder.write_json("config.json", parts.config.flat() | {"output": None})
        parts.accelerator.wait_for_everyone()
        try:
            _Training(parts, stop, callback, resume).run()
        except BaseException as error:
            with suppress(RunError):  # on a full disk the error itself is the news
                folder.record_error(error)
            raise
        parts.accelerator.wait_for_everyone()  # another process may still be reading the best epoch's checkpoint
        folder.set_state("finished")
        if folder.writes and not config.output.keep_checkpoints:
            shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return folder


class _Training:
    def __init__(self, parts: Assembly, stop: StopRequest, callback: RunCallback, resume: bool) -> None:
        self.parts, self.stop, self.callback, self.resume = parts, stop, callback, resume
        self.folder, self.engine, self.task = parts.folder, parts.engine, parts.task
        self.history = History(self.folder, self.engine.terms)
        # Saved with every checkpoint, beside the engine's own state.
        self.progress: dict[str, Any] = {"epochs": [], "best": None, "stale": 0, "sums": {}, "shares": {}}
        self.stopping = False
        self.best_logits: Tensor | None = None  # spares the last prediction of dev; made anew after a resume

    def run(self) -> None:
        """Train from the first step or the newest checkpoint, and write the results."""
        if self.resume:
            self._restore()
        self._write_environment()
        if self.folder.writes:
            write_trained_on(self.folder, self.task.training_texts())
        self.callback.plan(self.parts.plan)
        with ExitStack() as stack:
            self.history.start(self.engine.position.step, stack)
            self._start_tracking(stack)
            self.callback.training(self.engine.position.step, self.engine.total_steps)
            patience = self.parts.config.training.patience
            while not self.engine.finished and (patience is None or self.progress["stale"] < patience):
                self._train_epoch()
        self._finish()

    def _restore(self) -> None:
        """Go on from the newest valid checkpoint, where there is one."""
        plan, threads = asdict(self.parts.plan), torch.get_num_threads()
        warning = check_resumable(self.folder.environment, self.task.dataset, plan, threads)
        if warning:
            self.callback.warning(warning)
        newest, damaged = checkpoint.newest(self.folder.checkpoints)
        for problem in damaged:
            self.callback.warning(f"checkpoint {problem}; an older one is used.")
        if newest is None:
            self.callback.message("no usable checkpoint: starting from the first step.")
            return
        self.progress = checkpoint.load(newest, self.engine)
        sums = self.progress["sums"]
        if "examples" in sums:  # older versions counted the examples of all values once
            examples = sums.pop("examples")
            self.progress["sums"] = {name: [total, examples] for name, total in sums.items()}
        self.callback.message(f"resuming after step {self.engine.position.step}.")

    def _train_epoch(self) -> None:
        """Train to the end of the epoch, or to the last step of the run, and evaluate on dev."""
        every, position = self.parts.config.output.checkpoint_every, self.engine.position
        self._check_signals()
        previous: StepReport | None = None  # on a GPU a step is recorded while the next one runs
        for report in self.engine.train_epoch():
            if previous is not None:
                self._record(previous)
            previous = report
            last = position.step_in_epoch == self.engine.steps_per_epoch or report.step == self.engine.total_steps
            if report.step % SIGNAL_STEPS == 0 or self.engine.distributed.size == 1:
                self._check_signals()
            save = self.stopping or (every and report.step % every == 0 and not last)
            if save or report.measured.ready:
                self._record(report)
                previous = None
            if save:
                self._save()
            self._stop_if_requested()
        if previous is not None:
            self._record(previous)
        self._end_epoch()
        self._check_signals()
        self._save()
        self._stop_if_requested()

    def _record(self, report: StepReport) -> None:
        """One step into history, timing, the epoch's means, tracker and display."""
        if report.shares:
            self.progress["shares"] = report.shares
            self.callback.message(gradient_shares(report.shares))
        self.history.add(report)
        add_to_sums(self.progress["sums"], report)
        losses = {"loss": self.history.loss(report), "task_loss": report.task_loss}
        self._track(losses | {"learning_rate": report.learning_rate} | report.guides, report.step)
        self.callback.step(report)

    def _end_epoch(self) -> None:
        logits = self._predict("dev")
        dev = self.task.evaluate(self.parts.examples["dev"], logits)
        sums, position = self.progress["sums"], self.engine.position
        means = {name: total / examples for name, (total, examples) in sums.items()}  # of steps that computed it
        for name in idle_guides(means) if position.epoch == 1 else ():
            self.callback.warning(f"{name} was 0 in every step of the epoch: it has nothing to guide in these data.")
        epoch = {"epoch": position.epoch, "step": position.step, **means, "dev": dev}
        score, best = dev[self.parts.metric], self.progress["best"]
        better = best is None or score > best["score"]
        if better:
            self.best_logits = logits
            best = {"epoch": position.epoch, "score": score, "checkpoint": checkpoint.name_of(position.step)}
        self.progress |= {
            "best": best,
            "stale": 0 if better else self.progress["stale"] + 1,
            "sums": {},
            "epochs": [*self.progress["epochs"], epoch],
        }
        self._track({f"dev/{name}": value for name, value in dev.items()}, position.step)
        self.callback.epoch(epoch)

    def _save(self) -> None:
        """Full state; the tables reach the disk first, so that a checkpoint is never ahead of them."""
        self.history.sync()
        best = self.progress["best"]
        checkpoint.save(self.folder.checkpoints, self.engine, self.progress, best["checkpoint"] if best else None)

    def _check_signals(self) -> None:
        """Whether this process or another received a signal; all of them see it at the same step."""
        self.stopping = self.engine.distributed.any(self.stop.signal is not None)

    def _stop_if_requested(self) -> None:
        if self.stopping:
            by = self.stop.signal.name if self.stop.signal is not None else "a signal to another process"
            raise InterruptedRunError(
                f"interrupted by {by} after step {self.engine.position.step} of "
                f"{self.engine.total_steps}; full state is saved in {self.folder.path}.",
                hint=f"ag finetune --output {shlex.quote(str(self.folder.path.resolve()))} --resume",
            )

    def _predict(self, split: str, *, interruptible: bool = False) -> Tensor:
        """Logits of a split; `interruptible` once all state is saved, else a signal waits for the end."""
        examples = self.parts.examples[split]
        self.callback.predicting(split, len(examples))

        def on_batch(num_examples: int) -> None:
            self.callback.predicted(num_examples)
            if interruptible and self.engine.distributed.size == 1:  # several processes wait for each other
                self._check_signals()
                self._stop_if_requested()

        return self.engine.predict(examples, on_batch=on_batch)

    def _finish(self) -> None:
        best, examples = self.progress["best"], self.parts.examples
        if best["epoch"] != self.engine.position.epoch:
            checkpoint.load_weights(self.folder.checkpoints / best["checkpoint"], self.engine.bare_model)
        dev = self.best_logits if self.best_logits is not None else self._predict("dev", interruptible=True)
        logits = {"dev": dev}
        if "test" in examples:
            logits["test"] = self._predict("test", interruptible=True)
        metrics = self._metrics(logits)
        self.folder.write_predictions(
            {split: self.task.predictions(examples[split], values) for split, values in logits.items()}
        )
        if self.folder.writes:
            write_folder(self.folder.model, lambda aside: self._write_model(aside, metrics))
        self.folder.write_json("metrics.json", metrics)

    def _metrics(self, logits: Mapping[str, Tensor]) -> dict[str, Any]:
        epochs, examples = self.progress["epochs"], self.parts.examples
        return {
            "task": self.task.name,
            **{split: self.task.evaluate(examples[split], values) for split, values in logits.items()},
            "baseline": {split: self.task.evaluate_baseline(examples["train"], examples[split]) for split in logits},
            "metric": self.parts.metric,
            **self.task.settings(),
            "best_epoch": self.progress["best"]["epoch"],
            "guides": {name: epochs[-1][name] for name in self.history.guide_names if name in epochs[-1]},
            "gradient_norms": self.progress["shares"],
            "epochs": epochs,
            "steps": self.engine.position.step,
            "train_examples": len(examples["train"]),
        }

    def _write_model(self, folder: Path, metrics: dict[str, Any]) -> None:
        model, tokenizer = self.engine.bare_model, self.parts.loaded.tokenizer
        self.task.prepare_saving(model.config, tokenizer)
        with quiet_transformers():
            model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        card = model_card.text(self.parts.config, self.parts.plan, self.task, metrics)
        (folder / "README.md").write_text(card, encoding="utf-8")

    def _write_environment(self) -> None:
        loaded, dataset = self.parts.loaded, self.task.dataset
        recorded = environment.describe() | {
            "model": {"source": loaded.source, "revision": loaded.revision, "sha256": loaded.weights_sha256},
            "data": {
                "name": dataset.name,
                "digest": dataset.digest,
                "knowledge": knowledge_digests(dataset, self.parts.config.guides.knowledge),
                "folder": str(dataset.folder.resolve()),
                "credentialed": dataset.credentialed,
            },
            "fingerprint": self.parts.config.fingerprint(),
            "plan": asdict(self.parts.plan),
        }
        self.folder.write_json("environment.json", recorded)

    def _start_tracking(self, stack: ExitStack) -> None:
        output = self.parts.config.output
        if output.track:
            settings = self.parts.config.flat()
            listed = {name: " ".join(value) for name, value in settings.items() if isinstance(value, tuple)}
            values = {name: value for name, value in (settings | listed).items() if value is not None}
            project, own = tracker_settings(output, self.folder.name)
            self.engine.accelerator.init_trackers(project, config=values, init_kwargs={output.track: own})
            stack.callback(self.engine.accelerator.end_training)

    def _track(self, values: Mapping[str, float], step: int) -> None:
        if self.parts.config.output.track:
            self.engine.accelerator.log(dict(values), step=step)
