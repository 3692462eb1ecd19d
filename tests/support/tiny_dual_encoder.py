"""A dual encoder that trains within seconds."""

from __future__ import annotations

import os
from typing import Any

from eval.retrieval import dual_encoder_training
from eval.retrieval.caption_pairs import ConvertedPairs
from eval.retrieval.dual_encoder_training import TrainingOptions
from eval.retrieval.towers import TowerOptions

OPTIONS = TrainingOptions(TowerOptions(image_size=16, text_length=17, dim=16, seed=3), 16, 6, 1e-3)


def train(
    data_dir: str | os.PathLike, folder: str | os.PathLike, *, evaluate_every: int = 1, **changes: Any
) -> dict[str, Any]:
    """Trains on scenes, with the SavedModel in `folder/output` and the training state in `folder/work`.

    Args:
      data_dir: folder with converted scenes.
      folder: folder to work in.
      evaluate_every: steps between evaluations on held-out pairs, each of which is logged.
      **changes: fields of OPTIONS to change.
    """
    folder = os.fspath(folder)
    return dual_encoder_training.train(
        OPTIONS._replace(**changes),
        ConvertedPairs("scenes", data_dir),
        os.path.join(folder, "work"),
        os.path.join(folder, "output"),
        checkpoint_every=2,
        evaluate_every=evaluate_every,
    )
