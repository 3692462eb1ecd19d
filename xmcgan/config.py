"""The config of an experiment: every number of the paper's Appendix A, and every choice that the paper leaves open.

A `Config` is a tree of plain dataclasses; the defaults are the paper's experiment on COCO-14. `data_pipelines.datasets`
has a config for each dataset. A field carries its help text, its possible values, and whether a resumed run may change
it. `config_checks.validate` refuses impossible combinations.
"""

# No `from __future__ import annotations`: it turns the types of the fields to strings, and the command line reads them.
import copy
import dataclasses
import functools
import math
import types
import typing

IMAGE_SIZES = (64, 128, 256)
GEOMETRIES = ("squash", "crop")
METRICS = ("fid", "kid", "is", "r_precision", "soa")

_T = typing.TypeVar("_T")


# NumPy's random generators take no larger seeds. A larger batch is a slip of the finger, and would not fit anywhere.
LARGEST_SEED, LARGEST_BATCH = 2**32 - 1, 2**16


@dataclasses.dataclass(frozen=True)
class Setting:
    """The properties of a field besides its type and default.

    Attributes:
      help: one sentence for `--help`.
      choices: the possible values; empty for any.
      minimum, maximum: the smallest and the largest possible value; None for any.
      positive: the value is greater than 0.
      fraction: the value is at least 0 and less than 1.
      loss_weight: the value is the weight of a loss; 0 switches that loss off.
      contrastive: for a loss weight: the loss compares the images of a batch, and needs at least two of them.
      may_change: a resumed run may change the field. Such fields set a run's length, logging, evaluation, speed or
        memory, and do not change what a step computes, except by rounding.
    """

    help: str
    choices: tuple = ()
    minimum: typing.Optional[float] = None
    maximum: typing.Optional[float] = None
    positive: bool = False
    fraction: bool = False
    loss_weight: bool = False
    contrastive: bool = True
    may_change: bool = False


def setting(default: _T, help: str, **constraints: typing.Any) -> _T:
    """Makes a dataclass field with a `Setting`.

    Args:
      default: the field's default value.
      help: see `Setting`.
      **constraints: the other attributes of `Setting`.

    Returns:
      The field. It has the static type of its default, so that type checkers see the value.
    """
    metadata = {"setting": Setting(help, **constraints)}
    return typing.cast(_T, dataclasses.field(default=default, metadata=metadata))


@dataclasses.dataclass
class DataConfig:
    """Images and captions as the models see them (paper section 5.1)."""

    image_size: int = setting(256, "Pixels per side; one of IMAGE_SIZES.", choices=IMAGE_SIZES)
    geometry: str = setting(
        "squash",
        "How images become square: 'squash' resizes width and height each, 'crop' first cuts out the central square.",
        choices=GEOMETRIES,
    )
    text_length: int = setting(
        17, "Tokens per caption, [CLS] and [SEP] included; longer captions are cut off.", minimum=3
    )
    random_flip: bool = setting(
        True, "Flip training images left to right at random; turn off if captions mention left and right."
    )
    cache: str = setting(
        "none",
        "'none' decodes images again in each epoch; 'memory' keeps them decoded in the host's memory.",
        choices=("none", "memory"),
        may_change=True,
    )


@dataclasses.dataclass
class TextConfig:
    """The frozen text encoder: a TF-Hub text preprocessor and a BERT encoder with the same API."""

    preprocessor: str = setting(
        "https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3",
        "TF-Hub handle of the text preprocessor, or the folder of a SavedModel.",
    )
    encoder: str = setting(
        "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4",
        "TF-Hub handle of the BERT encoder, or the folder of a SavedModel.",
    )
    dim: int = setting(768, "Width of the encoder's outputs, e_w and e_s (Table 8).", minimum=1)
    sentence_pooling: str = setting(
        "mean",
        "How e_s is pooled: 'mean' over real tokens, 'sum_over_length' (reference), or 'pooled_output'.",
        choices=("mean", "sum_over_length", "pooled_output"),
    )
    precomputed: bool = setting(False, "Train on the float16 features that data_pipelines.precompute_text has stored.")


@dataclasses.dataclass
class GeneratorConfig:
    """The one-stage generator (section 4.2, Table 8a)."""

    channels: int = setting(96, "ch of Table 8; the paper's ablations use 64.", minimum=1)
    noise_dim: int = setting(128, "Width of z.", minimum=1)
    condition_dim: int = setting(128, "Width that e_s is projected to.", minimum=1)
    stem: str = setting(
        "condition",
        "Input of the first linear layer: 'condition' = concat(e_s, z), or 'noise' alone (reference).",
        choices=("condition", "noise"),
    )
    modulation: str = setting(
        "attentional",
        "Modulation from 16 x 16 on: 'attentional', or 'self' as in the earlier blocks (Table 5).",
        choices=("attentional", "self"),
    )
    context_words: str = setting(
        "raw",
        "A word context is a sum of 'raw' or of 'normalized' (reference) embeddings.",
        choices=("raw", "normalized"),
    )
    rho_0: float = setting(15.0, "Sharpness of the attention over words.")
    context_upsampling: str = setting(
        "nearest",
        "How scales and shifts grow from 16 x 16 regions to pixels: 'nearest', or 'bilinear', which has no squares.",
        choices=("nearest", "bilinear"),
    )
    shortcut_upsampling: str = setting(
        "nearest",
        "How the shortcuts of the residual blocks grow: 'nearest', or 'bilinear', which has no squares.",
        choices=("nearest", "bilinear"),
    )
    batch_norm_momentum: float = setting(
        0.9, "Momentum of the moving averages that are used outside training.", fraction=True
    )
    batch_norm_epsilon: float = setting(1e-5, "Added to the batch variance.", positive=True)
    batch_norm_replicas: int = setting(
        0, "Replicas that share batch statistics: 0 for all, 1 for none, n for groups of n.", minimum=0
    )


@dataclasses.dataclass
class DiscriminatorConfig:
    """The contrastive discriminator (section 4.3, Table 8b)."""

    channels: int = setting(96, "ch of Table 8.", minimum=1)
    contrastive_head_layers: int = setting(
        0, "MLP layers on the features of the sentence and image losses (Fig. 5).", choices=(0, 1, 2)
    )
    spectral_norm_epsilon: float = setting(1e-10, "Added to the norms of the power iteration.", positive=True)


@dataclasses.dataclass
class ImageEncoderConfig:
    """The frozen network of the image-image loss and the perceptual loss (sections 4.3 and 6.2)."""

    architecture: str = setting(
        "vgg19",
        "'vgg19' (paper), 'resnet50' (reference), or 'hub': an image feature vector from TF Hub.",
        choices=("vgg19", "resnet50", "hub"),
    )
    weights: str = setting(
        "imagenet",
        "'imagenet' or a Keras weights file; for 'hub', a TF-Hub handle or the folder of a SavedModel.",
    )
    layer: str = setting(
        "block5_conv4", "Layer whose output is the feature; maps are averaged over space. Empty for 'hub'."
    )
    image_size: int = setting(224, "Pixels per side that images are resized to.")


@dataclasses.dataclass
class LossConfig:
    """Weights of the losses (lambda of Algorithm 1) and their constants. A weight of 0 switches a loss off."""

    discriminator_sentence: float = setting(1.0, "Real image and its sentence, for D.", loss_weight=True)
    discriminator_word: float = setting(1.0, "Real regions and their words, for D.", loss_weight=True)
    generator_sentence: float = setting(1.0, "Generated image and its sentence, for G.", loss_weight=True)
    generator_word: float = setting(1.0, "Generated regions and their words, for G.", loss_weight=True)
    generator_image: float = setting(
        1.0, "Generated and real image of a caption, in D's features, for G ('D' in Table 4).", loss_weight=True
    )
    generator_image_encoder: float = setting(
        1.0, "The same, in the image encoder's features ('VGG' in Table 4).", loss_weight=True
    )
    generator_perceptual: float = setting(
        0.0, "Squared l2 distance in the image encoder's features (Table 6).", loss_weight=True, contrastive=False
    )
    temperature: float = setting(0.1, "tau of the sentence and image losses.", positive=True)
    word_temperature: float = setting(0.02, "tau of the word loss: 1 / 50.", positive=True)
    rho_1: float = setting(5.0, "Sharpness of a word's attention over regions.", positive=True)
    rho_2: float = setting(5.0, "Weight of the best aligned word in a sentence's score.", positive=True)
    context_regions: str = setting(
        "raw",
        "A word's aligned feature is a sum of 'raw' or of 'normalized' (reference) regions.",
        choices=("raw", "normalized"),
    )
    direction: str = setting(
        "both",
        "'both' (image to text plus text to image), or 'single' (the paper's equations).",
        choices=("both", "single"),
    )
    negatives: str = setting(
        "global",
        "'global': the batch of all replicas; 'replica': each replica's own part.",
        choices=("global", "replica"),
    )
    word_chunk: int = setting(
        0,
        "Sentences that the word loss scores at once, which bounds its memory; 0: a few hundred words.",
        minimum=0,
        may_change=True,
    )


@dataclasses.dataclass
class TrainingConfig:
    """Algorithm 1 and its numbers (Appendix A); checkpoints and logging."""

    batch_size: int = setting(256, "The global batch, over all replicas.", minimum=1, maximum=LARGEST_BATCH)
    epochs: float = setting(
        1000.0, "Passes over the training images; D's batches count as well as G's.", positive=True, may_change=True
    )
    num_steps: int = setting(0, "Generator updates; 0 derives them from `epochs`.", minimum=0, may_change=True)
    micro_batches: int = setting(
        1,
        "Equal parts of a replica's batch, which are computed one at a time to save memory.",
        minimum=1,
        may_change=True,
    )
    micro_batch_statistics: str = setting(
        "batch",
        "G's batch norm uses the statistics of the whole 'batch' (exact), or of each 'micro_batch'.",
        choices=("batch", "micro_batch"),
    )
    recompute: bool = setting(
        False, "Recompute activations in the backward pass instead of keeping them.", may_change=True
    )
    precision: str = setting(
        "float32",
        "Type of the activations: 'float32', 'bfloat16' or 'float16' (with loss scaling).",
        choices=("float32", "bfloat16", "float16"),
    )
    xla: bool = setting(False, "Compile each step with XLA.", may_change=True)
    update_rule: str = setting(
        "algorithm1",
        "'algorithm1', or 'joint': the last D step shares G's batch and forward pass.",
        choices=("algorithm1", "joint"),
    )
    discriminator_steps: int = setting(2, "N_D: D steps for each G step.", minimum=1)
    generator_steps: int = setting(
        1, "G steps in each iteration; all of them use the same captions, each with its own noise.", minimum=1
    )
    generator_learning_rate: float = setting(1e-4, "Adam's learning rate for G.", positive=True)
    discriminator_learning_rate: float = setting(4e-4, "Adam's learning rate for D.", positive=True)
    learning_rate_decay_steps: int = setting(
        0, "At the end of the run, both learning rates fall linearly to 0 over this many steps; 0: never.", minimum=0
    )
    beta_1: float = setting(0.5, "Adam's decay of the mean of gradients.", fraction=True)
    beta_2: float = setting(0.999, "Adam's decay of the mean of squared gradients.", fraction=True)
    adam_epsilon: float = setting(1e-8, "Adam's epsilon, added to the bias-corrected root.", positive=True)
    augmentation: str = setting(
        "none",
        "Changes of the images that D sees, for real and generated images alike (Zhao et al. 2020).",
        choices=("none", "translation", "translation,cutout"),
    )
    ema_decay: float = setting(
        0.999, "Decay of the generator's averaged weights, which are updated after each iteration.", fraction=True
    )
    ema_warmup: bool = setting(
        False, "Start with a short average that grows longer: the decay of step t is at most (1 + t) / (10 + t)."
    )
    init_from: str = setting(
        "", "Folder of a run, or 'pretrained:NAME', whose weights the run starts with; empty: random weights."
    )
    seed: int = setting(
        0, "Seed of weights, noise, and the order of images, captions and flips.", minimum=0, maximum=LARGEST_SEED
    )
    steps_per_call: int = setting(
        50,
        "Steps in one call of the compiled loop; log_every, sample_every and checkpoint_every are multiples of it.",
        minimum=1,
        may_change=True,
    )
    log_every: int = setting(
        50,
        "Steps between lines of metrics.jsonl, and between points of TensorBoard's curves.",
        minimum=1,
        may_change=True,
    )
    sample_every: int = setting(1000, "Steps between sample grids; 0: none.", minimum=0, may_change=True)
    checkpoint_every: int = setting(1000, "Steps between checkpoints.", minimum=1, may_change=True)
    max_checkpoints: int = setting(3, "How many of the newest checkpoints are kept.", minimum=1, may_change=True)
    keep_every: int = setting(
        0, "Checkpoints of steps that are multiples of this are kept for good; 0: none.", minimum=0, may_change=True
    )
    deterministic: bool = setting(True, "Bit-for-bit repeatable ops (tf.config.experimental.enable_op_determinism).")

    @property
    def batches_per_iteration(self) -> int:
        """Batches that one iteration draws: a new one for each D and G step, or with 'joint' one fewer."""
        return self.discriminator_steps + (self.update_rule == "algorithm1")

    @property
    def noises_per_iteration(self) -> int:
        """Batches of noise that one iteration draws: one for each batch, and one for each further G step."""
        return self.batches_per_iteration + self.generator_steps - 1

    @property
    def images_per_iteration(self) -> int:
        """Training images that one iteration draws."""
        return self.batch_size * self.batches_per_iteration

    def steps(self, num_examples: int) -> int:
        """Generator updates in the run: `num_steps`, or the number that draws every training image `epochs` times.

        Args:
          num_examples: training images of the dataset.
        """
        return self.num_steps or math.ceil(self.epochs * num_examples / self.images_per_iteration)


@dataclasses.dataclass
class EvaluationConfig:
    """The metrics of section 5.2: what is measured, on how many images, by which networks."""

    every: int = setting(
        0,
        "Generator steps between evaluations during training; 0: none. A multiple of checkpoint_every.",
        minimum=0,
        may_change=True,
    )
    metrics: str = setting(
        "fid,kid,is,r_precision,soa", "Metrics to compute, separated by commas: some or all of these.", may_change=True
    )
    num_samples: int = setting(
        30_000,
        "Captions of the validation split; if it has fewer images, they are used several times.",
        minimum=2,
        maximum=10_000_000,
        may_change=True,
    )
    seed: int = setting(
        0,
        "Seed of the list of captions, the noise, and the random choices of the metrics.",
        minimum=0,
        maximum=2**31 - 1,  # The upper half of the seed of each image's noise.
        may_change=True,
    )
    batch_size: int = setting(
        64, "Images per batch, over all replicas.", minimum=1, maximum=LARGEST_BATCH, may_change=True
    )
    network: str = setting(
        "tfgan",
        "Network of FID, KID and IS: 'tfgan' (what publications use), 'keras', or 'scenes'.",
        choices=("tfgan", "keras", "scenes"),
        may_change=True,
    )
    network_weights: str = setting(
        "", "TF-Hub handle, folder or file of that network's weights; empty: the published ones.", may_change=True
    )
    inception_score_splits: int = setting(
        10, "Parts that IS is averaged over: 10 (usual) or 1 (reference).", minimum=1, may_change=True
    )
    kernel_subsets: int = setting(100, "Random subsets that KID is averaged over.", minimum=1, may_change=True)
    kernel_subset_size: int = setting(1000, "Images in each of KID's subsets.", minimum=2, may_change=True)
    mismatches: int = setting(99, "Wrong captions beside the true one in R-precision.", minimum=1, may_change=True)
    folds: int = setting(10, "Parts that R-precision is averaged over.", minimum=1, may_change=True)
    dual_encoder: str = setting(
        "", "Folder written by eval.train_dual_encoder, or of a SavedModel with the same two methods.", may_change=True
    )
    detector: str = setting(
        "https://tfhub.dev/tensorflow/efficientdet/d4/1",
        "TF-Hub handle or folder of SOA's object detector.",
        may_change=True,
    )
    detector_labels: str = setting(
        "coco91",
        "The detector's labels: 'coco91', 'coco80', 'scenes', or a file with one name per line.",
        may_change=True,
    )
    detector_threshold: float = setting(
        0.5, "Score at or above which SOA counts an object as found.", fraction=True, may_change=True
    )
    soa_captions: str = setting(
        "", "Folder of SOA's official caption lists; empty: the paper's approximation.", may_change=True
    )


@dataclasses.dataclass
class Config:
    """The config of one experiment."""

    dataset: str = "coco2014"
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    text: TextConfig = dataclasses.field(default_factory=TextConfig)
    generator: GeneratorConfig = dataclasses.field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = dataclasses.field(default_factory=DiscriminatorConfig)
    image_encoder: ImageEncoderConfig = dataclasses.field(default_factory=ImageEncoderConfig)
    losses: LossConfig = dataclasses.field(default_factory=LossConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    @property
    def uses_image_encoder(self) -> bool:
        """Whether one of the losses uses the frozen image encoder."""
        return bool(self.losses.generator_image_encoder or self.losses.generator_perceptual)

    @property
    def uses_real_features(self) -> bool:
        """Whether one of G's losses uses D's features of the real images."""
        return bool(self.losses.generator_image)

    def with_fields(self, values: typing.Mapping[str, typing.Any]) -> "Config":
        """Returns a copy with other values.

        Args:
          values: the new values by dotted name, such as {'training.seed': 1}.

        Returns:
          The copy; `self` stays as it is.

        Raises:
          ValueError: the config has no field of that name.
        """
        config = copy.deepcopy(self)
        fields = settings()
        for name, value in values.items():
            if name != "dataset" and name not in fields:
                raise ValueError(f"the config has no field '{name}'")
            group, _, field = name.rpartition(".")
            setattr(getattr(config, group) if group else config, field, value)
        return config

    def changes(self, since: "Config") -> dict[str, typing.Any]:
        """Returns the fields in which this config differs from another: {dotted name: value in this one}."""
        before = flatten(since)
        return {name: value for name, value in flatten(self).items() if value != before[name]}


@functools.cache
def settings() -> typing.Mapping[str, Setting]:
    """Returns the `Setting` of every field except `dataset`, by dotted name, in the order of the config."""
    return types.MappingProxyType(
        {
            f"{group.name}.{field.name}": field.metadata["setting"]
            for group in dataclasses.fields(Config)
            if group.name != "dataset"
            for field in dataclasses.fields(typing.cast(type, group.type))
        }
    )


def flatten(config: Config) -> dict[str, typing.Any]:
    """Returns the values of a config by dotted name, as the command line spells them: {'training.seed': 0, ...}."""
    values = {name: getattr(getattr(config, name.partition(".")[0]), name.partition(".")[2]) for name in settings()}
    return {"dataset": config.dataset, **values}
