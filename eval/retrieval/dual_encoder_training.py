"""Trains a dual encoder on pairs of images and captions, and saves it as a SavedModel (section 5.2)."""

from __future__ import annotations

import json
import math
import os
import shutil
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines.input_pipeline import Batch
from eval.metrics.r_precision import draw_mismatches, r_precision
from eval.retrieval.caption_pairs import CaptionPairs, ConvertedPairs
from eval.retrieval.dual_encoder import is_saved, read_report, save_dual_encoder
from eval.retrieval.dual_encoder_update import compiled_steps
from eval.retrieval.towers import TowerOptions, Towers, check_options, learn_vocabulary
from xmcgan import text_files
from xmcgan.files import check_writable, replaced
from xmcgan.training import cluster
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.summaries import RunLog
from xmcgan.training.workdir import held

_OPTIONS_FILE = "options.json"
_LOG_EVERY = 50
_MAX_CHECKPOINTS = 2
_WARM_UP = 0.05  # Share of the steps during which the learning rate rises.
_MISMATCHES = 99
SCENES = TowerOptions(image_size=64, text_length=17, dim=128, seed=1)
_SCENES_STEPS, _SCENES_BATCH, _SCENES_RATE = 500, 128, 1e-3


class TrainingOptions(NamedTuple):
    """Everything that a training depends on, except the pairs."""

    towers: TowerOptions
    batch_size: int  # Over all replicas; each caption has batch_size - 1 negatives.
    steps: int
    learning_rate: float  # The peak. The rate rises to it linearly, then falls to 0 along a cosine.


class TrainingState(tf.train.Checkpoint):
    """All variables of a training; create it inside `strategy.scope()`."""

    def __init__(self, options: TrainingOptions, vocabulary: list[str]):
        towers = Towers(options.towers, vocabulary)
        schedule = tf.keras.optimizers.schedules.CosineDecay(
            0.0,
            max(1, options.steps - int(_WARM_UP * options.steps)),
            warmup_target=options.learning_rate,
            warmup_steps=int(_WARM_UP * options.steps),
        )
        optimizer = tf.keras.optimizers.Adam(schedule, jit_compile=False)
        optimizer.build(towers.trainable_variables)
        super().__init__(
            step=tf.Variable(0, dtype=tf.int64, trainable=False, name="step"), towers=towers, optimizer=optimizer
        )


def train(
    options: TrainingOptions,
    pairs: CaptionPairs,
    workdir: str,
    output: str,
    *,
    checkpoint_every: int = 1000,
    evaluate_every: int = 1000,
) -> dict[str, Any]:
    """Trains a dual encoder and saves it; resumes from the last checkpoint in `workdir` if there is one.

    Args:
      options: see `TrainingOptions`.
      pairs: pairs to train on.
      workdir: folder for checkpoints, curves and the vocabulary.
      output: folder for the SavedModel; if it already contains one, nothing is done.
      checkpoint_every: steps between checkpoints.
      evaluate_every: steps between evaluations on held-out pairs.

    Returns:
      The report, as in `dual_encoder.json`.

    Raises:
      FileExistsError: `output` contains something else.
      FileNotFoundError: published weights cannot be downloaded or found.
      ValueError: an option is invalid, or the workdir belongs to another training.
      FloatingPointError: the loss is not finite.
    """
    if is_saved(output):
        return read_report(output)
    check_writable(output)  # Fail now, not after the training.
    if os.path.isdir(output) and os.listdir(output):
        raise FileExistsError(f"{output} is not empty, and has no dual encoder: name another folder, or remove it")
    strategy = cluster.create_strategy()
    _check(options, pairs, strategy.num_replicas_in_sync)
    with held(workdir):
        _check_workdir(workdir, options, pairs)
        return _train_in(workdir, options, pairs, output, strategy, checkpoint_every, evaluate_every)


def _train_in(
    workdir: str,
    options: TrainingOptions,
    pairs: CaptionPairs,
    output: str,
    strategy: tf.distribute.Strategy,
    checkpoint_every: int,
    evaluate_every: int,
) -> dict[str, Any]:
    """Trains in a folder that belongs to this training and process; see `train`."""
    vocabulary = _vocabulary(workdir, pairs) if options.towers.text_tower == "scratch" else []
    with strategy.scope():
        state = TrainingState(options, vocabulary)
    _claim_workdir(workdir, options, pairs)  # Now that its networks could be loaded.
    checkpoints = Checkpoints(workdir, state, _MAX_CHECKPOINTS)
    checkpoints.restore_latest()
    step = int(state.step.numpy())
    logging.info(
        "dual encoder: %s training images of %s, batch size %d on %d replica(s), %d steps",
        f"{pairs.num_images:,}", pairs.name, options.batch_size, strategy.num_replicas_in_sync, options.steps,
    )  # fmt: skip

    run_steps = compiled_steps(strategy, state)
    batches = iter(strategy.experimental_distribute_dataset(_device_batches(options, pairs, state.towers, step)))
    with RunLog(workdir, step, options.steps, options.batch_size) as log:
        while step < options.steps:
            stops = (
                options.steps,
                *(_next_multiple(step, every) for every in (_LOG_EVERY, checkpoint_every, evaluate_every)),
            )
            steps = min(stops) - step
            metrics = run_steps(batches, steps)
            step += steps
            if not np.isfinite(metrics["loss"]):
                raise FloatingPointError(f"the loss is {metrics['loss']} at step {step}: lower --learning_rate")
            if step % evaluate_every == 0 and step < options.steps:
                metrics["held_out_r_precision"] = held_out_precision(options, pairs, state.towers)["r_precision"]
            log.scalars(step, metrics)
            if step % checkpoint_every == 0 or step == options.steps:
                checkpoints.save()

    report = {
        "name": pairs.name,
        "trained_on": pairs.identity,
        "steps": options.steps,
        "options": _as_json(options),
        "vocabulary_size": len(vocabulary),
        "held_out": held_out_precision(options, pairs, state.towers),
    }
    save_dual_encoder(state.towers, output, report)
    return read_report(output)


def build_for_scenes(
    folder: str | os.PathLike,
    data_dir: str | os.PathLike,
    *,
    seed: int = SCENES.seed,
    steps: int = _SCENES_STEPS,
    batch_size: int = _SCENES_BATCH,
) -> dict[str, Any]:
    """Trains the dual encoder for scenes on their training split, unless it exists; takes a minute on 2 cores.

    Leftovers of an interrupted call are removed. The dual encoder shares neither weights nor vocabulary with the
    generator's text encoder, and has another seed.

    Args:
      folder: folder for the SavedModel.
      data_dir: folder of all records, including those of the scenes.
      seed: seed of the initial weights and of the order of the batches.
      steps: number of updates.
      batch_size: pairs in a batch.

    Returns:
      The report, as in `dual_encoder.json`.
    """
    folder = os.fspath(folder)
    if is_saved(folder):
        return read_report(folder)
    options = TrainingOptions(SCENES._replace(seed=seed), batch_size, steps, _SCENES_RATE)
    workdir = f"{folder}.training"
    shutil.rmtree(workdir, ignore_errors=True)
    report = train(options, ConvertedPairs("scenes", data_dir), workdir, folder)
    shutil.rmtree(workdir)
    logging.info("dual encoder: %.1f%% R-precision on held-out scenes", 100 * report["held_out"]["r_precision"])
    return report


def held_out_precision(options: TrainingOptions, pairs: CaptionPairs, towers: Towers) -> dict[str, float]:
    """Computes the R-precision of real held-out images: how often their own caption ranks first among 100.

    Returns:
      'r_precision' in [0, 1]; 'pairs', their number; and 'mismatches': 99, or half of the pairs if there are fewer than
      198.
    """
    batches = pairs.held_out_batches(batch_size=options.batch_size, image_size=options.towers.image_size)
    encoded = [
        (towers.encode_images(batch.image).numpy(), towers.encode_captions(batch.caption).numpy(), batch)
        for batch in batches
    ]
    images, captions = (np.concatenate([part[column] for part in encoded]) for column in (0, 1))
    texts = [caption.decode() for *_, batch in encoded for caption in batch.caption.numpy()]
    image_ids = [image_id for *_, batch in encoded for image_id in batch.image_id.numpy()]
    num = max(1, min(_MISMATCHES, len(texts) // 2))
    mismatches = draw_mismatches(image_ids, texts, num=num, seed=options.towers.seed)
    precision = r_precision(images, captions, mismatches, folds=1).mean
    return {"r_precision": precision, "pairs": len(texts), "mismatches": num}


def _device_batches(options: TrainingOptions, pairs: CaptionPairs, towers: Towers, start_batch: int) -> tf.data.Dataset:
    """Makes training batches for devices: strings are replaced by tokens and hashes."""

    def for_device(batch: Batch) -> dict[str, Any]:
        words = tf.strings.split(tf.strings.lower(batch.caption, encoding="utf-8"))
        normalized = tf.strings.reduce_join(words, axis=-1, separator=" ")  # Ignores case and spaces.
        return {
            "image": batch.image,
            "tokens": towers.tokenize(batch.caption),
            "image_key": tf.strings.to_hash_bucket_fast(batch.image_id, tf.int64.max),
            "caption_key": tf.strings.to_hash_bucket_fast(normalized, tf.int64.max),
        }

    batches = pairs.training_batches(
        batch_size=options.batch_size,
        image_size=options.towers.image_size,
        seed=options.towers.seed,
        start_batch=start_batch,
    )
    return batches.map(for_device).prefetch(1)


def _check(options: TrainingOptions, pairs: CaptionPairs, replicas: int) -> None:
    """Raises an error for options that do not suit the pairs or the number of replicas."""
    check_options(options.towers)
    if options.steps < 1 or not 0 < options.learning_rate < math.inf:
        raise ValueError("--steps and --learning_rate must be greater than 0, and finite")
    if options.batch_size < 2 or options.batch_size % replicas:
        raise ValueError(f"--batch_size={options.batch_size}: set a multiple of the {replicas} replica(s), at least 2")
    if options.batch_size > pairs.num_images:
        raise ValueError(f"--batch_size={options.batch_size} is more than the {pairs.num_images} training images")


def _check_workdir(workdir: str, options: TrainingOptions, pairs: CaptionPairs) -> None:
    """Checks that `workdir` belongs to this training, or to none yet."""
    path = os.path.join(workdir, _OPTIONS_FILE)
    if not os.path.exists(path):
        return
    found = text_files.read_json(path, dict[str, Any])
    for name, value in _claim(options, pairs).items():
        if found.get(name) != value:
            raise ValueError(
                f"{workdir} holds a training with {name}={found.get(name)!r}, not {value!r}: "
                "give another --workdir, or the options that it was started with"
            )


def _claim_workdir(workdir: str, options: TrainingOptions, pairs: CaptionPairs) -> None:
    """Reserves `workdir` for this training, unless it has been already."""
    path = os.path.join(workdir, _OPTIONS_FILE)
    if not os.path.exists(path):
        with replaced(path) as file:
            json.dump(_claim(options, pairs), file, indent=2)


def _claim(options: TrainingOptions, pairs: CaptionPairs) -> dict[str, Any]:
    """Returns what determines a training, as read from JSON."""
    return json.loads(json.dumps({"pairs": pairs.identity, **_as_json(options)}))


def _vocabulary(workdir: str, pairs: CaptionPairs) -> list[str]:
    """Learns the vocabulary from the training captions, or reads it if this training has learned it before."""
    path = os.path.join(workdir, "vocabulary.txt")
    if not os.path.exists(path) or not os.path.exists(os.path.join(workdir, _OPTIONS_FILE)):
        vocabulary = learn_vocabulary(pairs.captions())
        with replaced(path) as file:
            file.writelines(f"{piece}\n" for piece in vocabulary)
    return text_files.read_text(path).split("\n")[:-1]


def _as_json(options: TrainingOptions) -> dict[str, Any]:
    """Returns the options as a flat dict, by the names of the flags."""
    return {**options.towers._asdict(), **{name: getattr(options, name) for name in options._fields[1:]}}


def _next_multiple(step: int, every: int) -> int:
    """Returns the next multiple of `every` after `step`."""
    return step - step % every + every
