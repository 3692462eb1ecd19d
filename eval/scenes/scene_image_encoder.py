"""The frozen image encoder for scenes, which replaces VGG-19: it is pre-trained on scenes as VGG-19 is on photographs.

It is a scene recognizer with another seed, trained on other scenes than the evaluator. So a generator is never
evaluated with the features that it was trained with.
"""

from __future__ import annotations

import os

import tensorflow as tf

from eval.scenes import scene_images, scene_recognizer, scene_recognizer_training

_SEED = 7919  # Different from the evaluator's: its scenes have the seeds 4127 and 4128.


class SceneImageEncoder(tf.Module):
    """A SavedModel with TF Hub's API for image feature vectors: the recognizer's last maps, averaged over space."""

    def __init__(self, recognizer: scene_recognizer.SceneRecognizer):
        super().__init__(name="scene_image_encoder")
        network = recognizer.network
        self.network = tf.keras.Model(network.input, network.get_layer(scene_recognizer.LATE_MEANS).output)

    @tf.function(input_signature=[tf.TensorSpec([None, *[scene_images.IMAGE_SIZE] * 2, 3], name="images")])
    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Maps images [batch, 64, 64, 3] float32 RGB in [0, 1] to features [batch, 128] float32; differentiable."""
        return self.network(2.0 * images - 1.0, training=False)


def build(folder: str | os.PathLike, *, steps: int = 800) -> dict[str, float]:
    """Trains a recognizer, and saves the part of it that computes features.

    Args:
      folder: folder to create, with a SavedModel (see `SceneImageEncoder.__call__`) and the recognizer's report.
      steps: see `scene_recognizer_training.build`.

    Returns:
      See `scene_recognizer_training.build`.

    Raises:
      ValueError, FileExistsError: see `scene_recognizer_training.build`.
    """
    return scene_recognizer_training.build(folder, seed=_SEED, steps=steps, part=SceneImageEncoder)
