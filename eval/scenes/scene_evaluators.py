"""Trains, on first use, the networks that replace Inception, the detector and the dual encoder on scenes."""

from __future__ import annotations

import os

from data_pipelines.prepare import lock_dataset
from eval.retrieval import dual_encoder, dual_encoder_training
from eval.scenes import scene_image_encoder, scene_recognizer_training
from xmcgan import handles

# The handles of these networks in configs.
RECOGNIZER, DUAL_ENCODER = "scenes:evaluators/recognizer", "scenes:evaluators/dual_encoder"
IMAGE_ENCODER = "scenes:image_encoder"


def prepare(handle: str, data_dir: str | os.PathLike) -> None:
    """Trains the network that a handle names, if it is one for scenes and does not exist yet; a minute on 2 cores.

    Call it outside any strategy's scope: the networks are not trained with that strategy.

    Args:
      handle: handle of any network.
      data_dir: folder of all records; the dual encoder needs the scenes in it.
    """
    if handle == RECOGNIZER:
        prepare_recognizer(data_dir)
    elif handle == DUAL_ENCODER:
        prepare_dual_encoder(data_dir)
    elif handle == IMAGE_ENCODER:
        scene_image_encoder.prepare(data_dir)


def recognizer_folder(data_dir: str | os.PathLike) -> str:
    """Returns the folder of the scene recognizer, which may not exist yet."""
    return handles.resolve(RECOGNIZER, data_dir)


def dual_encoder_folder(data_dir: str | os.PathLike) -> str:
    """Returns the folder of the dual encoder for scenes, which may not exist yet."""
    return handles.resolve(DUAL_ENCODER, data_dir)


def prepare_recognizer(data_dir: str | os.PathLike) -> None:
    """Trains the scene recognizer, unless it exists; takes a minute on 2 cores.

    Args:
      data_dir: folder of all records.
    """
    folder = recognizer_folder(data_dir)
    if scene_recognizer_training.is_built(folder):  # Nothing is written then, as on a read-only disk.
        return
    with lock_dataset("scenes", data_dir):
        scene_recognizer_training.build(folder)


def prepare_dual_encoder(data_dir: str | os.PathLike) -> None:
    """Trains the dual encoder for scenes on their training split, unless it exists; takes a minute on 2 cores.

    Args:
      data_dir: folder of all records, with the scenes.
    """
    folder = dual_encoder_folder(data_dir)
    if dual_encoder.is_saved(folder):
        return
    with lock_dataset("scenes", data_dir):
        dual_encoder_training.build_for_scenes(folder, data_dir)
