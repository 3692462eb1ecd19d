"""The training run: from the last checkpoint to the last step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines import input_pipeline, prepare, text_feature_files
from xmcgan import config as config_lib
from xmcgan.config import Config
from xmcgan.config_checks import uses_image_encoder
from xmcgan.models.image_encoder import HUB, build_image_encoder
from xmcgan.models.inlined_network import inline
from xmcgan.models.text_encoder import TextEncoder, TextFeatures
from xmcgan.replicas import check_groups
from xmcgan.synthesis import from_uint8, load_text_encoder
from xmcgan.training import diagnosis, distribution, ema
from xmcgan.training.batches import distributed_batches, held_out_batches
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.finite import stop_if_not_finite
from xmcgan.training.preemption import StopRequest
from xmcgan.training.state import TrainState
from xmcgan.training.summaries import RunLog
from xmcgan.training.update import Example, Update, is_compiled, noise
from xmcgan.training.validation import HeldOut, Validation
from xmcgan.training.window import Window
from xmcgan.training.workdir import check_workdir, claim_workdir
from xmcgan.training.workers import Workers
from xmcgan.training.writing import writing

_CONSOLE = ("d/loss", "g/loss", "d/sentence_accuracy", "d/word_accuracy", "g/sentence_accuracy", "g/word_accuracy")
_GRID_ROWS = 8
COMPILING = "compiling the training step; at the paper's size this takes minutes"
_STOP = "stop"  # Among the metrics of a step: whether a replica was told to stop.


# Of a strategy and a text encoder: a function that evaluates a checkpoint, given by its path.
EvaluationMaker = Callable[[tf.distribute.Strategy, TextEncoder], Callable[[str], Any]]


def train(
    config: Config,
    data_dir: str,
    workdir: str,
    make_evaluation: EvaluationMaker | None = None,
    strategy: tf.distribute.Strategy | None = None,
) -> HeldOut | None:
    """Trains until `config.training.num_steps`, going on from the run's last checkpoint if there is one.

    The run is a function of the config: killed at any moment and started again, it gives the same numbers. Told to stop
    by SIGTERM or SIGINT, it saves after the step that it is in.

    Args:
      config: the experiment.
      data_dir: folder of all records.
      workdir: folder of this run.
      make_evaluation: what is to look at every checkpoint of a multiple of `config.evaluation.every` steps.
      strategy: the devices that train; by default all of this machine's.

    Returns:
      The last look at held-out captions; None if there was nothing left to train.

    Raises:
      FileNotFoundError: the dataset has not been converted, or the text features that the config asks for not stored.
      ValueError: the config does not fit the machine or the stored text features, or the workdir is another run's.
      FloatingPointError: a loss is no longer a number.
      OSError: the workdir's disk is full or read-only, or the workdir has vanished.
      Stopped: by a signal; the run is saved.
    """
    options = config.training
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    num_examples = input_pipeline.num_examples(config.dataset, "train", data_dir)
    num_steps = steps_of(config, num_examples)
    strategy = strategy or distribution.create_strategy()
    workers = Workers(strategy)
    distribution.check_divides(options.batch_size, strategy.num_replicas_in_sync, options.micro_batches)
    check_groups(config.generator.batch_norm_replicas, strategy.num_replicas_in_sync)
    check_workdir(workdir, config)

    with strategy.scope():
        text_encoder = load_text_encoder(config, data_dir)
        state = TrainState(config)
    image_encoder = _image_encoder(strategy, config, data_dir)
    # Now, since it may miss a network: not when the first checkpoint has been trained for.
    evaluate = make_evaluation(strategy, text_encoder) if make_evaluation else None
    stored_text = text_feature_files.load(config, data_dir) if config.text.precomputed else None
    logging.info(
        "%s: %d training pictures, batch %d on %d replica(s) of %d worker(s), %d steps; "
        "parameters: generator %s, discriminator %s",
        config.dataset, num_examples, options.batch_size, strategy.num_replicas_in_sync, workers.count, num_steps,
        f"{_count(state.generator):,}", f"{_count(state.discriminator):,}",
    )  # fmt: skip
    checkpoints = Checkpoints(workdir, state, options.max_checkpoints, options.keep_every)
    checkpoints.restore_latest(tidy=workers.is_chief)
    step = int(state.step.numpy())
    window = Window(checkpoints.note)
    workers.check_same(config_lib.to_json(config), step, workdir)
    if workers.is_chief:
        claim_workdir(workdir, config)
    if evaluate and checkpoints.latest and step % config.evaluation.every == 0:
        evaluate(checkpoints.latest)  # Unless it has been, before the run was stopped.
    if step >= num_steps and not window.steps:
        logging.info("%s is trained: step %d of %d", workdir, step, num_steps)
        return None

    stop = StopRequest()
    run_steps = compiled_steps(strategy, config, state, text_encoder, image_encoder, stop.flag)

    def batches_from(step: int) -> Iterator:
        return iter(distributed_batches(strategy, config, data_dir, text_encoder, step, stored_text))

    batches = batches_from(step)
    find_place = diagnosis.finder(strategy, config, state, checkpoints, batches_from, run_steps)
    validation = Validation(config, state, text_encoder, held_out_batches(config, data_dir))
    images_per_step = options.batch_size * Update.batches_per_iteration(config)
    held_out, saved_step = None, step
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(workers.own_folder(workdir))
        # Saving is an exchange, so all workers save.
        saved = checkpoints if workers.is_chief else Checkpoints(folder, state, max_to_keep=1)
        logged = step - window.steps
        log = stack.enter_context(
            RunLog(folder, step, num_steps, images_per_step, _CONSOLE, logged_step=logged, show=workers.is_chief)
        )
        stack.enter_context(stop)
        while True:
            # First what is due at this step: a run that was stopped has left that to the one that goes on.
            last = step >= num_steps
            sample = bool(options.sample_every) and (last or step % options.sample_every == 0)
            if window.steps and (sample or last or step % options.log_every == 0):
                means = window.means()
                if sample:
                    held_out = validation()
                    means.update(held_out.metrics)
                with writing(f"the numbers of step {step}", folder):
                    log.scalars(step, means)
                    if sample:
                        log.grid(step, *_grid(held_out))
                window.clear()
                if step == saved_step and workers.is_chief:
                    checkpoints.note = window.note()
            if step > saved_step and (last or step % options.checkpoint_every == 0):
                path = saved.save(window.note())
                saved_step = step
                if evaluate and step % config.evaluation.every == 0:
                    with stop.interruptible(step):
                        evaluate(path)
            if last:
                workers.wait()  # None leaves before the others are done: TensorFlow would take it for lost.
                return held_out

            # Up to the next multiple, also where an earlier run ended between two.
            steps = min(options.steps_per_call - step % options.steps_per_call, num_steps - step)
            metrics = run_steps(batches, steps)
            stopping = metrics.pop(_STOP)[-1] > 0
            stop_if_not_finite(folder, step, metrics, find_place)
            window.add(metrics)
            step = int(state.step.numpy())
            if stopping and step < num_steps:
                saved.save(window.note())
                workers.wait()
                raise stop.stopped(step)


def steps_of(config: Config, num_examples: int) -> int:
    """Generator updates in the run: `num_steps`, or as many as draw `epochs` times every training image."""
    if config.training.num_steps:
        return config.training.num_steps
    drawn = config.training.batch_size * Update.batches_per_iteration(config)
    return math.ceil(config.training.epochs * num_examples / drawn)


def compiled_steps(
    strategy: tf.distribute.Strategy,
    config: Config,
    state: TrainState,
    text_encoder: TextEncoder,
    image_encoder: Callable | None = None,
    stop: tf.Variable | None = None,
) -> Callable[[Iterator, int], dict[str, np.ndarray]]:
    """Many steps in one call of a graph, without a return to Python between them.

    Args:
      strategy: the replicas.
      config: the experiment.
      state: what is trained; made inside the strategy's scope.
      text_encoder: of captions; not asked where the batches bring features.
      image_encoder: see `Update`.
      stop: a variable on each worker's host. A call ends after the first step before which any of them was above 0.

    Returns:
      A function of an iterator over distributed batches (see the room `batches`) and a number of steps; it returns the
      metrics of every step done, {name: [steps]}, and with `stop` its mean over the replicas as 'stop'.
    """
    options = config.training
    with strategy.scope():
        update = Update(config, state, image_encoder)
    names: list[str] = []

    def train_step(batches: list[dict[str, tf.Tensor]], z: list[tf.Tensor], told: tf.Tensor) -> tf.Tensor:
        examples = [
            Example(
                from_uint8(batch["image"]),
                _stored(batch) if config.text.precomputed else text_encoder.encode(batch),
                z_of_batch,
            )
            for batch, z_of_batch in zip(batches, z)
        ]
        metrics = update(examples)
        if stop is not None:
            metrics[_STOP] = told
        names[:] = metrics
        return tf.stack(list(metrics.values()))

    if options.xla:
        train_step = tf.function(train_step, autograph=False, jit_compile=True)

    def replica_step(batches: list[dict[str, tf.Tensor]], step: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
        # XLA's own noise would be other numbers for the same key.
        z = [
            noise(options.seed, step, draw, options.batch_size, config.generator.noise_dim)
            for draw in range(len(batches))
        ]
        return train_step(batches, z, told)

    @tf.function(reduce_retracing=True)
    def run(batches: Iterator, steps: tf.Tensor) -> tf.Tensor:
        logging.info(COMPILING)  # Once, as this is Python.
        history = tf.TensorArray(tf.float32, size=steps)
        done = 0
        for i in tf.range(steps):
            drawn = [next(batches) for _ in range(Update.batches_per_iteration(config))]
            told = 0.0 if stop is None else stop.read_value()
            metrics = strategy.run(replica_step, args=(drawn, state.step.read_value(), told))
            ema.update(state.ema_generator, state.generator, options.ema_decay)
            state.step.assign_add(1)
            # The metrics carry the request along, so that all workers learn of it at the same step.
            metrics = strategy.reduce(tf.distribute.ReduceOp.MEAN, metrics, axis=None)
            history = history.write(i, metrics)
            done = i + 1
            if stop is not None and metrics[-1] > 0:
                break
        return history.gather(tf.range(done))  # [steps done, metrics]

    def run_steps(batches: Iterator, steps: int) -> dict[str, np.ndarray]:
        with strategy.scope():
            history = run(batches, tf.constant(steps)).numpy()
        return dict(zip(names, history.T))

    return run_steps


def _stored(batch: dict[str, tf.Tensor]) -> TextFeatures:
    """The features that a batch brings along, float16 -> float32."""
    return TextFeatures(tf.cast(batch["sentence"], tf.float32), tf.cast(batch["words"], tf.float32), batch["lengths"])


def _image_encoder(strategy: tf.distribute.Strategy, config: Config, data_dir: str) -> Callable | None:
    """The frozen image encoder, if one of its losses is on."""
    if not uses_image_encoder(config):
        return None
    options = config.image_encoder
    weights = options.weights or prepare.image_encoder_folder(data_dir)
    arguments = (options.architecture, weights, options.layer, options.image_size)
    if options.architecture == HUB and is_compiled(config, strategy):
        size = config.data.image_size
        return inline(build_image_encoder(*arguments), tf.TensorSpec([None, size, size, 3]))
    with strategy.scope():
        return build_image_encoder(*arguments)


def _grid(held_out: HeldOut) -> tuple[np.ndarray, list[str], list[str]]:
    """Real and generated images side by side, [rows, 2, size, size, 3], captions and column labels."""
    rows = min(_GRID_ROWS, len(held_out.captions))
    pairs = np.stack([held_out.real[:rows], held_out.drawn[:rows]], axis=1)
    return pairs, held_out.captions[:rows], ["real", "generated"]


def _count(model: tf.keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)
