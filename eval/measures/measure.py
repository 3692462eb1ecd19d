"""What every measure offers: one look at each image, and scores of all that was seen."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval.score import Score


class Seen(abc.ABC):
    """What the looks at a list of images gave, in the order of the list."""

    @abc.abstractmethod
    def parts(self, name: str) -> Iterator[np.ndarray]:
        """The rows of one kind, [rows, ...], part by part: all images need not be in memory at once."""

    def whole(self, name: str) -> np.ndarray:
        """The rows of one kind of all images, [images, ...]."""
        return np.concatenate(list(self.parts(name)))


class Reference(NamedTuple):
    """What is kept of the real images, to hold others against them."""

    arrays: Mapping[str, np.ndarray]
    scores: list[Score]  # The real images' own.


class Measure(abc.ABC):
    """One frozen network that looks at images, and the metrics made of what it sees.

    Attributes:
      title: for people, such as 'image network tfgan'.
      identity: everything that decides what `look` and `refer` give: JSON values by name.
      protocol: everything that decides the scores; the identity, unless more is told.
      weights: where the network was loaded from.
      needs_captions: whether images without captions cannot be scored.
    """

    title: str
    weights: str
    needs_captions = True
    identity: dict[str, Any]

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that decides the scores."""
        return self.identity

    @abc.abstractmethod
    def look(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Looks at images; runs on a replica, in a graph.

        Args:
          images: [batch, height, width, 3] uint8.

        Returns:
          Rows by name, each [batch, ...].
        """

    def prepare(self, listed: CaptionList) -> None:
        """Refuses a list that cannot be scored, before anything is looked at; nothing by default.

        Args:
          listed: captions and image ids.

        Raises:
          ValueError: says what to change.
        """
        del listed

    @abc.abstractmethod
    def refer(self, seen: Seen, listed: CaptionList) -> Reference:
        """Sums up the real images of the list.

        Args:
          seen: of the list's own images.
          listed: captions and image ids, in the same order.
        """

    @abc.abstractmethod
    def scores(self, seen: Seen, listed: CaptionList, reference: Reference) -> list[Score]:
        """Scores images of the list's captions.

        Args:
          seen: of the images.
          listed: captions and image ids, in the same order.
          reference: what `refer` gave for the list's own images.
        """

    def details(self, seen: Seen, listed: CaptionList, reference: Reference) -> dict[str, Any]:
        """More to know than the scores tell, as JSON values by name; nothing by default."""
        return {}


def network_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """A network's identity without the place of its weights: their digest tells them, wherever they lie."""
    return {name: value for name, value in identity.items() if name != "weights"}
