"""Trains, on first use, the networks that replace Inception, the detector, the dual encoder and VGG on scenes."""

from __future__ import annotations

import os
from typing import Callable, NamedTuple

from absl import logging

from data_pipelines.prepare import lock_dataset
from eval.retrieval import dual_encoder, dual_encoder_training
from eval.scenes import scene_image_encoder, scene_recognizer_training
from xmcgan import handles

# The handles of these networks in configs.
RECOGNIZER, DUAL_ENCODER = "scenes:evaluators/recognizer", "scenes:evaluators/dual_encoder"
IMAGE_ENCODER = "scenes:image_encoder"


class _Network(NamedTuple):
    is_built: Callable[[str], bool]  # Of the network's folder
    build: Callable[[str, str | os.PathLike], object]  # Of the network's folder and the folder of all records


_NETWORKS = {
    RECOGNIZER: _Network(
        scene_recognizer_training.is_built, lambda folder, data_dir: scene_recognizer_training.build(folder)
    ),
    DUAL_ENCODER: _Network(dual_encoder.is_saved, dual_encoder_training.build_for_scenes),
    IMAGE_ENCODER: _Network(
        scene_recognizer_training.is_built, lambda folder, data_dir: scene_image_encoder.build(folder)
    ),
}


def prepare(handle: str, data_dir: str | os.PathLike) -> None:
    """Trains the network that a handle names, if it is one for scenes and does not exist yet; a minute on 2 cores.

    Call it outside any strategy's scope: the networks are not trained with that strategy.

    Args:
      handle: handle of any network.
      data_dir: folder of all records; the dual encoder needs the scenes in it.
    """
    network = _NETWORKS.get(handle)
    if network is None:
        return
    folder = handles.resolve(handle, data_dir)
    if network.is_built(folder):  # Nothing is written then, as on a read-only disk.
        return
    with lock_dataset("scenes", data_dir):
        if not network.is_built(folder):
            logging.info("preparing %s: training it, which takes a minute", handle)
            network.build(folder, data_dir)


def recognizer_folder(data_dir: str | os.PathLike) -> str:
    """Returns the folder of the scene recognizer, which may not exist yet."""
    return handles.resolve(RECOGNIZER, data_dir)


def dual_encoder_folder(data_dir: str | os.PathLike) -> str:
    """Returns the folder of the dual encoder for scenes, which may not exist yet."""
    return handles.resolve(DUAL_ENCODER, data_dir)
