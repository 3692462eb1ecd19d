"""Divides the machine's GPUs and cores among runs that are trained at once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import NamedTuple

_VISIBLE = "CUDA_VISIBLE_DEVICES"


class Share(NamedTuple):
    """A run's share of the machine."""

    cores: frozenset[int]  # Empty if the system cannot bind a process to cores
    environment: dict[str, str]  # Variables to add to the environment of its processes

    def bind(self, process: int) -> None:
        """Binds a process that has just been started to the cores of this share."""
        if self.cores:
            with contextlib.suppress(ProcessLookupError):  # The process has ended already; its status says why.
                os.sched_setaffinity(process, self.cores)


def shares_of_machine(parallel: int, batch_size: int = 0) -> list[Share]:
    """Divides the GPUs and the cores that this process may use.

    Two runs at once, each with half of the cores, are faster than two runs that compete for all cores. They are also
    faster than two runs in sequence, because small networks leave a second core half idle.

    Args:
      parallel: number of runs at once. All runs get the same number of GPUs, so that they are comparable. GPUs that
        cannot be divided this way stay idle. If there are fewer GPUs than runs, several runs share a GPU and allocate
        its memory as needed. If there are fewer cores than runs, every run may use all cores.
      batch_size: the number of GPUs in a share must divide this batch size; 0 for any.
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
    """Returns the names of the NVIDIA GPUs that TensorFlow would see, as written in CUDA_VISIBLE_DEVICES."""
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
