"""The folder of a run: its name, an earlier run in it, and whether that can be resumed. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agcli.config import RunConfig, make_config
from agcli.declare import flag
from agcli.errors import DataError, UsageError
from agcli.options import OPTIONS
from agcli.runs.folder import RunFolder
from agcli.runs.paths import expanded
from agcli.training.guide_shares import with_recorded_weights

if TYPE_CHECKING:
    from agcli.tasks.base import Dataset

LONGEST_NAME = 120
"""Characters of the guides in a folder's name, beyond which part of the fingerprint tells them apart."""


@dataclass(frozen=True)
class Placement:
    """The folder chosen for a run.

    Attributes:
        finished: whether it holds this run already, finished, so that nothing is left to do.
    """

    path: Path
    finished: bool = False
    messages: tuple[str, ...] = ()


def choose(config: RunConfig, *, resume: bool, overwrite: bool) -> Placement:
    """The folder that `--output` names, or one named after the settings under `./runs`.

    A finished run is never touched without `--overwrite`; an unfinished one is continued under `--resume`.

    Raises:
        UsageError: the folder holds another run, an unfinished one without `--resume`, or other files.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a run and --overwrite throws it away: give one of them.")
    if config.output.output is None:
        return _by_name(config, resume, overwrite)
    folder = RunFolder(expanded(config.output.output))
    if folder.state is None:
        if folder.path.exists() and not _is_empty(folder.path):
            raise UsageError(f"--output {folder.path} exists and is no run folder; it is left alone.")
        return _new(folder.path, resume)
    if overwrite:
        return Placement(folder.path)
    if not resume:
        raise UsageError(
            f"--output {folder.path} holds a run that is {_state_in_words(folder)}.",
            hint="--overwrite replaces it"
            + ("" if folder.state == "finished" else ", --resume goes on with it")
            + ", another --output leaves it alone",
        )
    if not (folder.path / "config.json").is_file():
        raise UsageError(
            f"--resume: the run in {folder.path} was killed at its start, before its settings were written.",
            hint="start it anew, with all its options: --overwrite",
        )
    differences = _differences(folder, config)
    if differences:
        raise UsageError(
            f"--resume: the run in {folder.path} has other settings: {'; '.join(differences)}.",
            hint=f"ag finetune --output {shlex.quote(str(folder.path))} --resume "
            "(its own settings are read from the folder)",
        )
    return _resumed(folder)


def _is_empty(path: Path) -> bool:
    """Whether a folder is empty but for hidden files, which a run killed at its very start may have left."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())


def _by_name(config: RunConfig, resume: bool, overwrite: bool) -> Placement:
    messages: tuple[str, ...] = ()
    for path in _names(config):
        folder = RunFolder(path)
        if folder.state is None:
            if path.exists():
                continue
            return Placement(path, messages=messages) if messages else _new(path, resume)
        same = not _differences(folder, config)
        if same and (resume or overwrite):
            return _resumed(folder) if resume else Placement(path)
        if not resume:
            messages = (f"{path} holds a run that is {_state_in_words(folder)}; this one gets a folder of its own.",)
    raise AssertionError("unreachable: names do not end")


def _names(config: RunConfig) -> Iterator[Path]:
    """`runs/mednli-biobert-mdg=0.01-pdg=0.001-seed=1`, then the same with `-run=2`, `-run=3`, ...

    Folders of version 0.1.0 end in `-2`, `-3`, ...
    """
    guides = "-".join(config.guides.texts) or "unguided"
    if len(guides) > LONGEST_NAME:  # file systems end names at 255 bytes
        guides = f"{guides[:LONGEST_NAME]}-{config.fingerprint()[:8]}"
    dataset = Path(config.data.dataset).name or Path(config.data.dataset).resolve().name
    model = config.model.model.rstrip("/").rpartition("/")[2]
    name = "-".join([dataset, model, guides, f"seed={config.training.seed}"])
    yield Path("runs") / name
    for number in count(2):
        if (before := Path("runs") / f"{name}-{number}").exists():
            yield before
        yield Path("runs") / f"{name}-run={number}"


def _new(path: Path, resume: bool) -> Placement:
    return Placement(path, messages=(f"nothing to resume in {path}: starting a new run.",) if resume else ())


def _resumed(folder: RunFolder) -> Placement:
    if folder.state != "finished":
        return Placement(folder.path)
    message = f"{folder.path} is finished already; these are its results."
    return Placement(folder.path, finished=True, messages=(message,))


def _state_in_words(folder: RunFolder) -> str:
    return "unfinished (still running, or killed)" if folder.state == "running" else str(folder.state)


def _differences(folder: RunFolder, config: RunConfig) -> list[str]:
    """The result-shaping options in which an earlier run's settings differ."""
    if not (folder.path / "config.json").is_file():
        return ["they were never written (it was killed at its start)"]
    before = make_config(folder.config, origin=str(folder.path / "config.json")).flat()
    config = with_recorded_weights(config, folder)
    return [
        f"{flag(name)} was {_shown(before[name])}, is {_shown(value)}"
        for name, value in config.flat().items()
        if OPTIONS[name].spec.shapes_result and before[name] != value
    ]


def _shown(value: Any) -> str:
    return repr(" ".join(value) if isinstance(value, tuple) else value)


def config_of_unfinished(given: Mapping[str, Any], resume: bool) -> Path | None:
    """The `config.json` that `--output FOLDER --resume` continues with, so that no option need be repeated.

    Raises:
        UsageError: no other option is given, and the folder holds no run.
    """
    if not resume or "output" not in given:
        return None
    try:
        folder = RunFolder(expanded(given["output"]))
    except UsageError:  # `~nobody`
        if set(given) == {"output"}:
            raise
        return None  # the check of all options reports it
    if set(given) == {"output"} and folder.state is None:
        raise UsageError(f"--resume: there is no run in {folder.path.resolve()}.", hint="check the folder")
    path = folder.path / "config.json"
    return path if path.is_file() else None


def check_resumable(environment: Mapping[str, Any], dataset: Dataset, plan: Mapping[str, Any], threads: int) -> str:
    """Compare data and plan with those in a run's `environment.json`: `auto` can mean other arithmetic elsewhere.

    Returns:
        A warning where the last bits may differ; else an empty string.

    Raises:
        DataError: the data differ.
        UsageError: processes, precision, device or attention differ.
    """
    if environment.get("data", {}).get("digest") not in (None, dataset.digest):
        hint = "bring them back as they were, or start anew with --overwrite"
        raise DataError("not the data that the run began with", file=dataset.folder, hint=hint)
    from agcli.data.knowledge.stored import knowledge_digests

    began_with = environment.get("data", {}).get("knowledge", {})
    for name, digest in knowledge_digests(dataset, began_with).items():
        if digest != began_with[name]:
            hint = "make it as it was, or start anew with --overwrite"
            raise DataError(f"not the knowledge {name!r} that the run began with", file=dataset.folder, hint=hint)
    before = environment.get("plan", {})
    for name in ("processes", "precision", "device", "attention"):
        if before.get(name) not in (None, plan[name]):
            raise UsageError(
                f"--resume: the run began with {name} {before[name]}; here it would go on with {plan[name]}.",
                hint="go on where it began, or start anew with --overwrite",
            )
    if environment.get("torch_threads") in (None, threads):
        return ""
    return (
        f"the run began with {environment['torch_threads']} threads and goes on with {threads}: sums may differ in "
        "their last bits (OMP_NUM_THREADS sets the number)."
    )
