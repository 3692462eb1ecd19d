"""The interface of measures: each runs a network on every image, and computes scores from the network's outputs."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.input_pipeline import CaptionList
from eval.score import Score


class Seen(abc.ABC):
    """The outputs of `Measure.look` for a list of images, in the order of the list."""

    @abc.abstractmethod
    def parts(self, name: str) -> Iterator[np.ndarray]:
        """Yields the output `name` part by part, each [rows, ...], so that not all of it is in memory at once."""

    def whole(self, name: str) -> np.ndarray:
        """Returns the output `name` of all images, [images, ...]."""
        return np.concatenate(list(self.parts(name)))


class Reference(NamedTuple):
    """Reference statistics of the real images, with which other images are compared."""

    arrays: Mapping[str, np.ndarray]
    scores: list[Score]  # The scores of the real images themselves.


class Measure(abc.ABC):
    """A frozen network, and the metrics computed from its outputs.

    Attributes:
      title: name for users, such as 'image network tfgan'.
      identity: everything that the results of `look` and `refer` depend on, as JSON values by name.
      protocol: everything that the scores depend on; by default, the identity.
      weights: where the network was loaded from.
      needs_captions: whether the images must have captions.
    """

    title: str
    weights: str
    needs_captions = True
    identity: dict[str, Any]

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that the scores depend on."""
        return self.identity

    @abc.abstractmethod
    def look(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Runs the network on images; called on a replica, in a graph.

        Args:
          images: [batch, height, width, 3] uint8.

        Returns:
          Outputs by name, each [batch, ...].
        """

    def prepare(self, listed: CaptionList) -> None:
        """Checks that a list can be scored, before any image is processed; does nothing by default.

        Args:
          listed: captions and image ids.

        Raises:
          ValueError: the list cannot be scored; the message says what to change.
        """
        del listed

    @abc.abstractmethod
    def refer(self, seen: Seen, listed: CaptionList) -> Reference:
        """Computes the reference statistics of the list's real images.

        Args:
          seen: outputs for the real images.
          listed: captions and image ids, in the same order.
        """

    @abc.abstractmethod
    def scores(self, seen: Seen, listed: CaptionList, reference: Reference) -> list[Score]:
        """Scores images of the list's captions.

        Args:
          seen: outputs for the images.
          listed: captions and image ids, in the same order.
          reference: what `refer` returned for the list's real images.
        """

    def details(self, seen: Seen, listed: CaptionList, reference: Reference) -> dict[str, Any]:
        """Returns anything beyond the scores, as JSON values by name; nothing by default."""
        return {}


def network_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a network's identity without the path of its weights, which their digest already identifies."""
    return {name: value for name, value in identity.items() if name != "weights"}
