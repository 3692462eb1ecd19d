"""The frozen image encoder of scenes, in the place of VGG-19: it knows scenes as that knows photographs.

It is a scene recognizer from another seed, trained on other scenes than the evaluator: the features that a generator
is trained with are never those that it is measured by.
"""

from __future__ import annotations

import os

import tensorflow as tf
from absl import logging

from data_pipelines import prepare as records_preparation
from eval.scenes import scene_images, scene_recognizer, scene_recognizer_training
from xmcgan import handles

_SEED = 7919  # Not the evaluator's, whose scenes are of 4127 and 4128.


class SceneImageEncoder(tf.Module):
    """An image feature vector by the API of TF Hub: the recognizer's last maps, averaged over space."""

    def __init__(self, recognizer: scene_recognizer.SceneRecognizer):
        super().__init__(name="scene_image_encoder")
        network = recognizer.network
        self.network = tf.keras.Model(network.input, network.get_layer(scene_recognizer.LATE_MEANS).output)

    @tf.function(input_signature=[tf.TensorSpec([None, *[scene_images.IMAGE_SIZE] * 2, 3], name="images")])
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """[batch, 64, 64, 3] float32 RGB in [0, 1] -> features [batch, 128] float32; differentiable."""
        return self.network(2.0 * images - 1.0, training=False)


def prepare(data_dir: str | os.PathLike) -> None:
    """Trains the image encoder of scenes, unless it is there; a minute on 2 cores.

    Args:
      data_dir: folder of all records.
    """
    folder = handles.resolve("scenes:image_encoder", data_dir)
    with records_preparation.alone("scenes", data_dir):
        if not scene_recognizer_training.is_built(folder):
            logging.info("preparing the image encoder of scenes: a scene recognizer of its own")
        build(folder)


def build(folder: str | os.PathLike, *, steps: int = 800) -> dict[str, float]:
    """Trains a recognizer and saves the part of it that gives features.

    Args:
      folder: to make; a SavedModel (see `SceneImageEncoder.__call__`), and the recognizer's report.
      steps: see `scene_recognizer_training.build`.

    Returns:
      See there.

    Raises:
      ValueError, FileExistsError: see there.
    """
    return scene_recognizer_training.build(folder, seed=_SEED, steps=steps, part=SceneImageEncoder)
