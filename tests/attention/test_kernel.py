"""The Triton path: the files of cases in Triton's interpreter and on a GPU, and what the path refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from agcli.attention.triton import attention as kernel
from agcli.attention.triton.attention import why_not_triton
from agcli.attention.triton.tiles import INTERPRETER, tiles_for

HERE = Path(__file__).parent
no_triton = pytest.mark.skipif(find_spec("triton") is None, reason="the package triton is not installed")
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@no_triton
@pytest.mark.slow
@pytest.mark.parametrize("where", ["interpreter", pytest.param("cuda", marks=[pytest.mark.gpu, no_gpu])])
def test_the_cases(where: str) -> None:
    """In a process of their own: whether Triton interprets or compiles is settled when it is first imported."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"OMP_NUM_THREADS": "1"} | ({"TRITON_INTERPRET": "1"} if where == "interpreter" else {})
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *map(str, sorted(HERE.glob("kernel*_cases.py"))),
    ]
    found = subprocess.run(command, env=environment, cwd=HERE.parents[1], capture_output=True, text=True, timeout=1800)
    assert found.returncode == 0, found.stdout[-6000:] + found.stderr[-2000:]


def test_without_triton_the_path_refuses_and_all_else_goes_on() -> None:
    program = "import sys; sys.modules['triton'] = None; from agcli.attention import dispatch; import torch\n"
    program += "print(dispatch.why_not_triton(torch.zeros(1, 1, 2, 64)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "the package triton is not installed", found.stderr


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """A machine with triton, without its interpreter and with a GPU of some compute capability."""

    def make(capability: tuple[int, int] = (9, 0), triton: bool = True) -> None:
        monkeypatch.delenv("TRITON_INTERPRET", raising=False)
        monkeypatch.setattr(torch.version, "hip", None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr(kernel, "_triton_is_installed", lambda: triton)
        monkeypatch.setattr(kernel, "_why_no_launch", lambda: None)

    return make


@pytest.mark.parametrize(
    ("query", "settings", "cause"),
    [
        ({"dtype": torch.float64}, {}, "float64"),
        ({"head_dim": 129}, {}, "up to 128 wide, not 129"),
        ({}, {}, "not on cpu"),
        ({}, {"triton": False}, "triton is not installed"),
    ],
)
def test_refusals_name_the_cause(machine, query, settings, cause) -> None:
    machine(**settings)
    assert cause in why_not_triton(torch.zeros(1, 1, 2, query.get("head_dim", 64), dtype=query.get("dtype")))


@pytest.mark.parametrize(
    ("capability", "refused"), [((7, 5), True), ((8, 0), False), ((9, 0), False), ((12, 0), False)]
)
def test_gpus_from_ampere_on_will_do(machine, capability, refused) -> None:
    machine(capability)
    cause = kernel._why_not_on(torch.device("cuda"))
    assert (cause is not None) == refused
    assert not refused or "8.0, and this GPU has 7.5" in cause


def test_the_interpreter_takes_the_cpu(machine, monkeypatch) -> None:
    machine()
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert why_not_triton(torch.zeros(1, 1, 2, 64)) is None


@pytest.mark.parametrize("capability", [INTERPRETER, (8, 0), (8, 6), (9, 0), (10, 0), (12, 0)])
@pytest.mark.parametrize("itemsize", [2, 4])
@pytest.mark.parametrize("width", [16, 32, 64, 128])
@pytest.mark.parametrize("cells", [True, False])
def test_tiles_fit_dropouts_blocks_and_lengths_share_them(capability, itemsize, width, cells) -> None:
    """Dropout draws for blocks of 16 queries by 32 keys; a new length may not mean a compilation."""
    cuts = [tiles_for(length, width, itemsize, capability, cells=cells) for length in range(1, 1100)]
    for length, tiles in enumerate(cuts, 1):
        for tile in (tiles.forward, tiles.receive, tiles.by_query, tiles.by_key, tiles.whole or tiles.forward):
            assert tile.queries % 16 == tile.keys % 32 == 0
        assert tiles.whole is None or tiles.whole.queries >= length
    assert len(set(cuts)) <= 5
