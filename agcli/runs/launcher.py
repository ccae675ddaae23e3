"""The environment variables of `accelerate launch` or torchrun, and which of them are heeded here.

Settings that would change a run's numbers never are: those belong to its own options.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agcli.errors import UsageError

_NUMBERS = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_PORT")
_LAUNCHED = (*_NUMBERS, "MASTER_ADDR")
"""What `torch.distributed` needs to join processes; torchrun and `accelerate launch` set all of it."""
_MPI = ("PMI_", "MPI_", "OMPI_", "MV2_")
"""Accelerate also takes numbers of processes from these; batch systems export some of them to every process."""
_DEVICE = ("ACCELERATE_USE_CPU", "ACCELERATE_TORCH_DEVICE", "ACCELERATE_CPU_AFFINITY", "ACCELERATE_DEBUG_MODE")
"""Settings of Accelerate that choose where a run computes; all others would choose how."""
_OTHER_TRAINING = ("DEEPSPEED", "FSDP", "MEGATRON_LM", "PARALLELISM_CONFIG")
_OWN_OPTION = {
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": ("1", "--accumulate"),
    "ACCELERATE_MIXED_PRECISION": ("no", "--precision"),
    "ACCELERATE_DYNAMO_BACKEND": ("no", "--compile"),
}
"""Variable -> a launcher's default for it, and the option that decides instead."""


def process_rank() -> int:
    """Number of this process, 0-based; 0 where there is one."""
    return int(os.environ["RANK"]) if has_launcher() else 0


def has_launcher() -> bool:
    """Whether a launcher started this process: all its variables are set; a `RANK` alone may be some script's own."""
    numbers = [os.environ.get(name, "") for name in _NUMBERS]
    if not all(number.isdecimal() for number in numbers) or not os.environ.get("MASTER_ADDR"):
        return False
    rank, size = map(int, numbers[:2])
    return rank < size


def check_launcher() -> None:
    """Check that the environment requests no other way of distributed training.

    Raises:
        UsageError: a launcher, its configuration file or the shell sets DeepSpeed, FSDP or the like.
    """
    for kind in _OTHER_TRAINING:
        name = f"ACCELERATE_USE_{kind}"
        if os.environ.get(name, "").lower() in ("true", "1", "yes"):
            raise UsageError(
                f"{name} is set, by `accelerate launch`, its configuration file or the shell. Here several processes "
                "share each batch by DistributedDataParallel, and nothing else.",
                hint=f"unset {name}, or give `accelerate launch` another configuration: --config_file FILE",
            )


def ignored_settings() -> tuple[str, ...]:
    """A sentence for each setting of Accelerate that is not its default and has no effect here."""
    sentences = []
    for name, (default, option) in _OWN_OPTION.items():
        value = os.environ.get(name, "")
        if value and value.lower() != default:
            sentences.append(f"{name}={value} has no effect: {option} decides")
    return tuple(sentences)


@contextmanager
def without_outer_settings() -> Iterator[None]:
    """Hide from Accelerate the environment's settings of training and, without a launcher, of other processes."""

    def is_hidden(name: str) -> bool:
        if name.startswith("ACCELERATE_"):
            return name not in _DEVICE
        return not has_launcher() and (name in (*_LAUNCHED, "LOCAL_WORLD_SIZE") or name.startswith(_MPI))

    hidden = {name: os.environ[name] for name in os.environ if is_hidden(name)}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)
