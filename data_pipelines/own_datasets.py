"""Datasets that users make of their own images: a file of facts beside the records makes them known by name."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
from collections.abc import Collection
from typing import Any, NamedTuple, Union

import msgspec
from etils import epath

from data_pipelines import record_folders
from xmcgan import config_json, escapes, text_files
from xmcgan.config import Config
from xmcgan.files import matching

# File beside the records; it says that they were made of a user's own images.
FACTS_FILE = "captioned_images.json"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Advice(NamedTuple):
    """A value of the config that suits the images and captions."""

    field: str  # Dotted name, such as 'data.image_size'.
    value: Any
    reason: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a user's own dataset.

    Attributes:
      source: the folder that it was converted from.
      layout: the layout of that folder.
      example: one of its captions.
      advice: fields in which its preset differs from the paper's experiment, and why.
    """

    source: str
    layout: str
    example: str
    advice: tuple[Advice, ...]

    @property
    def fields(self) -> dict[str, Any]:
        """The advised values by dotted name."""
        return {each.field: each.value for each in self.advice}


class _StoredAdvice(msgspec.Struct):
    field: str
    value: Union[bool, int, float]  # No text: a network that a stranger's file names would be loaded.
    reason: str


class _StoredFacts(msgspec.Struct):
    source: str
    layout: str
    example: str
    advice: list[_StoredAdvice]


def check_name(name: str, taken: Collection[str]) -> None:
    """Checks the name that a user gives to a dataset; it becomes the name of a folder and a value of `--dataset`.

    Args:
      name: the name.
      taken: names of other datasets and presets, which it may not have in any case of letters.

    Raises:
      ValueError: the name cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"--name='{name}' cannot be a dataset's name: use letters, digits and '_', such as --name=birds"
        )
    if name.casefold() in {other.casefold() for other in taken}:
        raise ValueError(f"--name={name} is taken by a dataset or preset of this project: choose another name")


def find(data_dir: str | os.PathLike) -> list[str]:
    """Returns the names of the users' datasets whose records are in a folder, sorted."""
    folders = matching(epath.Path(data_dir).expanduser(), "*")
    return [folder.name for folder in folders if (folder / record_folders.VERSION / FACTS_FILE).exists()]


def read_facts(name: str, data_dir: str | os.PathLike) -> Facts:
    """Reads the facts of a user's dataset.

    Args:
      name: of the dataset.
      data_dir: folder of all records.

    Raises:
      FileNotFoundError: no user has converted a dataset of this name.
      ValueError: the file is damaged.
    """
    path = os.fspath(record_folders.directory(name, data_dir) / FACTS_FILE)
    with text_files.advice(f"remove its folder, and convert '{name}' again"):
        stored: _StoredFacts = text_files.read_json(path, _StoredFacts)
        advice = tuple(Advice(each.field, each.value, each.reason) for each in stored.advice)
        facts = Facts(stored.source, stored.layout, stored.example, advice)
        try:
            config_json.from_json(config_json.to_json(Config(dataset=name).with_fields(facts.fields)))
        except ValueError as error:
            raise ValueError(f"{path}: {escapes.excerpt(str(error))}") from error
    return facts


def explain(name: str, data_dir: str | os.PathLike, facts: Facts) -> str:
    """Returns, for a terminal, the flags that suit the images and captions, and the commands to go on with."""
    where = f"--dataset={name} {shlex.quote(f'--data_dir={os.fspath(data_dir)}')}"
    flags = [f"--config.{each.field}={str(each.value).lower()}" for each in facts.advice]
    width = max(map(len, flags))
    return "\n".join(
        [
            f"what these images and captions ask for; --dataset={name} starts from these values:",
            *(f"  {flag:{width}}  {each.reason}" for flag, each in zip(flags, facts.advice)),
            "",
            "to look at the records, predict the memory that training needs, and train; with another text encoder than",
            "the default one, add its --config.text flags:",
            f"  python -m data_pipelines.inspect {where}",
            f"  python -m experiments.memory {where}",
            f"  python -m xmcgan.train {where}",
        ]
    )


def write_facts(folder: epath.Path, facts: Facts) -> None:
    """Writes the facts into the folder of the records."""
    content = {**dataclasses.asdict(facts), "advice": [each._asdict() for each in facts.advice]}
    (folder / FACTS_FILE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
