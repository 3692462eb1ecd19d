"""Backgrounds are what their names say, in variants, and repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from data_pipelines.scenes import backgrounds, spec

SIZE = 64


def pixels(background: str, variant: int = 0) -> np.ndarray:
    return np.asarray(backgrounds.render(background, variant, SIZE).convert("RGB"), np.float64)


@pytest.mark.parametrize("background", spec.BACKGROUNDS)
def test_a_variant_is_repeatable_and_unlike_the_others(background):
    assert pixels(background).shape == (SIZE, SIZE, 3)
    np.testing.assert_array_equal(pixels(background), pixels(background))
    assert np.any(pixels(background) != pixels(background, 1))


def test_backgrounds_differ_more_than_their_variants():
    thumbnails = {
        (name, variant): pixels(name, variant).reshape(8, SIZE // 8, 8, SIZE // 8, 3).mean(axis=(1, 3))
        for name in spec.BACKGROUNDS
        for variant in range(3)
    }
    for one, image in thumbnails.items():
        distance = {other: np.abs(image - thumbnails[other]).mean() for other in thumbnails if other != one}
        assert min(distance, key=distance.get)[0] == one[0]


def test_colors_are_those_of_the_place():
    def of_half(background: str, lower: bool) -> np.ndarray:
        half = pixels(background)[SIZE // 2 + 8 :] if lower else pixels(background)[: SIZE // 2 - 8]
        return half.mean(axis=(0, 1))

    assert np.argmax(of_half("meadow", lower=True)) == 1  # Green grass,
    assert np.argmax(of_half("meadow", lower=False)) == 2  # blue sky.
    assert of_half("night", lower=False).max() < 90
    assert of_half("snow", lower=True).min() > 180
    assert np.argmax(of_half("bricks", lower=True)) == 0
