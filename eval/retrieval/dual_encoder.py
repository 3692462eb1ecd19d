"""The image-text dual encoder behind R-precision (section 5.2, 'Text-Image Alignment').

It is a SavedModel with two methods into one space, so that anyone's model can take its place:

  encode_images(images)      [batch, height, width, 3] uint8 RGB of any size -> [batch, dim] float32 of unit length
  encode_captions(captions)  [batch] string, UTF-8                           -> [batch, dim] float32 of unit length

`python -m eval.train_dual_encoder` makes one. To wrap another, such as a CLIP in TensorFlow, save a tf.Module with
these methods, its own resize, range and tokenizer inside:

  class Wrapped(tf.Module):
      def __init__(self, clip):
          super().__init__()
          self.clip = clip  # Tracked, so that its weights are saved.

      @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
      def encode_images(self, images):
          return tf.math.l2_normalize(self.clip.image_features(preprocess(images)), axis=1)

      @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
      def encode_captions(self, captions):
          return tf.math.l2_normalize(self.clip.text_features(tokenize(captions)), axis=1)

  tf.saved_model.save(Wrapped(clip), "clip")

and pass --dual_encoder=clip. A file `dual_encoder.json` in the folder may give a `name` for the results; else the
folder's own is taken. The encoder must not be one that the generator was trained with: its scores would be too good.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401 (registers the ops of the tokenizers)

from xmcgan import console
from xmcgan.files import new_folder
from xmcgan.models import hub_files

REPORT = "dual_encoder.json"
_METHODS = ("encode_images", "encode_captions")
_TOLERANCE = 1e-3  # Of the embeddings' length; half precision keeps it.


class DualEncoder:
    """A loaded dual encoder; no `tf.Module`, so that it enters no checkpoint.

    Attributes:
      name: which results carry.
      identity: what the numbers depend on, fit for JSON: the name and, of the content, the SHA-256; and what is told
        of its training.
      dim: width of the embeddings.
    """

    def __init__(self, module: tf.Module, name: str, identity: Mapping[str, Any]):
        """Tries both methods of the SavedModel.

        Args:
          module: the SavedModel.
          name: which results carry.
          identity: what the numbers depend on.

        Raises:
          KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError: it is of another API; says in what.
        """
        self.name = name
        self._module = module
        images = _probed(self.encode_images, tf.zeros([2, 48, 64, 3], tf.uint8))
        captions = _probed(self.encode_captions, tf.constant(["", "a red ball on the beach"]))
        for method, rows in zip(_METHODS, (images, captions)):
            lengths = tf.norm(rows, axis=-1)
            if rows.shape.rank != 2 or not bool(tf.reduce_all(tf.abs(lengths - 1.0) < _TOLERANCE)):
                raise ValueError(f"{method} gives {rows.shape} of lengths {lengths.numpy()}, not [2, dim] of length 1")
        if images.shape[1] != captions.shape[1]:
            raise ValueError(f"images are {images.shape[1]} wide, and captions {captions.shape[1]}")
        self.dim = images.shape[1]
        self.identity = {"name": name, **identity, "dim": self.dim}

    def encode_images(self, images: tf.Tensor) -> tf.Tensor:
        """Encodes images; within `tf.function` and `strategy.run`, too.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          [batch, dim] float32, of unit length.
        """
        return tf.cast(self._module.encode_images(images), tf.float32)

    def encode_captions(self, captions: tf.Tensor) -> tf.Tensor:
        """Encodes captions; within `tf.function` and `strategy.run`, too.

        Args:
          captions: [batch] string, UTF-8.

        Returns:
          [batch, dim] float32, of unit length.
        """
        return tf.cast(self._module.encode_captions(captions), tf.float32)


def load_dual_encoder(folder: str, *, flag: str = "--dual_encoder") -> DualEncoder:
    """Loads a dual encoder and tries it; inside `strategy.scope()` if there is one.

    Args:
      folder: of the SavedModel, or a TF-Hub handle.
      flag: how the user passes it: named by the errors.

    Raises:
      FileNotFoundError: the handle cannot be fetched, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or of another API, or its report cannot be read.
    """
    module = hub_files.load(folder, flag)
    report = read_report(hub.resolve(folder))
    told: dict[str, Any] = {key: report[key] for key in ("trained_on", "steps", "options") if key in report}
    name = report.get("name") or os.path.basename(folder.rstrip("/"))
    refusal = f"{flag}='{folder}' is no dual encoder ({' and '.join(_METHODS)}, see eval/retrieval/dual_encoder.py)"
    missing = [method for method in _METHODS if not callable(getattr(module, method, None))]
    if missing:
        raise ValueError(f"{refusal}: the SavedModel has no method {' and '.join(missing)}")
    try:
        return DualEncoder(module, name, {"sha256": hub_files.saved_model_digest(folder), **told})
    except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{refusal}: {hub_files.one_line(error)}") from error


def save_dual_encoder(module: tf.Module, folder: str, report: Mapping[str, Any]) -> None:
    """Saves a dual encoder and its report, which also get the weights' SHA-256.

    Args:
      module: with the methods `encode_images` and `encode_captions`.
      folder: to make; it appears when it is whole.
      report: JSON values by name, 'name' among them.

    Raises:
      FileExistsError: the folder holds something.
    """
    with new_folder(folder) as staging, console.quiet_libraries():
        tf.saved_model.save(module, os.fspath(staging))
        with open(staging / REPORT, "w", encoding="utf-8") as file:
            json.dump({**report, "weights_sha256": hub_files.weights_digest(module.variables)}, file, indent=2)


def is_saved(folder: str) -> bool:
    """Whether `save_dual_encoder` has finished there."""
    return os.path.exists(os.path.join(folder, REPORT))


def read_report(folder: str) -> dict[str, Any]:
    """What `dual_encoder.json` says; nothing if there is none.

    Raises:
      ValueError: it is no JSON object.
    """
    path = os.path.join(folder, REPORT)
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        try:
            report = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path} cannot be read ({error}): mend or remove it") from error
    if not isinstance(report, dict):
        raise ValueError(f"{path} is not a JSON object: mend or remove it")
    return report


def _probed(method: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
    strategy = tf.distribute.get_strategy()  # Within its scope, mirrored weights can be read on replicas only.
    return strategy.experimental_local_results(strategy.run(tf.function(method), args=(batch,)))[0]
