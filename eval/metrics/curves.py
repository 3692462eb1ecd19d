"""Plots a Fréchet distance against the number of images."""

from __future__ import annotations

import os
import typing

import numpy as np
from matplotlib import figure

from eval.metrics import frechet
from xmcgan.files import replaced


def save_curve(path: str | os.PathLike, points: typing.Sequence[frechet.CurvePoint], limit: float, title: str) -> None:
    """Plots the distance against 1 / images, so that the bias is a straight line; the limit is at the left.

    Args:
      path: PNG file, written atomically.
      points: points from `frechet.frechet_curve`.
      limit: limit from `frechet.extrapolate`.
      title: title of the plot, such as 'FID/tfgan, step 10000'.
    """
    counts = np.array([point.num_images for point in points])
    inverses = 1 / counts
    distances = np.array([point.distance for point in points])
    slope = np.polyfit(inverses, distances - limit, 1)[0]
    ends = np.array([0, inverses.max()])

    sheet = figure.Figure(
        figsize=(6, 4), dpi=150, layout="constrained"
    )  # Not pyplot, which keeps figures in a global list.
    axes = sheet.add_subplot()
    axes.plot(ends, limit + slope * ends, color="0.6", linestyle="--", zorder=1)
    axes.plot(inverses, distances, "o", color="tab:blue")
    axes.plot([0], [limit], "*", color="tab:red", markersize=12, clip_on=False)
    axes.annotate(f"{limit:.2f}", (0, limit), xytext=(10, -4), textcoords="offset points", color="tab:red")
    last = np.argmax(counts)
    place = (inverses[last], distances[last])
    axes.annotate(f"{distances[last]:.2f}", place, xytext=(8, -10), textcoords="offset points", color="tab:blue")
    shown = _ticks_to_label(inverses)
    axes.set_xticks([0, *inverses[shown]], ["∞", *(f"{count:,}" for count in counts[shown])])
    axes.set_xlim(left=0)
    axes.margins(y=0.1)
    axes.set_xlabel("images (on a scale of 1 / images)")
    axes.set_ylabel("distance")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    with replaced(path, "wb") as file:
        sheet.savefig(file, format="png")


def _ticks_to_label(inverses: np.ndarray) -> list[int]:
    """Chooses the ticks to label, from right to left, at least 12 % of the axis apart so that no labels overlap."""
    shown: list[int] = []
    for index in np.argsort(-inverses):
        position = inverses[index] / inverses.max()
        if position > 0.08 and (not shown or inverses[shown[-1]] / inverses.max() - position > 0.12):
            shown.append(int(index))
    return shown
