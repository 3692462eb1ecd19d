"""The image-text dual encoder behind R-precision (section 5.2, 'Text-Image Alignment').

It is a SavedModel with two methods that map to the same embedding space, so any model with these methods can be used:

  encode_images(images)      [batch, height, width, 3] uint8 RGB of any size -> [batch, dim] float32 of unit length
  encode_captions(captions)  [batch] string, UTF-8                           -> [batch, dim] float32 of unit length

`python -m eval.train_dual_encoder` trains one. To wrap another model, such as a CLIP in TensorFlow, save a tf.Module
with these methods, which include the model's own resizing, scaling and tokenizer:

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

and pass --dual_encoder=clip. The scores' names use the `name` in the folder's file `dual_encoder.json`, or the name of
the folder if there is no such file. Do not use an encoder that the generator was trained with: its scores would be too
good.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401 (registers the ops of the tokenizers)

from eval.retrieval.towers import Towers
from xmcgan import console, text_files
from xmcgan.files import new_folder
from xmcgan.models import hub_files

REPORT = "dual_encoder.json"
_METHODS = ("encode_images", "encode_captions")
_TOLERANCE = 1e-3  # Largest deviation of the embeddings' lengths from 1; half precision is accurate enough.


class DualEncoder:
    """A loaded dual encoder. It is not a `tf.Module`, so that it does not become part of checkpoints.

    Attributes:
      name: its name in results.
      identity: everything that the numbers depend on, as JSON values: the name, the SHA-256 of the content, and what
        is known about its training.
      dim: dimension of the embeddings.
    """

    def __init__(self, module: tf.Module, name: str, identity: Mapping[str, Any]):
        """Stores the SavedModel, and tries both of its methods.

        Args:
          module: the SavedModel.
          name: its name in results.
          identity: everything that the numbers depend on.

        Raises:
          KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError: the SavedModel has another API; the message
            says how it differs.
        """
        self.name = name
        self._module = module
        images = _run_once(self.encode_images, tf.zeros([2, 48, 64, 3], tf.uint8))
        captions = _run_once(self.encode_captions, tf.constant(["", "a red ball on the beach"]))
        for method, rows in zip(_METHODS, (images, captions)):
            lengths = tf.norm(rows, axis=-1)
            if rows.shape.rank != 2 or not bool(tf.reduce_all(tf.abs(lengths - 1.0) < _TOLERANCE)):
                raise ValueError(
                    f"{method} returns {rows.shape} of lengths {lengths.numpy()}, not [2, dim] of length 1"
                )
        if images.shape[1] != captions.shape[1]:
            raise ValueError(f"image embeddings have {images.shape[1]} dimensions, captions have {captions.shape[1]}")
        self.dim = images.shape[1]
        self.identity = {"name": name, **identity, "dim": self.dim}

    def encode_images(self, images: tf.Tensor) -> tf.Tensor:
        """Encodes images; also works inside `tf.function` and `strategy.run`.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          [batch, dim] float32, of unit length.
        """
        return tf.cast(self._module.encode_images(images), tf.float32)

    def encode_captions(self, captions: tf.Tensor) -> tf.Tensor:
        """Encodes captions; also works inside `tf.function` and `strategy.run`.

        Args:
          captions: [batch] string, UTF-8.

        Returns:
          [batch, dim] float32, of unit length.
        """
        return tf.cast(self._module.encode_captions(captions), tf.float32)


class _HeldOut(TypedDict):
    r_precision: float
    pairs: int
    mismatches: int


class _Report(TypedDict, total=False):
    """The fields of `dual_encoder.json` that are read again."""

    name: str
    held_out: _HeldOut


def load_dual_encoder(folder: str, *, flag: str = "--dual_encoder") -> DualEncoder:
    """Loads a dual encoder and tries it; call it inside `strategy.scope()` if there is a strategy.

    Args:
      folder: folder of the SavedModel, or TF-Hub handle.
      flag: flag that the user passes `folder` with; used in error messages.

    Raises:
      FileNotFoundError: the handle cannot be downloaded, or the folder holds no SavedModel.
      ValueError: the SavedModel is broken or has another API, or its report cannot be read.
    """
    module = hub_files.load(folder, flag)
    report = read_report(hub.resolve(folder))
    known: dict[str, Any] = {key: report[key] for key in ("trained_on", "steps", "options") if key in report}
    name = report.get("name") or os.path.basename(folder.rstrip("/"))
    refusal = f"{flag}='{folder}' is not a dual encoder ({' and '.join(_METHODS)}, see eval/retrieval/dual_encoder.py)"
    missing = [method for method in _METHODS if not callable(getattr(module, method, None))]
    if missing:
        raise ValueError(f"{refusal}: the SavedModel has no method {' and '.join(missing)}")
    try:
        return DualEncoder(module, name, {"sha256": hub_files.saved_model_digest(folder), **known})
    except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{refusal}: {hub_files.one_line(error)}") from error


def save_dual_encoder(towers: Towers, folder: str, report: Mapping[str, Any]) -> None:
    """Saves a dual encoder and its report; adds the weights' SHA-256 to the report.

    Args:
      towers: the dual encoder.
      folder: folder to create, atomically.
      report: JSON values by name, including 'name'.

    Raises:
      FileExistsError: the folder exists and is not empty.
    """
    with new_folder(folder) as staging, console.quiet_libraries():
        methods = {method: getattr(towers, method) for method in _METHODS}
        hub_files.save_functions(staging, methods, {"weights": towers.weights}, preprocessor=towers.preprocessor)
        with open(staging / REPORT, "w", encoding="utf-8") as file:
            json.dump({**report, "weights_sha256": hub_files.weights_digest(towers.variables)}, file, indent=2)


def is_saved(folder: str) -> bool:
    """Tells whether `save_dual_encoder` has finished in a folder."""
    return os.path.exists(os.path.join(folder, REPORT))


def read_report(folder: str) -> dict[str, Any]:
    """Reads `dual_encoder.json`; returns an empty dict if there is none.

    Raises:
      ValueError: the file is not a JSON object.
    """
    path = os.path.join(folder, REPORT)
    if not os.path.exists(path):
        return {}
    with text_files.advice("repair or remove it"):
        report = text_files.read_json(path, dict[str, Any])
        text_files.check(report, _Report, path)
    return report


def _run_once(method: Callable[[tf.Tensor], tf.Tensor], batch: tf.Tensor) -> tf.Tensor:
    strategy = tf.distribute.get_strategy()  # Within its scope, mirrored weights can be read on replicas only.
    return strategy.experimental_local_results(strategy.run(tf.function(method, autograph=False), args=(batch,)))[0]
