"""Writes a model as TensorFlow Serving and everyone else reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import tensorflow as tf

from data_pipelines import console
from xmcgan.serving import warm_up
from xmcgan.serving.model import TextToImage
from xmcgan.serving.signatures import signatures


def write(model: TextToImage, folder: str, name: str) -> None:
    """Writes the SavedModel with its warm-up requests.

    The loaded model can also be called itself, as its signature `serving_default` with the seed left out if one likes.

    Args:
      model: what to write.
      folder: to make.
      name: that the model is served under.
    """
    functions = signatures(model)
    module = tf.Module(name="text_to_image")
    # The variables alone: of a Keras model as an attribute, Keras would save every layer in its own way as well.
    module.generator_variables = list(model.generator.variables)
    module.text_encoder = model.text_encoder
    module.__call__ = functions["serving_default"]
    with console.quiet_libraries():
        tf.saved_model.save(module, folder, signatures=functions)
    warm_up.write_requests(folder, name, model.noise_dim, model.attends)


def sizes(folder: str, model: TextToImage) -> Mapping[str, int]:
    """Bytes of a SavedModel by part: weights of both networks, and files."""
    generator = _bytes_of(model.generator.variables)
    variables = _size(os.path.join(folder, "variables"))
    graph = os.path.getsize(os.path.join(folder, "saved_model.pb"))
    return {
        "generator": generator,
        "text encoder": variables - generator,
        "graph": graph,
        "everything": _size(folder),
    }


def _bytes_of(variables: Sequence[tf.Variable]) -> int:
    return sum(variable.shape.num_elements() * variable.dtype.size for variable in variables)


def _size(folder: str) -> int:
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)
