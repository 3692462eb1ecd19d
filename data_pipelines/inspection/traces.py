"""Narratives to look at: the trace over its image as SVG, the words as HTML, colored alike by the time.

Both carry the share of the narrative's time that has passed as the CSS variable `--t`, from which the style sheet makes
the color, and `data-u`, the number of the utterance, by which the script finds what belongs together.
"""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterator, Sequence

import numpy as np

from data_pipelines.records import Narrative

# The drawing's width and height, whatever the image's: it is stretched over it.
SIDE = 1000
# Seconds of a piece of the trace while nothing is said.
_SILENT_PIECE = 0.5


def overlay(narrative: Narrative) -> str:
    """Draws a trace.

    Args:
      narrative: whose points are drawn, a line for each stroke and utterance.

    Returns:
      <polyline> elements in a square of SIDE: first a dark one below each stroke, then the colored ones.
    """
    begin, end = _span(narrative)
    below, above = [], []
    strokes = np.split(narrative.points, np.cumsum(narrative.stroke_lengths)[:-1]) if len(narrative.points) else []
    for points in strokes:
        below.append(f'<polyline class="below" points="{_coordinates(points)}"/>')
        for utterance, piece in _pieces(points, narrative.times):
            time = narrative.times[utterance].mean() if utterance is not None else piece[:, 2].mean()
            spoken = "" if utterance is None else f' data-u="{utterance}"'
            above.append(f'<polyline{spoken} style="--t:{_share(time, begin, end)}" points="{_coordinates(piece)}"/>')
    return "".join(below + above)


def words(caption: str, narrative: Narrative | None, num_kept: int | None) -> str:
    """Marks up the words of a caption.

    Args:
      caption: as in the record.
      narrative: how it was spoken; None if it was not. Its words may differ from the caption's here and there.
      num_kept: words before the cut; None if it is not known.

    Returns:
      <span> elements with the words, escaped: colored where their time is known, of class 'off' behind the cut.
    """
    own = caption.split()
    utterances = _utterances_of(own, narrative.utterances) if narrative else [None] * len(own)
    begin, end = _span(narrative) if narrative else (0.0, 0.0)
    marked = []
    for place, (word, utterance) in enumerate(zip(own, utterances)):
        classes = ["off"] if num_kept is not None and place >= num_kept else []
        attributes = ""
        if utterance is not None:
            classes.append("spoken")
            attributes = f' data-u="{utterance}" style="--t:{_share(narrative.times[utterance].mean(), begin, end)}"'
        if classes:
            attributes = f' class="{" ".join(classes)}"' + attributes
        marked.append(f"<span{attributes}>{html.escape(word)}</span>")
    return " ".join(marked)


def seconds(narrative: Narrative) -> float:
    """From the first word or point to the last one."""
    begin, end = _span(narrative)
    return end - begin


def _pieces(points: np.ndarray, times: np.ndarray) -> Iterator[tuple[int | None, np.ndarray]]:
    """Cuts a stroke where another utterance begins: (number of the utterance, [points, 3]), ends shared."""
    at = points[:, 2]
    if len(times):
        latest = np.searchsorted(times[:, 0], at, side="right") - 1  # [points]; -1 before the first one.
        spoken = (latest >= 0) & (at <= times[latest, 1])
    else:
        latest, spoken = np.full(len(at), -1), np.zeros(len(at), bool)
    # Below 0 while nothing is said: another number for each little while.
    key = np.where(spoken, latest, -1 - np.floor(np.maximum(at, 0) / _SILENT_PIECE).astype(np.int64))
    starts = np.flatnonzero(np.diff(key, prepend=key[0] - 1))
    for start, stop in zip(starts, [*starts[1:], len(points)]):
        yield (int(key[start]) if spoken[start] else None), points[start : stop + 1]


def _coordinates(points: np.ndarray) -> str:
    """'x,y x,y ...', repeated places left out; twice the same one for a single point, which shows as a dot."""
    places = np.rint(points[:, :2] * SIDE).astype(int)  # [points, 2]
    moved = np.any(np.diff(places, axis=0, prepend=places[:1] - 1) != 0, axis=1)
    places = places[moved]
    if len(places) == 1:
        places = np.repeat(places, 2, axis=0)
    return " ".join(f"{x},{y}" for x, y in places)


def _utterances_of(own: Sequence[str], utterances: Sequence[str]) -> list[int | None]:
    """The utterance of each word, where the words that were timed are those of the caption."""
    timed = [(word.lower(), number) for number, utterance in enumerate(utterances) for word in utterance.split()]
    found: list[int | None] = [None] * len(own)
    matcher = difflib.SequenceMatcher(None, [word.lower() for word in own], [word for word, _ in timed], autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.a + offset] = timed[block.b + offset][1]
    return found


def _span(narrative: Narrative) -> tuple[float, float]:
    """When the narrative begins and ends, in seconds."""
    times = np.concatenate([narrative.times.ravel(), narrative.points[:, 2]])
    return (float(times.min()), float(times.max())) if len(times) else (0.0, 0.0)


def _share(time: float, begin: float, end: float) -> str:
    return f"{(time - begin) / max(end - begin, 1e-6):.3f}"
