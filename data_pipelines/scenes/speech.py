"""Simulates how a narrative is spoken: the times of its words, and disfluencies.

Examples of disfluencies: 'uh', 'the the', 'a blue no a red ball', 'In this in this image'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import spec
from data_pipelines.scenes.phrases import Phrase, Region

# Duration of a word at pace 1, in seconds: a constant, plus an amount for each letter.
_SECONDS_A_WORD, _SECONDS_A_LETTER = 0.14, 0.05
# Shortest and longest pause after a punctuation mark, in tenths of a second.
_PAUSES = {",": (3, 5), ".": (5, 9)}
# Probability that speech recognition joins two neighboring words into one utterance: for the first two
# words of a narrative, and for others.
_JOINED_AT_START, _JOINED = 0.4, 0.04

# Share of narratives with disfluencies, and the probabilities that such a narrative has one, two or three of them.
SHARE_OF_NARRATIVES = 0.35
_COUNT_PROBABILITIES = (0.55, 0.3, 0.15)
# Probability of each kind of disfluency.
_KIND_PROBABILITIES = {"filler": 0.45, "repetition": 0.25, "correction": 0.15, "false start": 0.15}

FILLERS = ("uh", "um")
# Short words that speakers repeat while they look for the next one.
_REPEATED = ("a", "the", "is", "and", "of", "in", "on", "we", "I", "this")


class Utterance(NamedTuple):
    """One or two words, said from `start` to `end` (seconds) while the mouse is in `region`, if there is one."""

    text: str
    start: float
    end: float
    region: Region | None


def utter(phrases: Sequence[Phrase], pace: float, rng: np.random.Generator) -> list[Utterance]:
    """Assigns times to the words of a narrative.

    Args:
      phrases: the narrative.
      pace: 1 for a fast speaker, 2 for one who takes twice as long.
      rng: random number generator; varies the durations.

    Returns:
      Successive utterances, with times in whole tenths of a second as in the published files. Each utterance
      takes at least a tenth of a second. Between two utterances that point at different regions there is some time.
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


def stumble(phrases: Sequence[Phrase], rng: np.random.Generator) -> list[Phrase]:
    """With probability SHARE_OF_NARRATIVES, adds one to three disfluencies, each to a different phrase.

    Args:
      phrases: a narrative.
      rng: random number generator.

    Returns:
      The phrases, some with additional words; their regions do not change.
    """
    phrases = list(phrases)
    if rng.random() >= SHARE_OF_NARRATIVES:
        return phrases
    untouched = set(range(len(phrases)))
    for _ in range(1 + rng.choice(len(_COUNT_PROBABILITIES), p=_COUNT_PROBABILITIES)):
        kind = str(rng.choice(list(_KIND_PROBABILITIES), p=list(_KIND_PROBABILITIES.values())))
        candidates = [index for index in sorted(untouched) if _allows(kind, phrases[index])]
        if candidates:
            index = candidates[rng.integers(len(candidates))]
            phrases[index] = phrases[index]._replace(words=_stumble_once(kind, phrases[index], rng))
            untouched.remove(index)
    return phrases


def _joined(words: Sequence[str], share_of_first: float, rng: np.random.Generator) -> list[str]:
    """Returns the words of a phrase with some neighbors joined; the first two have a probability of their own."""
    texts = [words[0]]
    for number, word in enumerate(words[1:]):
        if " " not in texts[-1] and rng.random() < (_JOINED if number else share_of_first):
            texts[-1] += " " + word
        else:
            texts.append(word)
    return texts


def _allows(kind: str, phrase: Phrase) -> bool:
    """Returns whether a phrase can have a disfluency of this kind."""
    if kind == "filler":  # Speakers look for words at the beginning of, or within, the name of an object.
        return phrase.region is not None and phrase.words[0].islower()
    if kind == "repetition":
        return any(word in _REPEATED for word in phrase.words)
    if kind == "correction":
        return phrase.color != "" and phrase.words[0] in ("a", "the")
    return phrase.region is None and len(phrase.words) > 2 and phrase.words[0][0].isupper()


def _stumble_once(kind: str, phrase: Phrase, rng: np.random.Generator) -> tuple[str, ...]:
    """Returns the words of a phrase with one disfluency."""
    words = phrase.words
    if kind == "filler":
        at = int(rng.integers(min(2, len(words))))
        return (*words[:at], FILLERS[rng.integers(len(FILLERS))], *words[at:])
    if kind == "repetition":
        places = [place for place, word in enumerate(words) if word in _REPEATED]
        at = places[rng.integers(len(places))]
        return (*words[:at], words[at], *words[at:])
    if kind == "correction":
        others = [color for color in spec.COLORS if color != phrase.color]
        return (words[0], others[rng.integers(len(others))], "no", *words)
    return (*words[:2], words[0].lower(), *words[1:])
