"""Which part of the machine each of several runs at once has for itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import NamedTuple

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Share(NamedTuple):
    """A run's part of the machine."""

    cores: frozenset[int]  # Empty: the system cannot bind a process to cores
    environment: dict[str, str]  # To be added to that of its processes

    def bind(self, process: int) -> None:
        """Keeps a process that has just been started to the cores of this share."""
        if self.cores:
            with contextlib.suppress(ProcessLookupError):  # It is over already, and its status says why.
                os.sched_setaffinity(process, self.cores)


def shares_of_machine(parallel: int, batch_size: int = 0) -> list[Share]:
    """Divides the GPUs and the cores that this process may use.

    Two runs that each have half of the cores do more than two that quarrel over all of them, and than one after the
    other: small networks leave a second core half idle.

    Args:
      parallel: runs at once. Each has as many GPUs as the others, so that all are the same experiment; what cannot be
        divided so is left idle. Where there are fewer GPUs than runs, they share one, and take its memory as they need
        it; where there are fewer cores, all have all.
      batch_size: which a share's GPUs must divide; 0 for any.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = visible_gpus()
    each = len(gpus) // parallel
    while each and batch_size % each:
        each -= 1
    shares = []
    for index in range(parallel):
        own = cores
        if len(cores) >= parallel:
            own = cores[index * len(cores) // parallel : (index + 1) * len(cores) // parallel]
        environment = {}
        if each:
            environment = {_VISIBLE: ",".join(gpus[index * each : (index + 1) * each])}
        elif gpus:
            environment = {_VISIBLE: gpus[index % len(gpus)], "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        shares.append(Share(frozenset(own), environment))
    return shares


def visible_gpus() -> list[str]:
    """Names of the NVIDIA GPUs that TensorFlow would see, as CUDA_VISIBLE_DEVICES has them."""
    if _VISIBLE in os.environ:
        names = os.environ[_VISIBLE].split(",")
        return [name.strip() for name in names if name.strip() not in ("", "-1")]
    query = shutil.which("nvidia-smi")
    if query is None:
        return []
    found = subprocess.run(
        [query, "--query-gpu=uuid", "--format=csv,noheader"], capture_output=True, text=True, check=False
    )
    return found.stdout.split() if found.returncode == 0 else []
