"""Makes a frozen network part of the graph that calls it, as XLA requires."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants


def inline(network: Callable[[tf.Tensor], tf.Tensor], signature: tf.TensorSpec) -> Callable[[tf.Tensor], tf.Tensor]:
    """Copies a network's ops into each graph that calls it, with its weights as constants.

    A SavedModel is called as a function, and the gradient of a convolution takes the shape of its input from the
    results of that function. XLA needs static shapes, and does not look for them in the results of functions. It would
    treat everything that the function depends on as constants, among them the generator's weights, and would compile
    again whenever these change.

    Args:
      network: images -> features; must not be made inside `strategy.scope()`, where it would have several copies of its
        weights.
      signature: the shape and type of the images.

    Returns:
      The network, which can be called only in graphs, and differentiated once with respect to the images.
    """
    function = tf.function(network, autograph=False).get_concrete_function(signature)
    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    graph = frozen.graph.as_graph_def()
    # The images replace the placeholder, which XLA does not support. There are no variables left to wait for.
    nodes = [node for node in graph.node if node.op not in ("Placeholder", "NoOp")]
    for node in nodes:
        inputs = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(inputs)
    del graph.node[:]
    graph.node.extend(nodes)
    (images_name,), (features_name,) = ([tensor.name for tensor in side] for side in (frozen.inputs, frozen.outputs))

    @tf.custom_gradient  # Tapes do not record imported ops.
    def inlined(images: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        (features,) = tf.graph_util.import_graph_def(graph, {images_name: images}, [features_name], name="inlined")

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.gradients(features, images, upstream)[0]

        return features, gradient

    return inlined
