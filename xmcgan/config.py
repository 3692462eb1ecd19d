"""What an experiment is: every number of the paper's Appendix A and every choice that it leaves open.

A `Config` is a tree of plain dataclasses; the defaults are the paper's experiment on COCO-14. `data_pipelines.datasets`
has one for each dataset. A field knows its help text, its possible values, and whether a run may change it when it is
resumed. `config_checks.validate` refuses impossible combinations.
"""

# No `from __future__ import annotations`: it turns the types of the fields to strings, and the command line reads them.
import copy
import dataclasses
import math
import typing

IMAGE_SIZES = (64, 128, 256)
METRICS = ("fid", "kid", "is", "r_precision", "soa")

_T = typing.TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is known of a field beside its type and default.

    Attributes:
      help: one sentence for `--help`.
      choices: the possible values; empty for any.
      minimum: the smallest possible value; None for any.
      positive: the value is greater than 0.
      fraction: the value is at least 0 and less than 1.
      loss_weight: the value is the weight of a loss, and 0 switches that off.
      free: a run may change it when it is resumed: it ends, watches, speeds up or fits the run, and does not touch its
        numbers but for rounding.
    """

    help: str
    choices: tuple = ()
    minimum: typing.Optional[float] = None
    positive: bool = False
    fraction: bool = False
    loss_weight: bool = False
    free: bool = False


def setting(default: _T, help: str, **constraints: typing.Any) -> _T:
    """A dataclass field with a `Setting`.

    Args:
      default: of the field.
      help: see `Setting`.
      **constraints: the other attributes of `Setting`.

    Returns:
      The field, typed as its default so that type checkers see the value.
    """
    metadata = {"setting": Setting(help, **constraints)}
    return typing.cast(_T, dataclasses.field(default=default, metadata=metadata))


@dataclasses.dataclass
class DataConfig:
    """Images and captions as the models see them (paper section 5.1)."""

    image_size: int = setting(256, "Pixels a side; one of IMAGE_SIZES.", choices=IMAGE_SIZES)
    text_length: int = setting(17, "Tokens a caption, [CLS] and [SEP] included; longer captions are cut.", minimum=3)
    random_flip: bool = setting(True, "Mirror training images at random; off where captions say left and right.")
    cache: str = setting(
        "none",
        "Decode images again in each epoch ('none'), or once, into the host's 'memory'.",
        choices=("none", "memory"),
        free=True,
    )


@dataclasses.dataclass
class TextConfig:
    """The frozen text encoder: a TF-Hub text preprocessor and a BERT encoder with the same API."""

    preprocessor: str = setting(
        "https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3", "TF-Hub handle, or folder of a SavedModel."
    )
    encoder: str = setting(
        "https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4", "TF-Hub handle, or folder of a SavedModel."
    )
    dim: int = setting(768, "Width of the encoder's outputs: of e_w and of e_s (Table 8).", minimum=1)
    sentence_pooling: str = setting(
        "mean",
        "'mean' over real tokens, 'sum_over_length' (reference), 'pooled_output'.",
        choices=("mean", "sum_over_length", "pooled_output"),
    )
    precomputed: bool = setting(
        False, "Train on the features that data_pipelines.precompute_text has stored, in float16."
    )


@dataclasses.dataclass
class GeneratorConfig:
    """The one-stage generator (section 4.2, Table 8a)."""

    channels: int = setting(96, "ch of Table 8; the paper's ablations use 64.", minimum=1)
    noise_dim: int = setting(128, "Width of z.", minimum=1)
    condition_dim: int = setting(128, "Width that e_s is projected to.", minimum=1)
    stem: str = setting(
        "condition",
        "First linear layer sees 'condition' = concat(e_s, z), or 'noise' alone (reference).",
        choices=("condition", "noise"),
    )
    modulation: str = setting(
        "attentional",
        "From 16 x 16 on: 'attentional', or 'self' as in the blocks before (Table 5).",
        choices=("attentional", "self"),
    )
    context_words: str = setting(
        "raw",
        "Word context is a sum of 'raw' or of 'normalized' (reference) embeddings.",
        choices=("raw", "normalized"),
    )
    rho_0: float = setting(15.0, "Sharpness of the attention over words.")
    batch_norm_momentum: float = setting(0.9, "Of the moving averages used outside training.", fraction=True)
    batch_norm_epsilon: float = setting(1e-5, "Added to the batch variance.", positive=True)
    batch_norm_replicas: int = setting(
        0, "Replicas that share batch statistics: 0 all, 1 none, n groups of n.", minimum=0
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
    """The frozen network behind the image-image and the perceptual loss (sections 4.3 and 6.2)."""

    architecture: str = setting(
        "vgg19",
        "'vgg19' (paper), 'resnet50' (reference), or 'hub': an image feature vector of TF Hub.",
        choices=("vgg19", "resnet50", "hub"),
    )
    weights: str = setting(
        "imagenet", "'imagenet' or a Keras weights file; of 'hub', a TF-Hub handle or the folder of a SavedModel."
    )
    layer: str = setting("block5_conv4", "Its output is the feature; maps are averaged over space. Empty with 'hub'.")
    image_size: int = setting(224, "Images are resized to it.")


@dataclasses.dataclass
class LossConfig:
    """Weights of the losses (lambda of Algorithm 1) and their constants. A weight of 0 switches a loss off."""

    discriminator_sentence: float = setting(1.0, "Real image and its sentence, for D.", loss_weight=True)
    discriminator_word: float = setting(1.0, "Real regions and their words, for D.", loss_weight=True)
    generator_sentence: float = setting(1.0, "Generated image and its sentence, for G.", loss_weight=True)
    generator_word: float = setting(1.0, "Generated regions and their words, for G.", loss_weight=True)
    generator_image: float = setting(
        1.0, "Generated and real image of a caption in D's features, for G ('D' of Table 4).", loss_weight=True
    )
    generator_image_encoder: float = setting(
        1.0, "The same in the image encoder's features ('VGG' of Table 4).", loss_weight=True
    )
    generator_perceptual: float = setting(
        0.0, "Squared l2 distance in the image encoder's features (Table 6).", loss_weight=True
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
        "'both' (image to text plus text to image) or 'single' (the paper's equations).",
        choices=("both", "single"),
    )
    negatives: str = setting(
        "global",
        "'global': the batch of all replicas; 'replica': each replica's own part.",
        choices=("global", "replica"),
    )
    word_chunk: int = setting(
        0, "Sentences at once in the word loss, whose memory that bounds; 0: some hundred words.", minimum=0, free=True
    )


@dataclasses.dataclass
class TrainingConfig:
    """Algorithm 1 and its numbers (Appendix A), and how the run is kept and watched."""

    batch_size: int = setting(256, "Of all replicas together.", minimum=1)
    epochs: float = setting(
        1000.0, "Passes over the training images; every batch drawn counts.", positive=True, free=True
    )
    num_steps: int = setting(0, "Generator updates; 0 takes them from `epochs`.", minimum=0, free=True)
    micro_batches: int = setting(
        1, "Parts in which a device works through its share of the batch, to hold one at a time.", minimum=1, free=True
    )
    micro_batch_statistics: str = setting(
        "batch",
        "G's batch norm: of the whole 'batch' (exact), or of each 'micro_batch'.",
        choices=("batch", "micro_batch"),
    )
    recompute: bool = setting(False, "Compute activations again in the gradient instead of keeping them.", free=True)
    precision: str = setting(
        "float32",
        "Of activations: 'float32', 'bfloat16' or 'float16' (with loss scaling).",
        choices=("float32", "bfloat16", "float16"),
    )
    xla: bool = setting(False, "Compile each step with XLA.", free=True)
    update_rule: str = setting(
        "algorithm1",
        "'algorithm1', or 'joint': the last D step shares G's batch and forward pass.",
        choices=("algorithm1", "joint"),
    )
    discriminator_steps: int = setting(2, "N_D: D steps for each G step.", minimum=1)
    generator_learning_rate: float = setting(1e-4, "Of Adam, for G.", positive=True)
    discriminator_learning_rate: float = setting(4e-4, "Of Adam, for D.", positive=True)
    beta_1: float = setting(0.5, "Of Adam: decay of the mean of gradients.", fraction=True)
    beta_2: float = setting(0.999, "Of Adam: decay of the mean of squared gradients.", fraction=True)
    adam_epsilon: float = setting(1e-8, "Of Adam: added to the bias-corrected root.", positive=True)
    ema_decay: float = setting(0.999, "Of the generator's averaged weights, every G step.", fraction=True)
    seed: int = setting(0, "Of weights, noise, and the order of images, captions and flips.")
    steps_per_call: int = setting(
        50, "Steps in one call of the compiled loop; log, save and sample steps are multiples.", minimum=1, free=True
    )
    log_every: int = setting(50, "Steps between lines of metrics.jsonl and points of the curves.", minimum=1, free=True)
    sample_every: int = setting(1000, "Steps between sample grids; 0: none.", minimum=0, free=True)
    checkpoint_every: int = setting(1000, "Steps between checkpoints.", minimum=1, free=True)
    max_checkpoints: int = setting(3, "Newest checkpoints kept.", minimum=1, free=True)
    keep_every: int = setting(0, "Checkpoints of multiples of this are kept for good; 0: none.", minimum=0, free=True)
    deterministic: bool = setting(True, "Bit-for-bit repeatable ops (tf.config.experimental.enable_op_determinism).")

    @property
    def batches_per_iteration(self) -> int:
        """Batches that one iteration draws: a fresh one for each step, or with 'joint' one fewer."""
        return self.discriminator_steps + (self.update_rule == "algorithm1")

    @property
    def images_per_iteration(self) -> int:
        """Training images that one iteration draws."""
        return self.batch_size * self.batches_per_iteration

    def steps(self, num_examples: int) -> int:
        """Generator updates in the run: `num_steps`, or as many as draw `epochs` times every training image.

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
        free=True,
    )
    metrics: str = setting("fid,kid,is,r_precision,soa", "Which of these, separated by commas.", free=True)
    num_samples: int = setting(
        30_000, "Captions of the validation split; oversampled where it has fewer images.", minimum=2, free=True
    )
    seed: int = setting(
        0, "Of the list of captions, of the noise, and of what the metrics draw by lot.", minimum=0, free=True
    )
    batch_size: int = setting(64, "Images at once, of all replicas together.", minimum=1, free=True)
    network: str = setting(
        "tfgan",
        "Behind FID, KID and IS: 'tfgan' (what publications use), 'keras', or 'scenes'.",
        choices=("tfgan", "keras", "scenes"),
        free=True,
    )
    network_weights: str = setting(
        "", "TF-Hub handle, folder or file; empty: where the network is published.", free=True
    )
    inception_score_splits: int = setting(
        10, "Parts that IS is averaged over: 10 (usual) or 1 (reference).", minimum=1, free=True
    )
    kernel_subsets: int = setting(100, "Random subsets that KID is averaged over.", minimum=1, free=True)
    kernel_subset_size: int = setting(1000, "Images in each of them.", minimum=2, free=True)
    mismatches: int = setting(99, "Captions beside the true one in R-precision.", minimum=1, free=True)
    folds: int = setting(10, "Parts that R-precision is averaged over.", minimum=1, free=True)
    dual_encoder: str = setting(
        "", "Folder written by eval.train_dual_encoder, or of any SavedModel with its two methods.", free=True
    )
    detector: str = setting("https://tfhub.dev/tensorflow/efficientdet/d4/1", "TF-Hub handle or folder.", free=True)
    detector_labels: str = setting(
        "coco91", "Its label map: 'coco91', 'coco80', 'scenes', or a file with a name in each line.", free=True
    )
    detector_threshold: float = setting(
        0.5, "Score from which on SOA takes an object for found.", fraction=True, free=True
    )
    soa_captions: str = setting(
        "", "Folder of SOA's official caption lists; empty: the paper's approximation.", free=True
    )


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
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)

    @property
    def uses_image_encoder(self) -> bool:
        """Whether one of the losses is of the frozen image encoder."""
        return bool(self.losses.generator_image_encoder or self.losses.generator_perceptual)

    def with_fields(self, values: typing.Mapping[str, typing.Any]) -> "Config":
        """A copy with other values.

        Args:
          values: by dotted name, such as {'training.seed': 1}.

        Returns:
          The copy; `self` stays as it is.

        Raises:
          ValueError: a name is not that of a field.
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
        """The fields in which this config differs from another: {dotted name: value here}."""
        before = flatten(since)
        return {name: value for name, value in flatten(self).items() if value != before[name]}


def settings() -> dict[str, Setting]:
    """The `Setting` of every field but `dataset`, by dotted name, in the order of the config."""
    return {
        f"{group.name}.{field.name}": field.metadata["setting"]
        for group in dataclasses.fields(Config)
        if group.name != "dataset"
        for field in dataclasses.fields(group.type)
    }


def flatten(config: Config) -> dict[str, typing.Any]:
    """The values of a config by dotted name, as the command line spells them: {'training.seed': 0, ...}."""
    values = {name: getattr(getattr(config, name.partition(".")[0]), name.partition(".")[2]) for name in settings()}
    return {"dataset": config.dataset, **values}
