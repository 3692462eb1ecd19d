"""The processes of a run, one for each machine: what they agree on, and where each of them may write."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator

import psutil
import tensorflow as tf

from xmcgan.replicas import gather
from xmcgan.training import cluster

_FOLDER = "xmcgan_worker"
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class Workers:
    """The processes that train the same networks together; one, unless the strategy is of several machines.

    All of them do the same things in the same order, as much of what looks local is an exchange: a batch norm's moving
    average is read, and so saved, as the mean of all replicas'. But only the first one, the chief, writes the run.
    An exchange returns when all workers have come to it; once one of them has ended, it fails, see `explained`.

    Attributes:
      count: how many there are.
      index: of this one.
      is_chief: whether this is the one that writes.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        """Finds out which of a strategy's processes this one is."""
        self.count, self.index = 1, 0
        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            workers, self.index = cluster.read_cluster()
            self.count = len(workers)
        self.is_chief = self.index == 0
        self._local_replicas = strategy.num_replicas_in_sync // self.count

        @tf.function
        def exchange(number: tf.Tensor) -> tf.Tensor:
            return strategy.run(lambda: gather(tf.identity(number)))  # A copy on the replica's device.

        self._strategy = strategy
        self._exchange = exchange

    def gather(self, number: int) -> list[int]:
        """Every worker's number, in their order; an exchange."""
        if self.count == 1:
            return [number]
        per_replica = self._strategy.experimental_local_results(self._exchange(tf.constant([number], tf.int64)))[0]
        return per_replica[:: self._local_replicas].numpy().tolist()

    def any(self, flag: bool) -> bool:
        """Whether the flag is set on any worker; an exchange."""
        return any(self.gather(int(flag)))

    def wait(self) -> None:
        """Returns when all workers have come here; an exchange."""
        self.gather(0)

    def check_same(self, config: str, step: int, workdir: str) -> None:
        """Refuses workers that would not train the same; an exchange.

        Args:
          config: as text.
          step: restored from the last checkpoint; 0 without one.
          workdir: where that was looked for.

        Raises:
          ValueError: on every worker, if one has another config, or restored another step.
        """
        if len(set(self.gather(zlib.crc32(config.encode())))) > 1:
            raise ValueError("the workers have different configs: start all of them with the same flags")
        steps = self.gather(step)
        if len(set(steps)) > 1:
            found = ", ".join(f"worker {index} step {step}" for index, step in enumerate(steps))
            raise ValueError(
                f"the workers found different checkpoints in {workdir} ({found}): name a --workdir that all share"
            )

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Puts into one line that another worker has ended, which TensorFlow tells by many kinds of errors.

        Raises:
          ConnectionError: in their place.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not (isinstance(error, _LOST) or "ollective" in error.message):
                raise
            raise ConnectionError(
                f"worker {self.index} of {self.count} lost the others: see what the first one to stop has printed, and "
                "start all of them again to go on from the last checkpoint"
            ) from error

    @contextlib.contextmanager
    def own_folder(self, workdir: str) -> Iterator[str]:
        """Where this worker may write: the chief into `workdir`, any other into a folder that is removed afterwards."""
        if self.is_chief:
            yield workdir
            return
        folder = os.path.join(tempfile.gettempdir(), f"{_FOLDER}.{os.getpid()}")
        for left in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{_FOLDER}.*")):
            if not psutil.pid_exists(int(left.rpartition(".")[2])):  # Of a killed process.
                shutil.rmtree(left, ignore_errors=True)
        os.makedirs(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
