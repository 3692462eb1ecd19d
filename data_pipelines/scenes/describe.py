"""Describes a scene in five captions like COCO's: short, true, and each worded differently."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np

from data_pipelines.scenes import spec

NUM_CAPTIONS = 5
# Largest number of words and punctuation marks: with [CLS] and [SEP] they fit into 17 tokens.
_MAX_TOKENS = 15
# Offsets as shares of the image. From the first on, 'left of' and 'above' are obvious. Below the second, two objects
# count as aligned.
_APART, _ALIGNED = 0.18, 0.12

NOUNS = {kind: (kind,) * 3 for kind in spec.KINDS}
NOUNS["box"] = ("box", "box", "cube")
NOUNS["ball"] = ("ball", "ball", "sphere")
SIZE_WORDS = {"small": ("small", "small", "little", "tiny"), "large": ("large", "large", "big", "huge")}
# Phrases for the place, by background.
_PLACES = {
    "meadow": ("in a meadow", "on the grass", "in a grassy field", "on a green lawn"),
    "beach": ("on a beach", "at the beach", "on a sandy beach", "on a beach by the sea"),
    "desert": ("in the desert", "in a desert at sunset", "in the dunes", "in a sandy desert"),
    "snow": ("in the snow", "on a snowy field", "on the snow", "in the snow near trees"),
    "night": ("at night", "in the night sky", "under the stars", "on a starry night"),
    "bricks": ("by a brick wall", "in front of a brick wall", "near a brick wall", "against a brick wall"),
    "wood": ("on a wooden floor", "on wooden boards", "on a wood floor", "on wooden planks"),
    "city": ("in the city", "in front of a city skyline", "on a city street", "near tall buildings"),
}
# Phrases for the place if all objects float in the air.
_SKIES = {
    "meadow": ("over a meadow", "over the grass", "in the sky over a meadow", "over a grassy field"),
    "beach": ("over a beach", "at the beach", "over the sea", "in the sky over a beach"),
    "desert": ("over the desert", "in the desert", "in a desert at sunset", "over the dunes"),
    "snow": ("over a snowy field", "over the snow", "in the sky over the snow", "in the winter sky"),
    "city": ("over the city", "in the city", "in front of a city skyline", "near tall buildings"),
}
POSITIONS = {
    ("top", "left"): ("in the top left corner", "at the top left", "on the upper left"),
    ("top", "middle"): ("at the top", "in the middle at the top", "at the top center"),
    ("top", "right"): ("in the top right corner", "at the top right", "on the upper right"),
    ("bottom", "left"): ("in the bottom left corner", "at the bottom left", "on the lower left"),
    ("bottom", "middle"): ("at the bottom", "in the middle at the bottom", "at the bottom center"),
    ("bottom", "right"): ("in the bottom right corner", "at the bottom right", "on the lower right"),
}
_VERBS = {"top": ("floating", "hanging", "hovering"), "bottom": ("sitting", "resting", "standing", "lying")}
# Verbs for backgrounds on which nothing floats or stands: a floor seen from above, and a wall.
_FLAT_VERBS = {"wood": ("lying", "resting"), "bricks": ("hanging",)}
_IMAGES = ("picture", "photo", "scene", "view")


def describe(scene: spec.Scene) -> list[str]:
    """Returns five different captions of a scene.

    Every caption is true of the scene and has at most 15 words and punctuation marks. If the scene has one or two
    objects, at least four of the five captions name every object with its color.

    Args:
      scene: the scene to describe.

    Returns:
      NUM_CAPTIONS captions, some in lower case, some as a sentence with or without a period.
    """
    rng = np.random.default_rng([scene.seed, 1])
    teller = _Teller(scene, rng)
    vague_at = rng.integers(NUM_CAPTIONS) if rng.random() < 0.5 else None
    captions: list[str] = []
    for template in teller.templates():
        words = teller.vague() if len(captions) == vague_at else template()
        caption = _polish(words, rng)
        if _num_tokens(caption) <= _MAX_TOKENS and caption not in captions:
            captions.append(caption)
            if len(captions) == NUM_CAPTIONS:
                break
    return captions


def relations(one: spec.SceneObject, other: spec.SceneObject) -> tuple[str, ...]:
    """Returns the relations of `one` to `other` that are true: 'to the left of', 'above', 'next to', ..."""
    right, down = one.x - other.x, one.y - other.y
    found: tuple[str, ...] = ()
    if abs(right) >= _APART:
        side = "left" if right < 0 else "right"
        found += (f"to the {side} of", f"{side} of")
    if abs(right) < _ALIGNED and abs(down) >= _APART:
        found += ("above", "over") if down < 0 else ("below", "under")
    if abs(down) < _ALIGNED:
        found += ("next to", "beside")
    return found


class _Teller:
    """Phrases for one scene; every method returns a true phrase in a random wording."""

    def __init__(self, scene: spec.Scene, rng: np.random.Generator):
        self._scene = scene
        self._rng = rng
        self._single = len(scene.objects) == 1

    def templates(self) -> Iterator[Callable[[], str]]:
        """Endlessly yields the sentence forms for this number of objects, shuffled anew in each round."""
        forms = {1: self._one_object(), 2: self._two_objects(), 3: self._three_objects()}[len(self._scene.objects)]
        while True:
            for index in self._rng.permutation(len(forms)):
                yield forms[index]

    def vague(self) -> str:
        """Returns a caption without colors."""
        things = [f"a {self._one_of(NOUNS[thing.kind])}" for thing in self._objects()]
        return f"{self._listed(things)} {self._place()}"

    def _one_object(self) -> list[Callable[[], str]]:
        thing = self._scene.objects[0]
        return [
            lambda: f"{self._name(thing)} {self._position(thing)} {self._place()}",
            lambda: f"{self._name(thing)} {self._verb(thing)} {self._place()}",
            lambda: f"there is {self._name(thing)} {self._position(thing)} {self._place()}",
            lambda: f"{self._place()} {self._name(thing)} is {self._verb(thing)} {self._position(thing)}",
            lambda: f"{self._position(thing)} of the {self._one_of(_IMAGES)} is {self._name(thing)}",
            lambda: f"a {self._one_of(_IMAGES)} of {self._name(thing)} {self._place()}",
            lambda: f"{self._name(thing)} {self._place()}",
            lambda: f"{self._name(thing)} {self._verb(thing)} {self._position(thing)}",
        ]

    def _two_objects(self) -> list[Callable[[], str]]:
        def pair() -> tuple[spec.SceneObject, spec.SceneObject, str]:
            one, other = self._objects()
            found = relations(one, other)
            return one, other, self._one_of(found) if found else "and"

        def related() -> str:
            one, other, relation = pair()
            return f"{self._name(one)} {relation} {self._name(other)}"

        def stated() -> str:
            one, other, relation = pair()
            verb = "is" if relation != "and" else ""
            return f"{self._place()} {self._name(one)} {verb} {relation} {self._name(other)}"

        def placed() -> str:
            one, other = self._objects()
            return f"{self._name(one)} {self._position(one)} and {self._name(other)} {self._position(other)}"

        def both() -> str:
            return self._listed([self._name(thing) for thing in self._objects()])

        return [
            related,
            lambda: f"{related()} {self._place()}",
            lambda: f"{related()} {self._place()}",
            stated,
            placed,
            lambda: f"{both()} {self._place()}",
            lambda: f"a {self._one_of(_IMAGES)} of {both()} {self._place()}",
            lambda: f"there is {related()} {self._place()}",
        ]

    def _three_objects(self) -> list[Callable[[], str]]:
        def names() -> list[str]:
            return [self._name(thing, with_size=False) for thing in self._objects()]

        def related() -> str:
            one, other, _ = self._objects()
            found = relations(one, other)
            relation = self._one_of(found) if found else "and"
            return f"{self._name(one)} {relation} {self._name(other, with_size=False)}"

        def foremost() -> str:
            thing = self._objects()[0]
            return f"{self._name(thing)} {self._position(thing)} and two other things {self._place()}"

        return [
            lambda: f"{self._listed(names())} {self._place()}",
            lambda: f"{self._place()} {self._listed(names())}",
            lambda: f"{self._listed(names())}",
            lambda: f"{related()} {self._place()}",
            lambda: f"three things {self._place()} with {related()}",
            foremost,
        ]

    def _name(self, thing: spec.SceneObject, with_size: bool = True) -> str:
        words = [thing.color, self._one_of(NOUNS[thing.kind])]
        if with_size and self._rng.random() < (0.5 if self._single else 0.2):
            words.insert(0, self._one_of(SIZE_WORDS[thing.size]))
        return "a " + " ".join(words)

    def _place(self) -> str:
        floating = all(thing.row == "top" for thing in self._scene.objects)
        places = _SKIES.get(self._scene.background) if floating else None
        return self._one_of(places or _PLACES[self._scene.background])

    def _position(self, thing: spec.SceneObject) -> str:
        return self._one_of(POSITIONS[thing.row, thing.column])

    def _verb(self, thing: spec.SceneObject) -> str:
        return self._one_of(_FLAT_VERBS.get(self._scene.background) or _VERBS[thing.row])

    def _objects(self) -> list[spec.SceneObject]:
        return [self._scene.objects[index] for index in self._rng.permutation(len(self._scene.objects))]

    def _one_of(self, phrases: tuple[str, ...]) -> str:
        return phrases[self._rng.integers(len(phrases))]

    @staticmethod
    def _listed(names: list[str]) -> str:
        """Joins names into 'a', 'a and b' or 'a b and c'; without commas there is room for more words."""
        return " and ".join([" ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _polish(words: str, rng: np.random.Generator) -> str:
    """Formats words as a caption: in lower case, or as a sentence with or without a period."""
    words = " ".join(words.split())
    style = rng.random()
    if style < 0.4:
        return words
    return words[0].upper() + words[1:] + ("." if style < 0.75 else "")


def _num_tokens(caption: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", caption))
