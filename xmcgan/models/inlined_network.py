"""A frozen network as part of the graph that calls it, as XLA needs it."""

from __future__ import annotations

from typing import Callable

import tensorflow as tf
from tensorflow.python.framework import convert_to_constants


def inline(network: Callable[[tf.Tensor], tf.Tensor], signature: tf.TensorSpec) -> Callable[[tf.Tensor], tf.Tensor]:
    """Makes a network's ops part of whichever graph calls it, its weights constants of that graph.

    A SavedModel is called as a function, and the gradient of a convolution asks that function for the shape of its
    input. XLA needs shapes before anything runs, and looks for them in no function's results: it takes all that the
    function depends on for constants, the generator's weights among them, and compiles anew whenever they change.

    Args:
      network: images -> features; not made inside of `strategy.scope()`, where it has several copies of its weights.
      signature: of the images.

    Returns:
      The network, to be called in graphs only; differentiable once with respect to the images.
    """
    function = tf.function(network).get_concrete_function(signature)
    frozen = convert_to_constants.convert_variables_to_constants_v2(function)
    graph = frozen.graph.as_graph_def()
    # The images take the placeholder's part, and XLA knows none; nothing waits for variables any more.
    nodes = [node for node in graph.node if node.op not in ("Placeholder", "NoOp")]
    for node in nodes:
        inputs = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(inputs)
    del graph.node[:]
    graph.node.extend(nodes)
    (images_name,), (features_name,) = ([tensor.name for tensor in side] for side in (frozen.inputs, frozen.outputs))

    @tf.custom_gradient  # Tapes do not see ops that are imported.
    def inlined(images: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        (features,) = tf.graph_util.import_graph_def(graph, {images_name: images}, [features_name], name="inlined")

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.gradients(features, images, upstream)[0]

        return features, gradient

    return inlined
