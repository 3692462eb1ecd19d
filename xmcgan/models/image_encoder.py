"""The frozen network of the image-image loss and the perceptual loss (sections 4.3 and 6.2)."""

from __future__ import annotations

import difflib
from typing import Callable

import h5py
import tensorflow as tf
import tensorflow_hub as hub

from xmcgan.config import Config
from xmcgan.models import hub_files, keras_weights
from xmcgan.models.inlined_network import inline

_FIELD = "image_encoder.weights"
_BACKBONES = {"vgg19": tf.keras.applications.VGG19, "resnet50": tf.keras.applications.ResNet50}
HUB = "hub"
# Layers that belong to the classifier. 'logits' is the last one, before the softmax.
_CLASSIFIER_LAYERS = {"vgg19": ("flatten", "fc1", "fc2", "logits"), "resnet50": ("avg_pool", "logits")}
_CLASSIFIER_IMAGE_SIZE = 224
_MIN_IMAGE_SIZE = 32  # The networks halve the size five times.
_BGR_MEANS = (103.939, 116.779, 123.68)  # ImageNet's, in 0..255; both networks were trained on images minus these.


class ImageNetPreprocessing(tf.keras.layers.Layer):
    """The preprocessing that both networks were trained with; differentiable with respect to the images."""

    def __init__(self, size: int, **kwargs):
        """Makes the layer; its outputs have `size` pixels per side."""
        super().__init__(**kwargs)
        self.size = size

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Converts RGB in [0, 1] [batch, height, width, 3] to BGR in 0..255 minus the means [batch, size, size, 3]."""
        resized = _resize(images, self.size)
        return 255.0 * resized[..., ::-1] - tf.constant(_BGR_MEANS, resized.dtype)

    def get_config(self) -> dict:
        """Returns the config from which Keras can make the layer again."""
        return {**super().get_config(), "size": self.size}


class Resizing(tf.keras.layers.Layer):
    """Bilinear resizing."""

    def __init__(self, size: int, **kwargs):
        """Makes the layer; its outputs have `size` pixels per side."""
        super().__init__(**kwargs)
        self.size = size

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Resizes [batch, height, width, 3] -> [batch, size, size, 3]; images of that size are unchanged."""
        return _resize(images, self.size)

    def get_config(self) -> dict:
        """Returns the config from which Keras can make the layer again."""
        return {**super().get_config(), "size": self.size}


def build_image_encoder(architecture: str, weights: str, layer: str, image_size: int) -> tf.keras.Model:
    """Builds the frozen image encoder; call it inside `strategy.scope()` if there is a strategy.

    Args:
      architecture: 'vgg19' (paper), 'resnet50' (reference), or 'hub': a network with TF Hub's "image feature vector"
        API, which takes RGB in [0, 1].
      weights: 'imagenet' for the published ImageNet weights, which Keras downloads once, or the path of a Keras
        weights file (.h5) of that architecture, with or without the classifier; for 'hub', the handle or the folder of
        the SavedModel.
      layer: Keras' name of the layer whose output is the feature, or 'logits': the class scores before the softmax;
        not used by 'hub'.
      image_size: pixels per side that images are resized to, bilinearly.

    Returns:
      A model without trainable variables: [batch, height, width, 3] float32 RGB in [0, 1] -> [batch, dim] float32;
      feature maps are averaged over space.

    Raises:
      FileNotFoundError: the weights cannot be downloaded, or their file or SavedModel does not exist.
      ValueError: the architecture or layer does not exist, the file is not of this architecture, the SavedModel has
        another API, or the image size does not suit it.
    """
    if architecture == HUB:
        return _build_feature_vector(weights, image_size)
    if architecture not in _BACKBONES:
        raise ValueError(
            f"image_encoder.architecture={architecture!r} is not possible: choose one of "
            f"{', '.join([*_BACKBONES, HUB])}"
        )
    backbone = _build_backbone(architecture, weights, layer, image_size)
    trunk = tf.keras.Model(backbone.inputs, _layer_output(backbone, architecture, layer), name=architecture)
    if weights != "imagenet":
        _load_weights(trunk, backbone, weights, architecture)

    images = tf.keras.Input([None, None, 3], name="images")
    features = trunk(ImageNetPreprocessing(image_size)(images))
    if features.shape.rank == 4:  # [batch, h, w, dim]
        features = tf.keras.layers.GlobalAveragePooling2D()(features)
    encoder = tf.keras.Model(images, features, name="image_encoder")
    encoder.trainable = False  # Also keeps batch normalization at its moving averages.
    return encoder


def load_image_encoder(
    config: Config, weights: str, strategy: tf.distribute.Strategy, compiled: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Loads the frozen image encoder of an experiment, for its replicas.

    Args:
      config: the experiment.
      weights: see `build_image_encoder`.
      strategy: the replicas.
      compiled: whether XLA compiles the step that calls it.

    Returns:
      A function of images [batch, height, width, 3] that returns features [batch, dim].

    Raises:
      FileNotFoundError, ValueError: see `build_image_encoder`.
    """
    options, size = config.image_encoder, config.data.image_size
    arguments = (options.architecture, weights, options.layer, options.image_size)
    if options.architecture == HUB and compiled:
        return inline(build_image_encoder(*arguments), tf.TensorSpec([None, size, size, 3]))
    with strategy.scope():
        return build_image_encoder(*arguments)


def _resize(images: tf.Tensor, size: int) -> tf.Tensor:
    if images.shape[1:3] == [size, size]:
        return images  # Otherwise TensorFlow would compute the same images again.
    return tf.image.resize(images, [size, size], method="bilinear")


def _build_feature_vector(handle: str, image_size: int) -> tf.keras.Model:
    """Builds the image encoder from a SavedModel."""
    network = hub_files.load(handle, _FIELD)
    problem = f"{_FIELD}='{handle}' is not an image feature vector of TF Hub's API (https://www.tensorflow.org/hub)"
    if not callable(network):
        raise ValueError(f"{problem}: it has no function to call")
    images = tf.keras.Input([None, None, 3], name="images")
    resized = Resizing(image_size)(images)
    try:
        features = hub.KerasLayer(network, trainable=False)(resized)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{problem}, or not of images with image_encoder.image_size={image_size}: it does not take "
            f"float32 [batch, {image_size}, {image_size}, 3] ({hub_files.one_line(error)})"
        ) from error
    if getattr(getattr(features, "shape", None), "rank", None) != 2:
        raise ValueError(f"{problem}: its output is not [batch, dim]")
    encoder = tf.keras.Model(images, features, name="image_encoder")
    encoder.trainable = False
    return encoder


def _build_backbone(architecture: str, weights: str, layer: str, image_size: int) -> tf.keras.Model:
    """Builds Keras' network, with the classifier only if `layer` belongs to it, and ImageNet weights if asked for."""
    with_classifier = layer in _CLASSIFIER_LAYERS[architecture]
    if with_classifier and image_size != _CLASSIFIER_IMAGE_SIZE:
        raise ValueError(
            f"image_encoder.image_size={image_size} does not suit layer='{layer}', which belongs to the "
            f"classifier: set it to {_CLASSIFIER_IMAGE_SIZE}"
        )
    if image_size < _MIN_IMAGE_SIZE:
        raise ValueError(f"image_encoder.image_size={image_size} is too small: set it to {_MIN_IMAGE_SIZE} or more")
    if weights != "imagenet":
        keras_weights.check_file(weights, _FIELD)
    with keras_weights.downloading(_FIELD):
        return _BACKBONES[architecture](
            include_top=with_classifier,
            weights="imagenet" if weights == "imagenet" else None,
            input_shape=(image_size, image_size, 3),
            classifier_activation=None,
        )


def _layer_output(backbone: tf.keras.Model, architecture: str, layer: str) -> tf.Tensor:
    """Returns the symbolic output of `layer`: [batch, h, w, dim] or [batch, dim]."""
    if layer == "logits":
        return backbone.output
    names = [candidate.name for candidate in backbone.layers[1:]]  # Without the input layer.
    if layer not in names:
        nearest = difflib.get_close_matches(layer, names, n=4, cutoff=0.0)
        raise ValueError(
            f"image_encoder.layer='{layer}' is not a layer of {architecture} in tf.keras.applications: "
            f"choose 'logits' or a layer such as {', '.join(nearest)}"
        )
    return backbone.get_layer(layer).output


def _load_weights(trunk: tf.keras.Model, backbone: tf.keras.Model, path: str, architecture: str) -> None:
    """Fills `trunk` (the part of `backbone` up to the feature) from a Keras weights file."""
    with keras_weights.reading(path, _FIELD, f"{architecture} up to its layer '{trunk.layers[-1].name}'"):
        needed = {layer.name for layer in trunk.layers if layer.weights}
        # Weights are loaded by name, so that a file with the classifier fits a trunk without it. Files with other layer
        # names (the published ResNet-50 calls its last layer 'probs') may still fit by order.
        if needed <= _stored_layers(path):
            trunk.load_weights(path, by_name=True)
        else:
            backbone.load_weights(path)


def _stored_layers(path: str) -> set[str]:
    """Returns the names of the layers in a Keras weights or model file."""
    with h5py.File(path, "r") as file:
        group = file.get("model_weights", file)
        return {name if isinstance(name, str) else name.decode() for name in group.attrs.get("layer_names", ())}
