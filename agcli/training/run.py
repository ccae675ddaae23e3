"""From a `RunConfig` to results: train, judge, save, survive."""

from __future__ import annotations

import shlex
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agcli.config import RunConfig
from agcli.errors import InterruptedRunError, RunError
from agcli.models import quiet_transformers
from agcli.runs import environment
from agcli.runs import signals as interruption
from agcli.runs.folder import RunFolder
from agcli.runs.launcher import process_rank
from agcli.tasks.run_data import Judgement
from agcli.training import checkpoint, model_card
from agcli.training.assemble import Assembly, Plan
from agcli.training.report import StepReport
from agcli.training.resumption import check_same_arithmetic, check_same_data
from agcli.training.tracking import tracker_settings
from agcli.training.trained_on import write_trained_on
from agcli.training.watch import Watch, share_line

HEAR_STEPS = 8
"""Steps after which several processes ask each other whether one was told to stop: asking waits for the slowest."""


def plan_run(config: RunConfig, folder: Path) -> Plan:
    """What `finetune` would do; reads data and model, writes nothing."""
    return Assembly(config, RunFolder(folder)).plan


def finetune(
    config: RunConfig,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watch: Watch | None = None,
    tokenised: Path | None = None,
) -> RunFolder:
    """Fine-tune, choose the best epoch on dev, judge it, and leave a run folder.

    Args:
        config: the settings.
        path: the run folder; made if need be.
        resume: go on from the newest valid checkpoint.
        overwrite: clear the folder of an earlier run.
        watch: who looks on.
        tokenised: a folder of tokenised data that runs share, if they do.

    Raises:
        AgError: as the parts raise them; once training has begun, the folder is marked `failed`.
        InterruptedRunError: SIGINT or SIGTERM; full state is saved and the folder marked `interrupted`.
    """
    folder, watch = RunFolder(path, writes=process_rank() == 0), watch or Watch()
    parts = Assembly(config, folder, tokenised)
    _ = parts.plan  # settings, data or a model that cannot be are refused before the folder is touched
    team = parts.engine.team
    team.wait()
    with folder.locked(watch.warning), interruption.watched() as stop:
        if folder.writes and folder.state is not None and not (resume or overwrite):  # another run has just made it
            raise RunError(f"{path} holds a run that is {folder.state}.", hint="--overwrite replaces it")
        folder.mark("running")
        if not resume:
            folder.clear()
        folder.write_json("config.json", config.flat() | {"output": None})
        team.wait()
        try:
            _Training(parts, stop, watch, resume).run()
        except BaseException as error:
            with suppress(RunError):  # on a full disk the error itself is the news
                folder.mark_error(error)
            raise
        team.wait()  # another process may still be reading the best epoch's checkpoint
        folder.mark("finished")
        if not config.output.keep_checkpoints:
            folder.drop_checkpoints()
    return folder


class _Training:
    """The run as it goes: epochs, evaluations, checkpoints, files."""

    def __init__(self, parts: Assembly, stop: interruption.Interruption, watch: Watch, resume: bool) -> None:
        self.parts, self.stop, self.watch, self.resume = parts, stop, watch, resume
        self.folder, self.engine, self.options = parts.folder, parts.engine, parts.config.training
        guiding = self.engine.guiding
        self.weights = {guide.name: guide.weight for guide in guiding.guides}
        self.names = [guide.name for guide in [*guiding.guides, *guiding.monitors]]
        columns: list[str] = []
        for name in self.names:
            columns += [name, *([f"{name}_weighted"] if name in self.weights else [])]
        self.history = self.folder.step_table(
            "history.csv",
            ["step", "epoch", "loss", "task_loss", *columns, "learning_rate", "gradient_norm"],
        )
        self.timing = self.folder.step_table(
            "timing.csv", ["step", "seconds", "examples", "tokens", "examples_per_second"]
        )
        # What must survive a kill beside the engine's own state; saved with every checkpoint.
        self.progress: dict[str, Any] = {"epochs": [], "best": None, "stale": 0, "sums": {}, "shares": {}}
        self.stopping = False
        self.best_dev: Judgement | None = None  # spares the last judgement of dev; made anew after a resume

    def run(self) -> None:
        """Everything between a marked folder and a finished one."""
        self._restore()
        self._write_environment()
        if self.folder.writes:
            write_trained_on(self.folder, self.parts.data.training_texts())
        self.watch.plan(self.parts.plan)
        with ExitStack() as stack:
            for table in (self.history, self.timing):
                table.start(self.engine.position.step)
                stack.callback(table.close)
            self._start_tracking(stack)
            self.watch.training(self.engine.position.step, self.engine.total_steps)
            while self.engine.position.epoch < self.options.epochs and not self._has_converged():
                self._train_epoch()
        self._finish()

    def _restore(self) -> None:
        """Go on from the newest valid checkpoint, where asked and where there is one."""
        if not self.resume:
            return
        check_same_data(self.parts)
        warning = check_same_arithmetic(self.parts)
        if warning:
            self.watch.warning(warning)
        found = checkpoint.newest(self.folder.checkpoints)
        for problem in found.damaged:
            self.watch.warning(f"checkpoint {problem}; an older one is used.")
        if found.folder is None:
            self.watch.message("no usable checkpoint: starting from the first step.")
            return
        self.progress = checkpoint.load(found.folder, self.engine)
        self.watch.message(f"resuming after step {self.engine.position.step}.")

    def _has_converged(self) -> bool:
        return self.options.patience is not None and self.progress["stale"] >= self.options.patience

    def _train_epoch(self) -> None:
        every = self.parts.config.output.checkpoint_every
        self._hear()
        behind: StepReport | None = None  # on a GPU a step is recorded while the next one runs
        for report in self.engine.train_epoch():
            self._record(behind)
            behind = report
            last = self.engine.position.step_in_epoch == self.engine.steps_per_epoch
            if report.step % HEAR_STEPS == 0 or self.engine.team.size == 1:
                self._hear()
            save = self.stopping or (every and report.step % every == 0 and not last)
            if save or report.measured.ready:
                self._record(behind)
                behind = None
            if save:
                self._save()
            self._stop_if_asked()
        self._record(behind)
        self._end_epoch()
        self._hear()
        self._save()
        self._stop_if_asked()

    def _record(self, report: StepReport | None) -> None:
        """One step, if there is one, into history, timing, the epoch's means, tracker and display."""
        if report is None:
            return
        if report.shares:
            self.progress["shares"] = report.shares
            self.watch.message(share_line(report.shares))
        weighted = {name: self.weights[name] * report.guides[name] for name in self.weights}
        cells: list[object] = []
        for name in self.names:
            cells += [report.guides[name], *([weighted[name]] if name in weighted else [])]
        loss = report.task_loss + sum(weighted.values())
        self.history.add(
            [report.step, report.epoch + 1, loss, report.task_loss, *cells, report.learning_rate, report.gradient_norm]
        )
        rate = report.examples / report.seconds
        self.timing.add([report.step, round(report.seconds, 6), report.examples, report.tokens, round(rate, 3)])
        sums = self.progress["sums"]
        for name, value in {"task_loss": report.task_loss, **report.guides}.items():
            sums[name] = sums.get(name, 0.0) + value * report.examples
        sums["examples"] = sums.get("examples", 0) + report.examples
        if self.parts.config.output.track:
            values = {"loss": loss, "task_loss": report.task_loss, "learning_rate": report.learning_rate}
            self.engine.accelerator.log(values | report.guides, step=report.step)
        self.watch.step(report)

    def _end_epoch(self) -> None:
        """Judge the epoch on dev, remember the best."""
        judgement = self._judge("dev")
        dev = judgement.metrics
        sums = self.progress["sums"]
        means = {name: value / sums["examples"] for name, value in sums.items() if name != "examples"}
        epoch = {"epoch": self.engine.position.epoch, "step": self.engine.position.step, **means, "dev": dev}
        score = dev[self.parts.metric]
        best = self.progress["best"]
        better = best is None or score > best["score"]
        if better:
            self.best_dev = judgement
            best = {
                "epoch": epoch["epoch"],
                "score": score,
                "checkpoint": checkpoint.name_of(self.engine.position.step),
            }
        self.progress |= {
            "best": best,
            "stale": 0 if better else self.progress["stale"] + 1,
            "sums": {},
            "epochs": [*self.progress["epochs"], epoch],
        }
        if self.parts.config.output.track:
            values = {f"dev/{name}": value for name, value in dev.items()}
            self.engine.accelerator.log(values, step=self.engine.position.step)
        self.watch.epoch(epoch)

    def _save(self) -> None:
        """Full state; the tables reach the disk first, so that a checkpoint never knows more than they do."""
        self.history.sync()
        self.timing.sync()
        best = self.progress["best"]
        checkpoint.save(self.folder.checkpoints, self.engine, self.progress, best["checkpoint"] if best else None)

    def _hear(self) -> None:
        """Learn whether a signal came, to this process or another; all of them learn it at the same step."""
        self.stopping = self.engine.team.any(self.stop.asked)

    def _stop_if_asked(self) -> None:
        if self.stopping:
            by = self.stop.signal.name if self.stop.signal is not None else "a signal to another process"
            raise InterruptedRunError(
                f"interrupted by {by} after step {self.engine.position.step} of "
                f"{self.engine.total_steps}; full state is saved in {self.folder.path}.",
                hint=f"ag finetune --output {shlex.quote(str(self.folder.path.resolve()))} --resume",
            )

    def _judge(self, split: str, *, saved: bool = False) -> Judgement:
        """Predict and judge a split. Once all is `saved`, a signal stops it half-way; before, it waits for the end."""
        examples = self.parts.examples[split]
        self.watch.predicting(split, len(examples))

        def on_batch(num_examples: int) -> None:
            self.watch.predicted(num_examples)
            if saved and self.engine.team.size == 1:  # several are waited for by each other
                self._hear()
                self._stop_if_asked()

        return self.parts.data.judge(split, self.parts.examples, self.engine.predict(examples, on_batch=on_batch))

    def _finish(self) -> None:
        """Judge and save the best epoch's model."""
        best = self.progress["best"]
        if best["epoch"] != self.engine.position.epoch:
            checkpoint.load_weights(self.folder.checkpoints / best["checkpoint"], self.engine.bare_model)
        judged = {"dev": self.best_dev or self._judge("dev", saved=True)}
        if "test" in self.parts.examples:
            judged["test"] = self._judge("test", saved=True)
        metrics = self._metrics(judged)
        self.folder.write_predictions({split: found.make_table() for split, found in judged.items()})
        self.folder.write_model(lambda aside: self._write_model(aside, metrics))
        self.folder.write_json("metrics.json", metrics)

    def _metrics(self, judged: dict[str, Judgement]) -> dict[str, Any]:
        epochs = self.progress["epochs"]
        return {
            **{split: found.metrics for split, found in judged.items()},
            "baseline": {split: found.make_baseline() for split, found in judged.items()},
            "metric": self.parts.metric,
            **({} if self.parts.data.dev_depth is None else {"dev_depth": self.parts.data.dev_depth}),
            "best_epoch": self.progress["best"]["epoch"],
            "guides": {name: epochs[-1][name] for name in self.names},
            "gradient_norms": self.progress["shares"],
            "epochs": epochs,
            "steps": self.engine.position.step,
            "train_examples": len(self.parts.examples["train"]),
        }

    def _write_model(self, folder: Path, metrics: dict[str, Any]) -> None:
        self.parts.data.prepare_saving(self.engine.bare_model.config, self.parts.loaded.tokenizer)
        with quiet_transformers():
            self.engine.bare_model.save_pretrained(folder)
        self.parts.loaded.tokenizer.save_pretrained(folder)
        card = model_card.text(self.parts.config, self.parts.plan, self.parts.data, metrics)
        (folder / "README.md").write_text(card, encoding="utf-8")

    def _write_environment(self) -> None:
        loaded, dataset = self.parts.loaded, self.parts.data.dataset
        self.folder.write_json(
            "environment.json",
            environment.describe()
            | {
                "model": {"source": loaded.source, "revision": loaded.revision, "sha256": loaded.weights_sha256},
                "data": {
                    "name": dataset.name,
                    "digest": dataset.digest,
                    "folder": str(dataset.folder.resolve()),
                    "credentialed": dataset.credentialed,
                },
                "fingerprint": self.parts.config.fingerprint(),
                "plan": asdict(self.parts.plan),
            },
        )

    def _start_tracking(self, stack: ExitStack) -> None:
        output = self.parts.config.output
        if output.track:
            values = {name: value for name, value in self.parts.config.flat().items() if value is not None}
            project, settings = tracker_settings(output, self.folder.name)
            self.engine.accelerator.init_trackers(project, config=values, init_kwargs={output.track: settings})
            stack.callback(self.engine.accelerator.end_training)
