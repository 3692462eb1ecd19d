"""What an experiment is: every number of the paper's Appendix A and every choice that it leaves open.

A `Config` is a tree of plain dataclasses. `preset(name)` gives the tree of a dataset (or of the public
reference release); single fields are then changed on the command line (`--config.training.batch_size=64`).
`validate(config)` refuses impossible combinations by the name of the field, with the value that mends it.
"""

# No `from __future__ import annotations`: it turns the types of the fields to strings, and the command line reads them.
import dataclasses
import json
import typing

IMAGE_SIZES = (64, 128, 256)


@dataclasses.dataclass
class DataConfig:
    """Pictures and captions as the models see them (paper section 5.1)."""

    image_size: int = 256  # Pixels a side; one of IMAGE_SIZES.
    text_length: int = 17  # Tokens a caption, [CLS] and [SEP] included; longer captions are cut.
    random_flip: bool = True  # Mirror training pictures at random; off where captions say left and right.
    cache: str = "none"  # Decode pictures in each epoch anew ('none'), or once, into the host's 'memory'.


@dataclasses.dataclass
class TextConfig:
    """The frozen text encoder: a TF-Hub text preprocessor and a BERT encoder with the same API."""

    preprocessor: str = "https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3"  # Handle or folder.
    encoder: str = "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4"  # Handle or folder.
    dim: int = 768  # Width of the encoder's outputs: of e_w and of e_s (Table 8).
    sentence_pooling: str = "mean"  # 'mean' over real tokens, 'sum_over_length' (reference), 'pooled_output'.
    precomputed: bool = False  # Train on the features that data_pipelines.precompute_text has stored, in float16.


@dataclasses.dataclass
class GeneratorConfig:
    """The one-stage generator (section 4.2, Table 8a)."""

    channels: int = 96  # ch of Table 8; the paper's ablations use 64.
    noise_dim: int = 128  # Width of z.
    condition_dim: int = 128  # Width that e_s is projected to.
    stem: str = "condition"  # First linear layer sees 'condition' = concat(e_s, z), or 'noise' alone (reference).
    modulation: str = "attentional"  # From 16 x 16 on: 'attentional', or 'self' as in the blocks before (Table 5).
    context_words: str = "raw"  # Word context is a sum of 'raw' or of 'normalized' (reference) embeddings.
    rho_0: float = 15.0  # Sharpness of the attention over words.
    batch_norm_momentum: float = 0.9  # Of the moving averages used outside training.
    batch_norm_epsilon: float = 1e-5
    synchronized_batch_norm: bool = True  # Statistics over all replicas, or over each replica's own part.


@dataclasses.dataclass
class DiscriminatorConfig:
    """The contrastive discriminator (section 4.3, Table 8b)."""

    channels: int = 96  # ch of Table 8.
    contrastive_head_layers: int = 0  # MLP layers on the features of the sentence and image losses (Fig. 5).
    spectral_norm_epsilon: float = 1e-10


@dataclasses.dataclass
class ImageEncoderConfig:
    """The frozen network behind the image-image and the perceptual loss (sections 4.3 and 6.2)."""

    architecture: str = "vgg19"  # 'vgg19' (paper) or 'resnet50' (reference).
    weights: str = "imagenet"  # 'imagenet', or the path of a Keras weights file of that architecture.
    layer: str = "block5_conv4"  # Its output is the feature; maps are averaged over space.
    image_size: int = 224  # Pictures are resized to it.


@dataclasses.dataclass
class LossConfig:
    """Weights of the losses (lambda of Algorithm 1) and their constants. A weight of 0 switches a loss off."""

    discriminator_sentence: float = 1.0  # Real picture and its sentence, for D.
    discriminator_word: float = 1.0  # Real regions and their words, for D.
    generator_sentence: float = 1.0  # Generated picture and its sentence, for G.
    generator_word: float = 1.0  # Generated regions and their words, for G.
    generator_image: float = 1.0  # Generated and real picture of a caption in D's features, for G ('D' of Table 4).
    generator_image_encoder: float = 1.0  # The same in the image encoder's features ('VGG' of Table 4).
    generator_perceptual: float = 0.0  # Squared l2 distance in the image encoder's features (Table 6).
    temperature: float = 0.1  # tau of the sentence and image losses.
    word_temperature: float = 0.02  # tau of the word loss: 1 / 50.
    rho_1: float = 5.0  # Sharpness of a word's attention over regions.
    rho_2: float = 5.0  # Weight of the best aligned word in a sentence's score.
    context_regions: str = "raw"  # A word's aligned feature is a sum of 'raw' or of 'normalized' (reference) regions.
    direction: str = "both"  # 'both' (image to text plus text to image) or 'single' (the paper's equations).
    negatives: str = "global"  # 'global': the batch of all replicas; 'replica': each replica's own part.


@dataclasses.dataclass
class TrainingConfig:
    """Algorithm 1 and its numbers (Appendix A), and how the run is kept and watched."""

    batch_size: int = 256  # Of all replicas together.
    epochs: float = 1000.0  # Passes over the training pictures; every batch drawn counts.
    num_steps: int = 0  # Generator updates; 0 takes them from `epochs`.
    update_rule: str = "algorithm1"  # 'algorithm1', or 'joint': the last D step shares G's batch and forward pass.
    discriminator_steps: int = 2  # N_D: D steps for each G step.
    generator_learning_rate: float = 1e-4
    discriminator_learning_rate: float = 4e-4
    beta_1: float = 0.5
    beta_2: float = 0.999
    adam_epsilon: float = 1e-8
    ema_decay: float = 0.999  # Of the generator's averaged weights, every G step.
    seed: int = 0
    steps_per_call: int = 50  # Steps in one call of the compiled loop; log, save and sample steps are multiples.
    log_every: int = 50  # Steps between lines of metrics.jsonl and points of the curves.
    sample_every: int = 1000  # Steps between sample grids; 0: none.
    checkpoint_every: int = 1000  # Steps between checkpoints.
    max_checkpoints: int = 3  # Newest checkpoints kept.
    deterministic: bool = True  # Bit-for-bit repeatable ops (tf.config.experimental.enable_op_determinism).


@dataclasses.dataclass
class Config:
    """One experiment, whole."""

    dataset: str = "coco2014"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    text: TextConfig = dataclasses.field(default_factory=TextConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    image_encoder: ImageEncoderConfig = dataclasses.field(default_factory=ImageEncoderConfig)
    losses: LossConfig = dataclasses.field(default_factory=LossConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)


def _coco2014() -> Config:
    return Config(dataset="coco2014")


def _ln_coco() -> Config:
    # Narratives say what is on the left and on the right: no flips.
    return Config(dataset="ln_coco", data=DataConfig(text_length=64, random_flip=False))


def _ln_openimages() -> Config:
    return Config(dataset="ln_openimages", data=DataConfig(text_length=64, random_flip=False))


def _scenes() -> Config:
    """The embedded dataset on a machine without a GPU: small, and learnt in minutes."""
    return Config(
        dataset="scenes",
        data=DataConfig(image_size=64, text_length=17, random_flip=False),
        # An empty handle means the small BERT that is prepared together with the scenes.
        text=TextConfig(preprocessor="", encoder="", dim=128),
        # Gentle word contexts: at the 16 x 16 regions' size they would otherwise draw squares before shapes.
        generator=GeneratorConfig(channels=8, noise_dim=32, condition_dim=64, context_words="normalized", rho_0=5.0),
        discriminator=DiscriminatorConfig(channels=8),
        losses=LossConfig(generator_image_encoder=0.0),
        # Small batches and equal, higher rates: at this size D runs away from G with the paper's, and what counts
        # on two cores is the number of steps.
        training=TrainingConfig(
            batch_size=16,
            num_steps=5200,
            update_rule="joint",
            discriminator_steps=1,
            generator_learning_rate=1e-3,
            discriminator_learning_rate=1e-3,
            ema_decay=0.995,
            sample_every=500,
            checkpoint_every=500,
        ),
    )


def _reference() -> Config:
    """The choices of the public JAX release, where they differ from the paper."""
    return Config(
        text=TextConfig(sentence_pooling="sum_over_length"),
        generator=GeneratorConfig(stem="noise", context_words="normalized", synchronized_batch_norm=False),
        image_encoder=ImageEncoderConfig(architecture="resnet50", layer="logits"),
        losses=LossConfig(context_regions="normalized", negatives="replica"),
        training=TrainingConfig(update_rule="joint"),
    )


PRESETS = {
    "coco2014": _coco2014,
    "ln_coco": _ln_coco,
    "ln_openimages": _ln_openimages,
    "scenes": _scenes,
    "reference": _reference,
}
DATASETS = tuple(name for name in PRESETS if name != "reference")


def preset(name: str, dataset: str = "") -> Config:
    """The config shipped under `name`.

    Args:
      name: a key of PRESETS.
      dataset: the dataset to use it with, if not its own: that dataset's text length, flips and text encoder then
        stand in for the preset's.

    Returns:
      A fresh `Config`.

    Raises:
      ValueError: `name` is not a preset, or `dataset` is not a dataset.
    """
    if name not in PRESETS:
        raise ValueError(f"unknown preset or dataset '{name}': choose one of {', '.join(PRESETS)}")
    config = PRESETS[name]()
    if dataset in ("", config.dataset):
        return config
    if dataset not in DATASETS:
        raise ValueError(f"unknown dataset '{dataset}': choose one of {', '.join(DATASETS)}")
    own = PRESETS[dataset]()
    config.dataset = dataset
    config.data.text_length, config.data.random_flip = own.data.text_length, own.data.random_flip
    config.text = dataclasses.replace(own.text, sentence_pooling=config.text.sentence_pooling)
    return config


_CHOICES = {
    "dataset": DATASETS,
    "data.image_size": IMAGE_SIZES,
    "data.cache": ("none", "memory"),
    "text.sentence_pooling": ("mean", "sum_over_length", "pooled_output"),
    "generator.stem": ("condition", "noise"),
    "generator.modulation": ("attentional", "self"),
    "generator.context_words": ("raw", "normalized"),
    "discriminator.contrastive_head_layers": (0, 1, 2),
    "image_encoder.architecture": ("vgg19", "resnet50"),
    "losses.context_regions": ("raw", "normalized"),
    "losses.direction": ("both", "single"),
    "losses.negatives": ("global", "replica"),
    "training.update_rule": ("algorithm1", "joint"),
}
# Fields that are at least the number given here.
_MINIMA = {
    "data.text_length": 3,
    "text.dim": 1,
    "generator.channels": 1,
    "generator.noise_dim": 1,
    "generator.condition_dim": 1,
    "discriminator.channels": 1,
    "training.batch_size": 1,
    "training.num_steps": 0,
    "training.discriminator_steps": 1,
    "training.steps_per_call": 1,
    "training.log_every": 1,
    "training.sample_every": 0,
    "training.checkpoint_every": 1,
    "training.max_checkpoints": 1,
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
_FRACTIONS = ("generator.batch_norm_momentum", "training.beta_1", "training.beta_2", "training.ema_decay")


def validate(config: Config) -> Config:
    """Refuses what cannot be built or trained.

    Args:
      config: the experiment.

    Returns:
      `config` itself.

    Raises:
      ValueError: names the field, its value and what to set instead.
    """
    flat = flatten(config)

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
    return config


def flatten(config: Config) -> dict[str, typing.Any]:
    """The leaves of a config by dotted name, as the command line spells them: {'training.seed': 0, ...}."""

    def leaves(prefix: str, node: typing.Any) -> typing.Iterator[tuple[str, typing.Any]]:
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if dataclasses.is_dataclass(value):
                yield from leaves(f"{prefix}{field.name}.", value)
            else:
                yield prefix + field.name, value

    return dict(leaves("", config))


def to_json(config: Config) -> str:
    """The config as indented JSON, as written to a run's `config.json`."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> Config:
    """Reads what `to_json` wrote.

    Fields that a newer version added take their defaults, so that old runs stay readable.

    Raises:
      ValueError: the text is not JSON, is no tree of fields, or names a field that no config has.
    """

    def build(cls: type, values: dict, prefix: str) -> typing.Any:
        if not isinstance(values, dict):
            name = f"config.{prefix}".rstrip(".")
            raise ValueError(f"{name} is {values!r}: it must be an object of fields")
        hints = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(hints))
        if unknown:
            raise ValueError(f"unknown config field '{prefix}{unknown[0]}': written by another version of xmcgan?")
        kwargs = {
            name: build(hints[name], value, f"{prefix}{name}.") if dataclasses.is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
        return cls(**kwargs)

    return build(Config, json.loads(text), "")
