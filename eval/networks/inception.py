"""Loads the frozen networks behind FID, KID and IS by name: two Inceptions, and the scene recognizer.

'tfgan' is the 2015 Inception that nearly every paper uses, with 1008 classes, as TensorFlow-GAN published it on TF Hub.
'keras' is the Inception-v3 of tf.keras.applications with 1000 classes, which the public JAX release used. They give
different numbers, which must never appear in the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from eval.networks.image_function import find_image_function
from xmcgan.models import hub_files, keras_weights

TFGAN_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
IMAGE_SIZE = 299  # Side length of both Inceptions' input, in pixels.


class NetworkOutput(NamedTuple):
    """A network's outputs for a batch of images, from which the metrics are computed."""

    features: tf.Tensor  # [batch, dim] float32.
    logits: tf.Tensor  # [batch, classes] float32: class scores before the softmax.


class ImageNetwork:
    """A frozen network, together with the preprocessing of its images.

    It is not a `tf.Module`, so that it does not become part of checkpoints.

    Attributes:
      name: 'tfgan', 'keras' or 'scenes'; part of the scores' names.
      is_inception: whether its Fréchet distance may be called FID.
      identity: everything that the numbers depend on, as JSON values: the handle of the weights and the SHA-256 of
        their content; the size, resizing and range of the images; the layers.
    """

    def __init__(
        self,
        name: str,
        network: Callable[[tf.Tensor], Mapping[str, tf.Tensor]],
        preprocess: Callable[[tf.Tensor], tf.Tensor],
        layers: tuple[str, str],
        identity: Mapping[str, Any],
        *,
        is_inception: bool,
    ):
        """Stores the network and its preprocessing.

        Args:
          name: name of the network.
          network: maps the output of `preprocess` to a dict of outputs by layer, each [batch, ...].
          preprocess: maps images [batch, height, width, 3] uint8 to the network's input.
          layers: names of the outputs that are the features and the logits.
          identity: everything that the numbers depend on, except the layers.
          is_inception: whether its Fréchet distance may be called FID.
        """
        self.name = name
        self.is_inception = is_inception
        self.identity = {"name": name, **identity, "features": layers[0], "logits": layers[1]}
        self._network = network
        self._preprocess = preprocess
        self._layers = layers

    def __call__(self, images: tf.Tensor) -> NetworkOutput:
        """Runs the network; also works inside `tf.function` and `strategy.run`.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          Features and logits. No gradient passes through them.
        """
        outputs = self._network(self._preprocess(images))
        return NetworkOutput(*(_rows(outputs[layer]) for layer in self._layers))


def load_tfgan(weights: str, flag: str) -> ImageNetwork:
    """Loads TF-GAN's Inception; call it inside `strategy.scope()` if there is a strategy.

    The features are 'pool_3' [batch, 2048], and the logits 'logits' [batch, 1008]. As in TF-GAN's Inception Score, all
    logits are used, including the few that belong to no ImageNet class.

    Args:
      weights: TF-Hub handle, or folder of the unpacked SavedModel; '' for TFGAN_HANDLE.
      flag: flag that the user passes `weights` with; used in error messages.

    Raises:
      FileNotFoundError: the handle cannot be downloaded, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or has another API.
    """
    how = {"size": IMAGE_SIZE, "resize": "bilinear of TF 1 (no half-pixel centres)", "range": "(x - 128) / 128"}
    return _load_saved_network(
        "tfgan", weights or TFGAN_HANDLE, flag, tfgan_input, ("pool_3", "logits"), how, is_inception=True
    )


def tfgan_input(images: tf.Tensor) -> tf.Tensor:
    """Prepares images for TF-GAN's Inception as TF-GAN does: resizes them, then scales them to [-1, 1).

    TF-GAN's `preprocess_image` (tf.contrib.gan.eval, later tensorflow_gan.eval) repeats the first nodes of the 2015
    graph (inception-2015-12-05.tgz), with which FIDs have been computed since the TTUR paper. These nodes are TF 1's
    `resize_bilinear`, which treats the corners of pixels as their centers and does not antialias, and (x - 128) / 128,
    which maps 255 to 0.992. The published SavedModel also resizes its input, but leaves images of this size unchanged.

    Args:
      images: [batch, height, width, 3] uint8.

    Returns:
      [batch, 299, 299, 3] float32 in [-1, 1).
    """
    # Not `tf.image.resize`, which has half-pixel centers: it shifts an image of 256 px by 0.07 px.
    resized = tf.compat.v1.image.resize_bilinear(tf.cast(images, tf.float32), [IMAGE_SIZE, IMAGE_SIZE])
    return (resized - 128.0) / 128.0


def load_keras(weights: str, flag: str) -> ImageNetwork:
    """Builds Keras' Inception-v3; call it inside `strategy.scope()` if there is a strategy.

    The features are the output of 'avg_pool' [batch, 2048], and the logits that of 'predictions' before the softmax
    [batch, 1000].

    Args:
      weights: '' for the published ImageNet weights, which Keras downloads once; or the path of a Keras weights file
        (.h5) of the whole network, including the classifier.
      flag: flag that the user passes `weights` with; used in error messages.

    Raises:
      FileNotFoundError: the weights cannot be downloaded, or their file does not exist.
      ValueError: the file belongs to another network.
    """
    if weights:
        keras_weights.check_file(weights, flag)
    with keras_weights.downloading(flag):
        inception = tf.keras.applications.InceptionV3(
            weights=None if weights else "imagenet", classifier_activation=None
        )
    if weights:
        with keras_weights.reading(weights, flag, "the whole InceptionV3 of tf.keras.applications"):
            # Weights are matched by the order of the layers: Keras numbers their names differently in each process.
            inception.load_weights(weights)
    outputs = {"avg_pool": inception.get_layer("avg_pool").output, "predictions": inception.output}
    network = tf.keras.Model(inception.input, outputs, name="inception_v3")
    network.trainable = False
    identity = {
        "weights": weights or "imagenet",
        "sha256": hub_files.weights_digest(network.variables),
        "size": IMAGE_SIZE,
        "resize": "bilinear of TF 2 (half-pixel centres, no antialiasing)",
        "range": "x / 127.5 - 1",
    }
    layers = ("avg_pool", "predictions")
    return ImageNetwork(
        "keras", lambda images: network(images, training=False), keras_input, layers, identity, is_inception=True
    )


def keras_input(images: tf.Tensor) -> tf.Tensor:
    """Prepares images for Keras' Inception as the public JAX release does: resizes them, then scales them to [-1, 1].

    Args:
      images: [batch, height, width, 3] uint8.

    Returns:
      [batch, 299, 299, 3] float32 in [-1, 1].
    """
    resized = tf.image.resize(images, [IMAGE_SIZE, IMAGE_SIZE], method="bilinear")
    return resized / 127.5 - 1.0


def load_scenes(weights: str, flag: str) -> ImageNetwork:
    """Loads the scene recognizer, or any SavedModel with the same outputs.

    Call it inside `strategy.scope()` if there is a strategy.

    Args:
      weights: TF-Hub handle, or folder of a SavedModel that takes uint8 images of any size and returns a dict with
        'features' and 'logits'.
      flag: flag that the user passes `weights` with; used in error messages.

    Raises:
      FileNotFoundError: the handle cannot be downloaded, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or has another API.
    """
    how = {"size": "any", "resize": "the network's own", "range": "uint8"}
    return _load_saved_network(
        "scenes", weights, flag, tf.convert_to_tensor, ("features", "logits"), how, is_inception=False
    )


_LOADERS: dict[str, Callable[[str, str], ImageNetwork]] = {
    "tfgan": load_tfgan,
    "keras": load_keras,
    "scenes": load_scenes,
}
NETWORKS = tuple(_LOADERS)


def load_image_network(name: str, weights: str, *, flag: str = "--network_weights") -> ImageNetwork:
    """Loads an image network; call it inside `strategy.scope()` if there is a strategy.

    Args:
      name: one of NETWORKS.
      weights: TF-Hub handle, folder or file; '' for the published weights of 'tfgan' and 'keras'.
      flag: flag that the user passes `weights` with; used in error messages.

    Returns:
      The network, which maps [batch, height, width, 3] uint8 to `NetworkOutput`.

    Raises:
      FileNotFoundError: the weights cannot be downloaded or do not exist; the message says what to download and where
        to put it.
      ValueError: `name` is unknown, or the weights belong to another network.
    """
    if name not in _LOADERS:
        raise ValueError(f"unknown network '{name}': choose one of {', '.join(NETWORKS)}")
    return _LOADERS[name](weights, flag)


def _load_saved_network(
    name: str,
    handle: str,
    flag: str,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    layers: tuple[str, str],
    identity: Mapping[str, Any],
    *,
    is_inception: bool,
) -> ImageNetwork:
    """Loads a SavedModel that maps images to a dict of outputs, and tries it on two black images.

    Args:
      name: name of the network.
      handle: TF-Hub handle, or folder of a SavedModel.
      flag: flag that the user passes the handle with; used in error messages.
      preprocess: maps images [batch, height, width, 3] uint8 to the SavedModel's input.
      layers: names of the outputs that are the features and the logits.
      identity: everything that the numbers depend on, except the weights and layers.
      is_inception: whether its Fréchet distance may be called FID.

    Raises:
      FileNotFoundError: the handle cannot be downloaded, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or has another API.
    """
    function = find_image_function(hub_files.load(handle, flag))
    refusal = f"{flag}='{handle}' is not the network '{name}' (images in, a dict with {' and '.join(layers)} out)"
    if function is None:
        raise ValueError(f"{refusal}: nothing in this SavedModel takes images [batch, height, width, 3]")
    content = {"weights": handle, "sha256": hub_files.saved_model_digest(handle)}
    network = ImageNetwork(name, function.run, preprocess, layers, {**content, **identity}, is_inception=is_inception)
    try:
        black = tf.zeros([2, 64, 64, 3], tf.uint8)  # Some networks fail on more than one image.
        run = tf.function(network.__call__, autograph=False)
        tf.distribute.get_strategy().run(run, args=(black,))  # Mirrored weights need `run`.
    except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{refusal}: {hub_files.one_line(error)}") from error
    return network


def _rows(output: tf.Tensor) -> tf.Tensor:
    """Reshapes [batch, ...] to [batch, dim] float32; TF-GAN's graph returns pooled features [batch, 1, 1, dim]."""
    dim = output.shape[1:].num_elements()  # None if the SavedModel does not specify it.
    rows = tf.reshape(output, [tf.shape(output)[0], -1 if dim is None else dim])
    return tf.stop_gradient(tf.cast(rows, tf.float32))
