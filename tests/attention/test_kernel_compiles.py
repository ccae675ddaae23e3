"""The kernels compile for real GPUs, with no GPU here: Triton carries the assembler."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import json, sys, types
import torch, triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction
from agcli.attention.triton import backward, forward, operators
from agcli.attention.triton.plan import plan_rows
from agcli.attention.triton.tiles import tiles_for
from agcli.guides.targets import Cells, Columns, Diagonal

capability, dtype, head_dim, lengths, rate, bare, rows = json.loads(sys.argv[1])
target = GPUTarget("cuda", 10 * capability[0] + capability[1], 32)
triton.runtime.driver.set_active(types.SimpleNamespace(
    get_current_device=lambda: 0, get_current_stream=lambda device: 0, get_current_target=lambda: target))
# Everything up to the launch: arguments are bound and specialised as on the device, and compiled to its machine code.
JITFunction.__getitem__ = lambda self, grid: lambda **arguments: self.run(grid=grid, warmup=True, **arguments)
operators._tiles = lambda query, cells: tiles_for(
    query.shape[2], operators._width(query.shape[3]), query.element_size(), tuple(capability), cells=cells)
for batch, length in enumerate(lengths, 1):
    query = torch.zeros(batch, length, 3, head_dim, dtype=getattr(torch, dtype)).transpose(1, 2)
    mask = None if bare else torch.ones(batch, length, dtype=torch.bool)
    seed = torch.ones(1, dtype=torch.int64) if rate else None
    cells = torch.zeros(batch, length, length)
    targets = {"next": Diagonal(batch), "word": Columns(cells[:, 0]), "near": Cells(cells), "far": Cells(cells.half())}
    plan = plan_rows({quantity: tuple(heads) for quantity, heads in rows.items()}, targets, query)
    inputs = (query, query, query, mask, seed, plan.columns, plan.cells, plan.lines or None)
    output, received, statistics, normaliser = operators.run_forward(*inputs, 0.1, rate, not bare)
    guide = None if bare else torch.zeros(batch, 7, 3, length)[:, batch]  # one layer of a stack
    row_gradients = torch.zeros(7, *statistics.shape)[batch] if rows else None
    kept = (output, statistics, normaliser)
    operators.run_backward(output, guide, row_gradients, *inputs, *kept, 0.1, rate)
kernels = {name: kernel for module in (forward, backward) for name, kernel in vars(module).items()
           if isinstance(kernel, JITFunction)}
print(json.dumps({name: [[compiled.metadata.shared, len(compiled.asm["cubin"])] for compiled in caches[0].values()]
                  for name, kernel in kernels.items() for caches in kernel.device_caches.values()}))
"""
PATTERNS = {"mass:next": [0], "mass:word": [1, 2]}
ALL_ROWS = {"mass:next": [0], "mass:near": [1], "mass:far": [2], "squared_norm": [0], "entropy": [0, 2]}
BY_BLOCKS = ("backward_queries", "backward_keys")
SHARED_MEMORY = {(8, 0): 163, (8, 6): 99, (9, 0): 227}
"""KB that one program can have (CUDA C++ Programming Guide, compute capabilities)."""


@pytest.mark.skipif(find_spec("triton") is None, reason="the package triton is not installed")
@pytest.mark.parametrize(
    ("capability", "dtype", "head_dim", "lengths", "rate", "bare", "rows", "kernels"),
    [
        ((9, 0), "bfloat16", 64, (256, 200, 129), 0.1, False, {}, {"forward", "backward_whole"}),
        ((9, 0), "bfloat16", 64, (512, 257, 1001), 0.1, False, {}, {"forward", "receive", *BY_BLOCKS}),
        ((8, 6), "float16", 64, (256,), 0.0, True, {}, {"forward", "backward_whole"}),
        ((8, 6), "bfloat16", 128, (300,), 0.1, False, {}, {"forward", "receive", *BY_BLOCKS}),
        ((8, 0), "float32", 24, (40,), 0.0, False, {}, {"forward", "receive", *BY_BLOCKS}),
        ((8, 0), "bfloat16", 64, (300,), 0.0, True, {}, {"forward", *BY_BLOCKS}),
        ((9, 0), "bfloat16", 64, (256, 200, 129), 0.1, False, ALL_ROWS, {"forward", "backward_whole"}),
        ((9, 0), "bfloat16", 64, (512, 301), 0.1, False, PATTERNS, {"forward", "receive", *BY_BLOCKS}),
        ((8, 6), "bfloat16", 64, (128,), 0.1, False, ALL_ROWS, {"forward", "backward_whole"}),
        ((8, 6), "bfloat16", 64, (256,), 0.1, False, ALL_ROWS, {"forward", "receive", *BY_BLOCKS}),
        ((9, 0), "bfloat16", 128, (128,), 0.1, False, ALL_ROWS, {"forward", "backward_whole"}),
        ((8, 6), "bfloat16", 128, (300,), 0.0, True, ALL_ROWS, {"forward", *BY_BLOCKS}),
        ((8, 0), "float32", 24, (40,), 0.1, True, {"entropy": [1]}, {"forward", *BY_BLOCKS}),
    ],
)
def test_compiles_once_for_all_lengths_of_a_class(
    capability, dtype, head_dim, lengths, rate, bare, rows, kernels
) -> None:
    """Also without mask, guide and received attention (`bare`), and with numbers of `rows`."""
    found = compiled(capability, dtype, head_dim, lengths, rate, bare, rows)
    assert set(found) == kernels
    for name, variants in found.items():
        assert len(variants) == 1, name
        shared, code = variants[0]
        assert shared <= SHARED_MEMORY[capability] * 1024, name
        assert code > 0


def compiled(*settings: object) -> dict[str, list[tuple[int, int]]]:
    """Kernel -> (bytes of shared memory, bytes of machine code) of each variant, from a process with a made-up GPU."""
    triton = Path(find_spec("triton").origin).parent
    if not (triton / "backends" / "nvidia" / "bin" / "ptxas").exists():
        pytest.skip("this build of triton carries no ptxas")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(settings)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr[-4000:]
    return json.loads(found.stdout)
