"""The strategy: which devices train, and whether they can share the batch."""

from __future__ import annotations

import socket
import urllib.parse

import tensorflow as tf
from absl import logging

from xmcgan.training import cluster


def create_strategy(name: str = "mirrored", tpu: str = "local") -> tf.distribute.Strategy:
    """The devices that work together.

    One device is a `MirroredStrategy` as well: what runs there is what runs on many.

    Args:
      name: one of `cluster.STRATEGIES`.
        'mirrored': all GPUs of this machine, or its CPU.
        'one_device': its first GPU, or its CPU.
        'multi_worker': those of all machines that TF_CONFIG lists; waits until all have come. To be called before
          TensorFlow has done anything else in this process.
        'tpu': all cores of a TPU. Written by the documentation and never run, for want of one.
        'auto': 'multi_worker' if TF_CONFIG lists several machines, otherwise 'mirrored'.
      tpu: name or address of the TPU; 'local' on a machine that has one.

    Raises:
      ValueError: TF_CONFIG is wrong, or there is no such TPU.
    """
    name = cluster.resolve(name)
    if name == "multi_worker":
        return _multi_worker()
    if name == "tpu":
        return _tpu(tpu)
    # Named one by one: on its own, the strategy would take those of all machines in TF_CONFIG.
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


def _multi_worker() -> tf.distribute.Strategy:
    workers, index = cluster.read_cluster()
    if index == 0 and len(workers) > 1:
        logging.info("worker 0 of %d: waiting for %s", len(workers), ", ".join(workers[1:]))
    tf.get_logger().setLevel("WARNING")  # It would tell of every exchange that is compiled.
    return tf.distribute.MultiWorkerMirroredStrategy()


def _tpu(name: str) -> tf.distribute.Strategy:
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(name)
        if name != "local":
            address = urllib.parse.urlsplit(resolver.master())
            socket.create_connection((address.hostname, address.port), timeout=30).close()  # TensorFlow would wait on.
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except Exception as error:  # Of as many kinds as there are reasons: a name, the network, this TensorFlow.
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise ValueError(
            f"no TPU at --tpu={name} ({reason}): give its name or grpc://host:8470, or 'local' on a TPU VM whose "
            "TensorFlow was built for TPUs"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
