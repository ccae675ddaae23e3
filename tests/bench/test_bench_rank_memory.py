"""Memory of a ranking against its number of claims: a million pairs are streamed, not held.

pytest -m bench tests/bench/test_bench_rank_memory.py -s
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.bench
SCRIPT = Path(__file__).with_name("streamed_ranking.py")


def test_memory_is_flat_in_the_number_of_claims(tmp_path: Path) -> None:
    found = []
    for claims in (500, 2_000, 10_000):
        folder = tmp_path / str(claims)
        for words in (["prepare", folder, claims, 5_000, 100], ["rank", folder]):
            done = subprocess.run(
                [sys.executable, SCRIPT, *map(str, words)], check=True, capture_output=True, text=True
            )
        found.append(json.loads(done.stdout))
        print("\n{pairs:>9,} pairs: {before_mb:.0f} MB before, {after_mb:.0f} MB at the peak".format(**found[-1]))
    growth = [each["after_mb"] - each["before_mb"] for each in found]
    # Twenty times the pairs: what grows is the claims' own ids and measures.
    assert growth[-1] < growth[0] + 64
