"""The key of a ranking: which page showed which models where. It stays with those who ask, away from the raters."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from eval.ranking import design, files
from eval.ranking.design import Comparison
from eval.ranking.questions import QUESTIONS

_NAME = "key.json"


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


def path_of(folder: pathlib.Path) -> pathlib.Path:
    """Where the key of a ranking is."""
    return folder / _NAME


def make(settings: Mapping[str, Any], captions: Sequence[str], secret: str) -> Key:
    """The key that a secret makes of what was asked for."""
    settings = dict(settings)
    pages = [
        page
        for question in QUESTIONS
        for page in design.comparisons(question.name, len(captions), list(settings["models"]), secret)
    ]
    return Key(settings, list(captions), secret, pages)


def claim(folder: pathlib.Path, settings: Mapping[str, Any], captions: Sequence[str]) -> Key:
    """Makes `folder` that of a ranking, or goes on with the one that it holds.

    Raises:
      ValueError: it holds a ranking of something else, whose answers need its key; names the first difference.
    """
    path = path_of(folder)
    if not path.exists():
        made = make(settings, captions, secrets.token_hex(16))
        content = {**dataclasses.asdict(made), "comparisons": [page._asdict() for page in made.comparisons]}
        files.write_text(path, json.dumps(content, ensure_ascii=False, indent=1))
        return made
    old = read(folder)
    asked = {**settings, "captions": list(captions)}
    for name, before in {**old.settings, "captions": old.captions}.items():
        if before != asked.get(name):
            difference = "" if name == "captions" else f": {_short(before)}, not {_short(asked.get(name))}"
            raise ValueError(f"{folder} holds a ranking with other {name}{difference}: give another --output")
    return old


def read(folder: pathlib.Path) -> Key:
    """The key of a ranking.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it cannot be read.
    """
    path = path_of(folder)
    if not path.is_file():
        raise FileNotFoundError(
            f"no ranking in {folder} (it has no {_NAME}): make one with python -m eval.export_ranking --output={folder}"
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
