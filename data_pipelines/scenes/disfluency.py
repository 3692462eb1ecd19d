"""What happens to words on the way out of a mouth: 'uh', 'the the', 'a blue no a red ball', 'In this in this image'."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_pipelines.scenes import spec
from data_pipelines.scenes.phrases import Phrase

# How many narratives have disfluencies at all, as a share, and how often such a one has one, two or three of them.
SHARE_OF_NARRATIVES = 0.35
_HOW_MANY = (0.55, 0.3, 0.15)
# How often a disfluency is of each kind.
_SHARES = {"filler": 0.45, "repetition": 0.25, "correction": 0.15, "false start": 0.15}

FILLERS = ("uh", "um")
# Short words that speakers say twice while they look for the next one.
_REPEATED = ("a", "the", "is", "and", "of", "in", "on", "we", "I", "this")


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


def _fits(kind: str, phrase: Phrase) -> bool:
    if kind == "filler":  # Before or within what is named: there the speaker looks for words.
        return phrase.region is not None and phrase.words[0].islower()
    if kind == "repetition":
        return any(word in _REPEATED for word in phrase.words)
    if kind == "correction":
        return phrase.colour != "" and phrase.words[0] in ("a", "the")
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
        others = [colour for colour in spec.COLOURS if colour != phrase.colour]
        return (words[0], others[rng.integers(len(others))], "no", *words)
    return (*words[:2], words[0].lower(), *words[1:])
