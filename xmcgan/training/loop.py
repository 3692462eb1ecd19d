"""The training loop: from the last checkpoint to the last step."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Iterable, Iterator
from typing import Any, Callable, NamedTuple, Protocol

import numpy as np
import tensorflow as tf
from absl import logging

from xmcgan import config_json
from xmcgan.config import Config
from xmcgan.files import check_room
from xmcgan.models.text_encoder import TextEncoder
from xmcgan.replicas import check_groups, mean_over_replicas
from xmcgan.training import cluster, diagnosis, initial_weights, random_numbers
from xmcgan.training.batch_step import step_on_batches
from xmcgan.training.checkpoints import Checkpoints, newest
from xmcgan.training.preemption import StopRequest
from xmcgan.training.state import TrainState, decay_at, set_learning_rates, size_of_checkpoint, update_average
from xmcgan.training.summaries import PendingMetrics, RunLog, format_seconds
from xmcgan.training.validation import HeldOut, Validation
from xmcgan.training.workdir import check_workdir, claim_workdir, explain_write_errors, held
from xmcgan.training.workers import Workers

_CONSOLE = ("d/loss", "g/loss", "d/sentence_accuracy", "d/word_accuracy", "g/sentence_accuracy", "g/word_accuracy")
_GRID_ROWS = 8
COMPILING = "compiling the training step; at the paper's size this takes minutes"


class TrainingData(Protocol):
    """The training and validation data of a run; implemented by `data_pipelines.training_data`.

    Attributes:
      num_examples: number of training images.
    """

    num_examples: int

    def batches(
        self, strategy: tf.distribute.Strategy, text_encoder: TextEncoder, step: int
    ) -> Iterable[dict[str, tf.Tensor]]:
        """Returns endless batches, distributed over the replicas, beginning with those of an iteration.

        Args:
          strategy: the replicas.
          text_encoder: tokenizes the captions.
          step: the first iteration, counted from 0.

        Returns:
          Dicts {'image': [batch / replicas, size, size, 3] uint8, ...}. The other entries are the text encoder's
          tokens, or the fields of `TextFeatures` if the experiment trains on stored features.
        """

    def held_out(self) -> Iterable[Any]:
        """Returns batches of held-out pairs: `image` uint8 [batch, size, size, 3], `caption` [batch] string."""


def train(
    config: Config,
    workdir: str,
    data: TrainingData,
    text_encoder: TextEncoder,
    image_encoder: Callable | None = None,
    evaluate: Callable[[str], Any] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    time_limit: float = math.inf,
) -> HeldOut | None:
    """Trains up to `config.training.num_steps`, and resumes from the run's last checkpoint if there is one.

    The run is a function of the config: killed at any moment and started again, it yields the same numbers. On SIGTERM
    or SIGINT it saves after the current step, and stops.

    Args:
      config: the experiment.
      workdir: folder of this run.
      data: the training and validation data.
      text_encoder: encodes the captions; loaded inside the strategy's scope.
      image_encoder: images -> features [batch, dim]; needed if one of its losses is on.
      evaluate: called with the path of each checkpoint whose step is a multiple of `config.evaluation.every`.
      strategy: the devices that train; by default all of this machine's.
      time_limit: seconds after which the run saves and returns, wherever it is; the first step is always done.

    Returns:
      The last validation; None if there was none.

    Raises:
      ValueError: the config does not fit the machine or the data, or the workdir belongs to another run.
      FloatingPointError: a metric is no longer finite.
      OSError: another process trains in the workdir, its disk is full or read-only, or it has vanished.
      Stopped: a signal stopped the run, which is saved.
    """
    # 1. The devices, and the number of steps.
    options, began = config.training, time.monotonic()
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = strategy or cluster.create_strategy()
    workers = Workers(strategy)
    check_run(config, workdir, strategy)
    num_steps = options.steps(data.num_examples)

    with contextlib.ExitStack() as stack:
        # 2. The state, restored from the last checkpoint. No other process may train here until this one has ended.
        if workers.is_chief:
            stack.enter_context(held(workdir))
        with strategy.scope():
            state = TrainState(config)
        logging.info(
            "%s: %d training images, batch %d on %d replica(s) of %d worker(s), %d steps; "
            "parameters: generator %s, discriminator %s",
            config.dataset, data.num_examples, options.batch_size, strategy.num_replicas_in_sync, workers.count,
            num_steps, f"{_count(state.generator):,}", f"{_count(state.discriminator):,}",
        )  # fmt: skip
        checkpoints = Checkpoints(workdir, state, options.max_checkpoints, options.keep_every)
        is_new = not checkpoints.restore_latest(tidy=workers.is_chief)
        if is_new and options.init_from:
            initial_weights.restore(config, state, strategy)
        first_step = step = int(state.step.numpy())
        pending = PendingMetrics(checkpoints.read_note())
        batches_from = functools.partial(data.batches, strategy, text_encoder)
        batches = batches_from(step)

        # 3. The workdir is claimed for this run, and the last checkpoint is evaluated if that was missed.
        workers.check_same(config_json.to_json(config), step, workdir)
        if workers.is_chief:
            if step < num_steps:
                check_room(workdir, size_of_checkpoint(state), "write a checkpoint")
            claim_workdir(workdir, config)
        if evaluate and checkpoints.latest and step % config.evaluation.every == 0:
            evaluate(checkpoints.latest)  # Does nothing if it was evaluated before the run was stopped.
        if step >= num_steps and not pending.steps:
            logging.info("%s is trained: step %d of %d", workdir, step, num_steps)
            return None

        # 4. The compiled step, validation and diagnosis.
        seconds = max(0.0, began + time_limit - time.monotonic())
        if math.isfinite(seconds):
            logging.info("the time limit stops this command in %s, wherever the run is then", format_seconds(seconds))
        stop = StopRequest(seconds)
        run_steps = compiled_steps(strategy, config, state, text_encoder, image_encoder, stop.flag)
        replay = diagnosis.Replay(strategy, config, state, checkpoints, batches_from, run_steps)
        validation = Validation(config, state, text_encoder, data.held_out)
        batches = iter(batches)
        held_out: HeldOut | None = None
        # Weights of another run are saved before the first step, so that the run does not need them any more.
        saved_step = -1 if is_new and options.init_from else step

        folder = stack.enter_context(workers.own_folder(workdir))
        # Saving is a collective operation, so all workers save.
        saved = checkpoints if workers.is_chief else Checkpoints(folder, state, max_to_keep=1)
        logged = step - pending.steps
        log = stack.enter_context(
            RunLog(folder, step, num_steps, options.images_per_iteration, _CONSOLE, logged, show=workers.is_chief)
        )
        stack.enter_context(stop)
        while True:
            # 5. Log, sample, save and evaluate first: a run that was stopped leaves this to the run that resumes.
            last = step >= num_steps
            sample = bool(options.sample_every) and (last or step % options.sample_every == 0)
            if pending.steps and (sample or last or step % options.log_every == 0):
                means = pending.means()
                if sample:
                    held_out = validation()
                    means.update(held_out.metrics)
                with explain_write_errors(f"the numbers of step {step}", folder):
                    log.scalars(step, means)
                    if sample and held_out:
                        log.grid(step, *held_out.grid(_GRID_ROWS))
                pending.clear()
                if step == saved_step and workers.is_chief:
                    checkpoints.write_note(pending.note())
            if step > saved_step and (last or step % options.checkpoint_every == 0):
                path = saved.save(pending.note())
                saved_step = step
                if evaluate and step % config.evaluation.every == 0:
                    with stop.interruptible(step):
                        evaluate(path)
            if last:
                workers.wait()  # If a worker left before the others are done, TensorFlow would report it as lost.
                return held_out

            # 6. Then train up to the next multiple of steps_per_call, even if an earlier run ended in between. The
            # first step is a call of its own, because it includes the compilation, which says nothing about the speed.
            is_first = step == first_step
            steps = 1 if is_first else min(options.steps_per_call - step % options.steps_per_call, num_steps - step)
            done = run_steps(batches, steps)
            diagnosis.stop_if_not_finite(folder, step, done.metrics, replay)
            pending.add(done.metrics)
            step = int(state.step.numpy())
            if is_first:
                log.compiled(step)

            # 7. If a stop was requested, save and stop.
            if done.stopped and step < num_steps:
                saved.save(pending.note())
                workers.wait()
                if stop.time_is_up:
                    logging.info("the time is up at step %d, which is saved: the same command resumes there", step)
                    return held_out
                raise stop.stopped(step)


def check_run(config: Config, workdir: str, strategy: tf.distribute.Strategy) -> None:
    """Refuses runs that cannot be trained, before any data or networks are loaded.

    Args:
      config: the experiment.
      workdir: folder of the run.
      strategy: the devices that will train.

    Raises:
      ValueError: the devices cannot share the batch, the workdir belongs to another run, or the networks of
        `training.init_from` do not fit.
      FileNotFoundError: there is no run or model `training.init_from`.
    """
    options, replicas = config.training, strategy.num_replicas_in_sync
    cluster.check_divides(options.batch_size, replicas, options.micro_batches)
    check_groups(config.generator.batch_norm_replicas, replicas)
    check_workdir(workdir, config)
    if options.init_from and newest(workdir) is None:
        initial_weights.check(config)


class StepsDone(NamedTuple):
    """The result of one call of the compiled loop."""

    metrics: dict[str, np.ndarray]  # Of every step, {name: [steps]}
    stopped: bool  # Whether the call ended because of a request to stop


def compiled_steps(
    strategy: tf.distribute.Strategy,
    config: Config,
    state: TrainState,
    text_encoder: TextEncoder,
    image_encoder: Callable | None = None,
    stop: tf.Variable | None = None,
) -> Callable[[Iterator, int], StepsDone]:
    """Compiles a loop of many steps into one graph, without a return to Python in between.

    Args:
      strategy: the replicas.
      config: the experiment.
      state: the state to train; made inside the strategy's scope.
      text_encoder: encodes the captions; not used if the batches contain stored features.
      image_encoder: see `TrainingStep`.
      stop: a variable on each worker's host, above 0 to request a stop. Before each step it is read on all workers; the
        call ends after the first step for which any of them was above 0.

    Returns:
      A function of an iterator over distributed batches (see `TrainingData.batches`) and a number of steps.
    """
    options = config.training
    batches_per_iteration = options.batches_per_iteration
    with strategy.scope():
        train_step = step_on_batches(config, state, text_encoder, image_encoder)
    if options.xla:
        train_step = tf.function(train_step, autograph=False, jit_compile=True)

    @tf.autograph.experimental.do_not_convert  # Keras would otherwise convert the layers that are called in here.
    def replica_step(
        batches: list[dict[str, tf.Tensor]], step: tf.Tensor, stop_requested: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        # Drawn outside of `train_step`: for the same key, XLA would draw other numbers.
        metrics = train_step(batches, random_numbers.of_iteration(config, step))
        decay = decay_at(step, options.ema_decay) if options.ema_warmup else options.ema_decay
        update_average(state.ema_generator, state.generator, decay)
        # The request to stop is averaged along with the metrics, so that all workers see it at the same step. The
        # identity op copies it to this replica's device, where the exchange needs it.
        *values, stop_requested = mean_over_replicas([*metrics.values(), tf.identity(stop_requested)])
        return dict(zip(metrics, values)), stop_requested

    @tf.function(autograph=False)
    def one_step(batches: list[dict[str, tf.Tensor]]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        stop_requested = tf.zeros([]) if stop is None else stop.read_value()
        if options.learning_rate_decay_steps:
            set_learning_rates(config, state)
        results = strategy.run(replica_step, args=(batches, state.step.read_value(), stop_requested))
        state.step.assign_add(1)
        metrics, stop_requested = tf.nest.map_structure(lambda x: strategy.experimental_local_results(x)[0], results)
        return metrics, stop_requested > 0.0

    @tf.function(autograph=False, reduce_retracing=True)
    def run(batches: tf.distribute.DistributedIterator, steps: tf.Tensor) -> StepsDone:
        logging.info(COMPILING)  # Runs once, when the function is traced.
        traced = one_step.get_concrete_function([batches.element_spec] * batches_per_iteration)
        names, _ = traced.structured_outputs

        def body(i: tf.Tensor, history: tf.TensorArray, stopped: tf.Tensor) -> tuple:
            metrics, stopped = one_step([next(batches) for _ in range(batches_per_iteration)])
            return i + 1, history.write(i, tf.stack([metrics[name] for name in names])), stopped

        done, history, stopped = tf.while_loop(
            lambda i, _, stopped: (i < steps) & ~stopped,
            body,
            [tf.constant(0), tf.TensorArray(tf.float32, size=steps), tf.constant(False)],
        )
        columns = tf.unstack(history.gather(tf.range(done)), num=len(names), axis=1)  # Each [steps done]
        return StepsDone(dict(zip(names, columns)), stopped)

    def run_steps(batches: Iterator, steps: int) -> StepsDone:
        with strategy.scope():
            metrics, stopped = run(batches, tf.constant(steps))
        return StepsDone({name: values.numpy() for name, values in metrics.items()}, bool(stopped))

    return run_steps


def _count(model: tf.keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
