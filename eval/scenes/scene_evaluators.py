"""The networks that stand in for Inception, the detector and the dual encoder on scenes; made on first use."""

from __future__ import annotations

import os

from data_pipelines.prepare import alone
from eval.retrieval import dual_encoder_training
from eval.scenes import scene_image_encoder, scene_recognizer_training
from xmcgan import handles

# The config's names of these networks.
RECOGNIZER, DUAL_ENCODER = "scenes:evaluators/recognizer", "scenes:evaluators/dual_encoder"
IMAGE_ENCODER = "scenes:image_encoder"


def prepare(handle: str, data_dir: str | os.PathLike) -> None:
    """Trains the network of a handle, if it is one of these and not there yet; a minute on 2 cores.

    Call it outside of any strategy's scope: each is trained in a way of its own.

    Args:
      handle: of any network.
      data_dir: folder of all records; for the dual encoder, with the scenes.
    """
    if handle == RECOGNIZER:
        prepare_recognizer(data_dir)
    elif handle == DUAL_ENCODER:
        prepare_dual_encoder(data_dir)
    elif handle == IMAGE_ENCODER:
        scene_image_encoder.prepare(data_dir)


def recognizer_folder(data_dir: str | os.PathLike) -> str:
    """Where the scene recognizer is, or will be."""
    return handles.resolve(RECOGNIZER, data_dir)


def dual_encoder_folder(data_dir: str | os.PathLike) -> str:
    """Where the dual encoder of scenes is, or will be."""
    return handles.resolve(DUAL_ENCODER, data_dir)


def prepare_recognizer(data_dir: str | os.PathLike) -> None:
    """Trains the scene recognizer, unless it is there; a minute on 2 cores.

    Args:
      data_dir: folder of all records.
    """
    with alone("scenes", data_dir):
        scene_recognizer_training.build(recognizer_folder(data_dir))


def prepare_dual_encoder(data_dir: str | os.PathLike) -> None:
    """Trains the dual encoder of scenes on their training split, unless it is there; a minute on 2 cores.

    Args:
      data_dir: folder of all records, with the scenes.
    """
    with alone("scenes", data_dir):
        dual_encoder_training.build_for_scenes(dual_encoder_folder(data_dir), data_dir)
