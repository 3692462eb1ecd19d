"""Loads any object detector, from TF Hub or a local folder, behind one small interface.

Two APIs are supported. Both map images to a dict of detections, and are often published for single images only:

  TensorFlow's Object Detection API (TF2 Detection Zoo): uint8 or float32 [1 or any, height, width, 3] in [0, 255] ->
    'detection_boxes', 'detection_scores', 'detection_classes' (ids from 1, as floats), 'num_detections'
  TF Hub's Open Images detectors (TF1's Hub format): float32 [1, height, width, 3] in [0, 1] ->
    'detection_boxes', 'detection_scores', 'detection_class_labels'
"""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from eval.networks.image_function import ImageFunction, find_image_function
from eval.networks.label_maps import LabelMap, load_label_map
from xmcgan.models import hub_files

_IDS, _OPEN_IMAGES_IDS = "detection_classes", "detection_class_labels"
_MIN_SLOTS = 100  # COCO counts this many detections per image.
# Parts of handles and folders that are not part of a detector's name.
_NOT_NAMES = ("models", "frameworks", "tensorflow1", "tensorflow2", "variations", "versions", "saved_model")


class Detections(NamedTuple):
    """Objects found in a batch of images; slots without an object have class -1 and score 0."""

    boxes: tf.Tensor  # [batch, slots, 4] float32: ymin, xmin, ymax, xmax in [0, 1].
    classes: tf.Tensor  # [batch, slots] int32: index into `Detector.class_names`.
    scores: tf.Tensor  # [batch, slots] float32 in [0, 1].


class Detector:
    """A frozen object detector; see `load_detector`.

    Attributes:
      name: the last meaningful parts of its handle, such as 'efficientdet/d4', or 'scenes'; part of the scores' names.
      class_names: names of its classes.
      identity: everything that the detections depend on, as JSON values: the handle and the SHA-256 of the content;
        the label map; the range of the images.
    """

    def __init__(self, name: str, function: ImageFunction, label_map: LabelMap, identity: Mapping[str, Any]):
        """Stores the parts, and tries the function on black images.

        Args:
          name: name of the detector.
          function: function of the SavedModel.
          label_map: meaning of its class ids.
          identity: everything that the detections depend on, except the range of the images.

        Raises:
          TypeError, ValueError: `function` has neither of the supported APIs.
        """
        self.name = name
        self.class_names = label_map.names
        self._class_numbers = tf.constant(label_map.table, tf.int32)
        self._function, self._class_key, found = _probe(function)
        self._largest = 1.0 if self._class_key == _OPEN_IMAGES_IDS else 255.0
        # Every call has the same number of slots: `tf.map_fn` needs one shape for all images, even if there are none.
        self._slots = max(found, _MIN_SLOTS)
        self.identity = {"name": name, **identity, "range": f"{function.dtype.name} in [0, {self._largest:g}]"}

    def __call__(self, images: tf.Tensor) -> Detections:
        """Finds objects; also works inside `tf.function` and `strategy.run`.

        Args:
          images: [batch, height, width, 3] uint8 RGB of any size.

        Returns:
          The detections in the detector's order, which is by descending score.
        """
        if self._function.batch is None:
            return self._detect(images)
        return tf.map_fn(
            lambda image: Detections(*(tensor[0] for tensor in self._detect(image[tf.newaxis]))),
            tf.convert_to_tensor(images),
            fn_output_signature=Detections(
                boxes=tf.TensorSpec([self._slots, 4], tf.float32),
                classes=tf.TensorSpec([self._slots], tf.int32),
                scores=tf.TensorSpec([self._slots], tf.float32),
            ),
            parallel_iterations=1,
        )

    def _detect(self, images: tf.Tensor) -> Detections:
        """Does what `__call__` does, for a batch of a size that the SavedModel takes."""
        if self._function.dtype != tf.uint8:
            images = tf.cast(images, self._function.dtype) * (self._largest / 255.0)
        outputs = self._function.run(images)
        batch = tf.shape(images)[0]
        boxes = _with_batch(outputs["detection_boxes"], 3)  # [batch, found, 4]
        scores = _with_batch(outputs["detection_scores"], 2)  # [batch, found]
        ids = tf.cast(_with_batch(outputs[self._class_key], 2), tf.int32)  # [batch, found]
        if "num_detections" in outputs:  # Slots after these are padding.
            count = tf.cast(tf.reshape(outputs["num_detections"], [batch, 1]), tf.int32)
            ids = tf.where(tf.range(tf.shape(ids)[1]) < count, ids, 0)
        known = (ids >= 0) & (ids < len(self._class_numbers))
        classes = tf.gather(self._class_numbers, tf.where(known, ids, 0))  # Id 0 has no class.
        scores = tf.where(classes >= 0, tf.cast(scores, tf.float32), 0.0)
        boxes = tf.cast(boxes, tf.float32)
        return Detections(self._pad(boxes, 0.0), self._pad(classes, -1), self._pad(scores, 0.0))

    def _pad(self, tensor: tf.Tensor, value: float) -> tf.Tensor:
        """Pads or cuts [batch, found, ...] to [batch, slots, ...]."""
        tensor = tensor[:, : self._slots]
        missing = [[0, 0], [0, self._slots - tf.shape(tensor)[1]], *([[0, 0]] * (tensor.shape.rank - 2))]
        padded = tf.pad(tensor, missing, constant_values=value)
        return tf.ensure_shape(padded, [tensor.shape[0], self._slots, *tensor.shape[2:]])


def load_detector(
    handle: str, labels: str, *, flag: str = "--detector", labels_flag: str = "--detector_labels"
) -> Detector:
    """Loads a detector; call it inside `strategy.scope()` if there is a strategy.

    Args:
      handle: TF-Hub handle, or folder of a SavedModel.
      labels: its label map: 'coco91', 'coco80', 'scenes', or a text file (see `load_label_map`).
      flag: flag that the user passes `handle` with; used in error messages.
      labels_flag: flag that the user passes `labels` with.

    Returns:
      The detector, which maps [batch, height, width, 3] uint8 to `Detections`.

    Raises:
      FileNotFoundError: the handle cannot be downloaded, the folder holds no SavedModel, or there is no such label map.
      ValueError: the SavedModel is broken or has another API, or the label map is not a list of names.
    """
    label_map = load_label_map(labels, flag=labels_flag)
    function = find_image_function(hub_files.load(handle, flag))
    refusal = (
        f"{flag}='{handle}' is not an object detector of a known API (uint8 images in, a dict with detection_boxes, "
        f"{_IDS} and detection_scores out, as in the TF2 Detection Zoo)"
    )
    if function is None:
        raise ValueError(f"{refusal}: nothing in this SavedModel takes images [batch, height, width, 3]")
    identity = {"weights": handle, "sha256": hub_files.saved_model_digest(handle), "labels": labels}
    try:
        return Detector(label_map.detector or _name(handle), function, label_map, identity)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{refusal}: {hub_files.one_line(error)}") from error


def best_scores(detections: Detections, num_classes: int) -> tf.Tensor:
    """Returns the highest score of each class in each image.

    Args:
      detections: the detections of a batch of images.
      num_classes: number of classes of the detector.

    Returns:
      [batch, num_classes] float32; 0 where a class was not found.
    """
    is_class = tf.one_hot(detections.classes, num_classes)  # [batch, slots, classes]; all zeros for class -1.
    return tf.reduce_max(is_class * detections.scores[..., tf.newaxis], axis=1)


def _probe(function: ImageFunction) -> tuple[ImageFunction, str, int]:
    """Runs the function on black images.

    Some detectors say that they take any number of images, but fail on more than one: these get one at a time.

    Returns:
      The function, with the batch size that it takes; the name of the class-id output; and the number of detections.

    Raises:
      TypeError, ValueError, tf.errors.InvalidArgumentError: it has neither of the supported APIs.
    """
    if function.batch not in (None, 1):
        raise ValueError(f"it takes {function.batch} images at once, neither one nor any number")
    if function.dtype != tf.uint8 and not function.dtype.is_floating:
        raise ValueError(f"it takes images of type {function.dtype.name}")
    if function.batch is None:
        try:
            return function, *_outputs_of(function, 2)
        except (TypeError, ValueError, tf.errors.OpError):
            function = function._replace(batch=1)
    return function, *_outputs_of(function, 1)


def _outputs_of(function: ImageFunction, num_images: int) -> tuple[str, int]:
    """Runs the function; returns the name of the class-id output, and the number of detections."""
    strategy = tf.distribute.get_strategy()  # Within its scope, mirrored weights can be read on replicas only.
    black = tf.zeros([num_images, 64, 64, 3], function.dtype)
    outputs = strategy.run(tf.function(lambda images: function.run(images), autograph=False), args=(black,))
    if not isinstance(outputs, Mapping):
        raise ValueError("it does not return a dict")
    class_key = _OPEN_IMAGES_IDS if _OPEN_IMAGES_IDS in outputs else _IDS
    for key in ("detection_boxes", "detection_scores", class_key):
        if key not in outputs:
            raise ValueError(f"there is no {key} among {', '.join(sorted(outputs))}")
    boxes = strategy.experimental_local_results(outputs["detection_boxes"])[0]
    if boxes.shape.rank not in (2, 3) or boxes.shape[-1] != 4 or (num_images > 1 and boxes.shape[0] != num_images):
        raise ValueError(f"its detection_boxes are {boxes.shape}, not [batch, detections, 4]")
    return class_key, boxes.shape[-2]


def _with_batch(output: tf.Tensor, rank: int) -> tf.Tensor:
    """Adds the batch axis to an output of `rank` axes if it is missing, as in some detectors for single images."""
    return output[tf.newaxis] if output.shape.rank == rank - 1 else output


def _name(handle: str) -> str:
    """Names a detector: 'efficientdet/d4' for 'https://tfhub.dev/tensorflow/efficientdet/d4/1', or a folder's name."""
    url = "://" in handle
    path = urllib.parse.urlparse(handle).path if url else os.path.abspath(handle).replace(os.sep, "/")
    parts = [part for part in path.split("/") if part and not part.isdigit() and part.lower() not in _NOT_NAMES]
    return "/".join(parts[-2 if url else -1 :]) or "detector"
