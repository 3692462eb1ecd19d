"""Trains the scene recognizer on newly drawn scenes, and saves it.

Its scenes have only combinations that occur in training scenes, and are drawn with a different seed. So the recognizer
has seen neither the combinations in the held-out captions nor the images that the generator is trained on.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from absl import logging

from data_pipelines.scenes import spec
from eval.scenes import scene_images, scene_recognizer
from eval.scenes.scene_images import LabeledImages, SceneTargets
from eval.scenes.scene_recognizer import RawOutputs, SceneRecognizer
from xmcgan import console, text_files
from xmcgan.files import new_folder
from xmcgan.models import hub_files

_BATCH_SIZE = 32
_EPOCHS = 2  # How often each image is seen.
_LEARNING_RATE = 4e-3  # At the start; falls to 0 along half a cosine.
_WIDTH_WEIGHT = 5.0  # At 20, the loss of the widths keeps the network from learning the kinds.
_HELD_OUT = 512  # Number of images that the recognizer is measured on.
_THRESHOLD = 0.5  # Lowest score at which an object counts as detected.
_REPORT = "recognizer.json"  # Written last, so it shows that the build is complete.


def is_built(folder: str | os.PathLike) -> bool:
    """Tells whether `build` has finished in a folder."""
    return os.path.exists(os.path.join(folder, _REPORT))


def build(
    folder: str | os.PathLike,
    *,
    seed: int = 4127,
    steps: int = 800,
    part: Callable[[SceneRecognizer], tf.Module] = lambda recognizer: recognizer,
) -> dict[str, float]:
    """Draws scenes, trains a recognizer on them, and saves it with a report.

    The folder is created atomically. If it already contains a recognizer, nothing changes.

    Args:
      folder: folder to create, with a SavedModel (see `SceneRecognizer.__call__`) and the report, `recognizer.json`.
      seed: seed of the scenes, the weights and the order of the batches; must differ from that of the generator's data.
        The same seed produces the same recognizer on the same machine.
      steps: number of updates, with 32 images each.
      part: selects the part of the trained recognizer to save.

    Returns:
      The report: 'seed', 'steps', 'scenes' (the number of training scenes), the results of `measure` on held-out scenes
      of another seed, and 'seconds'.

    Raises:
      ValueError: fewer than one step.
      FileExistsError: the folder contains something else.
    """
    if is_built(folder):
        with text_files.advice(f"remove {folder}, and it will be trained again"):
            return text_files.read_json(os.path.join(folder, _REPORT), dict[str, float])
    if steps < 1:
        raise ValueError(f"steps={steps}: train the scene recognizer for at least one step")
    start = time.time()
    with new_folder(folder) as staging:
        training = scene_images.draw_images(seed, "train", math.ceil(steps * _BATCH_SIZE / _EPOCHS), faulty=True)
        held_out = scene_images.draw_images(seed + 1, "validation", _HELD_OUT, faulty=False)
        recognizer = SceneRecognizer(seed)
        train(recognizer, training, steps=steps, seed=seed)
        report = {"seed": seed, "steps": steps, "scenes": len(training.images), **measure(recognizer, held_out)}
        network = part(recognizer)
        with console.quiet_libraries():
            hub_files.save_functions(staging, {"__call__": network.__call__}, {"weights": network.variables})
        report["seconds"] = time.time() - start
        with open(staging / _REPORT, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
    logging.info(
        "scene recognizer: on held-out scenes it detects %.1f%% of the objects, and %.1f%% of its detections are right",
        100 * report["recall"],
        100 * report["precision"],
    )
    return report


def train(recognizer: SceneRecognizer, images: LabeledImages, *, steps: int, seed: int) -> None:
    """Trains a recognizer in place with Adam.

    Args:
      recognizer: the recognizer.
      images: training images with labels.
      steps: number of updates, with 32 images each.
      seed: seed of the order of the images.
    """
    model = _TrainedRecognizer(recognizer)
    model.compile(tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)))
    # Within the first step, the optimizer's variables would cost a second tracing.
    model.optimizer.build(recognizer.network.trainable_variables)
    log_every = max(1, steps // 8)

    def log(step: int, losses: Mapping[str, float]) -> None:
        if (step + 1) % log_every == 0:
            words = ", ".join(f"{name} {loss:.2f}" for name, loss in losses.items())
            logging.info("scene recognizer: step %d of %d, mean losses so far: %s", step + 1, steps, words)

    callback = tf.keras.callbacks.LambdaCallback(on_train_batch_end=log)
    model.fit(_batches(images, steps, seed), verbose=0, callbacks=[callback])


class _TrainedRecognizer(tf.keras.Model):
    """Wraps the recognizer for `fit`: its losses need all outputs together."""

    def __init__(self, recognizer: SceneRecognizer):
        super().__init__()
        self.network = recognizer.network
        self._recognize = recognizer.recognize
        self._means = {name: tf.keras.metrics.Mean(name) for name in ("places", "widths", "background", "main_kind")}

    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def train_step(self, data: LabeledImages) -> dict[str, tf.Tensor]:
        return super().train_step(data)

    def call(self, images: tf.Tensor, training: bool = False) -> RawOutputs:
        return self._recognize(images, training)

    def compute_loss(
        self, x: tf.Tensor, y: SceneTargets, y_pred: RawOutputs, sample_weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        losses = recognition_losses(y_pred, y)
        for name, loss in losses.items():
            self._means[name].update_state(loss)
        return tf.add_n(list(losses.values()))

    def compute_metrics(self, *_: Any) -> dict[str, tf.Tensor]:
        return {name: mean.result() for name, mean in self._means.items()}


def _batches(images: LabeledImages, steps: int, seed: int) -> tf.data.Dataset:
    """Makes `steps` batches of images and targets; each epoch has its own random order."""
    rng, count = np.random.default_rng(seed), len(images.images)
    epochs = math.ceil(steps * _BATCH_SIZE / count)
    order = np.concatenate([rng.permutation(count) for _ in range(epochs)])[: steps * _BATCH_SIZE]

    def batch(rows: tf.Tensor) -> LabeledImages:
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), images)

    return tf.data.Dataset.from_tensor_slices(order).batch(_BATCH_SIZE).map(batch).prefetch(1)


def recognition_losses(raw: RawOutputs, targets: SceneTargets) -> dict[str, tf.Tensor]:
    """Computes the losses of a batch.

    Args:
      raw: the network's outputs.
      targets: the contents of the scenes.

    Returns:
      Scalars by name, whose sum is the total loss: 'places', the cross-entropy over all cells and 'nowhere', summed
      over the kinds; 'widths', the weighted absolute error; 'background' and 'main_kind', cross-entropies.
    """
    objects = scene_recognizer.find_objects(raw)
    present = tf.cast(targets.widths > 0, tf.float32)  # [batch, kinds]
    shares = scene_recognizer.place_shares(targets.centers)  # [batch, cells, cells, kinds]
    # The logit of 'nowhere' is 0, so the softmax over it and the cells divides by 1 + sum(exp(places)).
    places = tf.nn.softplus(objects.presence) - present * tf.einsum("bijk,bijk->bk", shares, raw.places)
    widths = present * tf.abs(objects.widths - targets.widths)  # [batch, kinds]
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    return {
        "places": tf.reduce_mean(tf.reduce_sum(places, axis=1)),
        "widths": _WIDTH_WEIGHT * tf.reduce_mean(tf.reduce_sum(widths, axis=1)),
        "background": tf.reduce_mean(entropy(targets.background, raw.background)),
        "main_kind": tf.reduce_mean(entropy(targets.main_kind, scene_recognizer.main_kind_logits(raw))),
    }


def measure(recognizer: SceneRecognizer, labeled: LabeledImages) -> dict[str, float]:
    """Measures a recognizer's detections and classes on labeled images.

    Args:
      recognizer: the recognizer.
      labeled: the images and their contents.

    Returns:
      'recall', the share of the objects that are detected with a score of at least 0.5; 'precision', the share of the
      detected kinds that are there; 'iou', the mean intersection over union of these boxes and the true ones;
      'background_accuracy' and 'main_kind_accuracy', for the two parts of the class.
    """
    images, targets = labeled
    batches = [recognizer(images[start : start + 128]) for start in range(0, len(images), 128)]
    outputs = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
    by_kind = np.argsort(outputs["detection_classes"], axis=1)  # [count, kinds]
    detected = np.take_along_axis(outputs["detection_scores"], by_kind, axis=1) >= _THRESHOLD  # [count, kinds]
    boxes = np.take_along_axis(outputs["detection_boxes"], by_kind[..., np.newaxis], axis=1)  # [count, kinds, 4]
    right = detected & (targets.widths > 0)
    true_boxes = scene_recognizer.square_boxes(targets.centers, targets.widths).numpy()
    overlaps = intersection_over_union(boxes[right], true_boxes[right])
    background, main_kind = np.divmod(outputs["logits"].argmax(axis=1), len(spec.KINDS))
    return {
        "recall": float(right.sum() / (targets.widths > 0).sum()),
        "precision": float(right.sum() / max(1, detected.sum())),
        "iou": float(overlaps.sum() / max(1, right.sum())),
        "background_accuracy": float(np.mean(background == targets.background)),
        "main_kind_accuracy": float(np.mean(main_kind == targets.main_kind)),
    }


def intersection_over_union(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Computes the intersection over union of each box with the other box in the same row.

    Args:
      boxes: [count, 4]: ymin, xmin, ymax, xmax.
      others: the same; each must have a positive area.

    Returns:
      [count], in [0, 1].
    """
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])  # [count, 2]
    common = np.prod(np.maximum(sides, 0), axis=1)
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    return common / (areas - common)
