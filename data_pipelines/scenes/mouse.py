"""The way of the mouse over the image while a narrative is spoken."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes.phrases import Region
from data_pipelines.scenes.speech import Utterance

POINTS_A_SECOND = 20
# How often the mouse comes in from outside the image, so that the first few points leave [0, 1], as a share.
SHARE_FROM_OUTSIDE = 0.08
# How often it is lifted in the longest silence, so that there are two strokes.
SHARE_OF_TWO_STROKES = 0.3
# So much of a region's half the mouse uses: what is left keeps it inside after the trembling of the hand and after
# the region has been rounded to pixels.
_REACH = 0.74
_TREMBLING = 0.004


class _Stay(NamedTuple):
    """The mouse is on `path` from `start` to `end` (seconds); path: times [points] -> x, y [points, 2]."""

    start: float
    end: float
    path: Callable[[np.ndarray], np.ndarray]


def trace(utterances: Sequence[Utterance], rng: np.random.Generator) -> list[np.ndarray]:
    """Moves the mouse over what is spoken of.

    Args:
      utterances: a narrative, in order.
      rng: chooses the ways.

    Returns:
      One or two strokes, [points, 3] each: x and y as shares of the image's sides, y downwards, and the time in
      seconds, rising. While an utterance that points at a region is spoken, all points lie inside it; between them
      the mouse moves smoothly from one region to the next.
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
    """Rising times from just after 0 to `end`, about POINTS_A_SECOND, in whole milliseconds; [points]."""
    step = 1 / POINTS_A_SECOND
    times = np.arange(step / 2, end, step)
    return (times + rng.uniform(-step / 4, step / 4, size=len(times))).round(3)


def _entry(rng: np.random.Generator) -> _Stay:
    """Where the mouse is when the recording begins: somewhere in the image, or a little outside of it."""
    point = rng.uniform(0.1, 0.9, size=2)
    if rng.random() < SHARE_FROM_OUTSIDE:
        beyond = rng.uniform(0.03, 0.07)
        point[rng.integers(2)] = rng.choice([-beyond, 1 + beyond])
    return _Stay(0, 0, lambda times: np.broadcast_to(point, (len(times), 2)))


def _loops(region: Region, rng: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Loops around the middle of a region that never leave it, the slower the wider it is."""
    center = np.array([region.left + region.right, region.top + region.bottom]) / 2
    half = np.array([region.right - region.left, region.bottom - region.top]) / 2
    radius = _REACH * half * rng.uniform(0.7, 1, size=2)
    # Unequal speeds sideways and upwards: a scribble rather than one ellipse again and again.
    speed = 2 * np.pi * 0.3 / (2 * half[0]) * rng.uniform(0.8, 1.2, size=2)  # Radians a second.
    phase = rng.uniform(0, 2 * np.pi, size=2)
    return lambda times: center + radius * np.sin(times[:, None] * speed + phase)  # [points, 2]


def _follow(stays: Sequence[_Stay], times: np.ndarray) -> np.ndarray:
    """The way that is on each stay's path during the stay and passes over to the next one's in between; [points, 2]."""
    positions = stays[0].path(times)
    for before, stay in zip(stays, stays[1:]):
        arrived = np.clip((times - before.end) / max(stay.start - before.end, 1e-3), 0, 1)  # [points]
        arrived = (arrived**2 * (3 - 2 * arrived))[:, None]  # Starts and ends without a jerk.
        positions = (1 - arrived) * positions + arrived * stay.path(times)
    return positions
