"""Training curves of the paper's rows, and the two panels of Fig. 5."""

from __future__ import annotations

from typing import Callable

import matplotlib
import numpy as np
from matplotlib import axes as axes_lib
from matplotlib import figure, ticker

from experiments.ablation.finished_runs import ACCURACY, Results, Run
from experiments.ablation.paper_rows import Table
from xmcgan import escapes

_PANEL = (6.2, 3.0)  # Width and height in inches, including the legend.
_COLUMNS = 2
_COLORS = [matplotlib.colormaps["tab10"](i) for i in range(10)]
_POINTS = 40  # Points of a smoothed curve.


def curves(results: Results) -> figure.Figure:
    """Plots FID over the images seen, one panel per table: runs as thin lines, the mean of a row as a thick line.

    If FID was not measured, the first measured metric is plotted.
    """
    metric = _main_metric(results)
    tables = results.tables()
    rows = -(-len(tables) // _COLUMNS)
    columns = min(_COLUMNS, len(tables))
    drawn = figure.Figure(figsize=(columns * _PANEL[0], rows * _PANEL[1]), dpi=150, layout="constrained")
    panels = np.ravel(drawn.subplots(rows, columns, squeeze=False))
    for panel, table in zip(panels, tables):
        panel.set_title(f"{table.title} ({table.short_place})", fontsize=9)
        _draw(panel, table, results, lambda run: _scores(run, metric))
        _label(panel, results.names[metric], logarithmic=metric in results.lower_is_better)
    for panel in panels[len(tables) :]:
        panel.set_axis_off()
    return drawn


def fig5(table: Table, results: Results) -> figure.Figure:
    """Plots Fig. 5: FID, and the accuracy of the sentence loss on generated images, over the images seen.

    Args:
      table: the table of contrastive heads.
      results: the results to plot.
    """
    drawn = figure.Figure(figsize=(2 * _PANEL[0], _PANEL[1]), dpi=150, layout="constrained")
    left, right = drawn.subplots(1, 2)
    metric = _main_metric(results)
    _draw(left, table, results, lambda run: _scores(run, metric))
    _label(left, results.names[metric], logarithmic=metric in results.lower_is_better)
    _draw(right, table, results, _smooth_accuracies)
    _label(right, f"{ACCURACY} of generated images, %")
    return drawn


def _draw(panel: axes_lib.Axes, table: Table, results: Results, points_of: Callable[[Run], np.ndarray]) -> None:
    for color, row in zip(_COLORS, table.rows):
        runs = results.runs.get(f"{table.name}/{row.name}", [])
        lines = [points for run in runs if len(points := points_of(run))]
        for points in lines if len(lines) > 1 else []:
            panel.plot(*points.T, color=color, linewidth=0.5, alpha=0.5)
        if lines:
            # All runs of a report have the same number of images, but some may have been evaluated more often.
            common = sorted(set.intersection(*(set(points[:, 0]) for points in lines)))
            means = [np.mean([dict(points)[x] for points in lines]) for x in common]
            panel.plot(common, means, color=color, linewidth=1.6, label=row.title)


def _label(panel: axes_lib.Axes, name: str, logarithmic: bool = False) -> None:
    panel.set_xlabel("training images", fontsize=8)
    panel.set_ylabel(escapes.chart(name), fontsize=7.5)
    panel.xaxis.set_major_formatter(ticker.EngFormatter(sep=""))
    if logarithmic:
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(ticker.ScalarFormatter())
        panel.yaxis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(2, 0.5)))
    panel.tick_params(labelsize=7)
    panel.tick_params(which="minor", labelsize=6)
    panel.grid(alpha=0.3, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)
    if panel.lines:
        named = [line for line in panel.lines if not str(line.get_label()).startswith("_")]
        from_the_top = sorted(named, key=lambda line: float(np.asarray(line.get_ydata())[-1]), reverse=True)
        panel.legend(handles=from_the_top, fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _main_metric(results: Results) -> str:
    return "FID" if "FID" in results.names else next(iter(results.names))


def _scores(run: Run, metric: str) -> np.ndarray:
    """Returns [evaluations, 2]: images seen, and the metric."""
    return np.array([(images, scores[metric]) for images, scores in run.evaluations if metric in scores])


def _smooth_accuracies(run: Run) -> np.ndarray:
    """Returns [points, 2]: images seen, and the mean accuracy since the previous point."""
    if not run.accuracies:
        return np.empty([0, 2])
    parts = np.array_split(np.array(run.accuracies), min(_POINTS, len(run.accuracies)))
    return np.array([(part[-1, 0], part[:, 1].mean()) for part in parts])
