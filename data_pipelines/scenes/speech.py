"""When the words of a narrative are said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes.phrases import Phrase, Region

# Seconds that a word takes at the pace 1: a constant and so much a letter.
_SECONDS_A_WORD, _SECONDS_A_LETTER = 0.14, 0.05
# Shortest and longest silence behind a punctuation mark, in tenths of a second.
_PAUSES = {",": (3, 5), ".": (5, 9)}
# How often the recognizer of the speech takes two neighbors for one utterance: the first two words, and others.
_JOINED_AT_START, _JOINED = 0.4, 0.04


class Utterance(NamedTuple):
    """One word, or two, said from `start` to `end` (seconds) while the mouse is in `region`, or None on its way."""

    text: str
    start: float
    end: float
    region: Region | None


def utter(phrases: Sequence[Phrase], pace: float, rng: np.random.Generator) -> list[Utterance]:
    """Times the words of a narrative.

    Args:
      phrases: the narrative.
      pace: 1 for a fast speaker; 2 for one who takes twice the time.
      rng: makes words longer and shorter.

    Returns:
      Utterances one after the other, of at least a tenth of a second each, in whole tenths of a second as in the
      published files. Between two that point at different regions some time passes.
    """
    utterances: list[Utterance] = []
    tenths = int(rng.integers(0, 5))
    for phrase in phrases:
        for text in _joined(phrase.words, _JOINED if utterances else _JOINED_AT_START, rng):
            seconds = pace * sum(_SECONDS_A_WORD + _SECONDS_A_LETTER * len(word) for word in text.split())
            end = tenths + max(1, round(10 * seconds * rng.lognormal(0, 0.25)))
            utterances.append(Utterance(text, tenths / 10, end / 10, phrase.region))
            shortest, longest = _PAUSES.get(text[-1], (0, 0))
            tenths = end + int(rng.integers(shortest, longest + 1))
    return utterances


def _joined(words: Sequence[str], share_of_first: float, rng: np.random.Generator) -> list[str]:
    """The words of a phrase, some neighbors taken together: the first two with odds of their own."""
    texts = [words[0]]
    for number, word in enumerate(words[1:]):
        if " " not in texts[-1] and rng.random() < (_JOINED if number else share_of_first):
            texts[-1] += " " + word
        else:
            texts.append(word)
    return texts
