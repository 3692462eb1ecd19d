"""Draws Fig. 3: how often each model was ranked first to last, with a panel for each question."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from eval.ranking.design import QUESTIONS
from eval.ranking.estimates import QuestionResult
from xmcgan import escapes
from xmcgan.files import replaced

# From best to worst, dark to light, so that color-blind readers can tell them apart.
_COLORS = ("#08306b", "#2f7ebc", "#93c4df", "#dbe9f6")
_ORDINALS = ("1st", "2nd", "3rd", "4th")
_WIDTH = 0.72  # Width of a bar.
_DARK = 2  # Number of colors that need white labels.
_SMALLEST_LABEL = 0.035  # Smaller shares have no room for a label.


def draw(results: Sequence[QuestionResult]) -> Figure:
    """Draws stacked bars of the places of each model, with a panel for each result."""
    num_models = len(results[0].models)
    figure = Figure(figsize=((1.1 * num_models + 1.2) * len(results), 4.2), layout="constrained")
    panels = figure.subplots(1, len(results), sharey=True, squeeze=False)[0]
    titles = {question.name: question.title for question in QUESTIONS}
    for axes, result in zip(panels, results):
        shares = result.shares
        bottoms = np.cumsum(shares.value, axis=1) - shares.value  # [models, places]
        names = list(map(escapes.chart, result.models))
        for place in range(num_models):
            values = shares.value[:, place]
            bars = axes.bar(
                names,
                values,
                bottom=bottoms[:, place],
                color=_COLORS[place],
                edgecolor="white",
                width=_WIDTH,
                label=_ORDINALS[place],
            )
            labels = [f"{100 * value:.1f} %" if value >= _SMALLEST_LABEL else "" for value in values]
            color = "white" if place < _DARK else "#222222"
            axes.bar_label(bars, labels, label_type="center", color=color, fontsize=8.5)
        best = shares.value[:, 0]
        axes.errorbar(
            np.arange(num_models) + _WIDTH / 2 - 0.1,  # Beside the numbers.
            best,
            [best - shares.low[:, 0], shares.high[:, 0] - best],
            fmt="none",
            ecolor="#e6550d",
            capsize=4,
            linewidth=1.4,
            label="95 % interval\nof 1st",
        )
        axes.set_title(titles[result.question])
        axes.set_xlabel(f"{result.num_answers:,} rankings of {result.num_captions:,} captions", fontsize=9)
        axes.set_ylim(0, 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    panels[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    panels[0].set_ylabel("Ranking")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], names[::-1], loc="outside right center", frameon=False)
    return figure


def save(figure: Figure, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Writes a figure as PNG and as PDF; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for suffix, metadata in ((".png", {"Software": None}), (".pdf", {"CreationDate": None})):
        path = folder / f"{name}{suffix}"
        with replaced(path, "wb") as file:
            figure.savefig(file, format=suffix[1:], dpi=200, metadata=metadata)
        paths.append(path)
    return paths
