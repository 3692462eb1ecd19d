"""A frozen network that turns images into the features and logits behind FID, KID and IS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from eval.networks.picture_function import picture_function
from xmcgan.models import hub_files


class NetworkOutput(NamedTuple):
    """What the metrics see of a batch of images."""

    features: tf.Tensor  # [batch, dim] float32.
    logits: tf.Tensor  # [batch, classes] float32: class scores before the softmax.


class ImageNetwork:
    """A network with its own resize and range in front of it.

    No `tf.Module`, so that it enters no checkpoint.

    Attributes:
      name: 'tfgan', 'keras' or 'scenes'; results carry it.
      is_inception: whether its Fréchet distance may be called FID.
      identity: what the numbers depend on, fit for JSON: the handle of the weights and, of their content, the
        SHA-256; the size, the resize and the range of the images; the layers.
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
        """Puts the parts together.

        Args:
          name: of the network.
          network: what `preprocess` gives -> outputs by layer, [batch, ...].
          preprocess: [batch, height, width, 3] uint8 -> the network's input.
          layers: names of the outputs that are the features and the logits.
          identity: what the numbers depend on, besides the layers.
          is_inception: whether its Fréchet distance may be called FID.
        """
        self.name = name
        self.is_inception = is_inception
        self.identity = {"name": name, **identity, "features": layers[0], "logits": layers[1]}
        self._network = network
        self._preprocess = preprocess
        self._layers = layers

    def __call__(self, images: tf.Tensor) -> NetworkOutput:
        """Runs the network; within `tf.function` and `strategy.run`, too.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          The `NetworkOutput`; no gradient passes through it.
        """
        outputs = self._network(self._preprocess(images))
        return NetworkOutput(*(_rows(outputs[layer]) for layer in self._layers))


def load_saved_network(
    name: str,
    handle: str,
    flag: str,
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    layers: tuple[str, str],
    identity: Mapping[str, Any],
    *,
    is_inception: bool,
) -> ImageNetwork:
    """Loads a SavedModel from images to a dict of outputs, and tries it on a black image.

    Args:
      name: of the network.
      handle: TF-Hub handle, or folder of a SavedModel.
      flag: how the user passes the handle: named by the errors.
      preprocess: [batch, height, width, 3] uint8 -> the SavedModel's input.
      layers: names of the outputs that are the features and the logits.
      identity: what the numbers depend on, besides weights and layers.
      is_inception: whether its Fréchet distance may be called FID.

    Raises:
      FileNotFoundError: the handle cannot be fetched, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or of another API.
    """
    function = picture_function(hub_files.load(handle, flag))
    refusal = f"{flag}='{handle}' is not the network '{name}' (pictures in, a dict with {' and '.join(layers)} out)"
    if function is None:
        raise ValueError(f"{refusal}: nothing in this SavedModel takes pictures [batch, height, width, 3]")
    content = {"weights": handle, "sha256": hub_files.saved_model_digest(handle)}
    network = ImageNetwork(name, function.run, preprocess, layers, {**content, **identity}, is_inception=is_inception)
    try:
        black = tf.zeros([1, 64, 64, 3], tf.uint8)
        tf.distribute.get_strategy().run(tf.function(network.__call__), args=(black,))  # Mirrored, weights want this.
    except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{refusal}: {hub_files.one_line(error)}") from error
    return network


def _rows(output: tf.Tensor) -> tf.Tensor:
    """[batch, ...] -> [batch, dim] float32: TF-GAN's graph gives its pooled features as [batch, 1, 1, dim]."""
    dim = output.shape[1:].num_elements()  # None where the SavedModel does not tell.
    rows = tf.reshape(output, [tf.shape(output)[0], -1 if dim is None else dim])
    return tf.stop_gradient(tf.cast(rows, tf.float32))
