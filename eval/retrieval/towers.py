"""The two towers of a dual encoder, which map images and captions to unit vectors in the same embedding space.

Each tower is either a small network trained from scratch, or a published network with a linear layer on top.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_hub as hub
from tensorflow_text.tools.wordpiece_vocab import bert_vocab_from_dataset

from xmcgan.models import bert_model, hub_files, keras_weights
from xmcgan.models.image_encoder import ImageNetPreprocessing
from xmcgan.models.text_encoder import TOKEN_FEATURES, load_preprocessor, pool_sentence

IMAGE_TOWERS = ("small", "resnet50", "efficientnetb4")
TEXT_TOWERS = ("scratch", "bert")
_SMALL_CHANNELS = 32
_SMALL_STRIDE = 16  # Stride of the small tower's last feature map.
_FIRST_TEMPERATURE = 0.1
_TEMPERATURES = (0.01, 1.0)  # Bounds. At lower temperatures, single pairs would dominate the loss.
_MAX_VOCABULARY = 8000
_VOCABULARY_CAPTIONS = 200_000  # Takes half a minute; more captions hardly change the vocabulary.


class TowerOptions(NamedTuple):
    """The options of the towers."""

    image_tower: str = "small"  # One of IMAGE_TOWERS.
    image_weights: str = "none"  # 'none', 'imagenet' or a Keras weights file without the classifier.
    image_size: int = 64  # Images are resized to this side length, in pixels.
    text_tower: str = "scratch"  # One of TEXT_TOWERS.
    text_preprocessor: str = ""  # For 'bert': TF-Hub handle or folder.
    text_encoder: str = ""  # For 'bert': TF-Hub handle or folder.
    train_text_encoder: bool = False  # For 'bert': fine-tune the BERT, not only the projection.
    text_length: int = 32  # Captions are cut to this many tokens, including [CLS] and [SEP].
    dim: int = 128  # Dimension of the embeddings.
    seed: int = 0  # Seed of the initial weights.


class Towers(tf.Module):
    """A dual encoder in training.

    Create it inside `strategy.scope()`. Its methods with a signature become those of the SavedModel (see
    `retrieval.dual_encoder`).
    """

    def __init__(self, options: TowerOptions, vocabulary: Sequence[str]):
        """Builds both towers, with initial weights drawn from `options.seed`.

        Args:
          options: see `TowerOptions`.
          vocabulary: vocabulary from `learn_vocabulary`; only used by the 'scratch' text tower.

        Raises:
          FileNotFoundError: published weights cannot be downloaded or found.
          ValueError: an option is invalid, or a file or handle contains something else.
        """
        super().__init__(name="dual_encoder")
        check_options(options)
        self.image_tower = _build_image_tower(options)
        self.text_tower = (
            _ScratchText(options, vocabulary) if options.text_tower == "scratch" else _PublishedText(options)
        )
        self.log_temperature = tf.Variable(math.log(_FIRST_TEMPERATURE), name="log_temperature")

    @property
    def weights(self) -> list[tf.Variable]:
        """The weights of both towers; unlike `variables`, with those of a frozen BERT."""
        networks = self.image_tower, self.text_tower.encoder, self.text_tower.projection
        return [variable for network in networks for variable in network.variables]

    @property
    def preprocessor(self) -> tf.Module:
        """The preprocessor of the captions, with TF Hub's text API."""
        return self.text_tower.preprocessor

    @property
    def temperature(self) -> tf.Tensor:
        """The learned temperature of the contrastive loss, in [0.01, 1]."""
        return tf.clip_by_value(tf.exp(self.log_temperature), *_TEMPERATURES)

    def embed_images(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        """Embeds images [batch, height, width, 3] uint8 as [batch, dim] of unit length."""
        return tf.math.l2_normalize(self.image_tower(tf.cast(images, tf.float32), training=training), axis=1)

    def embed_tokens(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        """Embeds the output of `tokenize` as [batch, dim] of unit length."""
        return tf.math.l2_normalize(self.text_tower(tokens, training=training), axis=1)

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Tokenizes captions [batch] into BERT's inputs, each [batch, text_length] int32; runs on the host."""
        return self.text_tower.tokenize(captions)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="images")])
    @tf.autograph.experimental.do_not_convert  # Converting the layers would take most of the tracing.
    def encode_images(self, images: tf.Tensor) -> tf.Tensor:
        """Embeds images [batch, height, width, 3] uint8 of any size as [batch, dim] float32 of unit length."""
        return self.embed_images(images, training=False)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="captions")])
    @tf.autograph.experimental.do_not_convert
    def encode_captions(self, captions: tf.Tensor) -> tf.Tensor:
        """Embeds captions [batch] as [batch, dim] float32 of unit length."""
        return self.embed_tokens(self.tokenize(captions), training=False)


def check_options(options: TowerOptions) -> None:
    """Raises an error for options that towers cannot be built with.

    Raises:
      ValueError: an option is invalid; the message names the flag, and what it may be.
    """
    for name, value, choices in (
        ("image_tower", options.image_tower, IMAGE_TOWERS),
        ("text_tower", options.text_tower, TEXT_TOWERS),
    ):
        if value not in choices:
            raise ValueError(f"--{name}={value} is unknown: choose one of {', '.join(choices)}")
    if options.image_tower == "small":
        if options.image_weights != "none":
            raise ValueError("--image_weights belongs to a published --image_tower; 'small' is trained from scratch")
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
            "'scratch' learns its own vocabulary"
        )
    for name, least in (("text_length", 3), ("dim", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name}={getattr(options, name)} is too small: set it to {least} or more")


def learn_vocabulary(captions: tf.data.Dataset) -> list[str]:
    """Learns a WordPiece vocabulary from lower-cased captions; BERT's special tokens come first.

    Args:
      captions: scalar strings; only the first _VOCABULARY_CAPTIONS are used.
    """
    return bert_vocab_from_dataset.bert_vocab_from_dataset(
        captions.take(_VOCABULARY_CAPTIONS).batch(1000),
        vocab_size=_MAX_VOCABULARY,
        reserved_tokens=list(bert_model.SPECIAL_TOKENS),
        bert_tokenizer_params={"lower_case": True},
    )


class _ScratchText(tf.Module):
    """A small transformer with its own vocabulary; the mean of its outputs is projected."""

    def __init__(self, options: TowerOptions, vocabulary: Sequence[str]):
        super().__init__(name="text_tower")
        self.preprocessor = bert_model.Preprocessor(vocabulary)
        architecture = bert_model.SMALL._replace(positions=options.text_length)
        self.encoder = bert_model.Encoder(len(vocabulary), options.seed, architecture)
        self.projection = tf.keras.layers.Dense(options.dim)
        self.projection.build([None, architecture.width])
        _draw(self.projection.weights, [options.seed, 1])
        self._text_length = options.text_length

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return _pack(self.preprocessor, captions, self._text_length)

    def __call__(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        del training  # It behaves the same in training.
        words = self.encoder(dict(tokens))["sequence_output"]  # [batch, words, width]
        return self.projection(pool_sentence(words, tokens["input_mask"], "mean"))  # [batch, dim]


class _PublishedText(tf.Module):
    """A published BERT, frozen or fine-tuned; the mean of its outputs is projected."""

    def __init__(self, options: TowerOptions):
        super().__init__(name="text_tower")
        self.preprocessor = load_preprocessor(options.text_preprocessor, "--text_preprocessor")
        loaded = hub_files.load(options.text_encoder, "--text_encoder")
        if options.train_text_encoder and not getattr(loaded, "trainable_variables", None):
            raise ValueError(
                f"--text_encoder='{options.text_encoder}' has no trainable_variables: leave out --train_text_encoder"
            )
        self.encoder = hub.KerasLayer(loaded, trainable=options.train_text_encoder)
        if not options.train_text_encoder:  # tf.Module would count a published BERT's weights as trainable.
            self._TF_MODULE_IGNORED_PROPERTIES = tf.Module._TF_MODULE_IGNORED_PROPERTIES | {"encoder"}
        self._text_length = options.text_length
        self.projection = tf.keras.layers.Dense(options.dim)
        self.projection.build([None, self._width(options.text_encoder)])
        _draw(self.projection.weights, [options.seed, 1])

    def tokenize(self, captions: tf.Tensor) -> dict[str, tf.Tensor]:
        return _pack(self.preprocessor, captions, self._text_length)

    def __call__(self, tokens: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        training = training and self.encoder.trainable  # A frozen BERT uses no dropout.
        words = tf.cast(self.encoder(dict(tokens), training=training)["sequence_output"], tf.float32)
        return self.projection(pool_sentence(words, tokens["input_mask"], "mean"))  # [batch, dim]

    def _width(self, handle: str) -> int:
        """Returns the encoder's width, from a forward pass that also checks for TF Hub's text API."""
        encode = tf.function(lambda tokens: self.encoder(tokens)["sequence_output"], autograph=False)
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
    """Tokenizes captions [batch] into BERT's inputs, each [batch, text_length] int32."""
    packed = preprocessor.bert_pack_inputs([preprocessor.tokenize(captions)], seq_length=text_length)
    shape = [captions.shape[0], text_length]  # The SavedModel does not know these sizes.
    return {name: tf.ensure_shape(tf.cast(packed[name], tf.int32), shape) for name in TOKEN_FEATURES}


def _build_image_tower(options: TowerOptions) -> tf.keras.Model:
    """Builds the image tower: [batch, any height, any width, 3] float32 in 0..255 -> [batch, dim] float32.

    Images are resized by plain bilinear sampling, as the input pipeline resizes training images.
    """
    images = tf.keras.Input([None, None, 3], name="images")
    build = _small_features if options.image_tower == "small" else _published_features
    projection = tf.keras.layers.Dense(options.dim, name="projection")
    tower = tf.keras.Model(images, projection(build(images, options)), name="image_tower")
    fresh = tower.weights if options.image_weights == "none" else projection.weights
    _draw([weight for weight in fresh if weight.trainable], [options.seed, 0])
    return tower


def _small_features(images: tf.Tensor, options: TowerOptions) -> tf.Tensor:
    """Applies five convolutions: [batch, features].

    There is no pooling at the end, because captions say where things are. There is no normalization either: such a
    shallow network does not need it, and without it the network computes the same in training and inference.
    """
    layers, channels = tf.keras.layers, _SMALL_CHANNELS
    x = layers.Resizing(options.image_size, options.image_size)(images)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)  # [batch, size, size, 3] in [-1, 1]
    for width, kernel, stride in ((1, 4, 2), (2, 3, 2), (4, 3, 2), (4, 3, 1), (4, 3, 2)):
        x = layers.Conv2D(width * channels, kernel, stride, padding="same", activation="relu")(x)
    return layers.Flatten()(x)  # [batch, size / 16 * size / 16 * 128]


def _published_features(images: tf.Tensor, options: TowerOptions) -> tf.Tensor:
    """Applies a network of tf.keras.applications with its own preprocessing, averaged over space: [batch, features].

    With pre-trained weights, batch normalization keeps its statistics, as is usual when replicas have small batches.
    """
    name, weights, size = options.image_tower, options.image_weights, options.image_size
    build, prepare = _PUBLISHED[name]
    if weights not in ("imagenet", "none"):
        keras_weights.check_file(weights, "--image_weights")
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
                layer.trainable = False  # In Keras this also implies inference mode.
    return network(prepare(images, size))


def _for_resnet(images: tf.Tensor, size: int) -> tf.Tensor:
    return ImageNetPreprocessing(size)(tf.keras.layers.Rescaling(1 / 255)(images))


def _for_efficientnet(images: tf.Tensor, size: int) -> tf.Tensor:
    return tf.keras.layers.Resizing(size, size)(images)  # The network scales and centers 0..255 itself.


_PUBLISHED: dict[str, tuple[Callable, Callable]] = {
    "resnet50": (tf.keras.applications.ResNet50, _for_resnet),
    "efficientnetb4": (tf.keras.applications.EfficientNetB4, _for_efficientnet),
}


def _draw(variables: Sequence[tf.Variable], seed: Sequence[int]) -> None:
    """Draws kernels with He initialization, each from the seed and its index, independently of the global seed."""
    seeds = tf.random.experimental.stateless_split(seed, len(variables))  # [variables, 2]
    for variable, own_seed in zip(variables, seeds):
        if variable.shape.rank > 1:  # Biases and normalization layers keep their zeros and ones.
            inputs = variable.shape[:2] if "depthwise" in variable.name else variable.shape[:-1]
            deviation = math.sqrt(2.0 / math.prod(inputs))
            variable.assign(deviation * tf.random.stateless_truncated_normal(variable.shape, own_seed))
