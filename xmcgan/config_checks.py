"""Refuses experiments that cannot be built or trained, by the name of the field, with the value that mends it."""

from __future__ import annotations

from xmcgan import config as config_lib
from xmcgan.config import Config

_CHOICES = {
    "dataset": config_lib.DATASETS,
    "data.image_size": config_lib.IMAGE_SIZES,
    "data.cache": ("none", "memory"),
    "text.sentence_pooling": ("mean", "sum_over_length", "pooled_output"),
    "generator.stem": ("condition", "noise"),
    "generator.modulation": ("attentional", "self"),
    "generator.context_words": ("raw", "normalized"),
    "discriminator.contrastive_head_layers": (0, 1, 2),
    "image_encoder.architecture": ("vgg19", "resnet50", "hub"),
    "losses.context_regions": ("raw", "normalized"),
    "losses.direction": ("both", "single"),
    "losses.negatives": ("global", "replica"),
    "training.micro_batch_statistics": ("batch", "micro_batch"),
    "training.precision": ("float32", "bfloat16", "float16"),
    "training.update_rule": ("algorithm1", "joint"),
    "evaluation.network": ("tfgan", "keras", "scenes"),
}
# Fields that are at least the number given here.
_MINIMA = {
    "data.text_length": 3,
    "text.dim": 1,
    "generator.channels": 1,
    "generator.noise_dim": 1,
    "generator.condition_dim": 1,
    "generator.batch_norm_replicas": 0,
    "discriminator.channels": 1,
    "losses.word_chunk": 0,
    "training.batch_size": 1,
    "training.micro_batches": 1,
    "training.num_steps": 0,
    "training.discriminator_steps": 1,
    "training.steps_per_call": 1,
    "training.log_every": 1,
    "training.sample_every": 0,
    "training.checkpoint_every": 1,
    "training.max_checkpoints": 1,
    "training.keep_every": 0,
    "evaluation.every": 0,
    "evaluation.num_samples": 2,
    "evaluation.seed": 0,
    "evaluation.batch_size": 1,
    "evaluation.inception_score_splits": 1,
    "evaluation.kernel_subsets": 1,
    "evaluation.kernel_subset_size": 2,
    "evaluation.mismatches": 1,
    "evaluation.folds": 1,
}
_POSITIVE = (
    "generator.batch_norm_epsilon",
    "discriminator.spectral_norm_epsilon",
    "losses.temperature",
    "losses.word_temperature",
    "losses.rho_1",
    "losses.rho_2",
    "training.epochs",
    "training.generator_learning_rate",
    "training.discriminator_learning_rate",
    "training.adam_epsilon",
)
_FRACTIONS = (
    "generator.batch_norm_momentum",
    "training.beta_1",
    "training.beta_2",
    "training.ema_decay",
    "evaluation.detector_threshold",
)


def validate(config: Config) -> Config:
    """Refuses what cannot be built or trained.

    Args:
      config: the experiment.

    Returns:
      `config` itself.

    Raises:
      ValueError: names the field, its value and what to set instead.
    """
    flat = config_lib.flatten(config)

    def refuse(field: str, fix: str) -> None:
        raise ValueError(f"config.{field}={flat[field]!r} {fix}")

    for field, choices in _CHOICES.items():
        if flat[field] not in choices:
            refuse(field, f"is not possible: choose one of {', '.join(map(str, choices))}")
    for field, least in _MINIMA.items():
        if flat[field] < least:
            refuse(field, f"is too small: set it to {least} or more")
    for field in _POSITIVE:
        if not flat[field] > 0:
            refuse(field, "must be greater than 0")
    for field in _FRACTIONS:
        if not 0 <= flat[field] < 1:
            refuse(field, "must be at least 0 and less than 1")
    for field, value in flat.items():
        if field.startswith(("losses.generator_", "losses.discriminator_")) and value < 0:
            refuse(field, "is a loss weight: set it to 0 (off) or more")

    for field in ("training.log_every", "training.sample_every", "training.checkpoint_every"):
        if flat[field] % config.training.steps_per_call:
            refuse(field, f"must be a multiple of config.training.steps_per_call={config.training.steps_per_call}")
    for field in ("evaluation.every", "training.keep_every"):
        if flat[field] % config.training.checkpoint_every:
            refuse(field, f"must be a multiple of config.training.checkpoint_every={config.training.checkpoint_every}")
    if config.training.batch_size % config.training.micro_batches:
        parts = [n for n in range(1, config.training.batch_size + 1) if config.training.batch_size % n == 0]
        nearest = min(parts, key=lambda n: abs(n - config.training.micro_batches))
        refuse("training.micro_batches", f"do not divide the batch {config.training.batch_size}: set it to {nearest}")
    unknown = [name for name in metric_names(config.evaluation.metrics) if name not in config_lib.METRICS]
    if unknown or not metric_names(config.evaluation.metrics):
        refuse("evaluation.metrics", f"is not possible: give some of {','.join(config_lib.METRICS)}")
    contrastive = any(
        value > 0
        for field, value in flat.items()
        if field.startswith(("losses.generator_", "losses.discriminator_")) and field != "losses.generator_perceptual"
    )
    if contrastive and config.training.batch_size < 2:
        refuse("training.batch_size", "leaves a contrastive loss without negatives: set it to 2 or more")
    if not config.text.preprocessor and config.dataset != "scenes":
        refuse("text.preprocessor", "is empty: give a TF-Hub handle or the folder of a SavedModel")
    if not config.text.encoder and config.dataset != "scenes":
        refuse("text.encoder", "is empty: give a TF-Hub handle or the folder of a SavedModel")
    _check_image_encoder(config)
    return config


def uses_image_encoder(config: Config) -> bool:
    """Whether one of the losses is of the frozen image encoder."""
    return bool(config.losses.generator_image_encoder or config.losses.generator_perceptual)


def metric_names(metrics: str) -> list[str]:
    """The metrics of a list such as 'fid,is', each once, in the order of METRICS; unknown names last."""
    names = {name.strip() for name in metrics.split(",") if name.strip()}
    known = [name for name in config_lib.METRICS if name in names]
    return known + sorted(names - set(known))


def _check_image_encoder(config: Config) -> None:
    """Refuses fields of the image encoder that do not go together."""
    options = config.image_encoder
    if options.architecture == "hub":
        if options.layer:
            raise ValueError(
                f"config.image_encoder.layer={options.layer!r} is not possible with architecture='hub', whose output "
                "is the feature: leave it empty"
            )
        if options.weights == "imagenet" or not (options.weights or config.dataset == "scenes"):
            raise ValueError(
                f"config.image_encoder.weights={options.weights!r} is not possible with architecture='hub': give a "
                "TF-Hub handle or the folder of a SavedModel"
            )
    elif not options.weights:
        raise ValueError(
            "config.image_encoder.weights is empty: give 'imagenet' or the path of a Keras weights file of "
            f"{options.architecture}"
        )
