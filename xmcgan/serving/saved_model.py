"""Writing a model as a SavedModel, for TensorFlow Serving and others, and loading it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_text  # noqa: F401 (registers the ops of the tokenizer)

from xmcgan import console
from xmcgan.literal_paths import literal_folder
from xmcgan.models import hub_files
from xmcgan.serving import warm_up
from xmcgan.serving.caption_to_image import CaptionToImage
from xmcgan.serving.signatures import signatures

_NEEDED = ("serving_default", "from_noise", "mixed", "noise", "tokens")


class ExportedModel:
    """A loaded export, with the same interface as `CaptionToImage` has for the networks of a run.

    Attributes:
      signatures: functions of tensors by name, see `signatures`.
      image_size: pixels per side.
      noise_dim: width of z.
    """

    def __init__(self, folder: str):
        """Loads an export; within the scope of a strategy, every device holds its own copy of the weights.

        Args:
          folder: of the SavedModel.

        Raises:
          ValueError: the SavedModel is broken, or was not written by `xmcgan.export`.
        """
        try:
            self._loaded = tf.saved_model.load(literal_folder(folder))  # Kept because it owns the variables.
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f"{folder} cannot be read ({hub_files.one_line(error)}): export the model again"
            ) from error
        self.signatures = self._loaded.signatures
        missing = [name for name in _NEEDED if name not in self.signatures]
        if missing:
            raise ValueError(
                f"{folder} was not written by xmcgan.export (it has no signature '{missing[0]}'): give an exported one"
            )
        self.image_size = self.signatures["serving_default"].structured_outputs["images"].shape[1]
        self.noise_dim = self.signatures["noise"].structured_outputs["z"].shape[1]

    def prepare(self, captions: tf.Tensor, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        """Prepares the inputs of `draw`; captions stay strings, because the export tokenizes them itself."""
        return {"captions": captions, "seed": tf.cast(seeds, tf.int64)}

    def draw(self, prepared: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Draws a batch in parts of the size that the export was made with; see `CaptionToImage.draw`."""
        return self.signatures["serving_default"](**prepared)["images"]


def write(model: CaptionToImage, folder: str, name: str) -> None:
    """Writes the SavedModel with its warm-up requests.

    The loaded model can also be called directly, like its signature `serving_default`; the seed is optional.

    Args:
      model: the model to write.
      folder: the folder to make.
      name: the name that the model is served under.
    """
    functions = signatures(model)
    module = tf.Module(name="text_to_image")
    # Only the variables: if a Keras model were an attribute, Keras would also save every layer in its own format.
    module.generator_variables = list(model.generator.variables)
    module.text_encoder = model.text_encoder
    module.__call__ = functions["serving_default"]
    with console.quiet_libraries():
        tf.saved_model.save(module, folder, signatures=functions)
    warm_up.write_requests(folder, name, model.noise_dim, model.attends)


def sizes(folder: str, model: CaptionToImage) -> Mapping[str, int]:
    """Returns sizes in bytes: of each network's weights, of the graph, and of the whole SavedModel."""
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
