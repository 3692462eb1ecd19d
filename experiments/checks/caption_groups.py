"""Captions that each describe several scenes, and the spread of images of one caption."""

from __future__ import annotations

import collections
import itertools
from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf
from PIL import Image

from data_pipelines.scenes import describe, draw, spec
from data_pipelines.scenes.sample import sample_scene
from eval.metrics.spread import share_within_groups, within_groups
from eval.objects.soa_classes import SCENE_CLASSES, classes_named
from eval.scenes import scene_evaluators
from xmcgan import handles
from xmcgan.models import hub_files
from xmcgan.text_to_image import TextToImage

# No scene of the demo's records has this seed.
_SEED = 2_000_003
_DRAWN_SIZE, _IMAGE_SIZE = 128, 64  # As the records and the models have them.
_THRESHOLD = 0.5
_BATCH = 64


class CaptionGroup(NamedTuple):
    """A caption that names one kind of object, and scenes that it describes."""

    caption: str
    kind: int  # Index into `spec.KINDS`
    scenes: list[spec.Scene]


class Spread(NamedTuple):
    """How much images of one caption differ."""

    features: float  # Share of the variance within a caption, in [0, 1]
    position: float  # Standard deviation of the object's center along one axis, in image sides
    found: float  # Share of images in which the named object is found


def find(num_captions: int, per_caption: int) -> list[CaptionGroup]:
    """Samples held-out scenes until enough captions describe `per_caption` of them; always finds the same ones."""
    scenes_of: dict[str, list[spec.Scene]] = collections.defaultdict(list)
    groups: list[CaptionGroup] = []
    for index in itertools.count():
        scene = sample_scene(_SEED, "validation", index)
        for caption in set(describe.describe(scene)):
            alike = scenes_of[caption]
            alike.append(scene)
            if len(alike) != per_caption:
                continue
            (kinds,) = np.nonzero(classes_named([caption], SCENE_CLASSES)[0])
            if len(kinds) == 1:
                groups.append(CaptionGroup(caption, int(kinds[0]), alike[:per_caption]))
            if len(groups) == num_captions:
                return groups
    raise AssertionError("scenes do not end")


def real_images(groups: list[CaptionGroup]) -> np.ndarray:
    """Draws the scenes of all groups as the records have them: uint8 [groups * per_caption, size, size, 3]."""
    scenes = [scene for group in groups for scene in group.scenes]
    size = (_IMAGE_SIZE, _IMAGE_SIZE)
    return np.stack([np.asarray(draw.draw(scene, _DRAWN_SIZE).resize(size, Image.Resampling.BOX)) for scene in scenes])


def drawn_images(model: TextToImage, groups: list[CaptionGroup]) -> np.ndarray:
    """Draws as many images of each caption as it has scenes, each with its own noise, in the order of `real_images`."""
    captions = [group.caption for group in groups for _ in group.scenes]
    return model(captions, range(len(captions)))


def measure_of(groups: list[CaptionGroup], data_dir: str) -> Callable[[np.ndarray], Spread]:
    """Loads the scene recognizer, and returns a function that measures the images of all groups.

    Args:
      groups: the captions.
      data_dir: folder of all records.
    """
    scene_evaluators.prepare(scene_evaluators.RECOGNIZER, data_dir)
    recognizer = hub_files.load(handles.resolve(scene_evaluators.RECOGNIZER, data_dir), "recognizer")
    kinds = np.array([group.kind for group in groups for _ in group.scenes])  # [images]

    def measure(images: np.ndarray) -> Spread:
        features, centers, scores = [], [], []
        for first in range(0, len(images), _BATCH):
            outputs = recognizer(tf.constant(images[first : first + _BATCH]))
            of_kind = outputs["detection_classes"] == kinds[first : first + _BATCH, np.newaxis] + 1.0  # [batch, kinds]
            boxes = tf.boolean_mask(outputs["detection_boxes"], of_kind).numpy()  # [batch, 4]
            features.append(outputs["features"].numpy())
            centers.append((boxes[:, :2] + boxes[:, 2:]) / 2.0)
            scores.append(tf.boolean_mask(outputs["detection_scores"], of_kind).numpy())
        return spread(np.concatenate(features), np.concatenate(centers), np.concatenate(scores), len(groups))

    return measure


def spread(features: np.ndarray, centers: np.ndarray, scores: np.ndarray, num_groups: int) -> Spread:
    """Computes the spread of images that are ordered by caption, with as many of each.

    Args:
      features: [images, dim].
      centers: y and x of the named object, in image sides, [images, 2].
      scores: probability that the object is there, [images].
      num_groups: number of captions.
    """
    found = (scores >= _THRESHOLD).reshape(num_groups, -1)  # [groups, members]
    position = within_groups(centers.reshape(num_groups, -1, 2), found) / 2.0  # Mean variance of both axes.
    share = share_within_groups(features.reshape(num_groups, -1, features.shape[-1]))
    return Spread(share, position**0.5, float(found.mean()))
