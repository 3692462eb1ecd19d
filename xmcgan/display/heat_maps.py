"""Attention maps as images: for each word of a caption, where the generator looked at it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from xmcgan.models.vocabulary import pieces_of_words

_SMALLEST_IMAGE = 128  # Smaller images are enlarged to at least this.
_HEAT = np.array([255, 64, 0], np.float32)  # The color of the strongest attention.
_REST = 0.35  # Brightness of the image where there is no attention.


def whole_words(words: Sequence[str], attention: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Joins the pieces of words; a word's attention is the sum over its pieces.

    Args:
      words: tokens.
      attention: [height, width, tokens or more].

    Returns:
      The words, and [height, width, words].
    """
    pieces = pieces_of_words(words)
    starts = np.cumsum([0, *map(len, pieces[:-1])])
    return ["".join(each) for each in pieces], np.add.reduceat(attention[..., : len(words)], starts, axis=-1)


def heat_maps(image: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Overlays the image with the attention to each word: bright and red where it is strong, dark where there is none.

    All words share one scale, whose maximum is the strongest attention of any region to any word.

    Args:
      image: uint8 [size, size, 3].
      attention: attention of each region over the words, [16, 16, words] in [0, 1].

    Returns:
      uint8 [words, size', size', 3], the image enlarged if it is small.
    """
    side = image.shape[0] * -(-_SMALLEST_IMAGE // image.shape[0])
    enlarged = np.array(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    strongest = max(float(attention.max()), 1e-12)
    drawn = []
    for word in range(attention.shape[-1]):
        map_ = Image.fromarray((attention[..., word] / strongest).astype(np.float32), mode="F")
        heat = np.clip(np.array(map_.resize((side, side), Image.Resampling.BILINEAR)), 0.0, 1.0)[..., None]
        shown = enlarged * (_REST + (1.0 - _REST) * heat)
        drawn.append(shown + 0.35 * heat * (_HEAT - shown))
    return np.clip(np.round(np.stack(drawn)), 0, 255).astype(np.uint8)
