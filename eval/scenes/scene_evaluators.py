"""The networks that stand in for Inception, the detector and the dual encoder on scenes; made on first use."""

from __future__ import annotations

import os

from data_pipelines import prepare, records
from eval.retrieval import dual_encoder_training
from eval.scenes import scene_recognizer_training


def recognizer_folder(data_dir: str | os.PathLike) -> str:
    """Where the scene recognizer is, or will be."""
    return _folder(data_dir, "recognizer")


def dual_encoder_folder(data_dir: str | os.PathLike) -> str:
    """Where the dual encoder of scenes is, or will be."""
    return _folder(data_dir, "dual_encoder")


def prepare_recognizer(data_dir: str | os.PathLike) -> None:
    """Trains the scene recognizer, unless it is there; a minute on 2 cores.

    Args:
      data_dir: folder of all records.
    """
    with prepare.alone("scenes", data_dir):
        scene_recognizer_training.build(recognizer_folder(data_dir))


def prepare_dual_encoder(data_dir: str | os.PathLike) -> None:
    """Trains the dual encoder of scenes on their training split, unless it is there; a minute on 2 cores.

    Args:
      data_dir: folder of all records, with the scenes.
    """
    with prepare.alone("scenes", data_dir):
        dual_encoder_training.build_for_scenes(dual_encoder_folder(data_dir), data_dir)


def _folder(data_dir: str | os.PathLike, name: str) -> str:
    return os.fspath(records.directory("scenes", data_dir).parent / "evaluators" / name)
