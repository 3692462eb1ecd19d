"""The design of a ranking: what is asked, what is shown where, and the key that undoes its anonymity.

All names and orders are drawn from a secret, so that nothing shown betrays a model. The key, which holds the secret,
stays with those who ask, away from the raters.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xmcgan.files import write_text

SLOTS = "ABCD"  # The places of a page, from first to last.
_KEY = "key.json"


class Question(NamedTuple):
    """One of the two rankings that are asked for, each independently of the other (paper section 5.2 and Fig. 7)."""

    name: str  # Of its folder, and in the key.
    title: str  # As in Fig. 3.
    headline: str  # On the page.
    advice: str  # Below it.
    shows_caption: bool


QUESTIONS = (
    Question(
        name="realism",
        title="Realism",
        headline="Which image looks most like a real photograph?",
        advice="Judge clear objects, natural shapes and a scene that holds together; what it shows does not matter.",
        shows_caption=False,
    ),
    Question(
        name="alignment",
        title="Text alignment",
        headline="Which image fits the caption best?",
        advice="Judge whether all that the caption names is there, and as it says; beauty does not matter.",
        shows_caption=True,
    ),
)


class Comparison(NamedTuple):
    """The images of one caption, as a page shows them for one question."""

    token: str  # Names the page in tasks and answers.
    question: str
    row: int  # Of the caption in the list.
    models: tuple[str, ...]  # Whose image stands in each place of SLOTS.


@dataclasses.dataclass(frozen=True)
class Key:
    """All that is known of a ranking, and that its raters are not to know."""

    settings: dict[str, Any]  # What was asked for, `models` among it: name -> identity of the source of its images.
    captions: list[str]
    secret: str  # All names and orders are drawn from it.
    comparisons: list[Comparison]  # Of all questions, each question's in the order to be shown in.

    @property
    def models(self) -> list[str]:
        """The names of the models, in the order that they were given in."""
        return list(self.settings["models"])


def comparisons(question: str, num_captions: int, models: Sequence[str], secret: str) -> list[Comparison]:
    """A page for each caption.

    Within each run of as many captions as there are models, every model has every place once: the orders are the
    rotations of a random one (a Latin square), dealt out to captions at random. So the places of no model are favored,
    however few answers come in; and both the orders and the sequence of the pages differ from question to question.

    Args:
      question: its name.
      num_captions: rows of the list of captions.
      models: names, at most as many as SLOTS.
      secret: see `new_name`.

    Returns:
      `num_captions` pages, in the order to be shown in.
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
    """The name of the file of a model's image of a caption."""
    return f"{new_name(secret, 'picture', model, row)}.png"


def new_name(secret: str, *parts: object) -> str:
    """A name of 20 letters and digits that tells nothing of `parts` to those who do not know the secret."""
    return _digest(secret, *parts)[:20]


def _digest(secret: str, *parts: object) -> str:
    return hmac.new(secret.encode(), "\n".join(map(str, parts)).encode(), hashlib.sha256).hexdigest()


def key_path(folder: pathlib.Path) -> pathlib.Path:
    """Where the key of a ranking is."""
    return folder / _KEY


def make_key(settings: Mapping[str, Any], captions: Sequence[str], secret: str) -> Key:
    """The key that a secret makes of what was asked for."""
    settings = dict(settings)
    pages = [
        page
        for question in QUESTIONS
        for page in comparisons(question.name, len(captions), list(settings["models"]), secret)
    ]
    return Key(settings, list(captions), secret, pages)


def claim_key(folder: pathlib.Path, settings: Mapping[str, Any], captions: Sequence[str]) -> Key:
    """Makes `folder` that of a ranking, or goes on with the one that it holds.

    Raises:
      ValueError: it holds a ranking of something else, whose answers need its key; names the first difference.
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
    for name, before in {**old.settings, "captions": old.captions}.items():
        if before != asked.get(name):
            difference = "" if name == "captions" else f": {_short(before)}, not {_short(asked.get(name))}"
            raise ValueError(f"{folder} holds a ranking with other {name}{difference}: give another --output")
    return old


def read_key(folder: pathlib.Path) -> Key:
    """The key of a ranking.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it cannot be read.
    """
    path = key_path(folder)
    if not path.is_file():
        raise FileNotFoundError(
            f"no ranking in {folder} (it has no {_KEY}): make one with python -m eval.export_ranking --output={folder}"
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        pages = [
            Comparison(page["token"], page["question"], page["row"], tuple(page["models"]))
            for page in content["comparisons"]
        ]
        return Key(content["settings"], content["captions"], content["secret"], pages)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not the key of a ranking ({error!r}): restore it from a copy") from error


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
