"""The frozen image encoder at its published size, with random weights, for measuring time and memory."""

from __future__ import annotations

import tensorflow as tf

from eval.scenes.scene_image_encoder import SceneImageEncoder
from eval.scenes.scene_recognizer import SceneRecognizer
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.models.image_encoder import ImageNetPreprocessing

_BACKBONES = {"vgg19": tf.keras.applications.VGG19, "resnet50": tf.keras.applications.ResNet50}


def build(config: Config) -> tf.keras.Model | None:
    """Builds the experiment's image encoder, if one of its losses is on.

    Args:
      config: the experiment.

    Returns:
      The encoder, as `image_encoder.build_image_encoder` returns it; None if none of its losses is on.

    Raises:
      ValueError: the encoder is a TF Hub model, whose size is not known until it is downloaded.
    """
    if not config.uses_image_encoder:
        return None
    options = config.image_encoder
    if handles.is_prepared(options.weights):  # The image encoder of scenes.
        images = tf.keras.Input([None, None, 3])
        network = SceneImageEncoder(SceneRecognizer(seed=0)).network
        resized = tf.keras.layers.Resizing(options.image_size, options.image_size)(images)
        encoder = tf.keras.Model(images, network(2.0 * resized - 1.0))
        encoder.trainable = False
        return encoder
    if options.architecture not in _BACKBONES:
        raise ValueError(
            f"config.image_encoder.architecture={options.architecture!r} has no size known before it is loaded: "
            f"give one of {', '.join(_BACKBONES)}, or switch its losses off (--config.losses.generator_image_encoder=0)"
        )
    size = options.image_size
    backbone = _BACKBONES[options.architecture](
        include_top=options.layer == "logits", weights=None, input_shape=(size, size, 3), classifier_activation=None
    )
    features = backbone.output if options.layer == "logits" else backbone.get_layer(options.layer).output
    if features.shape.rank == 4:
        features = tf.keras.layers.GlobalAveragePooling2D()(features)
    trunk = tf.keras.Model(backbone.inputs, features)
    encoder = tf.keras.Sequential([tf.keras.Input([None, None, 3]), ImageNetPreprocessing(size), trunk])
    encoder.trainable = False
    return encoder
