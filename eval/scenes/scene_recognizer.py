"""The scene recognizer: a small network that replaces Inception and the object detector on `scenes`.

It is a SavedModel that maps images to features, logits, and boxes in the format of TensorFlow's Object Detection API.
So the evaluation loads it in the same way as the networks that it replaces.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.scenes import spec
from eval.scenes.scene_images import IMAGE_SIZE

_CELLS = 8  # Side length of the last feature maps.
_EARLY_CHANNELS, _LATE_CHANNELS = 24, 128
LATE_MEANS = "late_means"  # The layer that averages the last maps.
FEATURES = 2 * _EARLY_CHANNELS + _LATE_CHANNELS
CLASSES = len(spec.BACKGROUNDS) * len(spec.KINDS)
# Numbers of channels of the claims, places and widths.
_MAPS = (len(spec.KINDS), len(spec.KINDS), 1)
# Initial outputs: every kind is probably absent, as most kinds are, and objects have an average width.
_FIRST_PLACES, _FIRST_WIDTHS = -6.0, 0.4


class RawOutputs(NamedTuple):
    """The network's raw outputs, from which the losses are computed."""

    features: tf.Tensor  # [batch, FEATURES] float32
    background: tf.Tensor  # [batch, backgrounds] logits
    claims: tf.Tensor  # [batch, cells, cells, kinds] logits: the main object is of this kind and in this cell
    places: tf.Tensor  # [batch, cells, cells, kinds] logits: a kind's center is in this cell; 'nowhere' has logit 0
    widths: tf.Tensor  # [batch, cells, cells, 1]: width of the object here, as a share of the image's width


class Objects(NamedTuple):
    """The object found for each kind. Centers and widths are relative to the image's side length."""

    presence: tf.Tensor  # [batch, kinds] logits
    centers: tf.Tensor  # [batch, kinds, 2]: y, x
    widths: tf.Tensor  # [batch, kinds]


class SceneRecognizer(tf.Module):
    """The recognizer, to be trained and saved. Its initial weights are drawn from a seed."""

    def __init__(self, seed: int):
        super().__init__(name="scene_recognizer")
        self.network = _build_network(seed)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def __call__(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Recognizes what images show.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          A dict of float32 tensors. 'features' [batch, 176] and 'logits' [batch, 64], where the class is
          8 * background + kind of the main object. A detection for each kind, by descending score: 'detection_boxes'
          [batch, 8, 4] (ymin, xmin, ymax, xmax in [0, 1]), 'detection_classes' [batch, 8] (1 .. 8, in the order of
          `spec.KINDS`), 'detection_scores' [batch, 8] (the probability that an object of this kind is there), and
          'num_detections' [batch], always 8.
        """
        raw = self.recognize(images, training=False)
        objects = find_objects(raw)
        boxes = square_boxes(objects.centers, objects.widths)  # [batch, kinds, 4]
        scores, kinds = tf.math.top_k(tf.sigmoid(objects.presence), len(spec.KINDS))  # [batch, kinds] each
        return {
            "features": raw.features,
            "logits": joint_logits(raw.background, main_kind_logits(raw)),
            "detection_boxes": tf.gather(boxes, kinds, batch_dims=1),
            "detection_classes": tf.cast(kinds + 1, tf.float32),
            "detection_scores": scores,
            "num_detections": tf.fill(tf.shape(scores)[:1], float(len(spec.KINDS))),
        }

    def recognize(self, images: tf.Tensor, training: bool) -> RawOutputs:
        """Returns the network's outputs for [batch, height, width, 3] uint8 images of any size."""
        # The input pipeline makes images smaller in the same way, so the network sees images of every size alike.
        resized = tf.image.resize(images, [IMAGE_SIZE, IMAGE_SIZE], method="bilinear")
        features, background, maps = self.network(tf.round(resized) / 127.5 - 1.0, training=training)
        claims, places, widths = tf.split(maps, _MAPS, axis=-1)
        return RawOutputs(features, background, claims, places + _FIRST_PLACES, widths + _FIRST_WIDTHS)


def find_objects(raw: RawOutputs) -> Objects:
    """Finds the object of each kind; the probabilities of all cells and of 'nowhere' sum to 1 for each kind.

    This fits scenes, in which no kind appears twice. It makes the score a probability, so 0.5 is a natural threshold.
    The peak of a map of independent cells would only give a ranking.
    """
    batch, kinds = tf.shape(raw.places)[0], raw.places.shape[-1]
    flat = tf.reshape(raw.places, [batch, _CELLS**2, kinds])
    shares = tf.nn.softmax(flat, axis=1)  # [batch, cells^2, kinds]
    # An object between the centers of cells has a share in each of them, so the mean place is exact.
    along = (tf.range(_CELLS, dtype=tf.float32) + 0.5) / _CELLS
    grid = tf.reshape(tf.stack(tf.meshgrid(along, along, indexing="ij"), axis=-1), [_CELLS**2, 2])  # y, x
    return Objects(
        presence=tf.reduce_logsumexp(flat, axis=1),
        centers=tf.einsum("bck,cd->bkd", shares, grid),
        widths=tf.einsum("bck,bc->bk", shares, tf.reshape(raw.widths, [batch, _CELLS**2])),
    )


def place_shares(centers: tf.Tensor) -> tf.Tensor:
    """Distributes centers over the nearest four cells, so that the shares' mean place is the center.

    Args:
      centers: [batch, kinds, 2]: y, x in [0, 1].

    Returns:
      [batch, cells, cells, kinds] float32, with sum 1 over the cells.
    """
    at = tf.clip_by_value(centers * _CELLS - 0.5, 0.0, _CELLS - 1.0)[..., tf.newaxis]  # [batch, kinds, 2, 1]
    along = tf.nn.relu(1.0 - tf.abs(at - tf.range(_CELLS, dtype=tf.float32)))  # [batch, kinds, 2, cells]
    return tf.einsum("bki,bkj->bijk", along[:, :, 0], along[:, :, 1])


def square_boxes(centers: tf.Tensor, widths: tf.Tensor) -> tf.Tensor:
    """Returns squares [..., 4] (ymin, xmin, ymax, xmax) around `centers` [..., 2], clipped to the image ([0, 1])."""
    half = 0.5 * widths[..., tf.newaxis]
    return tf.clip_by_value(tf.concat([centers - half, centers + half], axis=-1), 0.0, 1.0)


def main_kind_logits(raw: RawOutputs) -> tf.Tensor:
    """Returns logits [batch, kinds] for the kind of the main object (see `scene_images.main_object`), at any place."""
    return tf.reduce_logsumexp(raw.claims, axis=[1, 2])


def joint_logits(background: tf.Tensor, main_kind: tf.Tensor) -> tf.Tensor:
    """Returns logits [batch, backgrounds * kinds] of the pairs; their softmax is the product of the two softmaxes."""
    pairs = background[:, :, tf.newaxis] + main_kind[:, tf.newaxis, :]  # [batch, backgrounds, kinds]
    return tf.reshape(pairs, [-1, CLASSES])


def _build_network(seed: int) -> tf.keras.Model:
    """Builds the network: images [batch, 64, 64, 3] in [-1, 1] -> features, background logits, maps (see `_MAPS`)."""
    layers, initializers, rng = tf.keras.layers, tf.keras.initializers, np.random.default_rng(seed)

    def next_seed() -> int:  # Each kernel has its own seed, so nothing depends on the global seed.
        return int(rng.integers(2**31 - 1))

    def convolve(x: tf.Tensor, channels: int, strides: int = 1) -> tf.Tensor:
        kernel = initializers.HeNormal(next_seed())
        x = layers.Conv2D(channels, 3, strides, "same", use_bias=False, kernel_initializer=kernel)(x)
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))

    def head(x: tf.Tensor, channels: int) -> tf.Tensor:
        """Applies a linear layer to the last axis."""
        return layers.Dense(channels, kernel_initializer=initializers.GlorotNormal(next_seed()))(x)

    images = tf.keras.Input([IMAGE_SIZE, IMAGE_SIZE, 3])
    early = convolve(images, _EARLY_CHANNELS, strides=2)  # [batch, 32, 32, 24]
    x = convolve(early, 48, strides=2)  # [batch, 16, 16, 48]
    x = convolve(x, 48)
    x = convolve(x, 96, strides=2)  # [batch, 8, 8, 96]
    x = convolve(x, 96)
    late = convolve(x, _LATE_CHANNELS)  # [batch, 8, 8, 128]

    # The late maps show what is there, and learn to ignore sharpness and noise. The early maps show these.
    late_means = layers.GlobalAveragePooling2D(name=LATE_MEANS)(late)
    early_means = layers.GlobalAveragePooling2D()(early)
    early_deviations = layers.Lambda(lambda maps: tf.math.reduce_std(maps, axis=[1, 2]))(early)
    features = layers.Concatenate()([early_means, early_deviations, late_means])
    # Scale each feature to variance 1 over training images, or the small early features would not matter in the Fréchet
    # distance. No gradient passes through here: nearly constant features would get huge gradients, and their channels
    # would die.
    features = layers.BatchNormalization(momentum=0.95, epsilon=1e-4, center=False, scale=False)(features)
    # One head for all maps: the gradients of three heads would be summed in any order, and training would not be
    # reproducible.
    maps = head(late, sum(_MAPS))
    return tf.keras.Model(images, (features, head(late_means, len(spec.BACKGROUNDS)), maps), name="scene_recognizer")
