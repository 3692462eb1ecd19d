"""The cases of `train_step` and `generate`: their common flags, and the config that the flags describe.

This module does not import TensorFlow.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

from absl import flags
from ml_collections import config_flags

from data_pipelines import datasets
from xmcgan import command_line, config_checks, path_flags
from xmcgan.config import Config

# The flags defined below belong to the command that calls `define_flags`, whose `--help` lists them.
flags.disclaim_key_flags()


class Case(typing.NamedTuple):
    """A size of the networks, with the batch size of its training iterations."""

    image_size: int
    channels: int
    batch_size: int


CASES = {"256px_ch96": Case(256, 96, 2), "128px_ch96": Case(128, 96, 4), "128px_ch32": Case(128, 32, 8)}
_DTYPES = ("float32", "bfloat16", "float16")


@dataclasses.dataclass(frozen=True)
class Flags:
    """The flags that both benchmarks share."""

    case: flags.FlagHolder[str]
    batch_size: flags.FlagHolder[int | None]
    dtype: flags.FlagHolder[str | None]
    rounds: flags.FlagHolder[int]
    gemm_size: flags.FlagHolder[int]
    profile: flags.FlagHolder[str | None]


def define_flags(batch_size: str) -> Flags:
    """Defines the common flags and those of the config.

    Args:
      batch_size: description of the default batch size.
    """
    defined = Flags(
        flags.DEFINE_enum("case", next(iter(CASES)), tuple(CASES), "Size of the networks; --config flags override it."),
        flags.DEFINE_integer("batch_size", None, f"Images per batch. [{batch_size}]", lower_bound=1),
        flags.DEFINE_enum("dtype", None, _DTYPES, "Sets config.training.precision. [the config's: float32]"),
        flags.DEFINE_integer("rounds", 5, "Timed runs, for the median.", lower_bound=1),
        flags.DEFINE_integer("gemm_size", 4096, "Rows of the matrices in the reference product.", lower_bound=1),
        path_flags.define_path("profile", None, "Folder for a TensorBoard trace; also prints where the time goes."),
    )
    command_line.define_dataset(datasets, "Config to start from. [coco2014]", optional=True)
    command_line.define_preset(datasets, "Preset to start from, instead of the dataset's.")
    return defined


def config_of_flags(given: Flags, batch_size: int | None = None, update_rule: str | None = None) -> Config:
    """Returns the config that the command line describes.

    Args:
      given: the flags of `define_flags`.
      batch_size: default batch size, instead of the case's.
      update_rule: 'algorithm1' or 'joint', if a flag gave one.

    Raises:
      ValueError: the config is invalid, or switches on a loss that is not measured.
    """
    config = command_line.get_config()
    overridden = set(config_flags.get_override_values(flags.FLAGS["config"]))
    if given.batch_size.value:
        overridden.discard("training.batch_size")
        batch_size = given.batch_size.value
    return configure(config, overridden, given.case.value, batch_size, given.dtype.value, update_rule)


def configure(
    config: Config,
    overridden: typing.Collection[str],
    case: str,
    batch_size: int | None = None,
    dtype: str | None = None,
    update_rule: str | None = None,
) -> Config:
    """Returns a config with the sizes of a case.

    Args:
      config: the config to start from, which is not changed.
      overridden: dotted names of fields that keep their values, whatever the case says.
      case: a key of CASES.
      batch_size: batch size, instead of the case's.
      dtype: precision, instead of the config's.
      update_rule: update rule, instead of the config's.

    Returns:
      The config, without the losses that need the image encoder.

    Raises:
      ValueError: the config is invalid, or `overridden` switches on a loss of the image encoder.
    """
    size = CASES[case]
    values: dict[str, Any] = {
        "data.image_size": size.image_size,
        "generator.channels": size.channels,
        "discriminator.channels": size.channels,
        "training.batch_size": batch_size or size.batch_size,
        "losses.generator_image_encoder": 0.0,
        "losses.generator_perceptual": 0.0,
    }
    values = {field: value for field, value in values.items() if field not in overridden}
    values.update({"training.precision": dtype} if dtype else {})
    values.update({"training.update_rule": update_rule} if update_rule else {})
    config = config.with_fields(values)
    for name in ("generator_image_encoder", "generator_perceptual"):
        if getattr(config.losses, name):
            raise ValueError(f"config.losses.{name} needs the image encoder, which is not measured here: leave it out")
    return config_checks.validate(config)


def name_of(config: Config) -> str:
    """Returns the name of a size, like the keys of CASES: '128px_ch32', or '128px_ch32_64' (G, D)."""
    channels = dict.fromkeys([config.generator.channels, config.discriminator.channels])
    return f"{config.data.image_size}px_ch{'_'.join(map(str, channels))}"
