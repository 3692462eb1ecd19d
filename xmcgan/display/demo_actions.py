"""The actions of the demo page, from a user's inputs to images; independent of Gradio."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xmcgan.display.grid import image_grid
from xmcgan.display.heat_maps import heat_maps, whole_words
from xmcgan.noise import interpolate
from xmcgan.text_to_image import TextToImage

MOST_IMAGES = 16
_LONGEST = 4000  # Characters; a narrative of 64 tokens has a few hundred.
_LARGEST_SEED = 2**31 - 1
_STEPS = 9  # Images of an interpolation, both ends included.


class CaptionImages(NamedTuple):
    """Images of one caption."""

    images: np.ndarray  # uint8 [images, size, size, 3]
    seeds: list[int]
    grid: np.ndarray  # All images with the caption, uint8 [height, width, 3]


class HeatMaps(NamedTuple):
    """Where the generator looked for each word."""

    words: list[str]
    images: np.ndarray  # uint8 [words, size, size, 3]
    shares: list[float]  # Each word's share of all attention.


class Actions:
    """The page's actions on one model; a user's mistake raises a ValueError with a message for the user."""

    def __init__(self, model: TextToImage):
        """Stores the model that draws."""
        self.model = model

    def draw(self, caption: str, first_seed: float, count: float) -> CaptionImages:
        """Draws a caption with `count` consecutive seeds, at most MOST_IMAGES."""
        caption, seed = _checked_caption(caption), _checked_seed(first_seed)
        if not _is_whole(count, 1, MOST_IMAGES):
            raise ValueError(f"Choose between 1 and {MOST_IMAGES} images.")
        seeds = [seed + i for i in range(int(count))]
        images = self.model([caption] * len(seeds), seeds)
        columns = min(4, len(seeds))
        rows = -(-len(seeds) // columns)
        missing = rows * columns - len(seeds)
        blank = np.full([missing, *images.shape[1:]], 255, np.uint8)
        cells = np.concatenate([images, blank]).reshape(rows, columns, *images.shape[1:])
        labels = [caption if row == 0 else "" for row in range(rows)]
        return CaptionImages(images, seeds, image_grid(cells, labels))

    def attention(self, caption: str, seed: float) -> HeatMaps:
        """Draws an image again, and maps where the generator looked for each word."""
        caption = _checked_caption(caption)
        if not self.model.attends:
            raise ValueError("This model was trained without attention over words.")
        images, attention, (words,) = self.model.attention([caption], self.model.noise([_checked_seed(seed)]))
        words, attention = whole_words(words, attention[0])
        return HeatMaps(words, heat_maps(images[0], attention), attention.mean(axis=(0, 1)).tolist())

    def between_captions(self, caption: str, other: str, seed: float) -> np.ndarray:
        """Draws an interpolation from one caption to another, uint8 [steps, size, size, 3]."""
        caption, other = _checked_caption(caption), _checked_caption(other, "the other caption")
        z = np.repeat(self.model.noise([_checked_seed(seed)]), _STEPS, axis=0)
        shares = np.linspace(0.0, 1.0, _STEPS)
        return self.model.mixed([caption] * _STEPS, [other] * _STEPS, shares, z)

    def between_seeds(self, caption: str, seed: float, other_seed: float) -> np.ndarray:
        """Draws a caption while interpolating between two noise vectors, uint8 [steps, size, size, 3]."""
        caption = _checked_caption(caption)
        first, second = self.model.noise([_checked_seed(seed), _checked_seed(other_seed)])
        return self.model.from_noise([caption] * _STEPS, interpolate(first, second, np.linspace(0.0, 1.0, _STEPS)))

    def notices(self, caption: str) -> list[str]:
        """Returns sentences about what the model does not read or know of a caption, see `Tokens.notices`."""
        (tokens,) = self.model.tokens([_checked_caption(caption)])
        return tokens.notices()


def _checked_caption(caption: str | None, name: str = "a caption") -> str:
    caption = " ".join((caption or "").split())
    if not caption:
        raise ValueError(f"Write {name} first, such as “a red ball on the beach”.")
    if len(caption) > _LONGEST:
        raise ValueError(f"This caption has {len(caption):,} characters: write at most {_LONGEST:,}.")
    return caption


def _checked_seed(seed: Any) -> int:
    if not _is_whole(seed, 0, _LARGEST_SEED):
        raise ValueError(f"A seed is a whole number from 0 to {_LARGEST_SEED:,}.")
    return int(seed)


def _is_whole(number: object, lowest: int, highest: int) -> bool:
    """Tells whether a number, which the page's API takes as any JSON value, is whole and within bounds."""
    return isinstance(number, (int, float)) and lowest <= number <= highest and number == int(number)
