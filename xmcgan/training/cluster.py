"""Where a run is to train, by the name of a strategy and by TF_CONFIG. TensorFlow is not needed to tell."""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
_EXAMPLE = '{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """The processes of a run, one for each machine, and which of them this one is."""

    workers: list[str]  # Addresses host:port; the first one is the chief, which alone writes.
    index: int


def resolve(strategy: str) -> str:
    """The strategy that 'auto' stands for here; any other name stays.

    Raises:
      ValueError: TF_CONFIG is there or needed, and does not describe a cluster.
    """
    if strategy == "auto":
        several = len(_tasks(_read_config(required=False))) > 1
        strategy = "multi_worker" if several else "mirrored"
    if strategy == "multi_worker":
        read_cluster()
    return strategy


def read_cluster() -> Cluster:
    """The cluster of the environment variable TF_CONFIG.

    Raises:
      ValueError: it is missing, or wrong; shows a right one.
    """
    config = _read_config(required=True)
    tasks = _tasks(config)
    if not tasks:
        raise _wrong("names no workers")
    for kind, _, address in tasks:
        if not (isinstance(address, str) and re.fullmatch(r".+:\d+", address)):
            raise _wrong(f"has {address!r} as the address of a {kind}, which is not host:port")
    task = config.get("task")
    if not isinstance(task, dict):
        raise _wrong("does not tell which worker this one is (task)")
    kind, index = task.get("type"), task.get("index")
    index = int(index) if isinstance(index, str) and index.isdigit() else index
    places = [place[:2] for place in tasks]
    if (kind, index) not in places:
        known = ", ".join(f"{kind} {index}" for kind, index in places)
        raise _wrong(f"says that this is {kind} {index}, but the cluster has {known}")
    return Cluster([address for _, _, address in tasks], places.index((kind, index)))


def _read_config(required: bool) -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text and not required:
        return {}
    if not text:
        raise _wrong("is not set")
    try:
        config = json.loads(text)
    except ValueError as error:
        raise _wrong(f"is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise _wrong("is no JSON object")
    return config


def _tasks(config: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """The type, index and address of each process that trains, in TensorFlow's order: a chief is the first worker."""
    cluster = config.get("cluster") or {}
    if not isinstance(cluster, dict):
        raise _wrong("has a cluster that is no JSON object")
    tasks = []
    for kind in ("chief", "worker"):
        addresses = cluster.get(kind) or []
        if not isinstance(addresses, list):
            raise _wrong(f"has no list of addresses for {kind}")
        tasks += [(kind, index, address) for index, address in enumerate(addresses)]
    return tasks


def _wrong(what: str) -> ValueError:
    return ValueError(f"TF_CONFIG {what}: on every machine, with its own index from 0, export TF_CONFIG='{_EXAMPLE}'")
