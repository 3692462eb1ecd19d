"""What an experiment is: every number of the paper's Appendix A and every choice that it leaves open.

A `Config` is a tree of plain dataclasses. `preset(name)` gives the tree of a dataset (or of the public
reference release); single fields are then changed on the command line (`--config.training.batch_size=64`).
`config_checks.validate` refuses impossible combinations.
"""

# No `from __future__ import annotations`: it turns the types of the fields to strings, and the command line reads them.
import dataclasses
import json
import typing

IMAGE_SIZES = (64, 128, 256)
METRICS = ("fid", "kid", "is", "r_precision", "soa")


@dataclasses.dataclass
class DataConfig:
    """Images and captions as the models see them (paper section 5.1)."""

    image_size: int = 256  # Pixels a side; one of IMAGE_SIZES.
    text_length: int = 17  # Tokens a caption, [CLS] and [SEP] included; longer captions are cut.
    random_flip: bool = True  # Mirror training images at random; off where captions say left and right.
    cache: str = "none"  # Decode images in each epoch anew ('none'), or once, into the host's 'memory'.


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
    batch_norm_replicas: int = 0  # Replicas that share batch statistics: 0 all, 1 none, n groups of n.


@dataclasses.dataclass
class DiscriminatorConfig:
    """The contrastive discriminator (section 4.3, Table 8b)."""

    channels: int = 96  # ch of Table 8.
    contrastive_head_layers: int = 0  # MLP layers on the features of the sentence and image losses (Fig. 5).
    spectral_norm_epsilon: float = 1e-10


@dataclasses.dataclass
class ImageEncoderConfig:
    """The frozen network behind the image-image and the perceptual loss (sections 4.3 and 6.2)."""

    architecture: str = "vgg19"  # 'vgg19' (paper), 'resnet50' (reference), or 'hub': an image feature vector of TF Hub.
    weights: str = "imagenet"  # 'imagenet' or a Keras weights file; of 'hub', a handle or folder; empty: the scenes'.
    layer: str = "block5_conv4"  # Its output is the feature; maps are averaged over space. Empty with 'hub'.
    image_size: int = 224  # Images are resized to it.


@dataclasses.dataclass
class LossConfig:
    """Weights of the losses (lambda of Algorithm 1) and their constants. A weight of 0 switches a loss off."""

    discriminator_sentence: float = 1.0  # Real image and its sentence, for D.
    discriminator_word: float = 1.0  # Real regions and their words, for D.
    generator_sentence: float = 1.0  # Generated image and its sentence, for G.
    generator_word: float = 1.0  # Generated regions and their words, for G.
    generator_image: float = 1.0  # Generated and real image of a caption in D's features, for G ('D' of Table 4).
    generator_image_encoder: float = 1.0  # The same in the image encoder's features ('VGG' of Table 4).
    generator_perceptual: float = 0.0  # Squared l2 distance in the image encoder's features (Table 6).
    temperature: float = 0.1  # tau of the sentence and image losses.
    word_temperature: float = 0.02  # tau of the word loss: 1 / 50.
    rho_1: float = 5.0  # Sharpness of a word's attention over regions.
    rho_2: float = 5.0  # Weight of the best aligned word in a sentence's score.
    context_regions: str = "raw"  # A word's aligned feature is a sum of 'raw' or of 'normalized' (reference) regions.
    direction: str = "both"  # 'both' (image to text plus text to image) or 'single' (the paper's equations).
    negatives: str = "global"  # 'global': the batch of all replicas; 'replica': each replica's own part.
    word_chunk: int = 0  # Sentences at once in the word loss, whose memory that bounds; 0: some hundred words.


@dataclasses.dataclass
class TrainingConfig:
    """Algorithm 1 and its numbers (Appendix A), and how the run is kept and watched."""

    batch_size: int = 256  # Of all replicas together.
    epochs: float = 1000.0  # Passes over the training images; every batch drawn counts.
    num_steps: int = 0  # Generator updates; 0 takes them from `epochs`.
    micro_batches: int = 1  # Parts in which a device works through its share of the batch, to hold one at a time.
    micro_batch_statistics: str = "batch"  # G's batch norm: of the whole 'batch' (exact), or of each 'micro_batch'.
    recompute: bool = False  # Compute activations again in the gradient instead of keeping them.
    precision: str = "float32"  # Of activations: 'float32', 'bfloat16' or 'float16' (with loss scaling).
    xla: bool = False  # Compile each step with XLA.
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
    keep_every: int = 0  # Checkpoints of multiples of this are kept for good; 0: none.
    deterministic: bool = True  # Bit-for-bit repeatable ops (tf.config.experimental.enable_op_determinism).


@dataclasses.dataclass
class EvaluationConfig:
    """The metrics of section 5.2: what is measured, on how many images, by which networks."""

    every: int = 0  # Generator steps between evaluations during training; 0: none. A multiple of checkpoint_every.
    metrics: str = "fid,kid,is,r_precision,soa"  # Which of these, separated by commas.
    num_samples: int = 30_000  # Captions of the validation split; oversampled where it has fewer images.
    seed: int = 0  # Of the list of captions, of the noise, and of what the metrics draw by lot.
    batch_size: int = 64  # Images at once, of all replicas together.
    network: str = "tfgan"  # Behind FID, KID and IS: 'tfgan' (what publications use), 'keras', or 'scenes'.
    network_weights: str = ""  # TF-Hub handle, folder or file; empty: where the network is published.
    inception_score_splits: int = 10  # Parts that IS is averaged over: 10 (usual) or 1 (reference).
    kernel_subsets: int = 100  # Random subsets that KID is averaged over.
    kernel_subset_size: int = 1000  # Images in each of them.
    mismatches: int = 99  # Captions beside the true one in R-precision.
    folds: int = 10  # Parts that R-precision is averaged over.
    dual_encoder: str = ""  # Folder written by eval.train_dual_encoder; empty: for scenes, the prepared one.
    detector: str = "https://tfhub.dev/tensorflow/efficientdet/d4/1"  # TF-Hub handle or folder.
    detector_labels: str = "coco91"  # Its label map: 'coco91', 'coco80', 'scenes', or a file with a name in each line.
    detector_threshold: float = 0.5  # Score from which on SOA takes an object for found.
    soa_captions: str = ""  # Folder of SOA's official caption lists; empty: the paper's approximation.


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
        # A small network that is prepared for who switches one of its losses on, such as Table 4's VGG rows.
        image_encoder=ImageEncoderConfig(architecture="hub", weights="", layer="", image_size=64),
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
        # The scene recognizer and a small dual encoder, which are prepared on first use.
        evaluation=EvaluationConfig(
            num_samples=2500, network="scenes", detector="", detector_labels="scenes", kernel_subset_size=500
        ),
    )


def _reference() -> Config:
    """The choices of the public JAX release, where they differ from the paper."""
    return Config(
        text=TextConfig(sentence_pooling="sum_over_length"),
        generator=GeneratorConfig(stem="noise", context_words="normalized", batch_norm_replicas=1),
        image_encoder=ImageEncoderConfig(architecture="resnet50", layer="logits"),
        losses=LossConfig(context_regions="normalized", negatives="replica"),
        training=TrainingConfig(update_rule="joint"),
        evaluation=EvaluationConfig(network="keras", inception_score_splits=1),
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
      dataset: the dataset to use it with, if not its own: that dataset's text length, flips and text encoder (and
        those of `scenes` the image encoder and the networks of its metrics) then stand in for the preset's.

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
    if own.evaluation.network == "scenes":  # Drawn images are nothing for networks of photographs.
        splits = config.evaluation.inception_score_splits
        config.evaluation = dataclasses.replace(own.evaluation, inception_score_splits=splits)
        config.image_encoder = own.image_encoder
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

    Fields that a newer version added take their defaults, or the dataset's, so that old runs stay readable.

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

    values = json.loads(text)
    if isinstance(values, dict):
        _rename_old_fields(values)
    config = build(Config, values, "")
    if "evaluation" not in values and config.dataset in PRESETS:  # Of a run before there was such a group.
        config.evaluation = PRESETS[config.dataset]().evaluation
    return config


def _rename_old_fields(values: dict[str, typing.Any]) -> None:
    """Brings what older versions wrote to the names of today, in place."""
    generator = values.get("generator")
    if isinstance(generator, dict) and "synchronized_batch_norm" in generator:
        generator["batch_norm_replicas"] = 0 if generator.pop("synchronized_batch_norm") else 1
