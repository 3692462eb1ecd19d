"""Handles of networks in a config: a TF-Hub handle, a path, or a name that means a folder on every machine.

`scenes:bert/encoder` (`DATASET:PATH`) is the folder `bert/encoder` beside the records of the dataset `scenes`, wherever
the records are. `pretrained:NAME` is a model that experiments.pretrained has made part of this package; its folder has
the layout of a run, so it is given where the model of a run is read; `pretrained:NAME/bert/encoder` is a folder in it.
"""

from __future__ import annotations

import os
import re

from xmcgan import config as config_lib
from xmcgan.config import Config, TextConfig

PRETRAINED = "pretrained:"
_PRETRAINED_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pretrained")
_PREPARED = re.compile(r"(\w{2,}):(?!//)(.+)")  # Neither https://... nor C:\...


# The publishers of BERT, Inception and the detectors that this project uses.
_KNOWN_ADDRESS = re.compile(r"https://(tfhub\.dev|www\.kaggle\.com/models)/(tensorflow|google)/[\w./-]+")
_addresses_are_allowed = False


def allow_addresses() -> None:
    """Lets configs of runs name networks at any address, see `check_addresses`."""
    global _addresses_are_allowed
    _addresses_are_allowed = True


def check_addresses(config: Config, path: str) -> None:
    """Refuses a run's config that names a network at an address, other than those that TensorFlow publishes.

    A network is a program. Who receives a run from somebody else should not run what lies at an address in its config
    without having been asked.

    Args:
      config: the run's config.
      path: of the file that the config was read from.

    Raises:
      ValueError: names the field and the address, and how to allow it.
    """
    for field, value in config_lib.flatten(config).items():
        is_address = isinstance(value, str) and "://" in value
        if is_address and not _KNOWN_ADDRESS.fullmatch(value) and not _addresses_are_allowed:
            raise ValueError(
                f"{path}: config.{field}='{value}' is a network at an address that this project does not know: if you "
                "trust it, pass --allow_addresses"
            )


def is_prepared(handle: str) -> bool:
    """Tells whether a handle has the form `DATASET:PATH`."""
    return _PREPARED.fullmatch(handle) is not None


def resolve(handle: str, data_dir: str | os.PathLike) -> str:
    """Turns a handle of the form `DATASET:PATH` into a path.

    Args:
      handle: TF-Hub handle, path, or `DATASET:PATH`.
      data_dir: folder of all records.

    Returns:
      `<data_dir>/DATASET/PATH`, or the path within this package for `pretrained:NAME/PATH`; any other handle unchanged.
    """
    if handle.startswith(PRETRAINED):
        return resolve_run(handle)
    match = _PREPARED.fullmatch(handle)
    return os.path.join(data_dir, match[1], match[2]) if match else handle


def name_of(path: str, data_dir: str | os.PathLike) -> str:
    """Returns the handle `DATASET:PATH` that `resolve` turns into a path; any other path or handle unchanged.

    Results name networks so, because a path below `data_dir` means something on one machine only.
    """
    folder = os.path.join(data_dir, "")
    dataset, _, inner = path[len(folder) :].partition(os.sep) if path.startswith(folder) else ("", "", "")
    return f"{dataset}:{inner}" if inner else path


def resolve_run(run: str) -> str:
    """Turns `pretrained:NAME` into the folder of that model; returns the folder of a run unchanged.

    Raises:
      FileNotFoundError: this installation has no such model.
    """
    if not run.startswith(PRETRAINED):
        return run
    path = pretrained_folder(run[len(PRETRAINED) :])
    if not os.path.isdir(path):
        models = ", ".join(pretrained_models()) or "none"
        raise FileNotFoundError(
            f"no model '{run}' in this installation (it has {models}): train one with python -m xmcgan.train, and give "
            "the folder of its run"
        )
    return path


def pretrained_folder(name: str) -> str:
    """Returns the folder of the model `pretrained:NAME`, whether or not there is one."""
    return os.path.join(_PRETRAINED_FOLDER, name)


def is_of_package(folder: str) -> bool:
    """Tells whether the folder of a run is that of a model of this package."""
    return os.path.dirname(os.path.abspath(folder)) == _PRETRAINED_FOLDER


def packaged(handle: str) -> str | None:
    """Returns the folder of `DATASET:PATH` in this package: the folder PATH of the model called as the dataset, if any.

    Args:
      handle: of the form `DATASET:PATH`.
    """
    match = _PREPARED.fullmatch(handle)
    path = os.path.join(pretrained_folder(match[1]), match[2]) if match else ""
    return path if os.path.isdir(path) else None


def pretrained_models() -> list[str]:
    """Returns the names of the models that are part of this package."""
    try:
        return sorted(entry.name for entry in os.scandir(_PRETRAINED_FOLDER) if entry.is_dir())
    except FileNotFoundError:
        return []


def resolve_text(options: TextConfig, data_dir: str | os.PathLike) -> tuple[str, str]:
    """Returns the handles or paths of an experiment's text preprocessor and encoder, see `resolve`."""
    return resolve(options.preprocessor, data_dir), resolve(options.encoder, data_dir)
