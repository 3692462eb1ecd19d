"""The flags that name a trained model: a run, an export, or a model of this package."""

from __future__ import annotations

from collections.abc import Sequence

from absl import app, flags

from xmcgan import handles
from xmcgan.home_folder import expand_home

FLAGS = flags.FLAGS
# A flag defined below belongs to the command that calls these functions, and its `--help` lists it.
flags.disclaim_key_flags()

# How they are written.
_MODELS = {"workdir": "--workdir=RUN", "export": "--export=FOLDER", "pretrained": "--pretrained=NAME"}
_DEFAULT_MODEL = "scenes"  # Of this package, if the installation has it.


def define_pretrained() -> None:
    """Defines `--pretrained`: a model that is part of this package, for commands that use a trained model."""
    flags.DEFINE_string("pretrained", None, "Name of a model of this package. ['scenes', if no model is named]")


def get_run() -> str | None:
    """Returns the run whose model the flags name, or `pretrained:NAME`; None if they name an export.

    If no flag names a model, it is `pretrained:scenes`, where the installation has that model.

    Raises:
      app.UsageError: the flags name no model, or several.
    """
    named = {name: FLAGS[name].value for name in _MODELS if name in FLAGS}
    given = {name: value for name, value in named.items() if value}
    installed = handles.pretrained_models()
    if not given and _DEFAULT_MODEL in installed:
        return handles.PRETRAINED + _DEFAULT_MODEL
    if len(given) != 1:
        choices = [_MODELS[name] for name in named if installed or name != "pretrained"]
        raise app.UsageError(f"give one model: {' or '.join(choices)}")
    if "pretrained" in given:
        return handles.PRETRAINED + given["pretrained"]
    return given.get("workdir")


def named_folders(models: Sequence[str]) -> dict[str, str]:
    """Reads the values of a flag `--model=NAME=FOLDER`, which may be given several times: {name: folder}.

    If it is not given, the model is `pretrained:scenes`, where the installation has that model.

    Raises:
      app.UsageError: there is no value, one has another form, or two have the same name.
    """
    pairs = [model.split("=", 1) for model in models if "=" in model]
    folders = {name: expand_home(folder) for name, folder in pairs}
    if not models and _DEFAULT_MODEL in handles.pretrained_models():
        folders = {_DEFAULT_MODEL: handles.PRETRAINED + _DEFAULT_MODEL}
    if not folders or len(folders) < len(models):
        raise app.UsageError("give models as --model=NAME=FOLDER, each with a name of its own")
    return folders
