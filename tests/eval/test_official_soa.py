"""SOA on the official caption lists, in an evaluation of a run: three images of each caption, scored by class."""

from __future__ import annotations

import pickle

import pytest
import tensorflow as tf

from data_pipelines.datasets import preset
from eval.evaluation import Evaluation
from eval.networks.label_maps import COCO_NAMES
from eval.run_evaluation import RunEvaluation
from xmcgan.text_to_image import TextToImage
from xmcgan.training import checkpoints
from xmcgan.training.checkpoints import Checkpoints
from xmcgan.training.state import TrainState
from xmcgan.training.workdir import claim_workdir

BICYCLE, CAR = COCO_NAMES.index("bicycle"), COCO_NAMES.index("car")


class _SeesCars(tf.Module):
    """A detector that finds a car in every image, and a bicycle where its first pixel is even."""

    def __init__(self):
        super().__init__()
        self.one = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def __call__(self, images):
        batch = tf.shape(images)[0]
        even = tf.cast(images[:, 0, 0, 0] % 2 == 0, tf.float32)  # [batch]
        return {
            "detection_boxes": tf.zeros([batch, 2, 4]),
            "detection_classes": tf.tile(tf.constant([[CAR + 1.0, BICYCLE + 1.0]]), [batch, 1]),
            "detection_scores": tf.stack([0.9 * self.one * tf.ones_like(even), 0.8 * even], axis=1),
            "num_detections": tf.fill([batch], 2.0),
        }


@pytest.fixture
def config(tmp_path):
    tf.saved_model.save(_SeesCars(), str(tmp_path / "cars"))
    lists = {"label_01_bicycle": ["a bicycle", "two bicycles", "a bike"], "label_02_car": ["a car"]}
    (tmp_path / "lists").mkdir()
    for name, captions in lists.items():
        entries = [{"image_id": i, "id": i, "idx": [0, i], "caption": caption} for i, caption in enumerate(captions)]
        (tmp_path / "lists" / f"{name}.pkl").write_bytes(pickle.dumps(entries, protocol=2))
    config = preset("scenes")
    config.generator.channels = config.discriminator.channels = 1
    options = config.evaluation
    options.metrics, options.num_samples, options.batch_size = "soa", 20, 4
    options.detector, options.detector_labels = str(tmp_path / "cars"), "coco80"
    options.soa_captions = str(tmp_path / "lists")
    return config


@pytest.mark.slow
def test_three_images_of_each_caption(config, scenes_dir, tmp_path):
    workdir = str(tmp_path / "run")
    state = TrainState(config)
    claim_workdir(workdir, config)
    state.ema_generator.to_rgb.kernel.assign(20.0 * state.ema_generator.to_rgb.kernel)
    path = Checkpoints(workdir, state, max_to_keep=1).save()
    evaluation = Evaluation.prepare(config, str(scenes_dir), tf.distribute.get_strategy())
    model = TextToImage.from_run(workdir, str(scenes_dir))
    result = RunEvaluation(workdir, evaluation)(checkpoints.find(workdir), model)
    scores = {score.name: score.value for score in result.scores}
    assert sorted(scores) == ["SOA-C/cars", "SOA-I/cars"]  # Not 'approx.'.
    classes = result.details["SOA"]["classes"]
    assert classes["car"] == {"found": 3, "total": 3}
    assert classes["bicycle"]["total"] == 9
    found = classes["bicycle"]["found"]
    assert scores["SOA-C/cars"] == pytest.approx(100 * (1 + found / 9) / 2)
    assert scores["SOA-I/cars"] == pytest.approx(100 * (3 + found) / 12)
    assert result.protocol["SOA"]["pictures"] == 12
    assert result.real == []
    assert checkpoints.step_of(path) == 0
    assert sorted(path.name for path in (tmp_path / "run" / "eval").iterdir()) == ["0.json"]
