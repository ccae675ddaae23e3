"""The laws of the house, read off the source: who may import whom, who may print, exit or load what."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGE = CHECKOUT / "agcli"
FILES = {str(file.relative_to(PACKAGE)): ast.parse(file.read_text("utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}

STOREYS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "tables"}),
    frozenset({"declare", "guides", "measures", "runs"}),
    frozenset({"attention", "data", "models", "options"}),
    frozenset({"config", "tasks"}),
    frozenset({"ranking", "training"}),
    frozenset({"evaluate", "sweep", "timing"}),
    frozenset({"figures", "paper"}),
    frozenset({"cli", "__main__"}),
)
"""The rooms (files and folders of `agcli/`) by height. A room imports from storeys below its own only."""

HEIGHT = {room: height for height, rooms in enumerate(STOREYS) for room in rooms}

KNOWS_NOTHING_OF = {
    "guides": {"attention", "models"},
    "data": {"models"},  # lengths in tokens are counted by a function that the command hands in
    "models": {"attention", "data"},
}
"""Rooms further down that a room must do without all the same."""

ENGINE_KNOWS_NOTHING_OF = {"guides", "models", "measures", "tasks", "config", "runs.folder"}
"""The loop trains whatever it is handed."""

SEES_THE_WHOLE_CONFIG = {"sweep", "training", "cli"}
LONGEST_FILE, LONGEST_FUNCTION = 300, 60


def room_of(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Dotted name of every import in a file, those inside functions and `if TYPE_CHECKING` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files_imported(tree: ast.AST) -> set[str]:
    """Files of `agcli` that a file imports, as `data/files.py`; `from agcli import __version__` names none."""
    found = set()
    for name in imported(tree):
        parts = name.split(".")[1:] if name.startswith("agcli.") else []
        paths = ["/".join(parts[:end]) for end in (len(parts), len(parts) - 1)]  # a module, or something in one
        found |= set([file for path in paths for file in (f"{path}.py", f"{path}/__init__.py") if file in FILES][:1])
    return found


def rooms_imported(tree: ast.AST) -> set[str]:
    return {room_of(file) for file in files_imported(tree)}


def dotted(node: ast.AST) -> str:
    """`typer.Exit` for that expression, the bare name for a name, else an empty string."""
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


@pytest.mark.parametrize("file", [file for file in FILES if file != "__init__.py"])
def test_imports_go_down_only(file: str) -> None:
    room = room_of(file)
    assert room in HEIGHT, f"give {room} its storey in STOREYS"
    others = rooms_imported(FILES[file]) - {room, "__init__"}
    beside = {"cli"} if room == "__main__" else set()
    assert {other for other in others - beside if HEIGHT[other] >= HEIGHT[room]} == set()
    assert others & KNOWS_NOTHING_OF.get(room, set()) == set()
    if "config" in others:
        assert room in SEES_THE_WHOLE_CONFIG


def test_the_engine_knows_only_what_it_is_handed() -> None:
    found = {name.removeprefix("agcli.") for name in imported(FILES["training/engine.py"])}
    assert not [name for name in found for other in ENGINE_KNOWS_NOTHING_OF if name.startswith(f"{other}.")]


def test_no_import_goes_in_a_circle() -> None:
    """Neither among files, lazy imports counted, nor among rooms."""
    inside = {file: files_imported(tree) for file, tree in FILES.items() if file != "__init__.py"}
    rooms = {room: set[str]() for room in HEIGHT}
    for file, others in inside.items():
        rooms[room_of(file)] |= {room_of(other) for other in others} - {room_of(file), "__init__"}
    for graph in (inside, rooms):
        for node, others in graph.items():
            others.discard(node)
        TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_every_storey_is_inhabited() -> None:
    """A room that has gone must leave the plan, or the plan says nothing."""
    assert set(HEIGHT) == {room_of(file) for file in FILES} - {"__init__"}


@pytest.mark.parametrize("file", [file for file in FILES if room_of(file) != "cli"])
def test_the_terminal_belongs_to_the_commands(file: str) -> None:
    outside = {name.split(".")[0] for name in imported(FILES[file])}
    assert outside & {"typer", "rich", "click"} == set()
    assert [call.lineno for call in calls(FILES[file]) if dotted(call.func) == "print"] == []


@pytest.mark.parametrize("file", [file for file in FILES if file != "cli/app.py"])
def test_only_the_app_exits_or_catches_every_error_of_ours(file: str) -> None:
    ends = {"sys.exit", "exit", "quit", "os._exit", "os.abort", "SystemExit", "typer.Exit", "typer.Abort"}
    found = {dotted(node) for node in ast.walk(FILES[file]) if dotted(node) in ends}
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            found |= {f"line {node.lineno}: {dotted(name)}" for name in caught if dotted(name).endswith("AgError")}
    assert found == set()


@pytest.mark.parametrize("file", FILES)
def test_nothing_that_is_loaded_can_run_code(file: str) -> None:
    modules = {name.split(".")[0] for name in imported(FILES[file])}
    assert modules & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"} == set()
    for node in ast.walk(FILES[file]):
        assert not (isinstance(node, ast.Constant) and node.value == "trust_remote_code")
    for call in calls(FILES[file]):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert given.get("trust_remote_code", "False") == "False", call.lineno
        assert given.get("allow_pickle", "False") == "False", call.lineno
        if dotted(call.func) == "torch.load":
            assert given.get("weights_only") == "True", call.lineno


@pytest.mark.parametrize("file", FILES)
def test_files_and_functions_stay_small(file: str) -> None:
    assert Path(file).stem not in {"utils", "util", "helpers", "common", "misc"}, "name what it is about"
    assert len((PACKAGE / file).read_text("utf-8").splitlines()) <= LONGEST_FILE
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:  # from the body on: options are many
            assert node.end_lineno - node.body[0].lineno < LONGEST_FUNCTION, node.name


RIDDLES = {"told", "asked", "said", "found", "judge", "judgement", "judgements", "arms", "seam"}
"""Words that say nothing of a thing, or that the field has another word for: evaluate, qrels, variants, ..."""


@pytest.mark.parametrize("file", FILES)
def test_names_are_the_fields_words(file: str) -> None:
    names = {
        node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else node.name
        for node in ast.walk(FILES[file])
        if isinstance(node, ast.Name | ast.arg | ast.FunctionDef | ast.ClassDef)
    }
    assert {name for name in names if RIDDLES & set(name.lower().split("_"))} == set()


@pytest.mark.parametrize("file", FILES)
def test_docstrings_do_not_repeat_names(file: str) -> None:
    """An entry of three words or fewer under `Attributes:` or `Args:` says what the name and the type say."""
    short = re.compile(r"^    \w+: (?:\S+ ?){1,3}$", re.MULTILINE)
    for node in ast.walk(FILES[file]):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            sections = re.split(r"^(\w+):$", ast.get_docstring(node) or "", flags=re.MULTILINE)
            for title, entries in zip(sections[1::2], sections[2::2], strict=True):
                assert title not in ("Attributes", "Args") or short.findall(entries) == []


def test_the_top_level_is_the_plan() -> None:
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        pytest.skip("no git here to tell what belongs to the project")
    listed = subprocess.run([git, "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in listed.splitlines()}
    allowed = {"agcli", "tests", "data", "pyproject.toml", "README.md", "LICENSE"}
    assert {name for name in top if not name.startswith(".")} == allowed


@pytest.mark.parametrize(
    "arguments",
    [
        None,
        ["--help"],
        ["--version"],
        ["finetune", "--help"],
        ["prepare", "--help"],
        ["evaluate", "--help"],
        ["rank", "--help"],
        ["ablate", "--help"],
        ["timing", "--help"],
    ],
)
def test_help_and_import_are_light(arguments: list[str] | None) -> None:
    """`import agcli` (None) and every help page do without the heavy libraries, so that they answer at once."""
    program = f"""
import sys
import agcli
if {arguments!r} is not None:
    from agcli.__main__ import main
    sys.argv = ["ag", *{arguments!r}]
    try:
        main()
    except SystemExit as end:
        assert not end.code, end.code
libraries = {{"torch", "transformers", "pandas", "datasets", "accelerate", "sklearn", "scipy", "pyarrow"}}
heavy = libraries & set(sys.modules)
assert not heavy, heavy
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    assert bool(found.stdout) == (arguments is not None)
