"""Narrates a scene at length, like Localized Narratives: words, their times, and the trace of the mouse.

Annotators of Localized Narratives describe an image aloud and move the mouse over what they describe. The words are
then aligned with the recording. Correspondingly, `phrases` chooses what is said and which region each phrase points at,
`speech` adds disfluencies and times, and `mouse` simulates the trace.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from data_pipelines.scenes import mouse, phrases, spec, speech

# Paces of the fastest and the slowest speaker: the time each takes, relative to a fast speaker.
_PACES = (1.0, 1.6)


class SpokenNarrative(NamedTuple):
    """A narrative with the fields of the published files.

    `timed_caption` is a list of {'utterance', 'start_time', 'end_time'} with times in seconds. `traces` is a list of
    strokes, each a list of {'x', 'y', 't'}: x and y as shares of the image's sides, y downwards, and t in seconds.
    """

    caption: str
    timed_caption: list[dict[str, Any]]
    traces: list[list[dict[str, float]]]


def narrate(scene: spec.Scene, annotator: int = 0) -> SpokenNarrative:
    """Returns an annotator's narrative of a scene.

    Args:
      scene: the scene to describe.
      annotator: number of the annotator, at least 0. Each has a pace of speech and a different wording for every scene.

    Returns:
      A narrative of 30 to 60 words and punctuation marks, which describes the objects one after the other and then the
      background. It is true of the scene, except for slips that the speaker immediately corrects. The caption consists
      of the utterances, joined by spaces. While an object or a part of the background is named, the points of the trace
      are inside its box.
    """
    pace = np.random.default_rng([annotator, 2]).uniform(*_PACES)
    rng = np.random.default_rng([scene.seed, annotator, 3])
    utterances = speech.utter(speech.stumble(phrases.tell(scene, rng), rng), pace, rng)
    return SpokenNarrative(
        caption=" ".join(utterance.text for utterance in utterances),
        timed_caption=[
            {"utterance": utterance.text, "start_time": utterance.start, "end_time": utterance.end}
            for utterance in utterances
        ],
        traces=[[{"x": x, "y": y, "t": t} for x, y, t in stroke.tolist()] for stroke in mouse.trace(utterances, rng)],
    )
