"""Simulates the trace of the mouse over the image while a narrative is spoken."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes.phrases import Region
from data_pipelines.scenes.speech import Utterance

POINTS_A_SECOND = 20
# Share of narratives whose trace begins outside the image, so that the first few coordinates are outside [0, 1].
SHARE_FROM_OUTSIDE = 0.08
# Share of narratives with two strokes, because the mouse is lifted during the longest pause.
SHARE_OF_TWO_STROKES = 0.3
# Share of a region's half width and height that the loops use. The rest is a margin that keeps the mouse inside
# the region when jitter is added and the region is rounded to pixels.
_REACH = 0.74
# Largest jitter of a point, as a share of the image's side.
_TREMBLING = 0.004


class _Stay(NamedTuple):
    """A time span in seconds during which the mouse follows `path`, which maps times [points] to x, y [points, 2]."""

    start: float
    end: float
    path: Callable[[np.ndarray], np.ndarray]


def trace(utterances: Sequence[Utterance], rng: np.random.Generator) -> list[np.ndarray]:
    """Simulates a trace that follows the regions that are spoken about.

    Args:
      utterances: the utterances of a narrative, in order.
      rng: random number generator.

    Returns:
      One or two strokes, [points, 3] each: x and y as shares of the image's sides, y downwards, and the increasing time
      in seconds. While an utterance with a region is spoken, all points are inside that region. In between, the mouse
      moves smoothly from one region to the next.
    """
    times = _times(utterances[-1].end, rng)
    stays = [_entry(rng)]
    for region, group in itertools.groupby(utterances, key=lambda utterance: utterance.region):
        if region is not None:
            spoken = list(group)
            stays.append(_Stay(spoken[0].start, spoken[-1].end, _loops(region, rng)))
    points = _follow(stays, times) + rng.uniform(-_TREMBLING, _TREMBLING, size=(len(times), 2))
    points = np.column_stack([points.round(4), times])
    if rng.random() >= SHARE_OF_TWO_STROKES:
        return [points]
    before, after = max(zip(utterances, utterances[1:]), key=lambda pair: pair[1].start - pair[0].end)
    return [points[times <= before.end], points[times >= after.start]]


def _times(end: float, rng: np.random.Generator) -> np.ndarray:
    """Returns increasing times [points] from just after 0 to `end`, about POINTS_A_SECOND, in whole milliseconds."""
    step = 1 / POINTS_A_SECOND
    times = np.arange(step / 2, end, step)
    return (times + rng.uniform(-step / 4, step / 4, size=len(times))).round(3)


def _entry(rng: np.random.Generator) -> _Stay:
    """Returns the initial position of the mouse: somewhere in the image, or slightly outside it."""
    point = rng.uniform(0.1, 0.9, size=2)
    if rng.random() < SHARE_FROM_OUTSIDE:
        beyond = rng.uniform(0.03, 0.07)
        point[rng.integers(2)] = rng.choice([-beyond, 1 + beyond])
    return _Stay(0, 0, lambda times: np.broadcast_to(point, (len(times), 2)))


def _loops(region: Region, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a path that loops around the center of a region and never leaves the region; slower in wider regions."""
    center = np.array([region.left + region.right, region.top + region.bottom]) / 2
    half = np.array([region.right - region.left, region.bottom - region.top]) / 2
    radius = _REACH * half * rng.uniform(0.7, 1, size=2)
    # Different speeds in x and y make a scribble; equal speeds would repeat one ellipse.
    speed = 2 * np.pi * 0.3 / (2 * half[0]) * rng.uniform(0.8, 1.2, size=2)  # Radians per second.
    phase = rng.uniform(0, 2 * np.pi, size=2)
    return lambda times: center + radius * np.sin(times[:, None] * speed + phase)  # [points, 2]


def _follow(stays: Sequence[_Stay], times: np.ndarray) -> np.ndarray:
    """Returns positions [points, 2] that follow the path of each stay, and between stays blend into the next path."""
    positions = stays[0].path(times)
    for before, stay in zip(stays, stays[1:]):
        blend = np.clip((times - before.end) / max(stay.start - before.end, 1e-3), 0, 1)  # [points]
        blend = (blend**2 * (3 - 2 * blend))[:, None]  # Starts and ends smoothly.
        positions = (1 - blend) * positions + blend * stay.path(times)
    return positions
