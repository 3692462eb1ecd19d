"""Networks for scenes with very little training, for the tests of the whole evaluation."""

from __future__ import annotations

import pathlib

import pytest

from tests.support.shared import make_once


@pytest.fixture(scope="session")
def evaluators_dir(scenes_dir, tmp_path_factory) -> pathlib.Path:
    """The `scenes_dir`, with a scene recognizer that was trained for two steps, and a dual encoder that was not."""
    from data_pipelines import prepare
    from eval.retrieval import dual_encoder, dual_encoder_training
    from eval.retrieval.towers import Towers
    from eval.scenes import scene_evaluators, scene_recognizer_training
    from tests.support.eagerly import eagerly

    def make(_) -> None:
        with pytest.MonkeyPatch.context() as patch, eagerly():
            patch.setattr(scene_recognizer_training, "_HELD_OUT", 16)  # Drawing them takes longest.
            scene_recognizer_training.build(scene_evaluators.recognizer_folder(scenes_dir), steps=2)
        words = pathlib.Path(prepare.text_model_folder(scenes_dir), "preprocessor", "assets", "vocab.txt")
        towers = Towers(dual_encoder_training.SCENES, words.read_text().split())
        dual_encoder.save_dual_encoder(
            towers, scene_evaluators.dual_encoder_folder(scenes_dir), {"name": "scenes", "steps": 0}
        )

    make_once(tmp_path_factory, "evaluators", make)
    return scenes_dir
