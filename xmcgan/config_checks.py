"""Refuses experiments that cannot be built or trained; errors name the field and a value that works."""

from __future__ import annotations

import math
from typing import Any, NoReturn

from xmcgan import config as config_lib
from xmcgan import escapes, handles
from xmcgan.config import Config, Setting


def validate(config: Config) -> Config:
    """Refuses a config that cannot be built or trained.

    Args:
      config: the experiment.

    Returns:
      `config` itself.

    Raises:
      ValueError: names the field, its value and what to set instead.
    """
    check_values(config)
    values = config_lib.flatten(config)
    for field in ("training.log_every", "training.sample_every", "training.checkpoint_every"):
        _check_multiple(config, field, "training.steps_per_call")
    for field in ("evaluation.every", "training.keep_every"):
        _check_multiple(config, field, "training.checkpoint_every")
    if config.training.learning_rate_decay_steps and not config.training.num_steps:
        _refuse(config, "training.learning_rate_decay_steps", "needs to know the last step: set training.num_steps too")
    _check_batch(config)
    _check_metrics(config)
    for field in ("text.preprocessor", "text.encoder"):
        if not values[field]:
            _refuse(config, field, "is empty: give a TF-Hub handle or the folder of a SavedModel")
    _check_image_encoder(config)
    return config


def check_values(config: Config) -> None:
    """Refuses values that are not possible for their own field, whatever the others are.

    Raises:
      ValueError: names the field, its value and what to set instead.
    """
    values = config_lib.flatten(config)
    for field, setting in config_lib.settings().items():
        remedy = _remedy(values[field], setting)
        if remedy:
            _refuse(config, field, remedy)


def metric_names(metrics: str) -> list[str]:
    """Splits a list such as 'fid,is' into names, each once, in the order of METRICS; unknown names come last."""
    names = {name.strip() for name in metrics.split(",") if name.strip()}
    known = [name for name in config_lib.METRICS if name in names]
    return known + sorted(names - set(known))


def _remedy(value: Any, setting: Setting) -> str | None:
    """Checks a value against the constraints of its own field; returns what to do about it, None if it is possible."""
    if setting.choices and value not in setting.choices:
        return f"is not possible: choose one of {', '.join(map(str, setting.choices))}"
    if setting.minimum is not None and not value >= setting.minimum:
        return f"is too small: set it to {setting.minimum} or more"
    if setting.maximum is not None and not value <= setting.maximum:
        return f"is too large: set it to {setting.maximum} or less"
    if setting.positive and not value > 0:
        return "must be greater than 0"
    if setting.fraction and not 0 <= value < 1:
        return "must be at least 0 and less than 1"
    if setting.loss_weight and not value >= 0:
        return "is a loss weight: set it to 0 (off) or more"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    if isinstance(value, int) and abs(value) >= 2**63:
        return "is too large: integers have 64 bits"
    return None


def _check_multiple(config: Config, field: str, unit: str) -> None:
    """Refuses a field that is not a multiple of another."""
    values = config_lib.flatten(config)
    if values[field] % values[unit]:
        _refuse(config, field, f"must be a multiple of config.{unit}={values[unit]}")


def _check_batch(config: Config) -> None:
    """Refuses a batch that micro-batches do not divide, or that leaves a contrastive loss without negatives."""
    training = config.training
    if training.batch_size % training.micro_batches:
        parts = [n for n in range(1, training.batch_size + 1) if training.batch_size % n == 0]
        nearest = min(parts, key=lambda n: abs(n - training.micro_batches))
        _refuse(config, "training.micro_batches", f"do not divide the batch {training.batch_size}: set it to {nearest}")
    values = config_lib.flatten(config)
    contrastive = any(
        setting.loss_weight and setting.contrastive and values[field] > 0
        for field, setting in config_lib.settings().items()
    )
    if contrastive and training.batch_size < 2:
        _refuse(config, "training.batch_size", "leaves a contrastive loss without negatives: set it to 2 or more")


def _check_metrics(config: Config) -> None:
    names = metric_names(config.evaluation.metrics)
    if not names or set(names) - set(config_lib.METRICS):
        _refuse(config, "evaluation.metrics", f"is not possible: give some of {','.join(config_lib.METRICS)}")


def _check_image_encoder(config: Config) -> None:
    """Refuses combinations of the image encoder's fields that are not possible."""
    options = config.image_encoder
    if options.architecture == "hub":
        if options.layer:
            _refuse(
                config,
                "image_encoder.layer",
                "is not possible with architecture='hub', whose output is the feature: leave it empty",
            )
        if options.weights in ("", "imagenet"):
            _refuse(
                config,
                "image_encoder.weights",
                "is not possible with architecture='hub': give a TF-Hub handle or the folder of a SavedModel",
            )
    elif not options.weights or handles.is_prepared(options.weights):
        _refuse(
            config,
            "image_encoder.weights",
            f"is not possible: give 'imagenet' or the path of a Keras weights file of {options.architecture}",
        )


def _refuse(config: Config, field: str, remedy: str) -> NoReturn:
    raise ValueError(f"config.{field}={escapes.excerpt(repr(config_lib.flatten(config)[field]))} {remedy}")
