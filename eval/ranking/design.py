"""The design of a ranking: the questions, the order of the images, and the key that undoes the anonymity.

All file names and orders are derived from a secret, so that nothing that raters see identifies a model. The key, which
contains the secret, must be kept from the raters.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec
import numpy as np

from xmcgan import text_files
from xmcgan.files import write_text

SLOTS = "ABCD"  # The places of a page, from first to last.
_KEY = "key.json"


class Question(NamedTuple):
    """One of the two questions, which are asked independently of each other (paper section 5.2 and Fig. 7)."""

    name: str  # Name of its folder; also used in the key.
    title: str  # Title in Fig. 3.
    headline: str  # Headline of its pages.
    advice: str  # Text below the headline.
    shows_caption: bool


QUESTIONS = (
    Question(
        name="realism",
        title="Realism",
        headline="Which image looks most like a real photograph?",
        advice="Look for clear objects, natural shapes and a coherent scene; what the image shows does not matter.",
        shows_caption=False,
    ),
    Question(
        name="alignment",
        title="Text alignment",
        headline="Which image fits the caption best?",
        advice="Check that everything in the caption is there, as described; beauty does not matter.",
        shows_caption=True,
    ),
)


class Comparison(NamedTuple):
    """The images of one caption, as a page shows them for one question."""

    token: str  # Identifies the page in tasks and answers.
    question: str
    row: int  # Row of the caption in the list.
    models: tuple[str, ...]  # The model whose image is shown at each place of SLOTS.


@dataclasses.dataclass(frozen=True)
class Key:
    """Everything about a ranking, including what its raters must not know."""

    settings: dict[str, Any]  # The settings of the export; `models` maps names to the identities of their images.
    captions: list[str]
    secret: str  # All file names and orders are derived from it.
    comparisons: list[Comparison]  # The pages of all questions; those of a question in the order of display.

    @property
    def models(self) -> list[str]:
        """The names of the models, in the order in which they were given."""
        return list(self.settings["models"])


class _Page(msgspec.Struct):
    token: str
    question: Literal["realism", "alignment"]
    row: Annotated[int, msgspec.Meta(ge=0)]
    models: list[str]


class _Settings(msgspec.Struct):
    models: Annotated[dict[str, Any], msgspec.Meta(min_length=2, max_length=len(SLOTS))]


class _KeyFile(msgspec.Struct):
    settings: dict[str, Any]
    captions: list[str]
    secret: str
    comparisons: list[_Page]


def comparisons(question: str, num_captions: int, models: Sequence[str], secret: str) -> list[Comparison]:
    """Makes a page for each caption.

    In each group of as many successive pages as there are models, every model takes every place once: the orders are
    the rotations of a random order (a Latin square). So no model has better places than another, however few answers
    come in. Both the orders and the sequence of the pages differ between questions.

    Args:
      question: name of the question.
      num_captions: length of the list of captions.
      models: names of the models, at most as many as SLOTS.
      secret: see `new_name`.

    Returns:
      `num_captions` pages, in the order of display.
    """
    rng = np.random.default_rng(int(_digest(secret, "order", question), 16))
    num_models = len(models)
    orders: list[np.ndarray] = []
    while len(orders) < num_captions:
        start = rng.permutation(num_models)
        orders += [np.roll(start, shift) for shift in rng.permutation(num_models)]
    return [
        Comparison(
            token=new_name(secret, "page", question, row),
            question=question,
            row=int(row),
            models=tuple(models[model] for model in order),
        )
        for row, order in zip(rng.permutation(num_captions), orders)
    ]


def image_name(secret: str, row: int, model: str) -> str:
    """Returns the file name of a model's image for a caption."""
    return f"{new_name(secret, 'picture', model, row)}.png"


def new_name(secret: str, *parts: object) -> str:
    """Derives a name of 20 letters and digits, which reveals nothing about `parts` without the secret."""
    return _digest(secret, *parts)[:20]


def _digest(secret: str, *parts: object) -> str:
    return hmac.new(secret.encode(), "\n".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()


def key_path(folder: pathlib.Path) -> pathlib.Path:
    """Returns the path of a ranking's key."""
    return folder / _KEY


def make_key(settings: Mapping[str, Any], captions: Sequence[str], secret: str) -> Key:
    """Makes the key for the given settings and captions; a pure function of the secret."""
    settings = dict(settings)
    pages = [
        page
        for question in QUESTIONS
        for page in comparisons(question.name, len(captions), list(settings["models"]), secret)
    ]
    return Key(settings, list(captions), secret, pages)


def claim_key(folder: pathlib.Path, settings: Mapping[str, Any], captions: Sequence[str]) -> Key:
    """Starts a ranking in `folder`, or resumes the one that is there.

    Raises:
      ValueError: the folder has a ranking with other settings, whose answers need its key; the message names the first
        difference.
    """
    path = key_path(folder)
    if not path.exists():
        made = make_key(settings, captions, secrets.token_hex(16))
        content = {**dataclasses.asdict(made), "comparisons": [page._asdict() for page in made.comparisons]}
        folder.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(content, ensure_ascii=False, indent=1))
        return made
    old = read_key(folder)
    asked = {**settings, "captions": list(captions)}
    found = {**old.settings, "captions": old.captions}
    for name in {**found, **asked}:
        if found.get(name) != asked.get(name):
            difference = "" if name == "captions" else f": {_short(found.get(name))}, not {_short(asked.get(name))}"
            raise ValueError(f"{folder} holds a ranking with other {name}{difference}: give another --output")
    return old


def read_key(folder: pathlib.Path) -> Key:
    """Reads the key of a ranking.

    Raises:
      FileNotFoundError: there is no key.
      ValueError: the key cannot be read.
    """
    path = key_path(folder)
    if not path.is_file():
        raise FileNotFoundError(
            f"no ranking in {folder} (it has no {_KEY}): make one with python -m eval.export_ranking --output={folder}"
        )
    with text_files.advice("this is not the key of a ranking, or it is damaged: restore it from a copy"):
        content = text_files.read_json(path, _KeyFile)
        models = list(text_files.check(content.settings, _Settings, f"{path}: settings").models)
        for number, page in enumerate(content.comparisons):
            if page.row >= len(content.captions) or sorted(page.models) != sorted(models):
                raise ValueError(f"{path}: comparisons[{number}]: there is no such row, or other models")
    pages = [Comparison(page.token, page.question, page.row, tuple(page.models)) for page in content.comparisons]
    return Key(content.settings, content.captions, content.secret, pages)


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
