"""Where a run goes: its folder's name, and what an earlier run there means. No torch."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from agcli.config import RunConfig, make_config
from agcli.errors import UsageError
from agcli.guides.registry import weights_text
from agcli.options import OPTIONS, flag
from agcli.runs.folder import RunFolder
from agcli.runs.home import expanded


@dataclass(frozen=True)
class Placement:
    """The folder chosen for a run.

    Attributes:
        path: the folder.
        finished: the run asked for is there already, finished; nothing is left to do.
        messages: what the user should know of the choice.
    """

    path: Path
    finished: bool = False
    messages: tuple[str, ...] = ()


def choose(config: RunConfig, *, resume: bool, overwrite: bool) -> Placement:
    """The folder that `--output` names, or one named after the settings under `./runs`.

    A finished run is never touched without `--overwrite`; an unfinished one is gone on with under `--resume`.

    Raises:
        UsageError: the folder holds another run, an unfinished one without `--resume`, or things that are no run.
    """
    if resume and overwrite:
        raise UsageError("--resume goes on with a run and --overwrite throws it away: give one of them.")
    if config.output.output is None:
        return _by_name(config, resume, overwrite)
    folder = RunFolder(expanded(config.output.output))
    if folder.state is None:
        if folder.path.exists() and not _is_free(folder.path):
            raise UsageError(f"--output {folder.path} exists and is no run folder; it is left alone.")
        return _fresh(folder.path, resume)
    if overwrite:
        return Placement(folder.path)
    if not resume:
        raise UsageError(
            f"--output {folder.path} holds a run that is {_in_words(folder)}.",
            hint="--overwrite replaces it"
            + ("" if folder.state == "finished" else ", --resume goes on with it")
            + ", another --output leaves it alone",
        )
    _same_settings(folder, config)
    return Placement(folder.path, finished=folder.state == "finished", messages=_already(folder))


def _is_free(path: Path) -> bool:
    """Whether nothing is there but what a run killed at its very start left hidden."""
    return path.is_dir() and all(entry.name.startswith(".") for entry in path.iterdir())


def _by_name(config: RunConfig, resume: bool, overwrite: bool) -> Placement:
    messages: tuple[str, ...] = ()
    for path in _names(config):
        folder = RunFolder(path)
        if folder.state is None:
            if path.exists():
                continue
            return Placement(path, messages=messages) if messages else _fresh(path, resume)
        same = _difference(folder, config) == []
        if resume and same:
            return Placement(path, finished=folder.state == "finished", messages=_already(folder))
        if overwrite and same:
            return Placement(path)
        if not resume:
            messages = (f"{path} holds a run that is {_in_words(folder)}; this one gets a folder of its own.",)
    raise AssertionError("unreachable: names do not end")


def _names(config: RunConfig) -> Iterator[Path]:
    """`runs/mednli-biobert-mdg=0.01-pdg=0.001-seed=1`, then the same with `-run=2`, `-run=3`, ...

    Folders of version 0.1.0, which end in `-2`, `-3`, ..., are looked at as well.
    """
    options = config.guides
    guides = weights_text(options.weights)
    dataset, model = (
        Path(config.data.dataset).name or Path(config.data.dataset).resolve().name,
        config.model.model.rstrip("/").rpartition("/")[2],
    )
    name = "-".join([dataset, model, *(guides or ["unguided"]), f"seed={config.training.seed}"])
    yield Path("runs") / name
    for number in count(2):
        if (before := Path("runs") / f"{name}-{number}").exists():
            yield before
        yield Path("runs") / f"{name}-run={number}"


def _fresh(path: Path, resume: bool) -> Placement:
    return Placement(path, messages=(f"nothing to resume in {path}: starting a new run.",) if resume else ())


def _already(folder: RunFolder) -> tuple[str, ...]:
    return (f"{folder.path} is finished already; these are its results.",) if folder.state == "finished" else ()


def _in_words(folder: RunFolder) -> str:
    return "unfinished (still running, or killed)" if folder.state == "running" else str(folder.state)


def _difference(folder: RunFolder, config: RunConfig) -> list[str]:
    """The result-shaping options in which an earlier run's settings differ."""
    if not (folder.path / "config.json").is_file():
        return ["they were never written (it was killed at its start)"]
    before = make_config(folder.config, origin=str(folder.path / "config.json")).flat()
    return [
        f"{flag(name)} was {before[name]!r}, is {value!r}"
        for name, value in config.flat().items()
        if OPTIONS[name].spec.shapes_result and before[name] != value
    ]


def _same_settings(folder: RunFolder, config: RunConfig) -> None:
    difference = _difference(folder, config)
    if difference:
        raise UsageError(
            f"--resume: the run in {folder.path} has other settings: {'; '.join(difference)}.",
            hint=f"ag finetune --output {shlex.quote(str(folder.path))} --resume "
            "(its own settings are read from the folder)",
        )


def require_run(output: str) -> None:
    """`--output FOLDER --resume` and nothing else means a run that is there; defaults are not what is wanted.

    Raises:
        UsageError: no run there.
    """
    folder = RunFolder(expanded(output))
    if folder.state is None:
        raise UsageError(f"--resume: there is no run in {folder.path.resolve()}.", hint="check the folder")


def config_of_unfinished(output: Any, resume: bool) -> Path | None:
    """The `config.json` that `--output FOLDER --resume` goes on with, so that no option need be repeated."""
    if not resume or output is None:
        return None
    with suppress(UsageError):  # `~nobody`, of which the check of all options tells
        path = expanded(output) / "config.json"
        return path if path.is_file() else None
    return None
