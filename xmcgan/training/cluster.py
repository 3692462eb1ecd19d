"""The devices of a run, chosen by the name of a strategy and by TF_CONFIG; `resolve` does not import TensorFlow."""

from __future__ import annotations

import contextlib
import os
import re
import reprlib
import signal
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any, NamedTuple

from etils import epy

from xmcgan import text_files
from xmcgan.training import rendezvous

with epy.lazy_imports():
    import tensorflow as tf

STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker", "tpu")
_EXAMPLE = '{"cluster": {"worker": ["host1:5000", "host2:5000"]}, "task": {"type": "worker", "index": 0}}'


class Cluster(NamedTuple):
    """The processes of a run, one per machine, and the index of this one."""

    workers: list[str]  # Addresses host:port. The first is the chief, the only one that writes the run.
    own_index: int


def resolve(strategy: str) -> str:
    """Replaces 'auto' with the strategy that it means here; other names stay.

    Raises:
      ValueError: TF_CONFIG is set or needed, and does not describe a cluster.
    """
    if strategy == "auto":
        several = len(_tasks(_read_config(required=False))) > 1
        strategy = "multi_worker" if several else "mirrored"
    if strategy == "multi_worker":
        read_cluster()
    return strategy


def read_cluster() -> Cluster:
    """Reads the cluster from the environment variable TF_CONFIG.

    Raises:
      ValueError: the variable is missing or wrong; shows an example.
    """
    config = _read_config(required=True)
    tasks = _tasks(config)
    if not tasks:
        raise _wrong("names no workers")
    for role, _, address in tasks:
        if not (isinstance(address, str) and re.fullmatch(r".+:[0-9]{1,5}", address) and _port(address) < 1 << 16):
            raise _wrong(f"has {reprlib.repr(address)} as the address of a {role}, which is not host:port")
    task = config.get("task")
    if not isinstance(task, dict):
        raise _wrong("does not say which worker this is (task)")
    kind, index = task.get("type"), task.get("index")
    index = int(index) if isinstance(index, str) and re.fullmatch("[0-9]{1,9}", index) else index
    places: list[tuple[Any, Any]] = [place[:2] for place in tasks]
    if (kind, index) not in places:
        known = ", ".join(f"{kind} {index}" for kind, index in places)
        raise _wrong(f"says that this is {_short(kind)} {_short(index)}, but the cluster has {known}")
    return Cluster([address for _, _, address in tasks], places.index((kind, index)))


def create_strategy(name: str = "mirrored", tpu: str = "local") -> tf.distribute.Strategy:
    """Creates the strategy of the devices that train together.

    One device is a `MirroredStrategy` as well, so that the same code runs on one device and on many.

    Args:
      name: one of `STRATEGIES`.
        'mirrored': all GPUs of this machine, or its CPU.
        'one_device': the first GPU of this machine, or its CPU.
        'multi_worker': the GPUs of all machines that TF_CONFIG lists; waits until all have connected. Call it before
          TensorFlow does anything else in this process.
        'tpu': all cores of a TPU. Written from the documentation, and never run, since no TPU was available.
        'auto': 'multi_worker' if TF_CONFIG lists several machines, otherwise 'mirrored'.
      tpu: name or address of the TPU; 'local' on a TPU VM.

    Raises:
      ValueError: TF_CONFIG is wrong, or there is no such TPU.
    """
    name = resolve(name)
    if name == "multi_worker":
        return _multi_worker()
    if name == "tpu":
        return _tpu(tpu)
    # The devices are listed, because by default the strategy would take those of all machines in TF_CONFIG.
    devices = [f"GPU:{number}" for number in range(len(tf.config.list_logical_devices("GPU")))] or ["CPU:0"]
    return tf.distribute.MirroredStrategy(devices[:1] if name == "one_device" else devices)


def check_divides(batch_size: int, replicas: int, micro_batches: int = 1) -> None:
    """Refuses a global batch that the replicas, or the micro-batches of each, cannot share evenly.

    Raises:
      ValueError: names the nearest batch sizes that can be shared.
    """
    parts = replicas * micro_batches
    if batch_size % parts:
        below = batch_size // parts * parts
        near = f"{below} or {below + parts}" if below else f"{parts}"
        each = f" of {micro_batches} micro-batches each" if micro_batches > 1 else ""
        raise ValueError(
            f"config.training.batch_size={batch_size} does not divide over {replicas} replicas{each}: set it to {near}"
        )


def _read_config(required: bool) -> dict[str, Any]:
    text = os.environ.get("TF_CONFIG", "").strip()
    if not text and not required:
        return {}
    if not text:
        raise _wrong("is not set")
    try:
        config = text_files.parse_json(text, Any, "TF_CONFIG")
    except ValueError as error:
        raise _wrong(f"is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise _wrong("is not a JSON object")
    return config


def _tasks(config: dict[str, Any]) -> list[tuple[str, int, Any]]:
    """Returns type, index and address of each process that trains; in TensorFlow's order, with a chief first."""
    cluster = config.get("cluster") or {}
    if not isinstance(cluster, dict):
        raise _wrong("has a cluster that is not a JSON object")
    tasks = []
    for kind in ("chief", "worker"):
        addresses = cluster.get(kind) or []
        if not isinstance(addresses, list):
            raise _wrong(f"has no list of addresses for {kind}")
        tasks += [(kind, index, address) for index, address in enumerate(addresses)]
    return tasks


def _port(address: str) -> int:
    return rendezvous.split_address(address)[1]


def _multi_worker() -> tf.distribute.Strategy:
    workers, index = read_cluster()
    if len(workers) > 1:
        rendezvous.meet(workers, index)
    tf.get_logger().setLevel("WARNING")  # TensorFlow would log every collective that it compiles.
    with _ended_by_signals():
        try:
            return tf.distribute.MultiWorkerMirroredStrategy()
        except tf.errors.OpError as error:
            reason = (error.message.strip() or type(error).__name__).splitlines()[0]
            raise ConnectionError(
                f"worker {index} of {len(workers)} cannot connect to the others ({reason}): start all of them again"
            ) from error


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Lets Ctrl-C end the process while TensorFlow waits for others, as Python could only react to it afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def is_lost_worker(error: tf.errors.OpError) -> bool:
    """Tells whether an error of TensorFlow means that another worker has ended; nothing is wrong here then."""
    lost = (
        tf.errors.UnavailableError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
    )
    return isinstance(error, lost) or "ollective" in error.message


def lost_workers(timeout: float = 2.0) -> list[int]:
    """Returns the workers that cannot be reached any more, by their indices.

    Args:
      timeout: seconds to wait for each.
    """
    workers, own_index = read_cluster()
    lost = []
    for index, address in enumerate(workers):
        try:
            if index != own_index:
                socket.create_connection(rendezvous.split_address(address), timeout).close()
        except OSError:
            lost.append(index)
    return lost


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            address = urllib.parse.urlsplit(resolver.master())
            # TensorFlow itself would wait longer for an address that does not answer.
            socket.create_connection((address.hostname, address.port), timeout=30).close()
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # The type depends on the cause: the name, the network, or this TensorFlow.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise ValueError(
            f"no TPU at --tpu={name} ({reason}): give its name or grpc://host:8470, or 'local' on a TPU VM whose "
            "TensorFlow was built for TPUs"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _short(value: Any) -> str:
    return value if isinstance(value, str) and len(value) < 40 else reprlib.repr(value)


def _wrong(what: str) -> ValueError:
    return ValueError(f"TF_CONFIG {what}: on every machine, with its own index from 0, export TF_CONFIG='{_EXAMPLE}'")
