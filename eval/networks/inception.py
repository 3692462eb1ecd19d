"""The two Inceptions behind published FIDs and ISs; they give different numbers and never share a table.

'tfgan' is the network of 2015 that nearly every paper uses, with 1008 classes, as TensorFlow-GAN has published it on
TF Hub. 'keras' is the Inception-v3 of tf.keras.applications with 1000 classes, which the public JAX release used.
"""

from __future__ import annotations

import tensorflow as tf

from eval.networks.frozen_network import ImageNetwork, load_saved_network
from xmcgan.models import hub_files, keras_weights

TFGAN_HANDLE = "https://tfhub.dev/tensorflow/tfgan/eval/inception/1"
IMAGE_SIZE = 299  # Pixels a side, of both.


def load_tfgan(weights: str, flag: str) -> ImageNetwork:
    """Loads TF-GAN's Inception; inside `strategy.scope()` if there is one.

    Its features are 'pool_3' [batch, 2048], its logits 'logits' [batch, 1008]: all of them, as in TF-GAN's inception
    score, the few without a class of ImageNet included.

    Args:
      weights: TF-Hub handle, or folder of the unpacked SavedModel; '' for TFGAN_HANDLE.
      flag: how the user passes it: named by the errors.

    Raises:
      FileNotFoundError: the handle cannot be fetched, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or of another API.
    """
    how = {"size": IMAGE_SIZE, "resize": "bilinear of TF 1 (no half-pixel centres)", "range": "(x - 128) / 128"}
    return load_saved_network(
        "tfgan", weights or TFGAN_HANDLE, flag, tfgan_input, ("pool_3", "logits"), how, is_inception=True
    )


def tfgan_input(images: tf.Tensor) -> tf.Tensor:
    """Prepares images for TF-GAN's Inception as its owners do: resized first, then brought to [-1, 1).

    TF-GAN's `preprocess_image` (tf.contrib.gan.eval, later tensorflow_gan.eval) repeats the first nodes of the graph
    of 2015 (inception-2015-12-05.tgz), as which every FID since TTUR's has been computed: TF 1's `resize_bilinear`,
    which takes the corners of pixels for their centers and smooths nothing, then (x - 128) / 128, so that 255 becomes
    0.992. A resize of the published SavedModel's own leaves images of this size as they are.

    Args:
      images: [batch, height, width, 3] uint8.

    Returns:
      [batch, 299, 299, 3] float32 in [-1, 1).
    """
    # Not `tf.image.resize`, which has half-pixel centers: it shifts an image of 256 px by 0.07 px.
    resized = tf.compat.v1.image.resize_bilinear(tf.cast(images, tf.float32), [IMAGE_SIZE, IMAGE_SIZE])
    return (resized - 128.0) / 128.0


def load_keras(weights: str, flag: str) -> ImageNetwork:
    """Builds Keras' Inception-v3; inside `strategy.scope()` if there is one.

    Its features are the output of 'avg_pool' [batch, 2048], its logits that of 'predictions' before the softmax
    [batch, 1000].

    Args:
      weights: '' for the published ImageNet weights, which Keras downloads once; or the path of a Keras weights file
        (.h5) of the whole network, classifier included.
      flag: how the user passes it: named by the errors.

    Raises:
      FileNotFoundError: the weights cannot be downloaded, or their file does not exist.
      ValueError: the file is not of this network.
    """
    with keras_weights.downloading(flag):
        inception = tf.keras.applications.InceptionV3(
            weights=None if weights else "imagenet", classifier_activation=None
        )
    if weights:
        with keras_weights.reading(weights, flag, "the whole InceptionV3 of tf.keras.applications"):
            inception.load_weights(weights)  # In the layers' order: Keras numbers their names anew in every process.
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
    """Prepares images for Keras' Inception as the public JAX release does: resized first, then brought to [-1, 1].

    Args:
      images: [batch, height, width, 3] uint8.

    Returns:
      [batch, 299, 299, 3] float32 in [-1, 1].
    """
    resized = tf.image.resize(images, [IMAGE_SIZE, IMAGE_SIZE], method="bilinear")
    return resized / 127.5 - 1.0
