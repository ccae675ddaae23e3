"""Checkpoints that are whole or absent: written aside, hashed, synced, renamed; read back only if every hash holds.

A checkpoint is a folder `step-00000120/` with safetensors for tensors, JSON for the rest (no pickle) and a manifest
with the SHA-256 of each file.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, load_model, save_file, save_model

from agcli.errors import RunError
from agcli.runs.atomic import sha256, write_folder
from agcli.training.engine import Engine, Position

MANIFEST = "manifest.json"
KEPT = 2
"""Newest checkpoints that stay, beside the best."""


def write_sealed(target: Path, write: Callable[[Path], None]) -> None:
    """Write a folder whole or not at all, with a manifest of the hashes of its files.

    Raises:
        RunError: the disk refuses.
    """

    def write_and_seal(aside: Path) -> None:
        write(aside)
        files = sorted(path for path in aside.rglob("*") if path.is_file())
        manifest = {str(path.relative_to(aside)): sha256(path) for path in files}
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")

    write_folder(target, write_and_seal, "earlier checkpoints are intact; free some space and go on with --resume")


def damage(folder: Path) -> str | None:
    """The damage to a sealed folder, or None if every file is as it was written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in manifest.items():
            if sha256(folder / name) != expected:
                return f"{name} is damaged (its SHA-256 differs)"
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, AttributeError) as error:
        return f"its manifest cannot be read ({error})"
    return None


def name_of(step: int) -> str:
    """The folder name of a step's checkpoint; sorts by step."""
    return f"step-{step:08d}"


def newest(root: Path) -> tuple[Path | None, list[str]]:
    """The newest checkpoint under `root` that is intact, as is that of its best epoch, and the damage to newer ones."""
    damaged: list[str] = []
    for folder in sorted(root.glob("step-*"), reverse=True):
        problem = damage(folder) or _damage_to_best(folder)
        if problem is None:
            return folder, damaged
        damaged.append(f"{folder.name}: {problem}")
    return None, damaged


def _damage_to_best(folder: Path) -> str | None:
    """Damage to the best epoch's checkpoint, which becomes the run's model."""
    best = json.loads((folder / "state.json").read_text(encoding="utf-8"))["best"]
    problem = damage(folder.parent / best) if best else None
    return f"in the best epoch's {best}, {problem}" if problem else None


def _prune(newest: Path, best: str | None) -> None:
    """Remove all but the newest checkpoints and the best one.

    Those newer than `newest` are damaged; temporary folders of a killed save go as well.
    """
    names = sorted(path.name for path in newest.parent.glob("step-*"))
    kept = {*names[: names.index(newest.name) + 1][-KEPT:], best}
    for path in newest.parent.iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)


def save(root: Path, engine: Engine, progress: dict[str, Any], best: str | None) -> Path:
    """Save an engine's full state as `root/step-…`, and remove the checkpoints that are needed no more.

    Full state: weights, optimiser, schedule, position, torch's random state of each process, and the first process's
    of Python and NumPy. All processes call this, as each has a random state of its own; the first one writes.

    Args:
        progress: what else the run needs to go on; JSON.
        best: name of the best epoch's checkpoint, perhaps this one.
    """
    folder = root / name_of(engine.position.step)
    random_state = {"cpu": torch.get_rng_state()}
    if engine.device.type == "cuda":
        random_state["cuda"] = torch.cuda.get_rng_state(engine.device)
    random_states = gather_object([random_state])
    if engine.distributed.rank > 0:
        return folder

    def write(aside: Path) -> None:
        save_model(engine.bare_model, str(aside / "model.safetensors"))
        tensors, values = _split(engine.optimizer.state_dict())
        save_file(tensors, aside / "optimizer.safetensors")
        by_process: dict[str, torch.Tensor] = {}
        for rank, states in enumerate(random_states):
            by_process |= {f"{rank}.{name}": state for name, state in states.items()}
        save_file(by_process, aside / "random.safetensors")
        state = {
            "position": vars(engine.position),
            "optimizer": values,
            "scheduler": engine.scheduler.state_dict(),
            "scaler": engine.accelerator.scaler.state_dict() if engine.accelerator.scaler else None,
            "random": _host_random(),
            "progress": progress,
            "best": best,
        }
        (aside / "state.json").write_text(json.dumps(state), encoding="utf-8")

    write_sealed(folder, write)
    _prune(folder, best)
    return folder


def load(folder: Path, engine: Engine) -> dict[str, Any]:
    """Restore the state that `save` wrote; returns `progress`."""
    state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    load_model(engine.bare_model, str(folder / "model.safetensors"))
    engine.optimizer.load_state_dict(_join(load_file(folder / "optimizer.safetensors"), state["optimizer"]))
    engine.scheduler.load_state_dict(state["scheduler"])
    if state["scaler"] is not None and engine.accelerator.scaler is not None:
        engine.accelerator.scaler.load_state_dict(state["scaler"])
    engine.position = Position(**state["position"])
    states = load_file(folder / "random.safetensors")
    torch.set_rng_state(states[f"{engine.distributed.rank}.cpu"])
    if engine.device.type == "cuda":
        torch.cuda.set_rng_state(states[f"{engine.distributed.rank}.cuda"], engine.device)
    _restore_host_random(state["random"])
    progress: dict[str, Any] = state["progress"]
    return progress


def load_weights(folder: Path, model: torch.nn.Module) -> None:
    """Load a checkpoint's weights alone.

    Raises:
        RunError: the checkpoint is damaged.
    """
    problem = damage(folder)
    if problem is not None:
        raise RunError(
            f"checkpoint {folder.name}: {problem}.", hint="run the command again with --resume: it takes a sound one"
        )
    load_model(model, str(folder / "model.safetensors"))


def _split(state: dict[str, Any]) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimiser's state as tensors by `parameter.name`, and the JSON rest."""
    tensors = {
        f"{parameter}.{name}": value.contiguous()
        for parameter, entries in state["state"].items()
        for name, value in entries.items()
    }
    return tensors, {"param_groups": state["param_groups"]}


def _join(tensors: dict[str, torch.Tensor], values: dict[str, Any]) -> dict[str, Any]:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        parameter, name = key.split(".", 1)
        state.setdefault(int(parameter), {})[name] = value
    return {"state": state, "param_groups": values["param_groups"]}


def _host_random() -> dict[str, Any]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    return {"python": random.getstate(), "numpy": [kind, np.asarray(keys).tolist(), *rest]}


def _restore_host_random(host: dict[str, Any]) -> None:
    version, internal, gauss = host["python"]
    random.setstate((version, tuple(internal), gauss))
    kind, keys, *rest = host["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
