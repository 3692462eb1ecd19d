from __future__ import annotations

import numpy as np
import pytest

from data_pipelines import input_pipeline
from data_pipelines.datasets import preset
from eval.sources import DatasetImages, GeneratedImages
from xmcgan.models.text_encoder import load_text_encoder
from xmcgan.text_to_image import TextToImage
from xmcgan.training.state import build_generator


def _images(source, first, batch_size):
    return np.concatenate([source.images(batch).numpy() for batch in source.batches(first, batch_size)])


@pytest.mark.parametrize("first", [0, 7])
def test_real_images_are_those_of_the_list(first, scenes_dir):
    listed = {"num_captions": 30, "seed": 3, "image_size": 64}  # There are 20 images, so some are repeated.
    batches = input_pipeline.evaluation_batches("scenes", "validation", scenes_dir, batch_size=30, **listed)
    expected = next(iter(batches)).image.numpy()
    source = DatasetImages("scenes", "validation", str(scenes_dir), **listed)
    assert source.size == 30
    np.testing.assert_array_equal(_images(source, first, 4), expected[first:])


def test_geometry_is_part_of_the_identity_and_the_default_is_as_ever(scenes_dir):
    listed = {"num_captions": 3, "seed": 3, "image_size": 64}
    squashed, cropped = (
        DatasetImages("scenes", "validation", str(scenes_dir), geometry=geometry, **listed).identity
        for geometry in ("squash", "crop")
    )
    assert squashed == {"pictures": "real", "image_size": 64, "resize": "bilinear without antialias, no crop"}
    assert cropped == {**squashed, "resize": "bilinear without antialias, of the central square"}


CAPTIONS = ["a red ball on the beach", "a blue star at night", "a red ball on the beach", "two boxes", "a moon"]
SEEDS = [(5 << 32) + place for place in (0, 1, 2, 2, 9)]


def test_generated_images_are_those_of_sampling(scenes_dir):
    config = preset("scenes")
    config.generator.channels = 1
    text_encoder, generator = load_text_encoder(config, str(scenes_dir)), build_generator(config)
    model = TextToImage.from_networks(generator, text_encoder, config)
    source = GeneratedImages(model, CAPTIONS, SEEDS)
    assert (source.size, source.identity) == (5, {"pictures": "generated"})
    drawn = model(CAPTIONS, SEEDS)
    ours = _images(source, 0, 2)
    assert np.abs(ours.astype(int) - drawn).max() <= 1  # Rounding may differ.
    assert (ours[0] != ours[2]).any()  # Another seed, another image.
    assert np.abs(_images(source, 3, 2).astype(int) - drawn[3:]).max() <= 1


def test_an_export_draws(exported):
    source = GeneratedImages(exported, CAPTIONS, SEEDS)
    assert source.identity == {"pictures": "generated", **exported.identity}
    assert np.abs(_images(source, 0, 2).astype(int) - exported(CAPTIONS, SEEDS)).max() <= 1
