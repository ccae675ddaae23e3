"""The application around the verbs: errors become messages and exit codes, and asking for help stays cheap."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module

import pytest
from typer.testing import Result

import agcli
from agcli.cli import app as application
from agcli.cli.app import VERBS
from agcli.errors import AgError, DataError, InterruptedRunError, MissingExtraError, ModelError, RunError, UsageError

Ag = Callable[..., Result]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RunError("what [red]happened[/]", hint="try [this]"), 1),
        (UsageError("what [red]happened[/]", hint="try [this]"), 2),
        (ModelError("what [red]happened[/]", hint="try [this]"), 2),
        (DataError("what [red]happened[/].", hint="try [this]"), 3),
        (InterruptedRunError("what [red]happened[/]", hint="try [this]"), 130),
    ],
)
def test_an_error_is_told_on_stderr_and_gives_the_exit_code(
    ag: Ag, monkeypatch: pytest.MonkeyPatch, error: AgError, code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("agcli.training.output_folder.choose", fail)
    result = ag("finetune", code=code)
    assert result.stdout == ""
    assert result.stderr.splitlines() == [f"error: {error}", "next: try [this]"]
    assert "what [red]happened[/]" in result.stderr


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And never `agcli[wandb]`: on PyPI that is another project."""
    needed = [
        "torch>=2",
        'wandb>=0.18; extra == "wandb"',
        'spacy[x]>=3; extra == "knowledge"',
        'a; python_version > "3"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    error = MissingExtraError("wandb", "wandb", "--track wandb")
    assert (error.exit_code, error.hint) == (2, 'pip install "wandb>=0.18"')
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: None)
    error = MissingExtraError("wandb", "wandb", "--track wandb")
    assert error.hint == 'pip install ".[wandb]", in the folder that agcli came in'


def test_an_error_that_is_not_ours_is_not_hidden(ag: Ag, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("agcli.training.output_folder.choose", fail)
    assert isinstance(ag("finetune", code=1).exception, ZeroDivisionError)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_whatever_the_system_refuses_is_named(ag: Ag, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "some/file")

    monkeypatch.setattr("agcli.training.output_folder.choose", fail)
    shown = ag("finetune", code=1).stderr
    assert f"some/file: {os.strerror(number)}." in shown
    assert "next: " in shown


def test_an_error_message_wraps_no_path(ag: Ag, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/".join(["folder"] * 60)

    def fail(*_: object, **__: object) -> None:
        raise UsageError(f"--output {path} exists.")

    monkeypatch.setattr("agcli.training.output_folder.choose", fail)
    assert path in ag("finetune", code=2).stderr


def test_the_version(ag: Ag) -> None:
    assert ag("--version").stdout == f"agcli {agcli.__version__}\n"


def test_the_verbs_are_listed(ag: Ag) -> None:
    shown = ag("--help").stdout
    for command in application.app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        assert f" {name} " in shown


@pytest.mark.parametrize("words", [["finetnue"], ["finetune", "--epochz", "3"], ["finetune", "--epochs", "x"]])
def test_wrong_words_are_wrong_usage(ag: Ag, words: list[str]) -> None:
    result = ag(*words, code=2)
    assert result.stdout == ""
    assert words[-1] in result.stderr or words[1] in result.stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["finetune", "--help"]])
def test_asking_for_help_imports_nothing_heavy(words: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "agcli", *words]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.splitlines()}
    assert "typer" in imported
    assert not imported & {"torch", "transformers", "pandas", "datasets", "accelerate", "sklearn", "scipy"}


@pytest.mark.parametrize(("verb", "summary"), VERBS.items())
def test_a_summary_is_the_first_paragraph_of_the_help_page(verb: str, summary: str) -> None:
    command = getattr(import_module(f"agcli.cli.{verb}"), verb)
    assert " ".join(command.__doc__.partition("\n\n")[0].split()) == summary
