"""Chooses the phrases of a long narrative of a scene, and the region of the image that each phrase points at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.scenes import describe, spec

# Bounds on the words and punctuation marks of a narrative before disfluencies are added, without [CLS] and [SEP].
FEWEST_TOKENS, MOST_TOKENS = 30, 51

_OPENINGS = (
    *("In this image we can see", "In this image I can see", "In this image there is", "In the image there is"),
    *("In this picture we can see", "In the picture I can see", "Here we can see", "This image consists of"),
)
_CONTINUATIONS = ("There is", "There is also", "We can also see", "I can also see", "We can see")
_INTRODUCTIONS = ("In the background we can see", "In the background I can see", "The background consists of")
_IMAGES = ("image", "image", "picture")
_SIDES = {"left": ("on the left side",), "right": ("on the right side",)}
_CLOSINGS = ("This is a graphical image", "This looks like a graphical image", "It is a drawn picture")


class Region(NamedTuple):
    """A part of the image, as shares of its sides; y points downwards."""

    left: float
    top: float
    right: float
    bottom: float


class Phrase(NamedTuple):
    """A group of words that point at one region, or at none."""

    words: tuple[str, ...]
    region: Region | None = None  # The region that the speaker points at; None while the mouse moves to the next.
    color: str = ""  # The color by which the phrase names an object; empty for other phrases.


# What can be seen in all variants of each background, and where.
_SKY = Region(0, 0, 1, 0.36)
_GROUND = Region(0, 0.64, 1, 1)
_WHOLE = Region(0, 0, 1, 1)
_SIGHTS = {
    "meadow": (("green grass", _GROUND), ("hills", Region(0, 0.46, 1, 0.6)), ("a blue sky with clouds", _SKY)),
    "beach": (("sand", _GROUND), ("the blue water of the sea", Region(0, 0.36, 1, 0.6)), ("the sky", _SKY)),
    "desert": (("sand dunes", _GROUND), ("an orange sky", Region(0, 0, 1, 0.5))),
    "snow": (("snow on the ground", _GROUND), ("trees", Region(0, 0.38, 1, 0.56)), ("a cloudy sky", _SKY)),
    "night": (("a dark sky", Region(0, 0, 1, 0.8)), ("many stars", Region(0, 0, 1, 0.8))),
    "bricks": (("a brick wall", _WHOLE), ("brown bricks in rows", _WHOLE)),
    "wood": (("a wooden floor", _WHOLE), ("brown wooden planks", _WHOLE)),
    "city": (("tall buildings with windows", Region(0, 0.1, 1, 0.6)), ("a grey road", _GROUND)),
}


def tell(scene: spec.Scene, rng: np.random.Generator) -> list[Phrase]:
    """Returns a narrative of a scene: the objects one after the other, then the background.

    Args:
      scene: the scene to describe.
      rng: random number generator for the wording.

    Returns:
      Phrases that are true of the scene, with a total of FEWEST_TOKENS to MOST_TOKENS words and punctuation marks. Two
      phrases that point at different regions have a phrase or a punctuation mark between them.
    """
    while True:
        phrases = _Teller(scene, rng).narrative()
        if FEWEST_TOKENS <= num_tokens(phrases) <= MOST_TOKENS:
            return phrases


def num_tokens(phrases: Sequence[Phrase]) -> int:
    """Returns the number of words and punctuation marks in phrases."""
    return sum(len(re.findall(r"\w+|[^\w\s]", word)) for phrase in phrases for word in phrase.words)


def region_of(thing: spec.SceneObject) -> Region:
    """Returns the bounding box of an object."""
    reach = thing.width / 2
    return Region(thing.x - reach, thing.y - reach, thing.x + reach, thing.y + reach)


class _Teller:
    """Phrases and sentences for one scene; every method returns something true in a random wording."""

    def __init__(self, scene: spec.Scene, rng: np.random.Generator):
        self._scene = scene
        self._rng = rng
        self._terseness = len(scene.objects)  # The more objects there are, the less is said about each.

    def narrative(self) -> list[Phrase]:
        things = [self._scene.objects[index] for index in self._rng.permutation(len(self._scene.objects))]
        phrases = _sentence(self._one_of(_OPENINGS), self._name(things[0]), self._position(things[0]))
        for known, thing in zip(things, things[1:]):
            phrases += self._next(thing, known)
        if self._rng.random() < 0.85 / self._terseness**3:
            phrases += self._details(things[self._rng.integers(len(things))])
        phrases += self._background()
        if self._rng.random() < 0.3 / self._terseness**2:
            phrases += _sentence(self._one_of(_CLOSINGS))
        return phrases

    def _next(self, thing: spec.SceneObject, known: spec.SceneObject) -> list[Phrase]:
        """Returns a sentence about a new object: its place in the image, or relative to an object mentioned before."""
        relations = [words for words in describe.relations(thing, known) if words not in ("left of", "right of")]
        if not relations or self._rng.random() < 0.35:
            return _sentence(self._one_of(_CONTINUATIONS), self._name(thing), self._position(thing))
        relation = self._one_of(relations)
        mention = self._mention(known, with_color=self._rng.random() < 0.4)
        if self._rng.random() < 0.5:
            return _sentence(self._one_of(_CONTINUATIONS), self._name(thing), relation, mention)
        verb = self._one_of(("there is", "we can see", "I can see"))
        return _sentence(relation, mention, verb, self._name(thing))

    def _details(self, thing: spec.SceneObject) -> list[Phrase]:
        size = self._one_of(describe.SIZE_WORDS[thing.size])
        seen = self._one_of((f"is {size} in size", f"is in {thing.color} color", f"is {size} and {thing.color}"))
        return _sentence(self._mention(thing, with_color=False), seen)

    def _background(self) -> list[Phrase]:
        sights = _SIGHTS[self._scene.background]
        chosen = [sights[index] for index in self._rng.permutation(len(sights))]
        named = [Phrase(tuple(words.split()), region) for words, region in chosen]
        if self._terseness > 1:
            del named[2:]
        *enumerated, last_but_one, last = named
        enumerated = [_marked(phrase, ",") for phrase in enumerated]
        return _sentence(self._one_of(_INTRODUCTIONS), *enumerated, last_but_one, "and", last)

    def _name(self, thing: spec.SceneObject) -> Phrase:
        """Returns a phrase such as 'a large red ball' or 'a red color ball'."""
        size = self._one_of(describe.SIZE_WORDS[thing.size]) if self._rng.random() < 0.8 / self._terseness else ""
        color = f"{thing.color} color" if self._rng.random() < 0.3 else thing.color
        words = f"a {size} {color} {self._one_of(describe.NOUNS[thing.kind])}"
        return Phrase(tuple(words.split()), region_of(thing), thing.color)

    def _mention(self, thing: spec.SceneObject, with_color: bool) -> Phrase:
        """Returns a phrase such as 'the ball' or 'the red ball'."""
        color = thing.color if with_color else ""
        words = f"the {color} {self._one_of(describe.NOUNS[thing.kind])}"
        return Phrase(tuple(words.split()), region_of(thing), color)

    def _position(self, thing: spec.SceneObject) -> str:
        places = _SIDES.get(thing.column) if self._rng.random() < 0.3 else None
        place = self._one_of(places or describe.POSITIONS[thing.row, thing.column])
        if self._rng.random() < 1 / self._terseness:
            place += f" of the {self._one_of(_IMAGES)}"
        return place

    def _one_of(self, phrases: Sequence[str]) -> str:
        return phrases[int(self._rng.integers(len(phrases)))]


def _sentence(*pieces: Phrase | str) -> list[Phrase]:
    """Joins phrases into a sentence, with a capital letter and a period. Strings become phrases without a region."""
    first, *others = [phrase if isinstance(phrase, Phrase) else Phrase(tuple(phrase.split())) for phrase in pieces]
    word, *rest = first.words
    phrases = [first._replace(words=(word[0].upper() + word[1:], *rest)), *others]
    return [*phrases[:-1], _marked(phrases[-1], ".")]


def _marked(phrase: Phrase, mark: str) -> Phrase:
    """Returns the phrase with a punctuation mark after its last word."""
    return phrase._replace(words=(*phrase.words[:-1], phrase.words[-1] + mark))
