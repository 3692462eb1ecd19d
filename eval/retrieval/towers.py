"""The two towers of a dual encoder: images and captions to unit vectors in one space.

Each is a choice of few: a small network trained from nothing, or a published one with a linear layer on top.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_hub as hub
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from data_pipelines.scenes import bert_model
from xmcgan.models import hub_files, keras_weights
from xmcgan.models.image_encoder import ImageNetPreprocessing
from xmcgan.models.text_encoder import TOKEN_FEATURES, load_preprocessor, pool_sentence

IMAGE_TOWERS = ("small", "resnet50", "efficientnetb4")
TEXT_TOWERS = ("scratch", "bert")
_SMALL_CHANNELS = 32
_SMALL_STRIDE = 16  # Of the small tower's last map.
_FIRST_TEMPERATURE = 0.1
_TEMPERATURES = (0.01, 1.0)  # Its bounds: below, single pairs would take over.
_MAX_VOCABULARY = 8000
_VOCABULARY_CAPTIONS = 200_000  # Half a minute of learning; more captions hardly change the words.


class TowerOptions(NamedTuple):
    """What the towers are built of."""

    image_tower: str = "small"  # One of IMAGE_TOWERS.
    image_weights: str = "none"  # 'none', 'imagenet' or a Keras weights file without the classifier.
    image_size: int = 64  # Images are resized to this side.
    text_tower: str = "scratch"  # One of TEXT_TOWERS.
    text_preprocessor: str = ""  # TF-Hub handle or folder, of 'bert'.
    text_encoder: str = ""  # TF-Hub handle or folder, of 'bert'.
    train_text_encoder: bool = False  # Fine-tune the BERT of 'bert', not its last layer alone.
    text_length: int = 32  # Tokens a caption is cut to, [CLS] and [SEP] included.
    dim: int = 128  # Of the common space.
    seed: int = 0  # Of the weights.


class Towers(tf.Module):
    """A dual encoder in training; its methods with a signature are the SavedModel's (see `retrieval.dual_encoder`).

    Create it inside `strategy.scope()`.
    """

    def __init__(self, options: TowerOptions, vocabulary: Sequence[str]):
        """Builds both towers, with weights drawn from `options.seed`.

        Args:
          options: see `TowerOptions`.
          vocabulary: of `learn_vocabulary`; for the 'scratch' text tower alone.

        Raises:
          FileNotFoundError: published weights cannot be fetched or found.
          ValueError: an option is impossible, or a file or handle holds something else.
        """
        super().__init__(name="dual_encoder")
        check_options(options)
        self.image_tower = _build_image_tower(options)
        self.text_tower = (
            _ScratchText(options, vocabulary) if options.text_tower == "scratch" else _PublishedText(options)
        )
        self.log_temperature = tf.Variable(math.log(_FIRST_TEMPERATURE), name="log_temperature")

    @property
    def temperature(self) -> tf.Tensor:
        """Of the contrastive loss, learned: in [0.01, 1]."""
        return tf.clip_by_value(tf.exp(self.log_temperature), *_TEMPERATURES)

    def embed_images(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """[batch, height, width, 3] uint8 -> [batch, dim] of unit length."""
        return tf.math.l2_normalize(self.image_tower(tf.cast(images, tf.float32), training=training), axis=1)

    def embed_tokens(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        """What `tokenize` gave -> [batch, dim] of unit length."""
        return tf.math.l2_normalize(self.text_tower(tokens, training=training), axis=1)

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        """[batch] string -> BERT's inputs, each [batch, text_length] int32; on the host, also within a tf.data map."""
        return self.text_tower.tokenize(captions)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    def encode_images(self, images: tf.Tensor) -> tf.Tensor:
        """[batch, height, width, 3] uint8 of any size -> [batch, dim] float32 of unit length."""
        return self.embed_images(images, training=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="captions")])
    def encode_captions(self, captions: tf.Tensor) -> tf.Tensor:
        """[batch] string -> [batch, dim] float32 of unit length."""
        return self.embed_tokens(self.tokenize(captions), training=False)


def check_options(options: TowerOptions) -> None:
    """Refuses what cannot be built, by the names of the flags.

    Raises:
      ValueError: says which flag, and what it may be.
    """
    for name, value, choices in (
        ("image_tower", options.image_tower, IMAGE_TOWERS),
        ("text_tower", options.text_tower, TEXT_TOWERS),
    ):
        if value not in choices:
            raise ValueError(f"--{name}={value} is unknown: choose one of {', '.join(choices)}")
    if options.image_tower == "small":
        if options.image_weights != "none":
            raise ValueError("--image_weights belongs to a published --image_tower; 'small' learns its own")
        if options.image_size < _SMALL_STRIDE or options.image_size % _SMALL_STRIDE:
            raise ValueError(
                f"--image_size={options.image_size} does not suit --image_tower=small: set a multiple of "
                f"{_SMALL_STRIDE}, such as 64"
            )
    elif options.image_size < 32:
        raise ValueError(f"--image_size={options.image_size} is too small for {options.image_tower}: set 32 or more")
    handles = bool(options.text_preprocessor), bool(options.text_encoder)
    if options.text_tower == "bert" and not all(handles):
        raise ValueError("--text_tower=bert needs --text_preprocessor and --text_encoder: TF-Hub handles or folders")
    if options.text_tower == "scratch" and (any(handles) or options.train_text_encoder):
        raise ValueError(
            "--text_preprocessor, --text_encoder and --train_text_encoder belong to --text_tower=bert; "
            "'scratch' learns its own words"
        )
    for name, least in (("text_length", 3), ("dim", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name}={getattr(options, name)} is too small: set it to {least} or more")


def learn_vocabulary(captions: tf.data.Dataset) -> list[str]:
    """WordPiece vocabulary of lower-case captions, BERT's special tokens first.

    Args:
      captions: scalar strings; the first _VOCABULARY_CAPTIONS are looked at.
    """
    return bert_vocab_from_dataset.bert_vocab_from_dataset(
        captions.take(_VOCABULARY_CAPTIONS).batch(1000),
        vocab_size=_MAX_VOCABULARY,
        reserved_tokens=list(bert_model.SPECIAL_TOKENS),
        bert_tokenizer_params={"lower_case": True},
    )


class _ScratchText(tf.Module):
    """A small transformer with a vocabulary of its own, the mean of whose outputs is projected."""

    def __init__(self, options: TowerOptions, vocabulary: Sequence[str]):
        super().__init__(name="text_tower")
        self._preprocessor = bert_model.Preprocessor(vocabulary)
        size = bert_model.SMALL._replace(positions=options.text_length)
        self.encoder = bert_model.Encoder(len(vocabulary), options.seed, size)
        self.projection = tf.keras.layers.Dense(options.dim)
        self.projection.build([None, size.width])
        _draw(self.projection.weights, [options.seed, 1])
        self._text_length = options.text_length

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return _pack(self._preprocessor, captions, self._text_length)

    def __call__(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        del training  # Nothing in it behaves otherwise.
        words = self.encoder(dict(tokens))["sequence_output"]  # [batch, words, width]
        return self.projection(pool_sentence(words, tokens["input_mask"], "mean"))  # [batch, dim]


class _PublishedText(tf.Module):
    """A published BERT, frozen or fine-tuned, the mean of whose outputs is projected."""

    def __init__(self, options: TowerOptions):
        super().__init__(name="text_tower")
        self._preprocessor = load_preprocessor(options.text_preprocessor, "--text_preprocessor")
        loaded = hub_files.load(options.text_encoder, "--text_encoder")
        if options.train_text_encoder and not getattr(loaded, "trainable_variables", None):
            raise ValueError(
                f"--text_encoder='{options.text_encoder}' has no trainable_variables: leave out --train_text_encoder"
            )
        self.encoder = hub.KerasLayer(loaded, trainable=options.train_text_encoder)
        self._text_length = options.text_length
        self.projection = tf.keras.layers.Dense(options.dim)
        self.projection.build([None, self._width(options.text_encoder)])
        _draw(self.projection.weights, [options.seed, 1])

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return _pack(self._preprocessor, captions, self._text_length)

    def __call__(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        training = training and self.encoder.trainable  # A frozen BERT drops nothing out.
        words = tf.cast(self.encoder(dict(tokens), training=training)["sequence_output"], tf.float32)
        return self.projection(pool_sentence(words, tokens["input_mask"], "mean"))  # [batch, dim]

    def _width(self, handle: str) -> int:
        """The encoder's width, from a forward pass that also shows whether it is of TF Hub's text API."""
        encode = tf.function(lambda tokens: self.encoder(tokens)["sequence_output"])
        strategy = tf.distribute.get_strategy()  # Within its scope, mirrored weights can be read on replicas only.
        try:
            words = strategy.run(encode, args=(self.tokenize(tf.constant([""])),))
            return strategy.experimental_local_results(words)[0].shape[-1]
        except (KeyError, TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            raise ValueError(
                f"--text_encoder='{handle}' does not take {self._text_length} tokens as a BERT of TF Hub's text API "
                f"does ({hub_files.one_line(error)}): pass one such as bert_en_uncased_L-12_H-768_A-12"
            ) from error


def _pack(preprocessor: tf.Module, captions: tf.Tensor, text_length: int) -> dict[str, tf.Tensor]:
    """[batch] string -> BERT's inputs, each [batch, text_length] int32."""
    packed = preprocessor.bert_pack_inputs([preprocessor.tokenize(captions)], seq_length=text_length)
    shape = [captions.shape[0], text_length]  # A SavedModel knows neither size.
    return {name: tf.ensure_shape(tf.cast(packed[name], tf.int32), shape) for name in TOKEN_FEATURES}


def _build_image_tower(options: TowerOptions) -> tf.keras.Model:
    """[batch, any height, any width, 3] float32 in 0..255 -> [batch, dim] float32.

    Images are resized by plain bilinear sampling, as the input pipeline resizes those of the training.
    """
    images = tf.keras.Input([None, None, 3], name="images")
    build = _small_features if options.image_tower == "small" else _published_features
    projection = tf.keras.layers.Dense(options.dim, name="projection")
    tower = tf.keras.Model(images, projection(build(images, options)), name="image_tower")
    fresh = tower.weights if options.image_weights == "none" else projection.weights
    _draw([weight for weight in fresh if weight.trainable], [options.seed, 0])
    return tower


def _small_features(images: tf.Tensor, options: TowerOptions) -> tf.Tensor:
    """Five convolutions, and no pooling at the end, since captions tell where things are: [batch, features].

    Without any normalization, which so shallow a network does not need: it gives the same in training and after.
    """
    layers, channels = tf.keras.layers, _SMALL_CHANNELS
    x = layers.Resizing(options.image_size, options.image_size)(images)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)  # [batch, size, size, 3] in [-1, 1]
    for width, kernel, stride in ((1, 4, 2), (2, 3, 2), (4, 3, 2), (4, 3, 1), (4, 3, 2)):
        x = layers.Conv2D(width * channels, kernel, stride, padding="same", activation="relu")(x)
    return layers.Flatten()(x)  # [batch, size / 16 * size / 16 * 128]


def _published_features(images: tf.Tensor, options: TowerOptions) -> tf.Tensor:
    """A network of tf.keras.applications with its own preprocessing, averaged over space: [batch, features].

    With pre-trained weights batch normalization keeps their statistics, as is usual where replicas see few images.
    """
    name, weights, size = options.image_tower, options.image_weights, options.image_size
    build, prepare = _PUBLISHED[name]
    with keras_weights.downloading("--image_weights"):
        network = build(
            include_top=False,
            pooling="avg",
            input_shape=(size, size, 3),
            weights="imagenet" if weights == "imagenet" else None,
        )
    if weights not in ("imagenet", "none"):
        with keras_weights.reading(weights, "--image_weights", f"{name} without its classifier"):
            network.load_weights(weights)
    if weights != "none":
        for layer in network.layers:
            if isinstance(layer, tf.keras.layers.BatchNormalization):
                layer.trainable = False  # In Keras this means inference, too.
    return network(prepare(images, size))


def _for_resnet(images: tf.Tensor, size: int) -> tf.Tensor:
    return ImageNetPreprocessing(size)(tf.keras.layers.Rescaling(1 / 255)(images))


def _for_efficientnet(images: tf.Tensor, size: int) -> tf.Tensor:
    return tf.keras.layers.Resizing(size, size)(images)  # Scales and centers 0..255 itself.


_PUBLISHED: dict[str, tuple[Callable, Callable]] = {
    "resnet50": (tf.keras.applications.ResNet50, _for_resnet),
    "efficientnetb4": (tf.keras.applications.EfficientNetB4, _for_efficientnet),
}


def _draw(variables: Sequence[tf.Variable], seed: Sequence[int]) -> None:
    """Draws kernels by He's rule, each from (seed, its place), whatever the global seed is."""
    seeds = tf.random.experimental.stateless_split(seed, len(variables))  # [variables, 2]
    for variable, own_seed in zip(variables, seeds):
        if variable.shape.rank > 1:  # Biases and norms keep their zeros and ones.
            inputs = variable.shape[:2] if "depthwise" in variable.name else variable.shape[:-1]
            deviation = math.sqrt(2.0 / math.prod(inputs))
            variable.assign(deviation * tf.random.stateless_truncated_normal(variable.shape, own_seed))
