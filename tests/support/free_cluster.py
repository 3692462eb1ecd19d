"""Clusters of processes on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket


def environments(count: int) -> list[dict[str, str]]:
    """Returns the environments of workers without GPUs that connect to each other on free ports."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        workers = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    tasks = ({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}} for index in range(count))
    return [{**os.environ, "TF_CONFIG": json.dumps(task), "CUDA_VISIBLE_DEVICES": "-1"} for task in tasks]
