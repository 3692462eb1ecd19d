"""Files of TensorFlow 2.15, read by whichever version is installed.

tests/data/tensorflow_2_15.tar.xz was made with TensorFlow 2.15.1 on Python 3.11:
  exports/model  a generator of one channel with random weights, and a BERT of one layer, written by `xmcgan.export`
  text           that BERT and its tokenizer
  data           five scenes: records, and the stored text features of the training captions
  numbers.npz    two images that the export drew, and the second training batch of two

It is not to be made anew: where this fails, files of earlier versions are lost. Checkpoints: training/test_golden.py.
"""

from __future__ import annotations

import pathlib
import tarfile

import numpy as np
import pytest

from data_pipelines import input_pipeline, text_feature_files
from data_pipelines.datasets import preset
from xmcgan import TextToImage
from xmcgan.config import Config
from xmcgan.models import text_encoder

ARCHIVE = pathlib.Path(__file__).parent / "data" / "tensorflow_2_15.tar.xz"
CAPTIONS, SEEDS = ["a red ball on the beach", "two small stars at night in the sea"], [7, 2**40]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("tensorflow_2_15")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def config(folder) -> Config:
    config = preset("scenes")
    config.text.dim = 8
    config.text.preprocessor, config.text.encoder = str(folder / "text/preprocessor"), str(folder / "text/encoder")
    return config


@pytest.fixture(scope="module")
def numbers(folder) -> dict[str, np.ndarray]:
    with np.load(folder / "numbers.npz") as file:
        return dict(file)


def test_an_export_draws_the_same_images(folder, numbers):
    images = TextToImage.from_export(str(folder / "exports/model"))(CAPTIONS, SEEDS)
    assert np.ptp(images) > 100
    assert np.abs(images.astype(int) - numbers["drawn"]).max() <= 1


def test_records_and_stored_features_give_the_same_batch(folder, config, numbers):
    stored = text_feature_files.load(config, folder / "data")
    batches = input_pipeline.training_batches(
        "scenes", folder / "data", batch_size=2, image_size=64, random_flip=True, stored_text=stored, start_batch=1
    )
    (batch,) = batches.take(1).as_numpy_iterator()
    assert [caption.decode() for caption in batch.caption] == numbers["caption"].tolist()
    assert [image_id.decode() for image_id in batch.image_id] == numbers["image_id"].tolist()
    np.testing.assert_array_equal(batch.image, numbers["image"])
    for name, values in batch.text._asdict().items():
        np.testing.assert_array_equal(values, numbers[name], err_msg=name)


def test_the_stored_features_are_those_of_the_encoder(folder, config, numbers):
    features = text_encoder.load_text_encoder(config, str(folder / "data"))(numbers["caption"])
    np.testing.assert_array_equal(features.lengths, numbers["lengths"])
    np.testing.assert_allclose(features.sentence, numbers["sentence"], atol=2e-3)  # Stored in float16.
    for row, length in enumerate(numbers["lengths"]):  # Without padding, which is not stored.
        np.testing.assert_allclose(features.words[row, :length], numbers["words"][row, :length], atol=2e-3)
