"""A scene becomes a long spoken narrative in the manner of Localized Narratives: words, their times, and the mouse.

Speakers of Localized Narratives describe an image aloud and move the mouse over what they speak of; the words are
then aligned with the recording. So here: `phrases` says what is told and where it points, `speech` how a mouth spoils
it and when each word is said, `mouse` where the pointer is meanwhile.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from data_pipelines.scenes import mouse, phrases, spec, speech

# Seconds that speakers take, of what a fast one takes: from the fastest to the slowest.
_PACES = (1.0, 1.6)


class SpokenNarrative(NamedTuple):
    """A narrative, field by field as in the published files.

    `timed_caption` holds {'utterance', 'start_time', 'end_time'} with times in seconds, `traces` one list of
    {'x', 'y', 't'} for each stroke of the mouse: x and y as shares of the image's sides, y downwards, t in seconds.
    """

    caption: str
    timed_caption: list[dict[str, Any]]
    traces: list[list[dict[str, float]]]


def narrate(scene: spec.Scene, annotator: int = 0) -> SpokenNarrative:
    """What an annotator says of a scene.

    Args:
      scene: what to tell.
      annotator: who speaks, at least 0; each has a pace of speech, and words of his own for every scene.

    Returns:
      A narrative that is true of the scene (but for what the speaker takes back at once), the objects one after the
      other and then the background, of 30 to 60 words and punctuation marks. Its utterances joined by spaces are the
      caption. While an object or a part of the background is named, the points of the traces lie within its box.
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
