"""Images of random captions, and repeated rows, for an evaluation of any size from a few images."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from eval.collection import Collection
from eval.measures.measure import Seen
from eval.sources import Source
from xmcgan.config import Config
from xmcgan.images import to_uint8
from xmcgan.models.text_encoder import TextFeatures
from xmcgan.noise import seeded_noise
from xmcgan.training.state import build_generator


class RandomCaptions(Source):
    """Images that an untrained generator draws for random word embeddings; they cost as much as for real captions."""

    def __init__(self, config: Config, size: int):
        self.identity, self.size = {}, size
        self._config, self._generator = config, build_generator(config)

    def batches(self, first: int, batch_size: int) -> tf.data.Dataset:
        """See the base class."""
        return tf.data.Dataset.range(first, self.size).batch(batch_size).map(lambda number: {"number": number})

    def images(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        """See the base class."""
        size, length, dim = tf.size(batch["number"]), self._config.data.text_length, self._config.text.dim
        words = tf.random.stateless_normal([size, length, dim], [0, 1])
        text = TextFeatures(words[:, 0], words, tf.fill([size], length))
        noise = seeded_noise(batch["number"], self._config.generator.noise_dim)
        return to_uint8(self._generator(noise, text).image)


class Repeated(Seen):
    """The rows of a collection, repeated up to a given number."""

    def __init__(self, seen: Collection, size: int):
        self._seen, self._size = seen, size

    def parts(self, name: str) -> Iterator[np.ndarray]:
        """See the base class."""
        rows, left = self._seen.whole(name), self._size
        while left:
            yield rows[:left]
            left -= len(rows[:left])
