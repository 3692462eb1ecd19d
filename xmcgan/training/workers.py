"""The processes of a run, one per machine: agreement between them, and the folder that each may write to."""

from __future__ import annotations

import contextlib
import tempfile
import zlib
from collections.abc import Iterator

import tensorflow as tf

from xmcgan.replicas import gather
from xmcgan.temporary_folders import temporary_folder
from xmcgan.training import cluster

_FOLDER = "xmcgan_worker"


class Workers:
    """The processes that train the same networks together; only one, unless the strategy has several machines.

    All workers must do the same things in the same order, because much that looks local is a collective operation: a
    moving average of batch norm is read, and therefore saved, as the mean over all replicas. Only the first worker, the
    chief, writes the run. A collective operation returns when all workers have reached it. It fails once a worker has
    ended, see `explained`.

    Attributes:
      count: the number of workers.
      index: the index of this worker.
      is_chief: whether this worker writes the run.
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
        """Returns every worker's number, in the order of the workers; a collective operation."""
        if self.count == 1:
            return [number]
        per_replica = self._strategy.experimental_local_results(self._exchange(tf.constant([number], tf.int64)))[0]
        return per_replica[:: self._local_replicas].numpy().tolist()

    def any(self, flag: bool) -> bool:
        """Tells whether the flag is set on any worker; a collective operation."""
        return any(self.gather(int(flag)))

    def wait(self) -> None:
        """Waits until all workers have called it; a collective operation."""
        self.gather(0)

    def check_same(self, config: str, step: int, workdir: str) -> None:
        """Refuses workers that would not train the same run; a collective operation.

        Args:
          config: the config as text.
          step: the step restored from the last checkpoint; 0 without one.
          workdir: the folder in which the checkpoint was looked for.

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
        """Turns TensorFlow's various errors about a lost worker into one line.

        Raises:
          ConnectionError: another worker has ended.
        """
        try:
            yield
        except tf.errors.OpError as error:
            if self.count == 1 or not cluster.is_lost_worker(error):
                raise
            lost = [str(index) for index in cluster.lost_workers()]
            who = f"worker {lost[0]} of {self.count} was" if len(lost) == 1 else f"workers {' and '.join(lost)} were"
            raise ConnectionError(
                f"{who if lost else 'another worker was'} lost: see what was printed there, and start all workers "
                f"again to resume from the last checkpoint (this is worker {self.index})"
            ) from error

    @contextlib.contextmanager
    def own_folder(self, workdir: str) -> Iterator[str]:
        """Yields the folder that this worker may write to: `workdir` for the chief, a temporary one for the others."""
        if self.is_chief:
            yield workdir
            return
        with temporary_folder(tempfile.gettempdir(), _FOLDER, mode=0o700) as folder:
            yield folder
