"""How a narrative is spoken: when its words are said, and what happens to them on the way out of a mouth.

Speakers say 'uh', 'the the', 'a blue no a red ball', 'In this in this image'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import spec
from data_pipelines.scenes.phrases import Phrase, Region

# Seconds that a word takes at the pace 1: a constant and so much a letter.
_SECONDS_A_WORD, _SECONDS_A_LETTER = 0.14, 0.05
# Shortest and longest silence behind a punctuation mark, in tenths of a second.
_PAUSES = {",": (3, 5), ".": (5, 9)}
# How often the recognizer of the speech takes two neighbors for one utterance: the first two words, and others.
_JOINED_AT_START, _JOINED = 0.4, 0.04

# How many narratives have disfluencies at all, as a share, and how often such a one has one, two or three of them.
SHARE_OF_NARRATIVES = 0.35
_HOW_MANY = (0.55, 0.3, 0.15)
# How often a disfluency is of each kind.
_SHARES = {"filler": 0.45, "repetition": 0.25, "correction": 0.15, "false start": 0.15}

FILLERS = ("uh", "um")
# Short words that speakers say twice while they look for the next one.
_REPEATED = ("a", "the", "is", "and", "of", "in", "on", "we", "I", "this")


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


def stumble(phrases: Sequence[Phrase], rng: np.random.Generator) -> list[Phrase]:
    """Puts one to three disfluencies into SHARE_OF_NARRATIVES of the narratives, each into another phrase.

    Args:
      phrases: a narrative.
      rng: decides what happens and where.

    Returns:
      The phrases with a few words more; they point where they did.
    """
    phrases = list(phrases)
    if rng.random() >= SHARE_OF_NARRATIVES:
        return phrases
    untouched = set(range(len(phrases)))
    for _ in range(1 + rng.choice(len(_HOW_MANY), p=_HOW_MANY)):
        kind = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
        fitting = [index for index in sorted(untouched) if _fits(kind, phrases[index])]
        if fitting:
            index = fitting[rng.integers(len(fitting))]
            phrases[index] = phrases[index]._replace(words=_spoken(kind, phrases[index], rng))
            untouched.remove(index)
    return phrases


def _joined(words: Sequence[str], share_of_first: float, rng: np.random.Generator) -> list[str]:
    """The words of a phrase, some neighbors taken together: the first two with odds of their own."""
    texts = [words[0]]
    for number, word in enumerate(words[1:]):
        if " " not in texts[-1] and rng.random() < (_JOINED if number else share_of_first):
            texts[-1] += " " + word
        else:
            texts.append(word)
    return texts


def _fits(kind: str, phrase: Phrase) -> bool:
    if kind == "filler":  # Before or within what is named: there the speaker looks for words.
        return phrase.region is not None and phrase.words[0].islower()
    if kind == "repetition":
        return any(word in _REPEATED for word in phrase.words)
    if kind == "correction":
        return phrase.color != "" and phrase.words[0] in ("a", "the")
    return phrase.region is None and len(phrase.words) > 2 and phrase.words[0][0].isupper()


def _spoken(kind: str, phrase: Phrase, rng: np.random.Generator) -> tuple[str, ...]:
    words = phrase.words
    if kind == "filler":
        at = rng.integers(min(2, len(words)))
        return (*words[:at], FILLERS[rng.integers(len(FILLERS))], *words[at:])
    if kind == "repetition":
        places = [place for place, word in enumerate(words) if word in _REPEATED]
        at = places[rng.integers(len(places))]
        return (*words[:at], words[at], *words[at:])
    if kind == "correction":
        others = [color for color in spec.COLORS if color != phrase.color]
        return (words[0], others[rng.integers(len(others))], "no", *words)
    return (*words[:2], words[0].lower(), *words[1:])
