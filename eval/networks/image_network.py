"""The networks behind FID, KID and IS, by name."""

from __future__ import annotations

import tensorflow as tf

from eval.networks import inception
from eval.networks.frozen_network import ImageNetwork, NetworkOutput, load_saved_network

__all__ = ["NETWORKS", "ImageNetwork", "NetworkOutput", "load_image_network"]

NETWORKS = ("tfgan", "keras", "scenes")


def load_image_network(name: str, weights: str, *, flag: str = "--network_weights") -> ImageNetwork:
    """Loads a network; inside `strategy.scope()` if there is one.

    Args:
      name: 'tfgan' or 'keras' (see `eval.networks.inception`), or 'scenes': the scene recognizer, or any SavedModel
        that gives a dict with 'features' and 'logits' for uint8 images of any size.
      weights: TF-Hub handle, folder or file; '' for the published weights of 'tfgan' and 'keras'.
      flag: how the user passes `weights`: named by the errors.

    Returns:
      The network: [batch, height, width, 3] uint8 -> `NetworkOutput`.

    Raises:
      FileNotFoundError: the weights cannot be fetched or do not exist; says what to fetch and where to put it.
      ValueError: `name` is unknown, or the weights are of another network.
    """
    if name == "tfgan":
        return inception.load_tfgan(weights, flag)
    if name == "keras":
        return inception.load_keras(weights, flag)
    if name == "scenes":
        how = {"size": "any", "resize": "the network's own", "range": "uint8"}
        return load_saved_network(
            "scenes", weights, flag, tf.convert_to_tensor, ("features", "logits"), how, is_inception=False
        )
    raise ValueError(f"unknown network '{name}': choose one of {', '.join(NETWORKS)}")
