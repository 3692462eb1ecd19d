"""The start of a run from the weights of another run or of a pretrained model: `training.init_from`."""

from __future__ import annotations

import os

import tensorflow as tf
from absl import logging

from xmcgan import config as config_lib
from xmcgan import handles
from xmcgan.config import Config
from xmcgan.literal_paths import literal_path
from xmcgan.training import checkpoints
from xmcgan.training.state import TrainState, copy_variables
from xmcgan.training.workdir import config_path, read_config

# The fields that decide which weights the networks have, and their shapes.
_SHAPES = (
    "data.image_size",
    "text.dim",
    "generator.channels",
    "generator.noise_dim",
    "generator.condition_dim",
    "generator.stem",
    "generator.modulation",
    "discriminator.channels",
    "discriminator.contrastive_head_layers",
)
# The fields that give the networks their inputs. The weights fit if these differ, but know nothing of the new inputs.
_INPUTS = ("text.preprocessor", "text.encoder", "text.sentence_pooling")
# The fields of these groups that belong to the run, and not to its networks.
_OF_THE_RUN = ("text.precomputed", "generator.batch_norm_replicas")


def starting_config(config: Config, init_from: str, workdir: str = "") -> Config:
    """Returns a config for a run that starts with other weights: the networks and text encoder are those of the source.

    Args:
      config: of the new run; its other fields are kept.
      init_from: the source, which is the folder of a run, or `pretrained:NAME`.
      workdir: folder of the new run. Once it has a config, the fields come from there, and the source may be gone.

    Raises:
      FileNotFoundError: there is no such run or model.
      ValueError: the run's config cannot be read.
    """
    has_begun = bool(workdir) and os.path.isfile(config_path(workdir))
    source = config_lib.flatten(read_config(workdir if has_begun else handles.resolve_run(init_from)))
    taken = {
        field: value
        for field, value in source.items()
        if field.split(".")[0] in ("text", "generator", "discriminator") and field not in _OF_THE_RUN
    }
    data = {field: source[field] for field in ("data.image_size", "data.text_length")}
    return config.with_fields({**taken, **data, "training.init_from": init_from})


def check(config: Config) -> None:
    """Checks that the weights of `training.init_from` fit the networks of a config.

    Raises:
      FileNotFoundError: there is no such run or model.
      ValueError: the weights do not fit; names the first field that differs.
    """
    init_from = config.training.init_from
    source = config_lib.flatten(read_config(handles.resolve_run(init_from)))
    values = config_lib.flatten(config)
    for field in _SHAPES:
        if values[field] != source[field]:
            raise ValueError(
                f"config.{field}={values[field]!r} does not fit the weights of training.init_from={init_from!r}: set "
                f"config.{field}={source[field]!r}, or leave out both"
            )
    for field in _INPUTS:
        if values[field] != source[field]:
            logging.warning(
                "%s=%s, but the weights of %s were trained with %s", field, values[field], init_from, source[field]
            )


def restore(config: Config, state: TrainState, strategy: tf.distribute.Strategy) -> None:
    """Restores both networks and the averaged generator; step and optimizers stay as they are.

    A checkpoint that has only the averaged generator, as pretrained models do, gives its weights to both generators.

    Args:
      config: of the new run; its `training.init_from` names the source.
      state: made within the strategy's scope.
      strategy: the replicas.

    Raises:
      FileNotFoundError: there is no such run, model or checkpoint.
      ValueError: the checkpoint is damaged, or belongs to other networks.
    """
    source = handles.resolve_run(config.training.init_from)
    networks = {"ema_generator": state.ema_generator, "discriminator": state.discriminator}
    with checkpoints.held(source, checkpoints.find(source)) as path, strategy.scope():
        saved = tf.train.list_variables(literal_path(path))
        is_averaged_only = not any(name.startswith("generator/") for name, _ in saved)
        if not is_averaged_only:
            networks["generator"] = state.generator
        step = checkpoints.restore_networks(path, **networks)
        if is_averaged_only:
            copy_variables(state.generator.variables, state.ema_generator.variables)
    logging.info("starting with the weights of %s, step %d", config.training.init_from, step)
